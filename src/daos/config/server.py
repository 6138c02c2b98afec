"""`daos_server.yml`.

Source: DAOS's public administration guide, on the configuration of servers, and the samples it comes with.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from daos.config._hosts import Host, parse_host
from daos.config._types import (
    CONTROL_PORT,
    SYSTEM,
    EnvName,
    EnvVar,
    File,
    LogLevel,
    Port,
    Section,
    ServerTransport,
    SystemName,
    Text,
    Texts,
    ignored,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

TARGETS_MAX = 64
"""Of an engine; its threads share one log and one process."""
RESTART_MIN_S = 300
TIERS_MAX = 4
"""Memory, and one tier a role."""

_FAULT_PATH = re.compile(r"(/[A-Za-z0-9._:=-]+)+")
_PROVIDER = re.compile(r"(ofi|ucx)\+[a-z0-9_+,]+(;ofi_[a-z0-9]+)?|tcp|unix")
_BUS_RANGE = re.compile(r"(0x[0-9a-fA-F]{1,2}|\d{1,3})-(0x[0-9a-fA-F]{1,2}|\d{1,3})")
_LEVELS = frozenset(
    (
        "DBUG",
        "DEBUG",
        "TRACE",
        "INFO",
        "NOTE",
        "NOTICE",
        "WARN",
        "ERR",
        "ERROR",
        "CRIT",
        "ALRT",
        "EMRG",
        "EMIT",
        "FATAL",
    )
)

Role = Literal["data", "meta", "wal"]
StorageClass = Literal["ram", "dcpm", "nvme", "file", "kdev"]
MEMORY: tuple[StorageClass, ...] = ("ram", "dcpm")
"""Classes of the first tier."""


def _fault_path(value: str) -> str:
    if not _FAULT_PATH.fullmatch(value):
        raise ValueError(f'"{value}" is no fault domain; such as /rack1/host3, of letters, digits, and . _ : = -')
    return value.lower()


def _provider(value: str) -> str:
    for one in value.split(","):
        if not _PROVIDER.fullmatch(one.strip()):
            raise ValueError(f'"{value}" is no provider; ofi+tcp, or another of DAOS\'s names')
    return value


def _bus_range(value: str) -> str:
    match = _BUS_RANGE.fullmatch(value)
    if match is None or int(match[1], 0) > int(match[2], 0):
        raise ValueError(f'"{value}" is no range of bus ids; such as 0x80-0x8f')
    return value


def _log_mask(value: object) -> object:
    if not isinstance(value, str):
        return value
    for part in value.split(","):
        level = part.rpartition("=")[2].strip()
        if level.upper() not in _LEVELS:
            raise ValueError(
                f'"{value}" is no log mask; ERR, or such as INFO,net=DEBUG, of {", ".join(sorted(_LEVELS))}'
            )
    return value.upper()


class ControlMetadata(Section):
    """Where a server keeps what must outlive a restart, when the engines' memory does not."""

    path: File
    """A directory; `daos_control` is made in it."""
    device: File | None = None
    """A partition that is mounted there."""

    @property
    def directory(self) -> Path:
        """The directory of this server's own files."""
        return self.path / "daos_control"


class Support(Section):
    """What `collect-log` may use."""

    file_transfer_exec: File | None = None
    """A program that takes a file away, called with its path."""


class Telemetry(Section):
    """The newer form of `telemetry_port`."""

    telemetry_port: Port | None = None
    """As `telemetry_port` beside it."""
    allow_insecure: bool = True
    """Metrics without TLS."""
    ca_cert: File | None = Field(default=None, json_schema_extra=ignored("metrics are served without TLS"))
    """The CA of the metrics' certificates."""
    https_cert: File | None = Field(default=None, json_schema_extra=ignored("metrics are served without TLS"))
    """The certificate for metrics."""
    https_key: File | None = Field(default=None, json_schema_extra=ignored("metrics are served without TLS"))
    """Its key."""


_SPDK = "devices are files and block devices of the kernel: there is no SPDK"
_PAGES = "memory is mapped by the kernel as needed"
_LIBFABRIC = "the network is sockets: there is no libfabric"


class Acceleration(Section):
    """DAOS's accelerators."""

    engine: Literal["none", "native", "spdk", "dml"] = Field(default="none", json_schema_extra=ignored(_SPDK))
    """Which."""
    options: tuple[Literal["move", "crc"], ...] = Field(default=(), json_schema_extra=ignored(_SPDK))
    """For what."""


