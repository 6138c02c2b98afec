"""The frame of a measurement: what a run is told, what it tells, and its measured part."""

from __future__ import annotations

import gc
import os
import resource
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benches.peers.base import Durability

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

MARK_BEGIN = "/bench/begin"
MARK_END = "/bench/end"
"""Asked for and not there: two calls of the kernel that a trace of it shows around the measured part."""


@dataclass(frozen=True)
class Task:
    """One run.

    Attributes:
        workload: A key of `WORKLOADS`.
        system: The system it runs on.
        directory: Where its store is.
        durability: Of its puts.
        value_size: Bytes of a value.
        count: Operations; of `scan`, ignored.
        entries: Keys the store holds already: those numbered 0 to this.
        first: The number of the first key that is put.
        threads: Threads that put, each its share.
        batch: Pairs of one `put_many`.
        depth: Operations that one event loop has under way.
        seconds_max: After this, `fill` puts the rest sorted and in batches and measures no more.
    """

    workload: str
    system: str
    directory: str
    durability: Durability = Durability.BUFFERED
    value_size: int = 64
    count: int = 0
    entries: int = 0
    first: int = 0
    threads: int = 1
    batch: int = 64
    depth: int = 1
    seconds_max: float = 600.0


@dataclass
class Outcome:
    """What one run measured.

    Attributes:
        operations: Done in the measured part.
        seconds: It took, by the wall clock.
        cpu_seconds: It took of all threads, the library's own too.
        facts: More figures, by name with unit.
    """

    operations: int
    seconds: float
    cpu_seconds: float
    facts: dict[str, float] = field(default_factory=dict)


class Measured:
    """The measured part: marks it for a trace, keeps the collector out, reads the clocks."""

    def __enter__(self) -> Self:
        gc.collect()
        gc.disable()
        os.access(MARK_BEGIN, os.F_OK)
        self._usage = resource.getrusage(resource.RUSAGE_SELF)
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._started
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self.cpu_seconds = usage.ru_utime + usage.ru_stime - self._usage.ru_utime - self._usage.ru_stime
        os.access(MARK_END, os.F_OK)
        gc.enable()

    def outcome(self, operations: int, **facts: float) -> Outcome:
        """Return it as an outcome."""
        return Outcome(operations, self.seconds, self.cpu_seconds, dict(facts))
