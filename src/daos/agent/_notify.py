"""What systemd is told of a service: `sd_notify`, without its library."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def notify(environment: Mapping[str, str], *lines: str) -> bool:
    """Tell systemd, if it asked for it; return whether it was told.

    Source: systemd's public manual page sd_notify(3).
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = f"\0{address[1:]}"
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as made:
        made.settimeout(1)
        made.sendto("\n".join(lines).encode(), address)
        return True
    return False