class AutoFaulty(Section):
    """When a device is taken for faulty."""

    enable: bool = True
    """At all."""
    max_io_errs: Annotated[int, Field(ge=0, le=2**32 - 1)] = 10
    """Errors of reading or writing."""
    max_csum_errs: Annotated[int, Field(ge=0, le=2**32 - 1)] = 2**32 - 1
    """Errors of checksums."""


class SpdkIobuf(Section):
    """Buffers of SPDK."""

    small_pool_count: Annotated[int, Field(ge=0)] = Field(default=8192, json_schema_extra=ignored(_SPDK))
    """Small ones."""
    large_pool_count: Annotated[int, Field(ge=0)] = Field(default=1024, json_schema_extra=ignored(_SPDK))
    """Large ones."""


class SpdkRpc(Section):
    """The server of SPDK in an engine."""

    enable: bool = Field(default=False, json_schema_extra=ignored(_SPDK))
    """Whether it runs."""
    sock_addr: Text | None = Field(default=None, json_schema_extra=ignored(_SPDK))
    """Its socket."""


class Tier(Section):
    """A storage tier of an engine; the first is memory, the others are devices."""

    storage_class: StorageClass = Field(alias="class")
    """`ram`, `dcpm`; `nvme`, `file`, `kdev`."""
    scm_mount: File | None = None
    """The directory of memory tiers."""
    scm_size: Annotated[int, Field(ge=0, le=1 << 20)] = 0
    """GiB of `ram`; 0: from the memory there is, less `system_ram_reserved`."""
    scm_list: tuple[Text, ...] = ()
    """The device of `dcpm`: one."""
    scm_hugepages_disabled: bool = False
    """Mount `ram` without huge pages."""
    bdev_list: tuple[Text, ...] = ()
    """Devices: PCI addresses (`nvme`), files (`file`), block devices (`kdev`)."""
    bdev_size: Annotated[int, Field(ge=0, le=1 << 20)] = 0
    """GB of each of `file`."""
    bdev_number: Annotated[int, Field(ge=0)] = Field(default=0, json_schema_extra=ignored(_SPDK))
    """Devices of SPDK's memory."""
    bdev_busid_range: Annotated[Text, AfterValidator(_bus_range)] | None = Field(
        default=None, json_schema_extra=ignored(_SPDK)
    )
    """Buses of which devices may come and go."""
    bdev_roles: tuple[Role, ...] = ()
    """What the tier holds: some of `data`, `meta`, `wal`."""

    @property
    def is_memory(self) -> bool:
        """Whether it is a tier of memory."""
        return self.storage_class in MEMORY


