"""`daos bench net` and the benchmark's own client, on a running system."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from benches.net import control, job, run
from benches.net.plan import INTERVAL, OURS, SYNCED, Point
from benches.net.system import Running
from daos import _bench_net
from daos.cli import _main

INTO_NOTHING = "no-such-pool"


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "tls"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("dev") / "s", secure=request.param) as system:
        yield system


@pytest.fixture(autouse=True)
def _agent(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAOS_AGENT_DRPC_DIR", str(running.agent.parent))


def test_the_tool_measures_a_pool(capfd: pytest.CaptureFixture[str]) -> None:
    assert _main.run(["bench", "net", "tank", "-t", "0.01", "-d", "buffered", "-j"], None) == 0
    found = json.loads(capfd.readouterr().out)["response"]
    assert [one["name"] for one in found] == [
        *(work.name for work, _, _ in _bench_net.natives("buffered")),
        *(work.name for work in _bench_net.works("buffered")),
    ]
    assert all(one["operations_per_s"] > 0 for one in found)
    assert _main.run(["bench", "net", "tank", "-t", "0.01"], None) == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 2 + len(found)
    assert lines[2].split()[:5] == ["native", "put", "64", "B", "synced"]
    assert _main.run(["pool", "list-containers", "tank"], None) == 0
    assert "bench-" not in capfd.readouterr().out


def test_a_pool_that_is_not_there_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    assert _main.run(["bench", "net", INTO_NOTHING], None) == 1
    assert f'no pool "{INTO_NOTHING}"' in capfd.readouterr().err


@pytest.mark.parametrize("durability", [SYNCED, INTERVAL])
def test_a_client_of_the_benchmark_runs(running: Running, durability: str) -> None:
    points = tuple(Point(workload, 64, 16, durability) for workload in ("put", "get", "aio_put", "aio_get"))
    bulk = Point("bulk_write", 1 << 20, 1, durability)
    task = job.Job(OURS, durability, (*points, bulk), 0.01, running.engine, str(running.agent))
    found = list(job.samples(task))
    assert [sample.row for sample in found] == [point.row for point in (*points, bulk)]
    assert all(sample.operations > 0 for sample in found)


def test_what_is_no_data_is_measured(running: Running) -> None:
    (pools, idle) = control.pools(running), control.idle(running, 0.2)
    assert (pools.operations, pools.seconds > 0) == (control.POOLS, True)
    assert idle.facts["resident_bytes"] > 1 << 20
    found = control.containers(running, 0, 0.05)
    assert [sample.row for sample in found] == control.container_rows()
    assert all(sample.operations > 0 for sample in found)
    assert control.container_rows() == [
        f"net container_{what} t{threads}" for what in ("create", "open") for threads in control.THREADS
    ]


def test_rows_of_three_ranks_are_told_apart(running: Running) -> None:
    found = control.containers(running, 1, 0.05, control.THREE)
    assert [sample.row for sample in found] == control.container_rows(control.THREE)
    assert not set(control.container_rows(control.THREE)) & set(control.container_rows())
    assert {*control.container_rows(control.THREE), *control.container_rows()} <= set(run.rows())


def test_clients_that_connect_at_once_are_counted(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "CLIENTS", 8)
    monkeypatch.setattr(control, "PROCESSES", 2)
    sample = control.connects(running)
    assert (sample.operations, sample.facts["failed"]) == (8, 0)
    assert sample.facts["connections"] >= 8
