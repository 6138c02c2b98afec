"""The benchmark of running systems, as far as nothing has to run: rows, what is compared, what is read of others."""

from __future__ import annotations

import asyncio
import os
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import daos
from benches.net import bare, clients, job, meter, redis_server, report, run
from benches.net.plan import BARE, DEPTHS, INTERVAL, OURS, SYNCED, Point, groups
from benches.run import asked_for
from daos import _bench_net
from daos.cli import _main
from daos.client._load import load
from tools.bench_report import TARGETS, Line, Run


class DictClient:
    """A client of a dict; one that forgets keeps nothing."""

    def __init__(self, *, forgets: bool = False) -> None:
        self.held: dict[bytes, bytes] = {}
        self.forgets = forgets

    def put(self, size: int, depth: int) -> Callable[[int], object]:
        return lambda number: None if self.forgets else self.held.update(clients.pairs(number, size, depth))

    def get(self, size: int, depth: int) -> Callable[[int], list[bytes | None]]:  # noqa: ARG002 -- one space of keys
        return lambda number: [self.held.get(key) for key in clients.wanted(number, depth)]


def test_rows_are_all_there_once_and_pair_what_is_promised() -> None:
    rows = run.rows()
    assert len(rows) == len(set(rows))
    for size in ("64B", "4096B"):
        for depth in DEPTHS:
            for way in ("plain", "tls"):
                assert f"net get {size} {way} d{depth}" in rows
                assert {f"net put {size} {how} {way} d{depth}" for how in (SYNCED, INTERVAL)} <= set(rows)
    for group in groups():
        assert all((point.durability, point.secure) == (group.durability, group.secure) for point in group.points)


def test_targets_name_rows_that_there_are() -> None:
    named = [entry["row"] for entry in tomllib.loads(TARGETS.read_text())["target"]]
    net = [row for row in named if row.startswith("net ")]
    assert net
    assert set(net) <= set(run.rows())


def test_net_is_asked_for_as_a_whole_or_by_a_beginning() -> None:
    assert asked_for("net", "net put 64B synced plain d1")
    assert not asked_for("net", "put 64B synced 1t @10000")
    assert not asked_for("embedded", "net put 64B synced plain d1")
    assert asked_for("net get,scan", "net get 64B plain d1")
    assert asked_for("", "net get 64B plain d1")


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("workload", ["put", "get"])
def test_a_client_does_what_is_counted(workload: str, depth: int) -> None:
    client = DictClient()
    sample = clients.work(client, Point(workload, 64, depth, INTERVAL), 0.01, os.getpid())
    assert sample.operations % depth == 0
    assert sample.operations >= depth
    assert 0 < sample.seconds < 5
    assert sample.facts["call_p50_us"] > 0
    assert sample.facts["server_cpu_us"] >= 0
    assert len(client.held) == (clients.STORED if workload == "get" else min(clients.STORED, sample.operations))


@pytest.mark.parametrize("workload", ["put", "get"])
def test_a_fast_answer_of_nothing_is_found_out(workload: str) -> None:
    with pytest.raises(ValueError, match="is not what was put"):
        clients.work(DictClient(forgets=True), Point(workload, 64, 16, SYNCED), 0.01, None)


def test_our_own_client_does_every_point(tmp_path: Path) -> None:
    with daos.open(tmp_path / "s.daos", durability="buffered") as pool:
        client = clients.Daos(pool)
        for depth in (1, 16):
            for workload in ("put", "get"):
                assert clients.work(client, Point(workload, 64, depth, INTERVAL), 0.01, None).operations >= depth
        client.bulk(write=True)(3)
        client.bulk(write=False)(3)

    async def awaited() -> list[meter.Sample]:
        async with daos.aio.open(tmp_path / "s.daos", durability="buffered") as pool:
            kv = await (await pool.container("bench")).kv("values of 64", create=True, keys="bytes")
            points = [Point(workload, 64, 16, INTERVAL) for workload in ("aio_put", "aio_get")]
            return [await clients.work_awaited(kv, point, 0.01, None) for point in points]

    assert all(sample.operations >= 16 for sample in asyncio.run(awaited()))


@pytest.mark.parametrize("workload", ["bulk_write", "bulk_read"])
def test_a_bare_socket_moves_blocks(workload: str) -> None:
    with bare.opened(Point(workload, 1 << 20, 1, "buffered"), "") as act:
        for number in range(3):
            act(number)


def test_a_bare_file_is_gone_afterwards(tmp_path: Path) -> None:
    point = Point("bulk_write", 1 << 20, 1, SYNCED)
    (sample,) = job.samples(job.Job(BARE, SYNCED, (point,), 0.01, directory=str(tmp_path)))
    assert (sample.row, sample.operations > 0) == (point.row, True)
    assert list(tmp_path.iterdir()) == []


def test_figures_of_a_process_are_read() -> None:
    assert meter.cpu_seconds(os.getpid()) >= 0
    assert meter.resident_bytes(os.getpid()) > 1 << 20


