"""What a server is to do, drawn from its configuration: names resolved, paths and ports settled."""

from __future__ import annotations

import fcntl
import hashlib
import socket
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daos.errors import DER, InvalidError, UnavailableError

if TYPE_CHECKING:
    from daos.config.server import EngineConfig, ServerConfig, Tier

GIB = 1 << 30
GB = 10**9
FAULT_CB_S_MAX = 30.0
_SIOCGIFADDR = 0x8915


@dataclass(frozen=True)
class TierSettings:
    """A storage tier of an engine.

    Attributes:
        storage_class: `ram`, `dcpm`; `nvme`, `file`, `kdev`.
        mount: The directory of a memory tier.
        devices: Files, block devices or PCI addresses of the others.
        size: Bytes: of the directory (0: what its file system has), or of each file.
        roles: Some of `data`, `meta`, `wal`.
    """

    storage_class: str
    mount: Path | None = None
    devices: tuple[str, ...] = ()
    size: int = 0
    roles: tuple[str, ...] = ()

    @property
    def media(self) -> str:
        """`scm` for memory, `nvme` for others."""
        return "nvme" if self.mount is None else "scm"


@dataclass(frozen=True)
class EngineSettings:
    """An engine of the host.

    Attributes:
        index: Its place in the configuration.
        targets: How many it has.
        address: Of its ports.
        port: Its control port; its targets have those that follow.
        metadata: The directory of its superblock and of what must survive.
        tiers: Its storage.
        rank: That it asks for.
        log_file: Where it logs to; None for standard error.
        log_mask: What it logs.
        environment: Variables beside those that it inherits.
        pass_through: Names of variables that it inherits.
        helpers: Threads that help its targets.
        first_core: Of its first thread.
    """

    index: int
    targets: int
    address: str
    port: int
    metadata: Path
    tiers: tuple[TierSettings, ...]
    rank: int | None = None
    log_file: Path | None = None
    log_mask: str = "ERR"
    environment: tuple[tuple[str, str], ...] = ()
    pass_through: tuple[str, ...] = ()
    helpers: int = 0
    first_core: int = 0


@dataclass(frozen=True)
class ServerSettings:
    """A server.

    Attributes:
        system: The system's name.
        address: Under which others reach it, `host:port`.
        listen: Where it listens, `ip:port`.
        replicas: Of the system service, in their order, `host:port`.
        raft_listen: Where its replica listens, `ip:port`.
        raft_offset: By how much the port of a replica is above the control port beside it.
        control: The directory of its replica of the system service; None without engines.
        engines: Of this host.
        domain: The fault domain, from the top down.
        provider: Of the network.
        socket_dir: Where its sockets are.
        insecure: Without TLS, on loopback or a network that is trusted.
        certificates: Paths of CA, certificate and key.
        restart_min_s: Between two starts of an engine that dies.
        restart: Whether an engine that died is started again.
        telemetry_port: Of the metrics.
        log_file: Its log.
        tick_ms: Of the replica's clock.
        auto_format: Format storage without being asked.
    """

    system: str
    address: str
    listen: str
    replicas: tuple[str, ...]
    raft_listen: str
    raft_offset: int
    control: Path | None
    engines: tuple[EngineSettings, ...]
    domain: tuple[str, ...]
    socket_dir: Path
    provider: str = "ofi+tcp"
    insecure: bool = False
    certificates: tuple[Path, Path, Path] | None = None
    restart_min_s: float = 300.0
    restart: bool = True
    telemetry_port: int | None = None
    log_file: Path | None = None
    tick_ms: int = 100
    auto_format: bool = False

    @property
    def number(self) -> int | None:
        """Which replica of the system service this server has; None for none."""
        return self.replicas.index(self.address) if self.address in self.replicas else None

    @property
    def group(self) -> bytes:
        """The group of the system service: the same at all servers of the system."""
        return hashlib.sha256(b"daos system service\0" + self.system.encode()).digest()[:16]

    @property
    def socket(self) -> Path:
        """The socket of the engines."""
        return self.socket_dir / "daos_server.sock"

    def raft_address(self, number: int) -> str:
        """Return where a replica of the system service listens, `ip:port`.

        Raises:
            UnavailableError: `DER.UNREACH`: its host's name is not known.
        """
        host, port = split_address(self.replicas[number])
        return join_address(resolve(host), port + self.raft_offset)


