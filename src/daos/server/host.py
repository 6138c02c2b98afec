"""What this host is made of: network interfaces, NUMA nodes, memory."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path

from daos.errors import InvalidError
from daos.server.settings import interface_address

PROVIDER = "ofi+tcp"
"""What sockets are called in a configuration."""
_SYS = Path("/sys")
_ARPHRD_INFINIBAND, _ARPHRD_LOOPBACK = 32, 772


@dataclass(frozen=True)
class Interface:
    """A network interface.

    Attributes:
        name: Its name.
        numa_node: That it is next to.
        net_class: `ethernet`, `infiniband` or `loopback`.
        speed: Megabits a second; 0 if it does not tell.
        addresses: IPv4 addresses.
        up: Whether it carries anything.
    """

    name: str
    numa_node: int = 0
    net_class: str = "ethernet"
    speed: int = 0
    addresses: tuple[str, ...] = ()
    up: bool = True


@dataclass(frozen=True)
class NumaNode:
    """A NUMA node: its number, its cores, and bytes of its memory."""

    index: int
    cores: int
    memory: int


def interfaces(sys: Path = _SYS) -> list[Interface]:
    """Return the network interfaces that have an address."""
    found = []
    for _, name in socket.if_nameindex():
        try:
            address = interface_address(name)
        except InvalidError:
            continue
        entry = sys / "class/net" / name
        kind = _number(entry / "type")
        net_class = {_ARPHRD_INFINIBAND: "infiniband", _ARPHRD_LOOPBACK: "loopback"}.get(kind, "ethernet")
        found.append(
            Interface(
                name=name,
                numa_node=max(_number(entry / "device/numa_node"), 0),
                net_class=net_class,
                speed=max(_number(entry / "speed"), 0),
                addresses=(address,),
                up=_text(entry / "operstate") in {"up", "unknown"},
            )
        )
    return found


def serves(interface: Interface, provider: str) -> bool:
    """Tell whether an interface serves a provider; empty and `all` stand for any. All there is are sockets."""
    return interface.up and provider in {"", "all", PROVIDER, "tcp", "ofi+tcp;ofi_rxm"}


def numa_nodes(sys: Path = _SYS) -> list[NumaNode]:
    """Return the NUMA nodes; of a host that knows none, one with all there is."""
    found = []
    for entry in sorted((sys / "devices/system/node").glob("node[0-9]*"), key=lambda path: int(path.name[4:])):
        match = re.search(r"MemTotal:\s+(\d+) kB", _text(entry / "meminfo"))
        cores = sum(1 for _ in entry.glob("cpu[0-9]*"))
        found.append(NumaNode(index=int(entry.name[4:]), cores=cores, memory=int(match[1]) * 1024 if match else 0))
    if found:
        return found
    match = re.search(r"MemTotal:\s+(\d+) kB", _text(Path("/proc/meminfo")))
    cores = len(re.findall(r"^processor\s*:", _text(Path("/proc/cpuinfo")), re.MULTILINE))
    return [NumaNode(index=0, cores=max(cores, 1), memory=int(match[1]) * 1024 if match else 0)]


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _number(path: Path) -> int:
    text = _text(path)
    return int(text) if re.fullmatch(r"-?\d+", text) else 0
