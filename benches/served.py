"""A running system of one engine on this machine, with a file system in it that is mounted, or used from Python."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import daos
from benches.turns import RUN_S_MAX
from daos.dev import DevSystem, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEVICE, POOL = 6 << 30, "4GiB"


@contextmanager
def running(root: Path) -> Iterator[dict[str, str]]:
    """Start one with a pool and a POSIX container, both `bench`; give the environment of who is to find it."""
    system = DevSystem(root / "dev")
    with system:
        system.up(Plan(servers=1, targets=2, size=DEVICE))
        dmg = [sys.executable, "-m", "daos.cli.dmg", "-o", str(system.layout.control_config)]
        subprocess.run(
            [*dmg, "pool", "create", "bench", "--size", POOL], check=True, capture_output=True, timeout=RUN_S_MAX
        )
        with daos.connect("daos://bench", agent=system.layout.sockets / "daos_agent.sock") as pool:
            pool.container("bench", create=True, type="POSIX")
        yield {"DAOS_AGENT_DRPC_DIR": str(system.layout.sockets)}
