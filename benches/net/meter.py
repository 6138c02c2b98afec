"""What a client measures: calls for some seconds, and what they cost of both processes' CPU."""

from __future__ import annotations

import gc
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, all its threads; steps of a tick of the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_bytes(pid: int) -> int:
    """Return the memory of a process that is in RAM, mapped files too."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS:"))


@dataclass
class Sample:
    """What was measured of one point.

    Attributes:
        row: The point's.
        operations: Done.
        seconds: They took.
        cpu_seconds: Of the client.
        facts: More figures, by name with unit.
    """

    row: str
    operations: int
    seconds: float
    cpu_seconds: float
    facts: dict[str, float] = field(default_factory=dict)


class Meter:
    """The measured part: keeps the collector out, reads clocks, of the server's process too.

    Args:
        server: The process that answers; None for none.
    """

    def __init__(self, server: int | None) -> None:
        self._server = server

    def __enter__(self) -> Self:
        gc.collect()
        gc.disable()
        self._server_cpu = 0.0 if self._server is None else cpu_seconds(self._server)
        self._cpu = time.process_time()
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._started
        self.cpu_seconds = time.process_time() - self._cpu
        self.server_seconds = 0.0 if self._server is None else cpu_seconds(self._server) - self._server_cpu
        gc.enable()

    def sample(self, row: str, operations: int, **facts: float) -> Sample:
        """Return it as a sample."""
        served = {} if self._server is None else {"server_cpu_us": self.server_seconds / operations * 1e6}
        return Sample(row, operations, self.seconds, self.cpu_seconds, {**served, **facts})


def calls(row: str, act: Callable[[int], object], each: int, seconds: float, server: int | None) -> Sample:
    """Call a function again and again.

    Args:
        row: The point's.
        act: Does the call of a number, from 0.
        each: Operations of a call.
        seconds: How long; one call at least is made.
        server: As of `Meter`.
    """
    took: list[float] = []
    with Meter(server) as meter:
        before = time.perf_counter()
        end = before + seconds
        while before < end:
            act(len(took))
            after = time.perf_counter()
            took.append(after - before)
            before = after
    return meter.sample(row, len(took) * each, call_p50_us=median(took) * 1e6)