class EngineConfig(Section):
    """An engine of this host."""

    rank: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """The rank it asks for; by default the system gives one."""
    targets: Annotated[int, Field(ge=1, le=TARGETS_MAX)]
    """Targets, each with a thread and a port; cannot change after format."""
    nr_xs_helpers: Annotated[int, Field(ge=0, le=TARGETS_MAX)] = 0
    """Threads that help the targets; 0: the targets do it themselves."""
    pinned_numa_node: Annotated[int, Field(ge=0)] | None = None
    """The NUMA node its threads run on."""
    first_core: Annotated[int, Field(ge=0)] = 0
    """The core of its first thread; in place of `pinned_numa_node`."""
    bypass_health_chk: bool = Field(default=False, json_schema_extra=ignored(_SPDK))
    """Do not ask devices for their health."""
    fabric_iface: Text
    """The network interface its ports are on."""
    fabric_iface_port: Port
    """Its first port; its targets take those that follow, one each."""
    secondary_provider_endpoints: tuple[int, ...] = Field(default=(), json_schema_extra=ignored(_LIBFABRIC))
    """Endpoints of further providers."""
    log_mask: Annotated[Text, AfterValidator(_log_mask)] = "ERR"
    """What it logs: a level, or levels of parts, `INFO,net=DEBUG`."""
    log_file: File | None = None
    """Where to; by default `control_log_file`."""
    env_vars: tuple[EnvVar, ...] = ()
    """Variables of its environment, `NAME=VALUE`."""
    env_pass_through: tuple[EnvName, ...] = ()
    """Names of variables that it gets from its server's environment."""
    modules: Text | None = Field(default=None, json_schema_extra=ignored("an engine has all its services"))
    """Modules to load."""
    storage: tuple[Tier, ...] = ()
    """Its tiers."""
    bdev_auto_faulty: AutoFaulty = AutoFaulty()
    """When a device is taken for faulty."""
    spdk_iobuf: SpdkIobuf = SpdkIobuf()
    """Buffers of SPDK."""
    spdk_rpc_server: SpdkRpc = SpdkRpc()
    """The server of SPDK."""
    acceleration: Acceleration = Acceleration()
    """Accelerators."""
    allow_spdk_conf_override: bool = Field(default=False, json_schema_extra=ignored(_SPDK))
    """Take SPDK's configuration as it lies there."""
    accel_engine: Literal["none", "native", "spdk", "dml"] | None = Field(
        default=None, json_schema_extra=ignored(_SPDK)
    )
    """The older form of `acceleration.engine`."""
    accel_opt_move: bool = Field(default=False, json_schema_extra=ignored(_SPDK))
    """The older form of `acceleration.options`."""
    accel_opt_crc: bool = Field(default=False, json_schema_extra=ignored(_SPDK))
    """The older form of `acceleration.options`."""

    @property
    def memory(self) -> Tier:
        """Its first tier."""
        return self.storage[0]

    @property
    def devices(self) -> tuple[Tier, ...]:
        """Its other tiers."""
        return self.storage[1:]

    @property
    def ports(self) -> range:
        """Its ports: one of its own, and one a target."""
        return range(self.fabric_iface_port, self.fabric_iface_port + 1 + self.targets)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of `env_vars`; of two of a name the later."""
        return dict(pair.split("=", 1) for pair in self.env_vars)


class ServerConfig(Section):
    """A server: this host, and its engines. Without engines it looks around only, for `dmg storage scan`."""

    name: SystemName = SYSTEM
    """The system; cannot change after format."""
    mgmt_svc_replicas: Texts = Field(default_factory=lambda: (socket.gethostname(),))
    """Hosts of the management service, an odd number, the same in all files; by default this host."""
    access_points: Texts | None = None
    """The older name of `mgmt_svc_replicas`."""
    port: Port = CONTROL_PORT
    """The control port, for gRPC."""
    raft_port: Port = CONTROL_PORT + 1
    """Between the replicas of the management service; by default the one behind `port`. Not in DAOS."""
    control_iface: Text | None = None
    """The network interface of the control port; by default all."""
    control_metadata: ControlMetadata | None = None
    """Where the server keeps its own files; needed where `bdev_roles` are given."""
    transport_config: ServerTransport = ServerTransport()
    """TLS."""
    fault_path: Annotated[Text, AfterValidator(_fault_path)] | None = None
    """The fault domain, `/rack1/host3`; by default `/` and the host's name."""
    fault_cb: File | None = None
    """A program that prints the fault domain; in place of `fault_path`."""
    provider: Annotated[Text, AfterValidator(_provider)] = "ofi+tcp"
    """DAOS's names are taken; all mean sockets."""
    crt_timeout: Annotated[int, Field(ge=1, le=3600)] = 60
    """Seconds until a request to an engine counts as lost; told to clients."""
    crt_ctx_share_addr: Annotated[int, Field(ge=0)] = Field(default=0, json_schema_extra=ignored(_LIBFABRIC))
    """Share addresses."""
    disable_srx: bool = Field(default=False, json_schema_extra=ignored(_LIBFABRIC))
    """Share no receive contexts."""
    fabric_auth_key: Text | None = Field(default=None, json_schema_extra=ignored(_LIBFABRIC))
    """The fabric's key."""
    core_dump_filter: Annotated[int, Field(ge=0, le=0x1FF)] | None = None
    """Which mappings a core dump holds, as in core(5)."""
    bdev_include: tuple[Text, ...] = ()
    """PCI addresses that may be touched; by default all."""
    bdev_exclude: tuple[Text, ...] = ()
    """PCI addresses that are not touched."""
    disable_vfio: bool = Field(default=False, json_schema_extra=ignored(_SPDK))
    """Use the UIO driver."""
    disable_vmd: bool = Field(default=False, json_schema_extra=ignored(_SPDK))
    """Use no volume management devices."""
    enable_vmd: bool | None = Field(default=None, json_schema_extra=ignored(_SPDK))
    """The older, opposite form of `disable_vmd`."""
    disable_hotplug: bool = Field(default=False, json_schema_extra=ignored(_SPDK))
    """Do not look for devices that come and go."""
    enable_hotplug: bool | None = Field(default=None, json_schema_extra=ignored(_SPDK))
    """The older, opposite form of `disable_hotplug`."""
    hyperthreads: bool = Field(default=False, json_schema_extra=ignored("DAOS does not support it either"))
    """Run targets on the second threads of cores."""
    socket_dir: File = Path("/var/run/daos_server")
    """Where the server's sockets are."""
    nr_hugepages: Annotated[int, Field(ge=-1)] = Field(default=0, json_schema_extra=ignored(_PAGES))
    """Huge pages of the host."""
    disable_hugepages: bool = Field(default=False, json_schema_extra=ignored(_PAGES))
    """Take no huge pages."""
    allow_numa_imbalance: bool = Field(default=False, json_schema_extra=ignored(_PAGES))
    """Take engines that are not spread evenly over NUMA nodes."""
    allow_thp: bool = Field(default=False, json_schema_extra=ignored(_PAGES))
    """Take transparent huge pages."""
    kernel_config_path: File | None = Field(default=None, json_schema_extra=ignored(_PAGES))
    """The kernel's configuration."""
    system_ram_reserved: Annotated[int, Field(ge=0, le=1 << 20)] = 64
    """GiB that are left to the host when sizes of `ram` are chosen."""
    control_log_mask: LogLevel = "INFO"
    """What the server logs."""
    control_log_file: File | None = None
    """Where to; by default standard error."""
    control_log_json: bool = False
    """Log JSON, an object a line."""
    helper_log_file: File | None = Field(default=None, json_schema_extra=ignored("there is no privileged helper"))
    """Log of the privileged helper."""
    firmware_helper_log_file: File | None = Field(
        default=None, json_schema_extra=ignored("there is no privileged helper")
    )
    """Log of the privileged helper for firmware."""
    telemetry_port: Port | None = None
    """Serve metrics there (9191); by default not at all."""
    telemetry_config: Telemetry = Telemetry()
    """The newer form of `telemetry_port`."""
    disable_engine_auto_restart: bool = False
    """Leave an engine that died where it lies."""
    engine_auto_restart_min_delay: Annotated[int, Field(ge=1)] | None = None
    """DAOS's name of `engine_restart_min_s`."""
    engine_restart_min_s: Annotated[int, Field(ge=1)] = RESTART_MIN_S
    """An engine that dies is started again at most once in so many seconds."""
    client_env_vars: tuple[EnvVar, ...] = ()
    """Variables that clients take for defaults, `NAME=VALUE`."""
    support_config: Support = Support()
    """For `collect-log`."""
    engines: tuple[EngineConfig, ...] = ()
    """The engines of this host."""

    @model_validator(mode="before")
    @classmethod
    def _other_names(cls, values: object) -> object:
        """Fill in what follows from other keys, and what has two names."""
        if not isinstance(values, dict):
            return values
        filled = dict(values)
        port = filled.get("port")
        if filled.get("raft_port") is None and isinstance(port, int) and 0 < port < 65535:  # noqa: PLR2004 -- ports
            filled["raft_port"] = int(port) + 1
        for new, old in (
            ("mgmt_svc_replicas", "access_points"),
            ("engine_restart_min_s", "engine_auto_restart_min_delay"),
        ):
            if filled.get(new) is None and filled.get(old) is not None:
                filled[new] = filled[old]
        telemetry = filled.get("telemetry_config")
        if filled.get("telemetry_port") is None and isinstance(telemetry, dict):
            filled["telemetry_port"] = telemetry.get("telemetry_port")
        return filled

    @property
    def replicas(self) -> tuple[Host, ...]:
        """The hosts of the management service, with their control ports."""
        return tuple(parse_host(text, self.port) for text in self.mgmt_svc_replicas)

    @property
    def fault_domain(self) -> str:
        """The fault domain where `fault_cb` does not tell it."""
        return self.fault_path or f"/{socket.gethostname().lower()}"

    def ignored(self) -> Iterator[str]:
        """Yield the keys that were given and mean nothing here, for a line of the log."""
        yield from _ignored(self, "")


def _ignored(section: Section, prefix: str) -> Iterator[str]:
    for name in sorted(section.model_fields_set):
        field = type(section).model_fields[name]
        value = getattr(section, name)
        if isinstance(field.json_schema_extra, dict) and "ignored" in field.json_schema_extra:
            yield prefix + (field.alias or name)
        elif isinstance(value, Section):
            yield from _ignored(value, f"{prefix}{name}.")
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, Section):
                    yield from _ignored(item, f"{prefix}{name}[{index}].")