def test_the_load_tool_of_redis_is_understood() -> None:
    head = '"test","rps","avg_latency_ms","min_latency_ms"\n'
    assert redis_server.rate_in(f'{head}"SET","25000.50","0.03","0.01"\n') == 25000.5
    for text in ("", head, f'{head}"SET"\n', f'{head}"SET","1","1","1"\n"GET","1","1","1"\n'):
        with pytest.raises(ValueError, match="told"):
            redis_server.rate_in(text)


def test_what_fails_is_a_line_and_the_rest_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[dict[str, object]] = []
    runner = run.NetRunner(lines.append, lambda _: True, tmp_path, 0.01)

    def work() -> list[meter.Sample]:
        raise ValueError("a value is not what was put")

    runner._told("net put", OURS, 2, work)
    runner._told("net put", OURS, 3, lambda: [meter.Sample("net put", 4, 2.0, 1.0)])
    assert lines[0] == {"row": "net put", "system": "daos", "repetition": 2, "error": "a value is not what was put"}
    assert (lines[1]["operations"], lines[1]["seconds"]) == (4, 2.0)
    assert "FAILED net put, daos: a value" in capsys.readouterr().out


def test_costs_are_of_the_network_only() -> None:
    lines = [
        Line("net put", OURS, 0, 100, 1.0, 0.002, {"server_cpu_us": 30.0}),
        Line("net put", "redis", 0, 100, 1.0, 0.004, {"server_cpu_us": 10.0}),
        Line("put", OURS, 0, 100, 1.0, 0.002),
    ]
    heads, row = report.costs(Run.of(lines)).splitlines()
    assert heads.split()[:3] == ["CPU", "us", "an"]
    assert row.split() == ["net", "put", "20", "30", "40", "10"]
    assert report.costs(Run.of(lines[2:])) == "no rows of the network"


def test_the_tool_measures_every_kind_of_work_and_leaves_nothing(tmp_path: Path) -> None:
    with daos.open(tmp_path / "s.daos", durability="buffered") as pool:
        kept = pool.container("kept", create=True)
        found = list(_bench_net.measure(pool, "buffered", 0.01))
        assert [listed.label for listed in pool.containers()] == [kept.label]
    native = [work for work, _, _ in _bench_net.natives("buffered")]
    assert len(native) == 12
    works = [*native, *_bench_net.works("buffered")]
    assert [one.name for one in found] == [work.name for work in works]
    assert [one.name for one in found][:2] == ["native put 64 B", "native put 64 B, 16 a call"]
    assert [one.name for one in found][12:14] == ["put 64 B", "put 64 B, 16 a call"]
    for one, work in zip(found, works, strict=True):
        assert one.operations % work.operations == 0
        assert 0 < one.p50_us <= one.p99_us


def test_the_tool_leaves_nothing_when_it_is_interrupted(tmp_path: Path) -> None:
    with daos.open(tmp_path / "s.daos", durability="buffered") as pool:
        found = _bench_net.measure(pool, "buffered", 0.01)
        next(found)
        found.close()  # type: ignore[attr-defined]
        assert pool.containers() == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["bench", "-t", "1", "net", "tank"], "-t before `net' is for nothing"),
        (["bench", "net"], "argument `<pool>` was not provided"),
        (["bench", "nope"], "Unknown command `nope'"),
        (["bench", "net", "tank", "-d", "sometimes"], "sometimes"),
        (["-S", "/nowhere", "bench", "net", "tank"], "an embedded system has no network"),
    ],
)
def test_a_bad_line_is_told(arguments: list[str], told: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert _main.run(arguments, None) == 1
    assert told in capfd.readouterr().err


@pytest.mark.parametrize(
    ("keys", "depth", "seconds"),
    [([b"a"], 2, 0.0), ([b"a"], 0, 0.0), ([b"a"], 1, -1.0), ([b"a"], 1, 1e9), ([], 1, 0.0)],
)
def test_the_loop_without_python_refuses_what_makes_no_sense(
    keys: list[bytes], depth: int, seconds: float, tmp_path: Path
) -> None:
    with daos.open(tmp_path / "s.daos", durability="buffered") as pool:
        kv = pool.container("c", create=True).kv("k", create=True, keys="bytes")
        with pytest.raises(daos.InvalidError):
            load(kv, keys, b"v", depth=depth, seconds=seconds)


def test_the_loop_without_python_does_what_it_counts(tmp_path: Path) -> None:
    with daos.open(tmp_path / "s.daos", durability="buffered") as pool:
        kv = pool.container("c", create=True).kv("k", create=True, keys="bytes")
        with pytest.raises(daos.NotFoundError):
            load(kv, [b"absent"], None, depth=1, seconds=0.0)
        done, took, times = load(kv, [b"a", b"b"], b"v", depth=2, seconds=0.0)
        assert (done, len(times)) == (2, 1)
        assert 0 < times[0] <= took
        assert dict(kv.items()) == {b"a": b"v", b"b": b"v"}
