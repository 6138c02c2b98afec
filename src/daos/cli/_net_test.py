"""Requests to engines that carry nothing, and what they took."""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daos.errors import DaosError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PERCENTILES = (50, 75, 90, 95, 99)


@dataclass(frozen=True)
class Measured:
    """What the requests to an engine took.

    Attributes:
        rank: The engine.
        took_ns: Of each that was answered, in order of size.
        failed: How many were not answered.
        seconds: All of them together.
        error: Of the first that failed.
    """

    rank: int
    took_ns: tuple[int, ...]
    failed: int
    seconds: float
    error: DaosError | None = None

    @property
    def total(self) -> int:
        """How many there were."""
        return len(self.took_ns) + self.failed

    @property
    def per_second(self) -> float:
        """How many were answered in a second."""
        return len(self.took_ns) / self.seconds if self.seconds else 0.0

    @property
    def mean_ns(self) -> int:
        """What one took in the mean."""
        return sum(self.took_ns) // len(self.took_ns) if self.took_ns else 0

    @property
    def deviation_ns(self) -> int:
        """How far they lie around the mean."""
        if not self.took_ns:
            return 0
        mean = sum(self.took_ns) / len(self.took_ns)
        return round(math.sqrt(sum((one - mean) ** 2 for one in self.took_ns) / len(self.took_ns)))

    def percentile(self, percent: int) -> int:
        """Return what so many of a hundred did not exceed; 0 if none was answered."""
        return percentile(self.took_ns, percent)


def percentile(ordered: Sequence[int], percent: int) -> int:
    """Return the smallest of some ordered numbers that so many of a hundred do not exceed; 0 of none."""
    if not ordered:
        return 0
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def measure(rank: int, ping: Callable[[], None], count: int, in_flight: int, deadline: float) -> Measured:
    """Send requests to an engine, some at a time.

    Args:
        rank: The engine.
        ping: Sends one and returns when it is answered.
        count: How many.
        in_flight: How many at once.
        deadline: Of the monotonic clock: none begins afterwards, and those that did not begin have failed.
    """
    left, lock = [count], threading.Lock()

    def work() -> tuple[list[int], DaosError | None]:
        took: list[int] = []
        while True:
            with lock:
                if not left[0] or time.monotonic() > deadline:
                    return took, None
                left[0] -= 1
            begun = time.perf_counter_ns()
            try:
                ping()
            except DaosError as error:
                # Who does not answer now will not answer a thousand times either, each after its time-out.
                with lock:
                    left[0] = 0
                return took, error
            took.append(time.perf_counter_ns() - begun)

    begun = time.perf_counter()
    with ThreadPoolExecutor(max_workers=in_flight) as threads:
        parts = [future.result() for future in [threads.submit(work) for _ in range(min(in_flight, count))]]
    seconds = time.perf_counter() - begun
    took = sorted(one for part, _ in parts for one in part)
    error = next((error for _, error in parts if error is not None), None)
    return Measured(rank, tuple(took), count - len(took), seconds, error)
