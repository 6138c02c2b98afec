"""`daos bench`, on the native store."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from daos import _bench
from daos.cli import _main

LINE = re.compile(r"(?P<work>.{20}) (synced|buffered) +\d +\d+ +\d+\.\d +\d+\.\d +(\d.*B)?")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bench, "BLOCKS", 2)


def test_it_prints_a_line_for_each_kind_of_work_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _main.run(["bench", "--path", str(tmp_path), "-t", "0.02"], None) == 0
    captured = capfd.readouterr()
    heads, dashes, *lines = captured.out.splitlines()
    assert heads.split()[0] == "Work"
    assert set(dashes) == {"-", " "}
    found = [LINE.fullmatch(line) for line in lines]
    assert [one["work"].strip() for one in found if one] == [work.name for work in _bench.ALL]
    assert captured.err == ""
    assert list(tmp_path.iterdir()) == []


def test_json_has_the_same(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert _main.run(["bench", "--path", str(tmp_path), "-t", "0.01", "-j"], None) == 0
    response = json.loads(capfd.readouterr().out)["response"]
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
