"""What an operation over the network costs of both processes' CPU, beside the rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benches.net.plan import NATIVE, OURS, REDIS
from tools.bench_report import number, table

if TYPE_CHECKING:
    from tools.bench_report import Run

PEERS = (REDIS, NATIVE)
HEADS = ("CPU us an operation", "client", "server", "redis-py", "its server", "redis-benchmark", "its server")


def costs(run: Run) -> str:
    """Return a table: client and server of each system, a row a row, medians."""
    rows = []
    for row in run.samples:
        if not row.startswith("net ") or run.fact(row, OURS, "server_cpu_us") is None:
            continue
        cells = [run.fact(row, name, what) for name in (OURS, *PEERS) for what in ("cpu_us", "server_cpu_us")]
        rows.append((row, *("" if cell is None else number(cell) for cell in cells)))
    return table(HEADS, rows) if rows else "no rows of the network"
