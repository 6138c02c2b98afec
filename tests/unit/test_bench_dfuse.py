from __future__ import annotations

from pathlib import Path

from benches.dfuse.run import table
from benches.dfuse.work import Work


def test_all_that_is_measured_runs_and_leaves_nothing(tmp_path: Path) -> None:
    rates = Work(tmp_path, 1, 5, 7).run()
    assert [rate.row for rate in rates] == [
        "write 1MiB",
        "read 1MiB",
        "random read 4KiB",
        "random write 4KiB",
        "create",
        "write 4KiB files",
        "stat",
        "list and stat",
        "read 4KiB files",
        "unlink",
    ]
    assert all(rate.operations > 0 and rate.seconds > 0 for rate in rates)
    assert list(tmp_path.iterdir()) == []


def test_rates_are_compared_with_those_that_were_measured() -> None:
    lines = table({"stat": {"dfuse": 300.0, "native": 600.0}}).splitlines()
    assert lines[1].split() == ["stat", "300", "600", "0.50", "-", "-"]
