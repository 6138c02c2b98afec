"""The benchmark's table and verdicts."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from tools import bench_report
from tools.bench_report import Line, Run, Target, judge, number, plot, report


def lines(row: str, **seconds: list[float]) -> list[Line]:
    return [
        Line(row, system, repetition, 100, each, each, {"disk_bytes_per_entry": 90.0})
        for system, some in seconds.items()
        for repetition, each in enumerate(some)
    ]


RUN = Run.of(
    [
        *lines("fill @10", daos=[1.0, 9.0, 2.0], rocksdb=[1.0], raw=[0.1]),
        *lines("get @10", daos=[1.0]),
        *lines("get @1000", daos=[3.0]),
        *lines("dfuse stat", dfuse_shm=[2.0], passthrough=[3.0]),
        Line("syncs put synced", "daos", 0, syncs_per_call=1.0),
        Line("syncs put synced", "rocksdb", 0),
    ]
)


@pytest.mark.parametrize(
    ("target", "got", "passed"),
    [
        (Target("fill @10", against=["rocksdb"], times_min=0.5), "0.50 x", True),
        (Target("fill @10", against=["rocksdb"], times_min=0.6), "0.50 x", False),
        (Target("get @1000", than="get @10", cost_max=2.0), "3.00 x", False),
        (Target("get @1000", than="get @10", cost_max=3.0), "3.00 x", True),
        (Target("fill @10", fact="disk_bytes_per_entry", max=90), "90", True),
        (Target("fill @10", fact="seconds", max=0.01), "0.02", False),
        (Target("dfuse stat", system="dfuse_shm", against=["passthrough"], times_min=1.0), "1.50 x", True),
    ],
)
def test_targets_are_held_against_medians(target: Target, got: str, passed: bool) -> None:
    verdict = judge(target, RUN)
    assert verdict is not None
    assert (verdict.got, verdict.passed) == (got, passed)
    assert verdict.word == ("pass" if passed else "MISS")


@pytest.mark.parametrize(
    "target",
    [
        Target("put @10", against=["rocksdb"]),
        Target("fill @10", against=["rocksdb", "lmdb"]),
        Target("get @10", than="get @7"),
        Target("fill @10", fact="colour"),
        Target("dfuse stat", against=["passthrough"]),
    ],
)
def test_what_was_not_run_is_not_judged(target: Target) -> None:
    assert judge(target, RUN) is None


def test_which_of_ours_is_judged_is_said() -> None:
    text, good = report(RUN, [Target("dfuse stat", system="dfuse_shm", against=["passthrough"], times_min=2.0)])
    assert not good
    assert "dfuse stat, dfuse_shm" in text


def test_only_an_unexpected_miss_is_bad() -> None:
    miss = Target("fill @10", against=["rocksdb"], times_min=0.6)
    text, good = report(RUN, [miss])
    assert not good
    assert text.endswith("0 of 1 targets reached, 1 missed unexpectedly; 0 not measured")
    known = Target("fill @10", against=["rocksdb"], times_min=0.6, known_miss="the sun was in our eyes")
    text, good = report(RUN, [known])
    assert good
    assert "the sun was in our eyes" in text
    assert "not checked" in text


def test_an_unpaired_system_or_a_failed_run_is_bad() -> None:
    assert not report(Run.of([Line("syncs put synced", "lmdb", 0, syncs_per_call=0.0)]), [])[1]
    assert not report(Run.of([Line("syncs put buffered", "lmdb", 0, syncs_per_call=1.0)]), [])[1]
    assert not report(Run.of([Line("put @1", "lmdb", 0, error="no")]), [])[1]
    assert report(Run.of([Line("syncs put buffered", "lmdb", 0, syncs_per_call=0.0)]), [])[1]


def test_the_plot_is_xml_with_a_bar_a_comparison() -> None:
    assert plot(RUN).count("<text") == 1 + 6 + 2
    assert ET.fromstring(plot(RUN)).tag.endswith("svg")  # noqa: S314 -- our own


def test_a_file_is_read_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.ndjson"
    path.write_bytes(b"\n".join(msgspec.json.encode(line) for line in lines("get @1", daos=[1.0], lmdb=[2.0])))
    assert bench_report.main([str(path)]) == 0
    assert "2.00" in capsys.readouterr().out
    assert (tmp_path / "x.svg").is_file()


def test_without_results_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_report, "ROOT", tmp_path)
    assert bench_report.main([]) == 2


def test_figures_have_three_digits() -> None:
    assert [number(x) for x in (0.01234, 1.5, 999.4, 1234.5, 12345, 1.234e6)] == [
        "0.0123", "1.5", "999", "1234", "12.3k", "1.23M",
    ]  # fmt: skip
