"""What systemd is told: that the server is ready, and that it stops.

Source: the manual page sd_notify(3).
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

READY = "READY=1"
STOPPING = "STOPPING=1"


def notify(state: str) -> bool:
    """Tell systemd a state, if it has started this process; return whether it was told."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address or address[0] not in "/@":
        return False
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect("\0" + address[1:] if address[0] == "@" else address)
        channel.sendall(state.encode())
        return True
    return False
