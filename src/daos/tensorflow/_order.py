"""Which samples come when, and which are read together: the same in all processes that are told the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daos.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Share", "groups", "order"]

SEED_BITS = 64
NONE = -1
"""Stands in a group where a sample could: groups are rows of an array, and some have fewer."""


class Share:
    """The samples that one of several workers has.

    Args:
        worker: Which of them, from 0 on.
        workers: How many there are.
        drop_remainder: Leave out, at the end of each epoch, what not all of them would have as many of.

    Raises:
        InvalidError: `DER.INVAL`: there is no such worker.
    """

    def __init__(self, worker: int = 0, workers: int = 1, *, drop_remainder: bool = False) -> None:
        if not 0 <= worker < workers:
            raise InvalidError(f"there is no worker {worker} of {workers}", hint="they are counted from 0 on")
        self.worker = worker
        self.workers = workers
        self.drop_remainder = drop_remainder

    def of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return this worker's of all samples, each of which one worker has."""
        if self.drop_remainder:
            numbers = numbers[: len(numbers) - len(numbers) % self.workers]
        return numbers[self.worker :: self.workers]


def order(count: int, seed: int | None, epoch: int) -> NDArray[np.int64]:
    """Return the numbers of all samples in the order of an epoch: as they are without a seed, else shuffled.

    Every epoch of a seed has an order of its own.

    Raises:
        InvalidError: `DER.INVAL`: the seed is below 0, or above 64 bits.
    """
    if seed is None:
        return np.arange(count, dtype=np.int64)
    if not 0 <= seed < 1 << SEED_BITS:
        raise InvalidError(f"a seed is a number of {SEED_BITS} bits, not {seed}")
    half = SEED_BITS // 2
    words = [part >> shift & ((1 << half) - 1) for part in (seed, epoch) for shift in (0, half)]
    # This generator's order is the same in all versions of NumPy: workers may have different ones.
    return np.random.RandomState(words).permutation(count).astype(np.int64)


def groups(numbers: NDArray[np.int64], sizes: Sequence[int], *, files_max: int, bytes_max: int) -> NDArray[np.int64]:
    """Return samples that are read together, a row each, in their order; `NONE` fills rows that are shorter.

    A sample that is larger than `bytes_max` alone has a row alone.
    """
    rows: list[list[int]] = []
    held = 0
    for number in numbers.tolist():
        size = sizes[number]
        if not rows or len(rows[-1]) == files_max or held + size > bytes_max:
            rows.append([])
            held = 0
        rows[-1].append(number)
        held += size
    made = np.full((len(rows), max(map(len, rows), default=0)), NONE, dtype=np.int64)
    for row, of_it in zip(made, rows, strict=True):
        row[: len(of_it)] = of_it
    return made
