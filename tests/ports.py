"""Ports of this machine for the tests: nobody else takes them between being chosen and being used.

To bind a port and let go of it again says that it was free, and no more: another run of the tests that looks at the
same time finds the same one, and where the kernel gives ports to clients any connection may get it. So these are below
those of clients, and whoever has chosen some keeps a name for them, which the kernel gives to one process at a time, as
long as it lives.
"""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack

FIRST, LAST = 10_100, 20_000
"""Below those of systems for development, which look for free ones themselves."""
BLOCK = 8
"""Ports are had in blocks: a name each."""
KEPT: list[socket.socket] = []
"""The names that this process has. None is given back: what a test has left on a port is no other test's."""


def free_ports(count: int) -> int:
    """Return the first of some ports that follow each other and are free, this process's from now on.

    Raises:
        AssertionError: There are not so many.
    """
    blocks = (count + BLOCK - 1) // BLOCK
    places = range((LAST - FIRST) // BLOCK - blocks)
    # Runs that begin at once need not try each other's.
    begin = os.getpid() * 131 % len(places)
    for place in (*places[begin:], *places[:begin]):
        first: int = FIRST + place * BLOCK
        with ExitStack() as names:
            if all(_take(names, place + nth) for nth in range(blocks)) and all(
                _is_free(port) for port in range(first, first + count)
            ):
                names.pop_all()
                return first
    raise AssertionError(f"no {count} ports are free")


def free_port() -> int:
    """Return a port at which nobody listens."""
    return free_ports(1)


def _take(names: ExitStack, block: int) -> bool:
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        # Of the network, as ports are, and gone with its process.
        name.bind(f"\0daos-tests-ports-{block}")
    except OSError:
        name.close()
        return False
    KEPT.append(name)
    names.callback(_give_back, name)
    return True


def _give_back(name: socket.socket) -> None:
    KEPT.remove(name)
    name.close()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
