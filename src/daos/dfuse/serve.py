"""The process of a mount: opens the container, mounts it, and ends when the mount does, or when it is told to."""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from daos import _core
from daos.dfuse.branches import Branches

if TYPE_CHECKING:
    from collections.abc import Callable

    from daos.dfuse.wanted import Wanted

__all__ = ["serve"]

LEAVE_S = 20.0
"""So long those may stay who use the mount when it is to end."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def _tell(line: str) -> None:
    # Where nobody reads any more there is nobody to tell.
    with suppress(OSError, ValueError):
        print(f"dfuse: {line}", file=sys.stderr, flush=True)  # noqa: T201 -- a tool, in words


def _mount(branches: Branches, wanted: Wanted) -> _core.Fuse:
    mode = wanted.mode
    return _core.Fuse.mount(
        branches.root(),
        wanted.mountpoint,
        read_only=mode.read_only,
        multi_user=mode.multi_user,
        threads=mode.threads,
        links=branches.follow if mode.links else None,
        report=_tell,
    )


def serve(wanted: Wanted, ready: Callable[[], None]) -> None:
    """Mount, say so, and stay until the mount ends: by `umount`, or by SIGTERM, SIGINT or SIGHUP.

    Raises:
        DaosError: As `daos.connect` and `daos.open_system`; nothing is mounted.
        OSError: It cannot be mounted there.
    """
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    previous = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    handlers = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
    try:
        with ExitStack() as keep:
            mount = _mount(Branches(wanted, keep), wanted)
            ready()
            ended = mount.fileno()
            waiting = select.poll()
            for descriptor in (ended, woken):
                waiting.register(descriptor, select.POLLIN)
            if ended not in {descriptor for descriptor, _ in waiting.poll()} and not mount.unmount(LEAVE_S):
                _tell(f"{wanted.mountpoint} is still in use after {LEAVE_S:.0f} s; who uses it gets errors now")
            mount.finish()
    finally:
        signal.set_wakeup_fd(previous)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(woken)
        os.close(wake)
