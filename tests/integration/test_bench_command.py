"""`daos bench`, on the native store."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from daos import _bench
from daos.cli import _main

GOLDEN = Path(__file__).parent / "golden"
COLUMNS = {"rate": (47, 59), "p50": (60, 69), "p99": (70, 79), "values": (80, 90)}
"""Where the figures of a line are, which differ each time."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bench, "BLOCKS", 2)


def masked(line: str) -> str:
    """Return a line with `#` in the place of each figure, up to its unit."""
    for start, end in COLUMNS.values():
        cell = line[start:end]
        figure = re.fullmatch(r" *[0-9]+(\.[0-9])?( [kMGT]?B)?", cell)
        line = line[:start] + "#".rjust(len(cell)) + line[end:] if figure else line
    return line


def test_it_prints_a_line_for_each_kind_of_work_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _main.run(["bench", "--path", str(tmp_path), "-t", "0.02"], None) == 0
    captured = capfd.readouterr()
    heads, dashes, *lines = captured.out.splitlines(keepends=True)
    assert "".join([heads, dashes, *map(masked, lines)]) == (GOLDEN / "bench.txt").read_text()
    assert captured.err == ""
    assert list(tmp_path.iterdir()) == []


def test_a_figure_that_is_none_is_not_masked() -> None:
    line = (GOLDEN / "bench.txt").read_text().splitlines()[2]
    for start, end in COLUMNS.values():
        assert masked(line[:start] + "nan".rjust(end - start) + line[end:]) != line
        assert masked(line[:start] + "12".rjust(end - start) + line[end:]) == line


def test_json_has_the_same(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert _main.run(["bench", "--path", str(tmp_path), "-t", "0.01", "-j"], None) == 0
    printed = capfd.readouterr().out
    figures = re.compile(r'("(?:operations|seconds|p50_us|p99_us|bytes_per_s|operations_per_s)"): [0-9][0-9.e+-]*')
    assert figures.sub(r'\1: "#"', printed) == (GOLDEN / "bench.json").read_text()
    response = json.loads(printed)["response"]
    assert [one["name"] for one in response] == [work.name for work in _bench.ALL]
    for one in response:
        assert one["operations"] >= one["threads"]
        assert 0 < one["p50_us"] <= one["p99_us"]
        assert one["operations_per_s"] == pytest.approx(one["operations"] / one["seconds"])


def test_no_directory_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert _main.run(["bench", "--path", str(tmp_path / "nope")], None) == 1
    assert "is not a directory: DER_NOTDIR" in capfd.readouterr().err
    assert _main.run(["bench", "-t", "0"], None) == 1


def test_what_fails_in_a_thread_is_told_and_the_rest_ends(tmp_path: Path) -> None:
    def fail(number: int) -> None:
        if number == 3:
            raise ValueError("the fourth")

    work = _bench.Work("fails", "buffered", lambda _: fail, threads=3)
    with pytest.raises(ValueError, match="the fourth"):
        _bench._measured(work, fail, 0.05)
