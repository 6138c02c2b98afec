"""Which servers `dmg` asks, and as whom: from its configuration."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from daos.errors import InvalidError
from daos.mgmt.identity import IdentityFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from daos.mgmt.agent_upstream import Transport
    from daos.mgmt.identity import Identities


@dataclass(frozen=True)
class Settings:
    """Which servers, and as whom.

    Attributes:
        hosts: All servers of the configuration, `host:port`.
        identity: Tells certificate and key; None is insecure mode.
        system: The system's name.
        port: Of hosts that are given without one.
    """

    hosts: tuple[str, ...]
    identity: Identities | None
    system: str
    port: int


@dataclass
class Flags:
    """What the options before the command say.

    Attributes:
        config: A configuration file.
        insecure: Without TLS, whatever the configuration says.
        home: The user's home directory, where a configuration may be.
    """

    config: str | None = None
    insecure: bool = False
    home: str | None = None


class _ControlConfig(Protocol):
    """What is used of the configuration."""

    @property
    def name(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def hosts(self) -> Sequence[object]: ...
    @property
    def transport_config(self) -> Transport: ...


def load(flags: Flags) -> Settings:
    """Return the settings of the configuration: the file that was named, else the user's, else the host's, else none.

    Raises:
        InvalidError: `DER.INVAL`: the file is not there, or says what it cannot.
        AccessError: `DER.NO_CERT`: the certificates cannot be read.
    """
    module = import_module("daos.config")
    load_control = cast("Callable[[Path | None, dict[str, object]], _ControlConfig]", module.load_control)
    control_file = cast("Callable[[str | None], Path | None]", module.control_file)
    if flags.config is not None and not Path(flags.config).exists():
        raise InvalidError(
            f"failed to load control configuration: open {flags.config}: no such file or directory",
            hint="-o names the file; without it ~/.daos_control.yml or /etc/daos/daos_control.yml is taken",
        )
    path = control_file(flags.home) if flags.config is None else Path(flags.config)
    overrides: dict[str, object] = {"transport_config.allow_insecure": True} if flags.insecure else {}
    config = load_control(path, overrides)
    transport = config.transport_config
    identity = None if transport.allow_insecure else IdentityFiles(transport.ca_cert, transport.cert, transport.key)
    return Settings(tuple(map(str, config.hosts)), identity, config.name, config.port)
