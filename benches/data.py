"""Keys and values: the same for every system, from a fixed seed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

SEED = 20
KEY_BYTES_MIN = 16
TAIL = "abcdefgh"
"""Keys end in none to all of these: 16 to 24 bytes of text."""
VALUES = 1024
"""Different values; enough that no block of a file holds one twice, few enough to stay out of the memory figures."""


def keys(start: int, count: int) -> list[bytes]:
    """Return the keys numbered from `start`: distinct, of text, in no order."""
    return _keys_of(np.arange(start, start + count, dtype=np.uint64))


def picks(population: int, count: int) -> list[bytes]:
    """Return keys drawn at random, with repetition, from the first `population`."""
    return _keys_of(np.random.default_rng(SEED).integers(0, population, count, dtype=np.uint64))


def _keys_of(numbers: npt.NDArray[np.uint64]) -> list[bytes]:
    """Return the keys of numbers.

    Hexadecimal digits of splitmix64, which is one to one: a key can be named by its number, and neighbours by number
    are no neighbours in a sorted store.
    """
    mixed = numbers * np.uint64(0x9E3779B97F4A7C15) + np.uint64(SEED)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    digits = mixed.astype(">u8").tobytes().hex()
    lengths = cast("list[int]", (mixed % np.uint64(len(TAIL) + 1)).tolist())
    return [
        (digits[KEY_BYTES_MIN * i : KEY_BYTES_MIN * (i + 1)] + TAIL[:tail]).encode() for i, tail in enumerate(lengths)
    ]


def values(size: int) -> list[bytes]:
    """Return `VALUES` values that do not compress."""
    rng = random.Random(SEED)
    return [rng.randbytes(size) for _ in range(VALUES)]


def value_of(index: int, size: int) -> bytes:
    """Return the value of the key of a number."""
    return values(size)[index % VALUES]
