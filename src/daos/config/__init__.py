"""The configuration files of the daemons and of `dmg`, with DAOS's names.

Frozen models, read once and passed down. Each key has a type, a default, its bounds and a line about it, from which the
reference in `docs/guide/configuration.md` is made. What is wrong with a file is one `InvalidError`, with file, line and
key.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from daos.config._check_server import check_server
from daos.config._hosts import Host, expand_hosts, parse_host
from daos.config._load import build, missing_files, missing_programs
from daos.config._tree import Place, Tree, read
from daos.config._types import (
    CONTROL_PORT,
    AdminTransport,
    AgentTransport,
    Section,
    ServerTransport,
    Transport,
)
from daos.config.agent import AgentConfig, CredentialConfig, MappedUser, check_agent
from daos.config.control import ControlConfig, check_control
from daos.config.server import ControlMetadata, EngineConfig, ServerConfig, Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from daos.config._types import Problem

__all__ = [
    "AGENT_FILE",
    "CONTROL_FILE",
    "CONTROL_PORT",
    "SERVER_FILE",
    "AdminTransport",
    "AgentConfig",
    "AgentTransport",
    "ControlConfig",
    "ControlMetadata",
    "CredentialConfig",
    "EngineConfig",
    "Host",
    "MappedUser",
    "Section",
    "ServerConfig",
    "ServerTransport",
    "Tier",
    "Transport",
    "control_file",
    "expand_hosts",
    "load_agent",
    "load_control",
    "load_server",
    "parse_host",
    "schema",
]

SERVER_FILE = Path("/etc/daos/daos_server.yml")
AGENT_FILE = Path("/etc/daos/daos_agent.yml")
CONTROL_FILE = Path("/etc/daos/daos_control.yml")
OWN_CONTROL_FILE = ".daos_control.yml"

_S = TypeVar("_S", ServerConfig, AgentConfig, ControlConfig)


def load_server(
    path: str | Path, overrides: Mapping[str, object] | None = None, *, check_files: bool = True
) -> ServerConfig:
    """Return the configuration of a server.

    Args:
        path: The file.
        overrides: What the command line says, by dotted key (`transport_config.allow_insecure`); it goes over the file.
        check_files: Refuse certificates and programs that are not there.

    Raises:
        InvalidError: `DER.INVAL`: what is wrong, at which line and key, and what is allowed.
    """
    return _load(path, ServerConfig, check_server, overrides, check_files=check_files)


def load_agent(
    path: str | Path | None, overrides: Mapping[str, object] | None = None, *, check_files: bool = True
) -> AgentConfig:
    """Return the configuration of an agent; as `load_server`, and without a path the defaults.

    Raises:
        InvalidError: `DER.INVAL`.
    """
    return _load(path, AgentConfig, check_agent, overrides, check_files=check_files)


def load_control(
    path: str | Path | None, overrides: Mapping[str, object] | None = None, *, check_files: bool = True
) -> ControlConfig:
    """Return the configuration of `dmg`; as `load_server`, and without a path the defaults.

    Raises:
        InvalidError: `DER.INVAL`.
    """
    return _load(path, ControlConfig, check_control, overrides, check_files=check_files)


def control_file(home: str | Path | None) -> Path | None:
    """Return the file that `dmg` takes when none is named: that of the user, that of the host, or none."""
    own = [Path(home) / OWN_CONTROL_FILE] if home else []
    return next((path for path in (*own, CONTROL_FILE) if path.is_file()), None)


def schema(kind: type[Section]) -> dict[str, object]:
    """Return the JSON schema of a file, for editors."""
    made: dict[str, object] = kind.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | made


def _load(
    path: str | Path | None,
    kind: type[_S],
    check: Callable[[_S], Iterator[Problem]],
    overrides: Mapping[str, object] | None,
    *,
    check_files: bool,
) -> _S:
    def checked(config: _S) -> Iterator[Problem]:
        yield from check(config)
        if check_files:
            yield from missing_files(config.transport_config)
            if isinstance(config, ServerConfig):
                programs: dict[Place, Path | None] = {
                    ("fault_cb",): config.fault_cb,
                    ("support_config", "file_transfer_exec"): config.support_config.file_transfer_exec,
                }
                yield from missing_programs(programs)

    return build(_tree(path), kind, checked, overrides)


def _tree(path: str | Path | None) -> Tree:
    return Tree("defaults", "") if path is None else read(Path(path))
