"""The hybrid logical clock of a process, in the ticks of epochs."""

from __future__ import annotations

import time
from collections.abc import Callable

EPOCH_NS = 1_609_459_200 * 1_000_000_000
"""2021-01-01, from where ticks are counted, in nanoseconds since 1970."""
TICKS_PER_NS = 16


class Clock:
    """Gives stamps that grow with each call and are not below what was observed.

    Args:
        now_ns: The physical clock, nanoseconds since 1970.
    """

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._last = 0

    def now(self) -> int:
        """Return a stamp: ticks of 1/16 ns since 2021-01-01."""
        self._last = max(self._last + 1, (self._now_ns() - EPOCH_NS) * TICKS_PER_NS)
        return self._last

    def observe(self, stamp: int) -> None:
        """Take notice of another clock's stamp: later ones of this clock are above it."""
        self._last = max(self._last, stamp)


def stamp_ns(stamp: int) -> int:
    """Return the time of a stamp in nanoseconds since 1970."""
    return stamp // TICKS_PER_NS + EPOCH_NS
