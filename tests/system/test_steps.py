"""Leaders die in the midst of what they do: in the end it is done or undone, and no rank keeps what nobody knows of."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

import daos
from daos.dev import DevSystem
from daos.errors import DaosError, NotFoundError
from tests.system.running import (
    ask,
    leading_rank,
    leading_server,
    on_disk,
    poll,
    pool_list,
    pools,
    run_tool,
    server_of_rank,
)
from tools.system_rounds import engine_of, stopped

TOOL_S_MAX = 50.0
REFUSED_S_MAX = 5.0
SIZE = "150MB"


def settled(system: DevSystem) -> bool:
    """Tell whether no pool is on its way anywhere; the service may just have no leader."""
    try:
        return set(pools(system).values()) <= {"Ready"}
    except AssertionError:
        return False


def marked(system: DevSystem, mark: str) -> list[int]:
    """Return the servers whose engines' logs have a mark."""
    logs = [system.layout.server(number) / "engine.log" for number in range(3)]
    return [number for number, log in enumerate(logs) if log.exists() and mark in log.read_text(errors="replace")]


def marks(system: DevSystem, mark: str) -> int:
    """Return how often the engines' logs have a mark."""
    logs = [system.layout.server(number) / "engine.log" for number in range(3)]
    return sum(log.read_text(errors="replace").count(mark) for log in logs if log.exists())


def kill_leading_server(system: DevSystem) -> None:
    """Kill the server that leads, and start it again."""
    name = f"server{leading_server(system)}"
    system.stop(name, kill=True)
    system.start(name)


def outcome(tool: subprocess.Popen[str]) -> bool:
    """Return whether a tool told that it was done."""
    out, err = tool.communicate(timeout=TOOL_S_MAX)
    assert tool.returncode == 0 or "error" in out or "ERROR" in err, (out, err)
    return tool.returncode == 0


@pytest.mark.parametrize("step", ["CreateShards", "StartService", "DestroyShards"])
def test_management_leader_killed_at_a_step_of_a_pool(step: str, system: DevSystem) -> None:
    """An engine that does not leave its step holds the operation there, until the leader is dead."""
    label = f"p-{step.lower()}"
    if step == "DestroyShards":
        ask(system, "pool", "create", label, "-z", SIZE)
    leader = leading_server(system)
    held = (leader + 1) % 3
    before = marks(system, f"{step} ")
    words = ("destroy", label) if step == "DestroyShards" else ("create", label, "-z", SIZE)
    name = f"server{leader}"
    if step == "StartService":
        # It comes behind the shards, so the engine is not to be stopped before those.
        shards = marks(system, "CreateShards ")
        tool = run_tool(system, "pool", *words)
        poll(lambda: marks(system, "CreateShards ") >= shards + 3, "shards on all ranks")
        system.stop(name, kill=True)
    else:
        with stopped(engine_of(system, held)):
            tool = run_tool(system, "pool", *words)
            poll(lambda: marks(system, f"{step} ") >= before + 1, f"{step} on a rank that runs")
            system.stop(name, kill=True)
    system.start(name)
    told = outcome(tool)
    poll(lambda: settled(system), "pools that are ready or gone")
    known = {str(each["label"]) for each in pool_list(system)}
    if told:
        assert (label in known) == (step != "DestroyShards")
    if label in known:
        ask(system, "pool", "query", label)
        with daos.connect(f"daos://{label}") as pool:
            pool.container("c", create="exclusive").kv("k", create=True)["a"] = b"1"
        ask(system, "pool", "destroy", label, "--recursive", "--force")


def test_pool_leader_killed_in_the_midst_of_containers(system: DevSystem) -> None:
    ask(system, "pool", "create", "boxes", "-z", SIZE, "-P", "svc_rf:1")
    made, gone = set(), set()
    unknown = 0
    with daos.connect("daos://boxes", timeout=30) as pool:
        for number in range(8):
            pool.container(f"old-{number}", create="exclusive")
        for number in range(3):
            # Frozen before it can do its part of both, so that the leader dies between the steps.
            leader = server_of_rank(system, leading_rank(system, "boxes"))
            pid = engine_of(system, leader)
            os.kill(pid, signal.SIGKILL)
            for act in ("make", "destroy"):
                try:
                    if act == "make":
                        pool.container(f"new-{number}", create="exclusive")
                        made.add(f"new-{number}")
                    else:
                        pool.destroy_container(f"old-{number}")
                        gone.add(f"old-{number}")
                except NotFoundError:
                    pytest.fail(f"{act} {number} happened twice")
                except DaosError:
                    unknown += 1
            poll(lambda: system.engine_pid(leader) not in {None, pid}, "a new engine")  # noqa: B023 -- waited for here
        poll(lambda: len(marked(system, f"pool {pool.uuid} service")) == 3, "replicas of the service")
        present = {each.label for each in pool.containers()}
    assert unknown <= 1, "clients look for the new leader themselves"
    assert made <= present
    assert not gone & present
    assert {f"old-{number}" for number in range(3, 8)} <= present
    assert present <= {f"{kind}-{number}" for kind in ("old", "new") for number in range(8)}


def test_a_container_that_is_open(system: DevSystem) -> None:
    """Who has it open may destroy it; others are refused, and at once: asking again would bring the same."""
    ask(system, "pool", "create", "open", "-z", SIZE)
    with daos.connect("daos://open", timeout=REFUSED_S_MAX * 2) as ours, daos.connect("daos://open") as theirs:
        container = theirs.container("c", create="exclusive")
        began = time.monotonic()
        with pytest.raises(daos.BusyError, match="the container is open 1 times"):
            ours.destroy_container("c")
        assert time.monotonic() - began < REFUSED_S_MAX
        container.kv("k", create=True)["a"] = b"1"
        theirs.destroy_container("c")
        with pytest.raises(DaosError):
            container.kv("k")["a"] = b"2"
        assert ours.containers() == []
    ask(system, "pool", "destroy", "open", "--force")


def test_no_rank_has_what_no_service_knows(system: DevSystem, tmp_path: Path) -> None:
    """Behind all of the above: what the engines' storage holds is what the services tell."""
    system.wait_joined(system.layout.load())
    poll(lambda: settled(system), "pools that are ready or gone")
    ask(system, "pool", "create", "last", "-z", SIZE)
    known = set(pools(system))
    assert known
    containers: dict[str, set[str]] = {}
    for uuid in known:
        with daos.connect(f"daos://{uuid}") as pool:
            containers[uuid] = {each.uuid for each in pool.containers()}
    system.down()
    stored = [on_disk(system, number, tmp_path) for number in range(3)]
    for found in stored:
        assert found.parts == set(found.shards)
        assert found.services <= set(found.shards)
        # A pool may be on some ranks only; where it is, all of its containers are.
        assert found.shards == {uuid: containers.get(uuid) for uuid in found.shards}
    assert set().union(*(found.shards for found in stored)) == known
    system.up()
    assert set(pools(system)) == known
