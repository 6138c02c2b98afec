"""The benchmark's workloads, each once and tiny, on the systems that are always there; the rest of `benches`."""

from __future__ import annotations

import signal
import subprocess
import sys
import tomllib
from dataclasses import asdict, replace
from pathlib import Path

import msgspec
import pytest

from benches import data, plan
from benches.frame import Outcome, Task
from benches.net.run import rows as net_rows
from benches.peers import open_store, version
from benches.peers.base import Durability
from benches.run import APART, asked_for, turned
from benches.syncs import count_syncs, syncs_in
from benches.workloads import WORKLOADS
from tools.bench_report import TARGETS, targets
from tools.build import ROOT

STORES = ("daos", "sqlite")
SYSTEMS = (*STORES, "raw", "raw_append")


@pytest.fixture(autouse=True)
def _small_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benches.peers.raw.PREPARED_BYTES", 1 << 20)


def run(task: Task) -> Outcome:
    return WORKLOADS[task.workload](task)


def child(task: Task) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benches.child", msgspec.json.encode(task).decode()]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=50)


@pytest.mark.parametrize("durability", Durability)
@pytest.mark.parametrize("system", SYSTEMS)
def test_puts_run(system: str, durability: Durability, tmp_path: Path) -> None:
    task = Task("put", system, str(tmp_path), durability, count=40)
    assert run(task).operations == 40
    assert run(replace(task, first=100, threads=4, value_size=4096)).seconds > 0
    assert run(replace(task, workload="put_many", first=200, batch=16)).operations == 40


@pytest.mark.parametrize("system", STORES)
def test_a_filled_store_is_read(system: str, tmp_path: Path) -> None:
    task = Task("fill", system, str(tmp_path), count=3000)
    filled = run(task)
    assert filled.operations == 3000
    assert filled.facts["disk_bytes_per_entry"] > 64
    task = replace(task, entries=3000, count=50)
    for workload in ("get", "get_view"):
        assert run(replace(task, workload=workload)).operations == 50
    assert run(replace(task, workload="scan")).operations == 3000


@pytest.mark.parametrize("depth", [1, 16])
def test_event_loops_run(depth: int, tmp_path: Path) -> None:
    task = Task("fill", "daos", str(tmp_path), Durability.SYNCED, count=100)
    run(task)
    task = replace(task, depth=depth, count=50, entries=100)
    assert run(replace(task, workload="aio_put", first=1000)).operations == 50
    assert run(replace(task, workload="aio_get")).operations == 50
    assert run(replace(task, workload="get", entries=100)).operations == 50
    with pytest.raises(ValueError, match="not there"):
        run(replace(task, workload="aio_get", entries=200))


@pytest.mark.parametrize("system", ["daos", "raw", "memmap"])
def test_arrays_are_written_and_read(system: str, tmp_path: Path) -> None:
    task = Task("array_write", system, str(tmp_path / "w"), Durability.SYNCED, value_size=5000, count=3)
    assert run(task).facts == {"bytes": 15_000}
    task = replace(task, workload="array_read", directory=str(tmp_path / "r"), durability=Durability.BUFFERED)
    assert run(task).operations == 3


