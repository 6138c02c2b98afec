"""The NUMA nodes of this host and the devices at them, for `dump-topology`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daos.mgmt.sets import format_ranks

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSFS = Path("/sys")
NETWORK, BLOCK = "network interface", "block device"
_PCI = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


@dataclass(frozen=True)
class Device:
    """A device.

    Attributes:
        name: The kernel's.
        kind: What it is.
        address: On the PCI bus; empty for one that is not there.
        numa_node: That it is at; 0 where it has none.
    """

    name: str
    kind: str
    address: str
    numa_node: int


@dataclass(frozen=True)
class Node:
    """A NUMA node.

    Attributes:
        number: Its number.
        cores: Its processors.
        devices: On its PCI buses.
    """

    number: int
    cores: tuple[int, ...]
    devices: tuple[Device, ...]


@dataclass(frozen=True)
class Topology:
    """A host.

    Attributes:
        nodes: Its NUMA nodes; one on a host without any.
        virtual: Network interfaces that are no device.
    """

    nodes: tuple[Node, ...]
    virtual: tuple[Device, ...]

    def lines(self) -> list[str]:
        """Return it as text."""
        lines = []
        for node in self.nodes:
            lines += [f"NUMA Node {node.number}", f"  CPU cores: {format_ranks(node.cores)}", "  PCI devices:"]
            for address in dict.fromkeys(device.address for device in node.devices):
                lines.append(f"    {address}")
                lines += [f"      {one.name} ({one.kind})" for one in node.devices if one.address == address]
        if self.virtual:
            lines.append("Virtual devices:")
            lines += [f"  {device.name} ({device.kind})" for device in self.virtual]
        return lines

    def facts(self) -> dict[str, object]:
        """Return it as JSON has it."""
        return {
            "numa_nodes": {
                str(node.number): {
                    "id": node.number,
                    "cores": list(node.cores),
                    "pci_devices": [
                        {"name": one.name, "type": one.kind, "pci_address": one.address} for one in node.devices
                    ],
                }
                for node in self.nodes
            },
            "virtual_devices": [{"name": one.name, "type": one.kind} for one in self.virtual],
        }


def topology(root: Path = SYSFS) -> Topology:
    """Return what the kernel tells of this host.

    Args:
        root: Where it tells.
    """
    devices = [*_network(root / "class/net"), *_block(root / "class/block")]
    places = sorted((int(path.name[4:]), path) for path in (root / "devices/system/node").glob("node[0-9]*"))
    cores = {number: numbers_of(_text(path / "cpulist")) for number, path in places}
    if not cores:
        cores = {0: numbers_of(_text(root / "devices/system/cpu/online"))}
    first = min(cores)

    def at(number: int) -> tuple[Device, ...]:
        # A node that the kernel does not list, as in a container, is the first.
        own = (one for one in devices if one.address and (one.numa_node if one.numa_node in cores else first) == number)
        return tuple(sorted(own, key=lambda one: (one.address, one.name)))

    nodes = tuple(Node(number, numbers, at(number)) for number, numbers in cores.items())
    return Topology(nodes, tuple(one for one in devices if not one.address))


def numbers_of(text: str) -> tuple[int, ...]:
    """Return the numbers of a list as the kernel writes it, `0-3,8`; what is no list has none."""
    numbers: list[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        if not first.isdecimal() or not (last or "0").isdecimal():
            return ()
        numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)


def _network(folder: Path) -> Iterator[Device]:
    for path in _inside(folder):
        if path.is_dir():  # bonding_masters is none
            address, node = _pci(path.resolve())
            yield Device(path.name, NETWORK, address, node)


def _block(folder: Path) -> Iterator[Device]:
    for path in _inside(folder):
        address, node = _pci(path.resolve())
        if address and not (path / "partition").exists():
            yield Device(path.name, BLOCK, address, node)


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _pci(path: Path) -> tuple[str, int]:
    """Return the PCI address of what a path of the kernel's leads to, and its NUMA node."""
    for place in (path, *path.parents):
        if _PCI.fullmatch(place.name):
            text = _text(place / "numa_node")
            return place.name, int(text) if text.isdecimal() else 0
    return "", 0


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
