"""The table that the demo prints: a line a step, and the meter that fills it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HEAD", "Meter", "Row", "line_of"]


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        step: What was done.
        entries: Keys that were put, read or removed; None where that means nothing.
        size: Bytes of their values.
        seconds: Spent in the store, without reading and summing the files.
        note: What else there is to say.
    """

    step: str
    entries: int | None = None
    size: int | None = None
    seconds: float | None = None
    note: str = ""

    def text(self) -> str:
        """Return the line."""
        entries = "" if self.entries is None else f"{self.entries:,}"
        size = "" if self.size is None else f"{self.size / 1e6:.1f}"
        seconds = "" if self.seconds is None else f"{self.seconds:.2f}"
        spent = max(self.seconds or 0.0, 1e-6)
        bandwidth = f"{self.size / 1e6 / spent:.1f}" if self.size and self.seconds else ""
        rate = f"{self.entries / spent:,.0f}" if self.entries and self.seconds else ""
        return line_of(self.step, entries, size, seconds, bandwidth, rate, self.note)


def line_of(step: str, *cells: str) -> str:
    """Return a line of the table: five cells of numbers, and a note."""
    *numbers, note = cells
    widths = (8, 8, 7, 8, 11)
    line = "".join(f"{cell:>{width}}" for cell, width in zip(numbers, widths, strict=True))
    return f"{step:<34}{line}  {note}".rstrip()


HEAD = line_of("step", "entries", "MB", "s", "MB/s", "entries/s", "")


@dataclass
class Meter:
    """Adds up what a step moves, and the time it spends in the store."""

    entries: int = 0
    size: int = 0
    seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time of a block."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - started

    def row(self, step: str, note: str = "") -> Row:
        """Return the line of the step."""
        return Row(step, self.entries, self.size, self.seconds, note)
