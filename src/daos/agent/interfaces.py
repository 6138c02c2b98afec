"""The network interfaces of this host, for `net-scan`."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

PROVIDER = "ofi+tcp"
"""DAOS's name for what there is: sockets."""


@dataclass(frozen=True)
class Interface:
    """A network interface.

    Attributes:
        name: Its name.
        numa_node: The NUMA node of its device; 0 where it has none.
        up: Whether it is in use.
        speed_mbit: Of its link; None where it does not say.
    """

    name: str
    numa_node: int
    up: bool
    speed_mbit: int | None


def interfaces(root: Path = Path("/sys/class/net")) -> list[Interface]:
    """Return the interfaces of this host, in the order of the kernel's numbers.

    Args:
        root: Where the kernel tells of them.
    """
    names = [name for _, name in socket.if_nameindex()] if root == Path("/sys/class/net") else _listed(root)
    return [
        Interface(
            name,
            max(0, _number(root / name / "device/numa_node") or 0),
            _text(root / name / "operstate") in ("up", "unknown"),  # the loopback does not know
            speed if (speed := _number(root / name / "speed")) is not None and speed > 0 else None,
        )
        for name in names
    ]


def _listed(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.lstrip("-").isdigit() else None
