"""`daos_agent.yml`.

Source: DAOS's public administration guide, on the configuration of agents, and the sample it comes with.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from daos.config._hosts import Host, parse_host
from daos.config._types import (
    CONTROL_PORT,
    SYSTEM,
    AgentTransport,
    File,
    LogLevel,
    Port,
    Problem,
    Seconds,
    Section,
    SystemName,
    Text,
    Texts,
    ignored,
)
from daos.errors import InvalidError
from daos.model.acl import check_principal

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_USER = "default"
"""The entry of `client_user_map` for each uid that has none of its own."""
UID_MAX = 2**32 - 2
GROUPS_MAX = 1024

_UID = re.compile(r"0|[1-9]\d*")
_METRICS = "clients keep no metrics yet"
_FABRIC = "a client asks the system's table of routes which interface to use"


def _principal(value: str) -> str:
    return check_principal(value)[:-1]


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f'"{value}" is no regular expression: {error}') from None
    return value


def _users(value: object) -> object:
    if isinstance(value, dict):
        for key in value:
            if key != DEFAULT_USER and not (_UID.fullmatch(key) and int(key) <= UID_MAX):
                raise ValueError(f'"{key}" is neither a uid nor {DEFAULT_USER}')
    return value


Principal = Annotated[Text, AfterValidator(_principal)]
Pattern = Annotated[Text, AfterValidator(_pattern)]


class MappedUser(Section):
    """Whom a uid without a name on this host stands for."""

    user: Principal
    """The user."""
    group: Principal
    """The user's own group."""
    groups: Annotated[tuple[Principal, ...], Field(max_length=GROUPS_MAX)] = ()
    """Further groups."""


class CredentialConfig(Section):
    """How callers become users."""

    client_user_map: Annotated[dict[str, MappedUser], BeforeValidator(_users)] = Field(default_factory=dict)
    """By uid, or `default`: whom a caller stands for whose uid has no name on this host."""
    cache_expiration: Seconds = 0
    """How long a user's name and groups are kept, such as 30s; 0: they are looked up each time."""


class FabricDevice(Section):
    """A network interface."""

    iface: Text = Field(json_schema_extra=ignored(_FABRIC))
    """Its name."""
    domain: Text | None = Field(default=None, json_schema_extra=ignored(_FABRIC))
    """Its libfabric domain."""


class FabricNode(Section):
    """Network interfaces of a NUMA node."""

    numa_node: Annotated[int, Field(ge=0)] = Field(default=0, json_schema_extra=ignored(_FABRIC))
    """The node."""
    devices: tuple[FabricDevice, ...] = Field(default=(), json_schema_extra=ignored(_FABRIC))
    """Its interfaces."""


class AgentConfig(Section):
    """The agent of a client's host."""

    name: SystemName = SYSTEM
    """The system."""
    mgmt_svc_replicas: Texts | None = None
    """The newer name of `access_points`."""
    access_points: Texts = Field(default_factory=lambda: (socket.gethostname(),))
    """Hosts of the management service; by default this host."""
    port: Port = CONTROL_PORT
    """The control port of those that name none."""
    transport_config: AgentTransport = AgentTransport()
    """TLS, and the key that signs credentials."""
    runtime_dir: File = Path("/var/run/daos_agent")
    """Where the socket `daos_agent.sock` is."""
    log_file: File | None = None
    """The log; by default standard error."""
    control_log_mask: LogLevel = "INFO"
    """What is logged."""
    credential_config: CredentialConfig = CredentialConfig()
    """How callers become users."""
    disable_auto_evict: bool = False
    """Leave the handles of local processes when the agent stops."""
    enable_evict_on_start: bool = False
    """Evict the handles of this host when the agent starts."""
    disable_caching: bool = False
    """Ask the system each time where it is."""
    cache_expiration: Annotated[int, Field(ge=0)] = 0
    """Minutes after which the system is asked anew; 0: never, but for SIGUSR2."""
    telemetry_port: Port | None = Field(default=None, json_schema_extra=ignored(_METRICS))
    """Serve metrics there (9192); by default not at all."""
    telemetry_enabled: bool = Field(default=False, json_schema_extra=ignored(_METRICS))
    """Clients keep metrics."""
    telemetry_retain: Seconds = Field(default=0, json_schema_extra=ignored(_METRICS))
    """How long the metrics of a process outlive it."""
    telemetry_enabled_procs: Pattern | None = Field(default=None, json_schema_extra=ignored(_METRICS))
    """Names of the processes that keep metrics."""
    telemetry_disabled_procs: Pattern | None = Field(default=None, json_schema_extra=ignored(_METRICS))
    """Names of those that keep none; in place of the former."""
    include_fabric_ifaces: tuple[Text, ...] = Field(default=(), json_schema_extra=ignored(_FABRIC))
    """Interfaces to be used."""
    exclude_fabric_ifaces: tuple[Text, ...] = Field(default=(), json_schema_extra=ignored(_FABRIC))
    """Interfaces not to be used."""
    fabric_ifaces: tuple[FabricNode, ...] = Field(default=(), json_schema_extra=ignored(_FABRIC))
    """Interfaces by NUMA node."""

    @model_validator(mode="before")
    @classmethod
    def _other_names(cls, values: object) -> object:
        if not isinstance(values, dict) or values.get("mgmt_svc_replicas") is None:
            return values
        return {"access_points": values["mgmt_svc_replicas"]} | {
            key: value for key, value in values.items() if value is not None
        }

    @property
    def replicas(self) -> tuple[Host, ...]:
        """The hosts of the management service, with their control ports."""
        return tuple(parse_host(text, self.port) for text in self.access_points)

    @property
    def socket(self) -> Path:
        """The socket that clients connect to."""
        return self.runtime_dir / "daos_agent.sock"


def check_agent(config: AgentConfig) -> Iterator[Problem]:
    """Yield all that is wrong with a configuration whose fields are right each by itself."""
    key = "access_points" if config.mgmt_svc_replicas is None else "mgmt_svc_replicas"
    if config.mgmt_svc_replicas not in (None, config.access_points):
        yield Problem(("access_points",), "differs from mgmt_svc_replicas", "they are the same; remove one")
    if not config.access_points:
        yield Problem((key,), "is empty", "name a host of the management service")
    for index, text in enumerate(config.access_points):
        try:
            parse_host(text, config.port)
        except InvalidError as error:
            yield Problem((key, index), error.message, error.hint or "")
    if config.telemetry_port is None:
        for name in ("telemetry_enabled", "telemetry_retain", "telemetry_enabled_procs", "telemetry_disabled_procs"):
            if getattr(config, name):
                yield Problem((name,), "needs telemetry_port", "name a port, such as 9192")
    for one, other in (
        ("telemetry_enabled_procs", "telemetry_disabled_procs"),
        ("include_fabric_ifaces", "exclude_fabric_ifaces"),
    ):
        if getattr(config, one) and getattr(config, other):
            yield Problem((other,), f"{one} is given as well", "give one of the two")
