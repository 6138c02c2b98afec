from __future__ import annotations

from pathlib import Path

from benches.dfuse.run import DFUSE, DIRECT, LIBRARY, PASSTHROUGH, SHM, table
from benches.dfuse.work import Work
from tools.bench_report import targets

ROWS = [
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


def test_all_that_is_measured_runs_and_leaves_nothing(tmp_path: Path) -> None:
    rates = Work(tmp_path, 1, 5, 7).run()
    assert [rate.row for rate in rates] == ROWS
    assert all(rate.operations > 0 and rate.seconds > 0 for rate in rates)
    assert list(tmp_path.iterdir()) == []


def test_each_row_has_its_targets() -> None:
    named = [target for target in targets() if target.row.startswith("dfuse ")]
    rows = {(target.row, target.system, *target.against) for target in named}
    mounts = {(f"dfuse {row}", system, PASSTHROUGH) for row in ROWS for system in (DFUSE, SHM)}
    # Bytes in pieces of 1 MiB cost the kernel little a piece: there is nothing to win by the library.
    library = {(f"dfuse {row}", LIBRARY, DIRECT) for row in ROWS if "1MiB" not in row}
    assert rows == mounts | library
    assert len(rows) == len(named)


def test_rates_are_compared_with_those_that_were_measured() -> None:
    of = {"dfuse": 300.0, "native": 600.0, "direct": 20.0, "library": 80.0}
    lines = [line.split() for line in table({"stat": of}).splitlines()]
    assert [line[1:] for line in lines[1::2]] == [
        ["300", "-", "-", "600", "-"],
        ["0.50", "-", "-", "-", "-", "-"],
        ["80", "20", "4.00"],
    ]
