from __future__ import annotations

from pathlib import Path

import pytest

from benches.ecosystem import run
from benches.ecosystem.work import Work
from tools.bench_report import targets

ROWS = [
    "fsspec write 1MiB",
    "fsspec read 1MiB",
    "fsspec write 4KiB files",
    "fsspec list",
    "loader 4KiB samples",
    "zarr write 1MiB",
    "zarr read 1MiB",
    "zarr write 64KiB",
    "zarr read 64KiB",
]


def test_all_that_is_measured_runs(tmp_path: Path) -> None:
    with run.embedded(tmp_path) as (side, told):
        assert told == {}
        rates = Work(side, 1, 70).run()
    assert [rate.row for rate in rates] == ROWS
    assert all(rate.operations > 0 and rate.seconds > 0 for rate in rates)


def test_each_row_has_its_targets() -> None:
    named = [target for target in targets() if target.row.startswith("ecosystem ")]
    rows = {(target.row, target.system, *target.against) for target in named}
    assert rows == {(f"ecosystem {row}", system, run.S3) for row in ROWS for system in (run.EMBEDDED, run.SERVED)}
    assert len(rows) == len(named)


def test_rates_are_compared_with_those_of_s3fs() -> None:
    lines = run.table({"fsspec list": {"daos": 600.0, "daos_served": 300.0, "s3fs": 200.0}}).splitlines()
    assert lines[1].split() == ["fsspec", "list", "600", "3.00", "300", "1.50", "200"]
    lines = run.table({"fsspec list": {"daos": 600.0, "daos_served": 300.0}}).splitlines()
    assert lines[1].split() == ["fsspec", "list", "600", "-", "300", "-", "-"]


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VERSITYGW", str(tmp_path / "none"))
    assert "go install" in run.missing()
