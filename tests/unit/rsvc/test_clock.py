"""The clock of a process: growing, in ticks of epochs, above what was observed."""

from __future__ import annotations

from daos.control.outcomes import SECOND
from daos.rsvc.clock import EPOCH_NS, Clock, stamp_ns


def test_stamps_grow_whatever_the_physical_clock_does() -> None:
    times = iter([EPOCH_NS + 10**9, EPOCH_NS + 10**9, EPOCH_NS, EPOCH_NS + 2 * 10**9])
    clock = Clock(lambda: next(times))
    assert [clock.now() for _ in range(4)] == [SECOND, SECOND + 1, SECOND + 2, 2 * SECOND]


def test_what_was_observed_is_behind() -> None:
    clock = Clock(lambda: EPOCH_NS)
    clock.observe(5 * SECOND)
    assert clock.now() == 5 * SECOND + 1
    assert stamp_ns(5 * SECOND) == EPOCH_NS + 5 * 10**9