def settings_of(config: ServerConfig) -> ServerSettings:
    """Return the settings of a configuration.

    Raises:
        InvalidError: `DER.INVAL`: it names what this host does not have.
        UnavailableError: The program that tells the fault domain fails.
    """
    listen = "0.0.0.0" if config.control_iface is None else interface_address(config.control_iface)  # noqa: S104
    replicas = tuple(str(host) for host in config.replicas)
    engines = tuple(_engine(config, index, engine) for index, engine in enumerate(config.engines))
    transport = config.transport_config
    control = None
    if config.control_metadata is not None:
        control = config.control_metadata.directory / "control_raft"
    elif engines:
        control = engines[0].metadata / "control_raft"
    return ServerSettings(
        system=config.name,
        address=_own_address(config.port, replicas, None if config.control_iface is None else listen),
        listen=join_address(listen, config.port),
        replicas=replicas,
        raft_listen=join_address(listen, config.raft_port),
        raft_offset=config.raft_port - config.port,
        control=control,
        engines=engines,
        domain=_domain(config),
        socket_dir=config.socket_dir,
        provider=config.provider,
        insecure=transport.allow_insecure,
        certificates=None if transport.allow_insecure else (transport.ca_cert, transport.cert, transport.key),
        restart_min_s=config.engine_restart_min_s,
        restart=not config.disable_engine_auto_restart,
        telemetry_port=config.telemetry_port,
        log_file=config.control_log_file,
    )


def _engine(config: ServerConfig, index: int, engine: EngineConfig) -> EngineSettings:
    tiers = tuple(_tier(tier) for tier in engine.storage)
    if not tiers or tiers[0].mount is None:
        raise InvalidError(f"engines[{index}] has no tier of memory", hint="storage: [{class: ram, scm_mount: DIR}]")
    metadata = tiers[0].mount
    if config.control_metadata is not None:
        metadata = config.control_metadata.directory / f"engine{index}"
    return EngineSettings(
        index=index,
        targets=engine.targets,
        address=interface_address(engine.fabric_iface),
        port=engine.fabric_iface_port,
        metadata=metadata,
        tiers=tiers,
        rank=engine.rank,
        log_file=engine.log_file,
        log_mask=engine.log_mask,
        environment=tuple(engine.environment.items()),
        pass_through=engine.env_pass_through,
        helpers=engine.nr_xs_helpers,
        first_core=engine.first_core,
    )


def _tier(tier: Tier) -> TierSettings:
    if tier.is_memory:
        size = tier.scm_size * GIB if tier.storage_class == "ram" else 0
        return TierSettings(tier.storage_class, mount=tier.scm_mount, size=size, roles=tier.bdev_roles)
    size = tier.bdev_size * GB if tier.storage_class == "file" else 0
    return TierSettings(tier.storage_class, devices=tier.bdev_list, size=size, roles=tier.bdev_roles)


def _own_address(port: int, replicas: tuple[str, ...], address: str | None) -> str:
    """Return this server's address as the list of replicas spells it, if it is in there."""
    own = {socket.gethostname().lower(), socket.getfqdn().lower(), "localhost", *local_addresses()}
    if address is not None:
        own = {address}
    for replica in replicas:
        host, its_port = split_address(replica)
        if its_port == port and (host.lower() in own or _resolves_to(host, own)):
            return replica
    return join_address(address or socket.gethostname(), port)


def _resolves_to(host: str, own: set[str]) -> bool:
    try:
        return resolve(host) in own
    except UnavailableError:
        return False


def _domain(config: ServerConfig) -> tuple[str, ...]:
    path = config.fault_domain
    if config.fault_cb is not None:
        try:
            done = subprocess.run(
                [str(config.fault_cb)], capture_output=True, text=True, timeout=FAULT_CB_S_MAX, check=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise UnavailableError(f"fault_cb {config.fault_cb} failed: {error}") from None
        path = done.stdout.strip()
    parts = tuple(part for part in path.split("/") if part)
    if not path.startswith("/") or not parts:
        raise InvalidError(f'"{path}" is no fault domain', hint="such as /rack1/host3")
    return parts


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `host:port`; an IPv6 address is in brackets.

    Raises:
        InvalidError: `DER.INVAL`.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise InvalidError(f'"{address}" is no address', hint="host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def join_address(host: str, port: int) -> str:
    """Return `host:port`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def resolve(host: str) -> str:
    """Return an IP address of a host, IPv4 where there is one.

    Raises:
        UnavailableError: `DER.UNREACH`: its name is not known.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UnavailableError(f"host {host} is not known: {error.strerror}", code=DER.UNREACH) from None
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return str(found[0][4][0])


def interface_address(name: str) -> str:
    """Return the IPv4 address of a network interface; of an address, itself.

    Raises:
        InvalidError: `DER.INVAL`: there is no such interface, or it has no address.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            socket.inet_aton(name)
        except OSError:
            pass
        else:
            return name
        try:
            packed = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
        except OSError as error:
            names = ", ".join(name for _, name in socket.if_nameindex())
            raise InvalidError(
                f"network interface {name}: {error.strerror}", hint=f"this host has {names}; it needs an IPv4 address"
            ) from None
    return socket.inet_ntoa(packed[20:24])


def local_addresses() -> set[str]:
    """Return the IPv4 addresses of this host."""
    found = set()
    for _, name in socket.if_nameindex():
        try:
            found.add(interface_address(name))
        except InvalidError:
            continue
    return found