@pytest.mark.parametrize("workload", ["part_aligned", "part_unaligned", "layers", "layers_aggregated", "transfer"])
def test_what_is_done_alone_runs(workload: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benches.array_workloads.BASE_BYTES", 1 << 20)
    task = Task(workload, "daos", str(tmp_path), value_size=4096, count=5)
    assert run(task).operations == 5
    if workload == "transfer":
        assert run(replace(task, system="sqlite", directory=str(tmp_path / "sqlite"))).operations == 5


def test_strided_writes_are_counted_by_cells(tmp_path: Path) -> None:
    task = Task("strided", "daos", str(tmp_path / "a"), count=2000)
    assert run(task).operations == 2000
    assert run(replace(task, workload="strided_each", directory=str(tmp_path / "b"), count=500)).operations == 1000


def test_a_slow_fill_ends_in_batches(tmp_path: Path) -> None:
    task = Task("fill", "sqlite", str(tmp_path), count=3000, seconds_max=0)
    assert run(task).operations == 1024
    assert run(replace(task, workload="scan", entries=3000)).operations == 3000


@pytest.mark.parametrize("system", STORES)
def test_a_killed_store_opens(system: str, tmp_path: Path) -> None:
    task = Task("crash", system, str(tmp_path), count=2000, entries=2000)
    assert child(task).returncode == -signal.SIGKILL
    reopened = child(replace(task, workload="reopen"))
    assert msgspec.json.decode(reopened.stdout, type=Outcome).operations == 1, reopened.stderr


@pytest.mark.parametrize("system", STORES)
def test_missing_keys_are_no_fast_reads(system: str, tmp_path: Path) -> None:
    task = Task("fill", system, str(tmp_path), count=100)
    run(task)
    for workload in ("get", "get_view", "scan", "reopen"):
        with pytest.raises(ValueError, match=r"not there|pairs of|lost"):
            run(replace(task, workload=workload, entries=200))


def test_a_bare_file_is_not_read(tmp_path: Path) -> None:
    store = open_store("raw", tmp_path, Durability.BUFFERED)
    with pytest.raises(NotImplementedError):
        store.get(b"a")
    store.close()


def test_systems_tell_their_versions() -> None:
    assert all(version(system) for system in SYSTEMS)


def test_keys_are_distinct_texts_in_no_order() -> None:
    keys = data.keys(0, 5000)
    assert len(set(keys)) == 5000
    assert keys != sorted(keys)
    assert {len(key) for key in keys} == set(range(16, 25))
    assert b"".join(keys).isalnum()
    assert data.keys(1000, 10) == keys[1000:1010]
    assert set(data.picks(10, 100)) <= set(keys[:10])


def test_tasks_and_outcomes_cross_the_process_boundary() -> None:
    task = Task("put", "raw", "x", Durability.SYNCED, threads=4)
    assert msgspec.json.decode(msgspec.json.encode(asdict(task)), type=Task) == task


def test_syncs_are_counted_between_the_marks() -> None:
    trace = """\
1 openat(AT_FDCWD, "meta", O_WRONLY|O_DSYNC|O_CLOEXEC) = 5
1 fsync(3) = 0
1 access("/bench/begin", F_OK) = -1 ENOENT (No such file or directory)
1 pwrite64(4, "a", 1, 0) = 1
1 pwrite64(5, "a", 1, 0) = 1
1 pwritev2(6, [{iov_base="a", iov_len=1}], 1, 0, RWF_DSYNC) = 1
1 pwritev2(6, [{iov_base="a", iov_len=1}], 1, 0, 0) = 1
2 fdatasync(4 <unfinished ...>
2 <... fdatasync resumed>) = 0
1 msync(0x7f0000000000, 4096, MS_ASYNC) = 0
1 access("/bench/end", F_OK) = -1 ENOENT (No such file or directory)
1 fdatasync(4) = 0
"""
    assert syncs_in(trace) == 3


@pytest.mark.parametrize("system", ["daos", "sqlite", "raw"])
def test_both_sides_of_a_comparison_sync_alike(system: str, tmp_path: Path) -> None:
    found = [count_syncs(Task("put", system, "", durability, count=32), tmp_path) for durability in Durability]
    if None in found:
        pytest.skip("no strace here")
    assert found == [1, 0]


def test_without_strace_syncs_are_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert count_syncs(Task("put", "raw", ""), tmp_path) is None


@pytest.mark.parametrize(
    ("wanted", "row", "found"),
    [
        ("", "scan @1", True),
        ("embedded", "scan @1", True),
        ("put 64B, scan", "scan @1", True),
        ("put 64B, scan", "put 64B synced 1t @1", True),
        ("put 64B, scan", "put_many 64B synced 1t @1", False),
    ],
)
def test_rows_are_asked_for_by_how_they_begin(wanted: str, row: str, found: bool) -> None:
    assert asked_for(wanted, row) is found


def test_systems_take_turns() -> None:
    assert turned(("a", "b", "c"), 0) == ("a", "b", "c")
    assert turned(("a", "b", "c"), 4) == ("b", "c", "a")


def test_every_target_names_a_row_of_the_plan() -> None:
    stages = plan.embedded(quick=False, huge=True)
    rows = {row for stage in stages for row in stage.rows()} | set(net_rows())
    found = targets()
    assert len(found) == len(tomllib.loads(TARGETS.read_text())["target"])
    named = {target.row for target in found if not target.row.startswith(APART)}
    assert named <= rows
    assert {target.than for target in found} - {""} <= rows


def test_every_peer_is_pinned() -> None:
    for line in (ROOT / "requirements-bench.txt").read_text().splitlines():
        assert line.startswith("#") or line.count("==") == 1, line
