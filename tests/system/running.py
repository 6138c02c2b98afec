"""What the tests of running systems share: asking them, waiting for them, and what is on their disks."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from daos import _core
from daos.cli.dmg._base import Admin
from daos.cli.dmg._main import run as run_dmg
from daos.dev import DevSystem

RUNNING: list[DevSystem] = []
"""Systems whose logs a failed test shows."""
ONE_AT_A_TIME = threading.Lock()
"""Standard output is one for all threads."""
TAIL_LINES = 40
POLL_S = 0.05
WAIT_S_MAX = 40.0


def tails(system: DevSystem) -> str:
    """Return the ends of all logs of a system."""
    shown = []
    for process in system.processes():
        for path in system.logs(process.name):
            lines = path.read_text(errors="replace").splitlines()[-TAIL_LINES:]
            shown += [f"--- {path}", *(line[:300] for line in lines)]
    return "\n".join(shown)


def poll(condition: Callable[[], bool], what: str, seconds: float = WAIT_S_MAX) -> None:
    """Wait for a condition; fail if it is not so in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"no {what} within {seconds:g} s"
        time.sleep(POLL_S)


def ask(system: DevSystem, *words: str) -> dict[str, object]:
    """Run `dmg` in this process, which is quicker than in one of its own; it has to succeed. Return its answer."""
    out, err = io.StringIO(), io.StringIO()
    with ONE_AT_A_TIME, redirect_stdout(out), redirect_stderr(err):
        status = run_dmg(["-o", str(system.layout.control_config), "-j", *words], Admin())
    assert status == 0, f"dmg {' '.join(words)}: {out.getvalue()}{err.getvalue()}"
    answer = json.loads(out.getvalue())["response"]
    assert answer is None or isinstance(answer, dict)
    return answer or {}


def pools(system: DevSystem) -> dict[str, str]:
    """Return the pools that the system's service knows: their uuids, and their states."""
    return {str(each["uuid"]): str(each["state"]) for each in pool_list(system)}


def pool_list(system: DevSystem) -> list[dict[str, object]]:
    """Return what the system's service tells of its pools."""
    found = ask(system, "pool", "list")["pools"]
    assert found is None or isinstance(found, list)
    return found or []


def leading_server(system: DevSystem) -> int:
    """Return the server that leads the management service."""
    address = str(ask(system, "system", "leader-query")["current_leader"])
    return system.layout.load().ports.index(int(address.rpartition(":")[2]))


def server_of_rank(system: DevSystem, rank: int) -> int:
    """Return the server of a rank."""
    (member,) = (member for member in system.members() if member.rank == rank)
    return system.layout.load().ports.index(int(member.address.rpartition(":")[2]))


def leading_rank(system: DevSystem, pool: str) -> int:
    """Return the rank that leads the service of a pool; the others are not asked, they may be away."""
    rank = ask(system, "pool", "query", pool, "-t")["svc_ldr"]
    assert isinstance(rank, int)
    return rank


@dataclass(frozen=True)
class OnDisk:
    """What a stopped engine has of pools.

    Attributes:
        shards: Pools of which it has shards, and their containers.
        services: Pools of whose service it has a replica.
        parts: Pools that it keeps a note of.
    """

    shards: dict[str, set[str]]
    services: set[str]
    parts: set[str]


def on_disk(system: DevSystem, server: int, scratch: Path) -> OnDisk:
    """Return what the engine of a server has stored, without asking any service: it must not run."""
    home = system.layout.server(server) / "scm" / "engine"
    copy = scratch / f"copy{server}"
    shutil.copytree(home / "store", copy)
    engine = _core.Engine.start(
        str(copy),
        create=False,
        targets=2,
        durability=0,
        listen="127.0.0.1:0",
        system="copy",
        rank=0,
        incarnation=1,
        served=True,
    )
    try:
        shards = {pool: set(engine.containers(pool)) for pool in engine.pools()}
    finally:
        engine.close()
        shutil.rmtree(copy)
    services = {path.name.removeprefix("rdb-") for path in home.glob("rdb-*")}
    return OnDisk(shards, services, {path.name for path in (home / "pools").iterdir()})


def memory_of(pid: int) -> int:
    """Return the bytes of memory that a process has."""
    text = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) << 10


def all_pids(system: DevSystem) -> dict[str, int]:
    """Return the processes of all daemons, engines too."""
    found = {process.name: process.pid for process in system.processes()}
    found |= {f"engine{number}": system.engine_pid(number) for number in range(system.layout.load().servers)}
    return {name: pid for name, pid in found.items() if pid is not None}


def run_tool(system: DevSystem, *words: str) -> subprocess.Popen[str]:
    """Start `dmg` on a system, and do not wait for it."""
    import sys

    command = [sys.executable, "-m", "daos.cli.dmg", "-o", str(system.layout.control_config), "-j", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
