"""A system of the development kind with one server and a pool, for tests of what clients do with it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import daos
from daos.dev import DevSystem, Plan
from daos.errors import BusyError

WAIT_S = 30.0
TANK = "daos://tank"


@contextmanager
def tank(root: Path) -> Iterator[Path]:
    """Run a system with a pool `tank`; give the socket of its agent."""
    system = DevSystem(root)
    with system:
        system.up(Plan(servers=1, targets=2))
        dmg = [sys.executable, "-m", "daos.cli.dmg", "-o", str(system.layout.control_config)]
        subprocess.run([*dmg, "pool", "create", "tank", "--size", "256MiB"], check=True, timeout=WAIT_S)
        yield system.layout.sockets / "daos_agent.sock"


def is_open(agent: Path) -> bool:
    """Tell whether a handle of the pool is open: then nobody can have it exclusively."""
    try:
        with daos.connect(TANK, agent=agent, mode="exclusive"):
            return False
    except BusyError:
        return True


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition.

    Raises:
        AssertionError: It does not come true in time.
    """
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_S} s: {what}"
        time.sleep(0.02)
