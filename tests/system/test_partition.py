"""Leaders that hear nobody, and minorities: they change nothing, the others go on, and all heals."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

import daos
from daos.dev import DevSystem
from daos.errors import DaosError
from tests.system.running import ask, leading_rank, leading_server, poll, pool_list, run_tool, server_of_rank
from tools.system_rounds import engine_of, stopped

VOID = f"void{os.getpid() % 1_000_000}"
MINORITY_S = 3.0
"""So long a minority is left alone: several times what an election takes."""
OTHERS_S_MAX = 15.0
"""For others on this machine to end their cut."""
CUT_S_MAX = 20.0
"""For a change while its leader is cut off: until a client asks another, and that leads."""


@pytest.fixture(scope="module")
def pool(system: DevSystem) -> str:
    ask(system, "pool", "create", "parted", "-z", "300MB", "-P", "svc_rf:1")
    with daos.connect("daos://parted") as opened:
        opened.container("c", create="exclusive")
    return "parted"


@contextmanager
def frozen(system: DevSystem, *servers: int) -> Iterator[None]:
    """Let hosts hear and say nothing for the time of a block: their daemons do not run."""
    daemons = {process.name: process.pid for process in system.processes()}
    pids = [pid for number in servers if (pid := daemons[f"server{number}"]) is not None]
    pids += [engine_of(system, number) for number in servers]
    with stopped(*pids):
        yield


@contextmanager
def cut_off(*ports: int) -> Iterator[None]:
    """Drop what is sent to and from ports of this machine: connections that are there go silent, none can be made."""
    with ExitStack() as undo:
        # A pair of devices that nobody listens at: what is sent there is gone.
        _run("ip", "link", "add", VOID, "type", "veth", "peer", "name", f"{VOID}p")
        undo.callback(_run, "ip", "link", "del", VOID)
        _run("ip", "link", "set", VOID, "up")
        _retried("tc", "qdisc", "add", "dev", "lo", "ingress")
        undo.callback(_run, "tc", "qdisc", "del", "dev", "lo", "ingress")
        for port in ports:
            for way in ("dport", "sport"):
                match = ("u32", "match", "ip", way, str(port), "0xffff")
                action = ("action", "mirred", "egress", "redirect", "dev", VOID)
                _run(
                    "tc",
                    "filter",
                    "add",
                    "dev",
                    "lo",
                    "parent",
                    "ffff:",
                    "protocol",
                    "ip",
                    "prio",
                    "1",
                    *match,
                    *action,
                )
        yield


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def _retried(*words: str) -> None:
    """Run a command that fails while another run of the tests has what it wants: there is one of it on a machine."""
    end = time.monotonic() + OTHERS_S_MAX
    while subprocess.run(words, check=False, capture_output=True).returncode:
        if time.monotonic() > end:
            _run(*words)
            return
        time.sleep(0.1)


def may_cut() -> bool:
    """Tell whether this process may change what the kernel drops."""
    if os.geteuid() or not (shutil.which("tc") and shutil.which("ip")):
        return False
    try:
        with cut_off(1):
            return True
    except subprocess.CalledProcessError:
        return False


def test_a_leader_that_stops_is_followed_by_another_and_comes_back(system: DevSystem, pool: str) -> None:
    leader = leading_server(system)
    with frozen(system, leader):
        # Which takes another leader.
        ask(system, "system", "set-attr", "while:frozen")
    poll(lambda: _leads(system) is not None, "a leader")
    assert ask(system, "system", "get-attr", "while")["attributes"] == {"while": "frozen"}
    system.wait_joined(system.layout.load())


def _leads(system: DevSystem) -> int | None:
    try:
        return leading_server(system)
    except AssertionError:
        return None


def test_a_minority_changes_nothing_and_all_heals(system: DevSystem, pool: str) -> None:
    """Two of three hosts are silent: nothing may be acknowledged of what the services decide."""
    leader = leading_server(system)
    before = {str(each["label"]) for each in pool_list(system)}
    with frozen(system, (leader + 1) % 3, (leader + 2) % 3):
        began = time.monotonic()
        tool = run_tool(system, "pool", "create", "minority", "-z", "60MB", "-r", "0")
        with pytest.raises(DaosError), daos.connect(f"daos://{pool}", timeout=MINORITY_S) as opened:
            opened.container("of-a-minority", create="exclusive")
        poll(lambda: time.monotonic() - began > MINORITY_S, "the end of the minority")
        told = tool.poll()
        assert told != 0, "a leader without followers has told that it made a pool"
    out, err = tool.communicate(timeout=50)
    system.wait_joined(system.layout.load())
    poll(lambda: _leads(system) is not None, "a leader")
    # Whoever waited that long may have been served by the majority that came back.
    after = {str(each["label"]) for each in pool_list(system)}
    assert after in (before, before | {"minority"}), after
    assert tool.returncode or "minority" in after, (out, err)
    with daos.connect(f"daos://{pool}") as opened:
        opened.container("after", create="exclusive")
        assert {each.label for each in opened.containers()} - {"of-a-minority"} == {"after", "c"}


@pytest.mark.skipif(not may_cut(), reason="it takes root, tc, and a kernel with its filters")
def test_a_pool_leader_that_is_cut_off(system: DevSystem, pool: str) -> None:
    """Its packets are dropped, it runs on: the others elect another leader, and it gives way when it is heard again."""
    leader = leading_rank(system, pool)
    first = system.layout.load().ports[server_of_rank(system, leader)]
    with daos.connect(f"daos://{pool}", timeout=CUT_S_MAX) as opened:
        before = {each.label for each in opened.containers()}
        # The service's replicas, and what clients ask, go by the engine's control port.
        with cut_off(first + 4):
            opened.attributes["cut"] = b"1"
            poll(lambda: leading_rank(system, pool) != leader, "another leader of the pool")
        poll(lambda: opened.attributes["cut"] == b"1", "the change of the majority")
        opened.container("healed", create="exclusive")
        assert {each.label for each in opened.containers()} == before | {"healed"}
