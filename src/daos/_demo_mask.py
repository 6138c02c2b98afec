"""The Earth's land mask as an array, a byte a cell, and what is changed in it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from daos.errors import CorruptionError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from daos.client.array import Array

__all__ = ["ARRAY", "PIECE_CELLS", "Mask", "Patch", "patch"]

ARRAY = "mask"
MASK_FILE = "globe_combined_mask_compressed.npz"
FIRST_ROW = 3600
"""60 degrees north, in rows of 1/120 degree from the pole."""
PIECE_CELLS = 3_000_017
"""Cells of a write or a read: no multiple of a chunk, nor of a page."""
FLIPS = 64
FLIP_CELLS_MAX = 200_000
PATCH_CELLS = 50_001
PATCH_STRIDE = 777_777
MERIDIAN = 2
"""What the cells of a meridian become; the mask has 0 and 1."""


class Patch(msgspec.Struct, frozen=True):
    """A write of one value to a range of cells.

    Attributes:
        start: The first cell.
        stop: The one behind the last.
        value: What they become.
    """

    start: int
    stop: int
    value: int


def patch(number: int, size: int) -> Patch:
    """Return the patch that a batch of the second load writes to an array of so many cells."""
    count = min(PATCH_CELLS, size // 3)
    start = number * PATCH_STRIDE % (size - count)
    return Patch(start, start + count, MERIDIAN + 1 + number % 200)


@dataclass
class Mask:
    """Rows of the mask, as they should be.

    Attributes:
        cells: One byte each, row after row.
        columns: Cells of a row.
    """

    cells: npt.NDArray[np.uint8]
    columns: int

    @classmethod
    def load(cls, rows: int) -> Mask:
        """Return rows of the installed data set, without unpacking what follows them.

        Raises:
            NotFoundError: The data set is not installed.
        """
        spec = importlib.util.find_spec("global_land_mask")
        if spec is None or spec.origin is None:
            raise NotFoundError("global-land-mask is not installed", hint="pip install global-land-mask")
        with zipfile.ZipFile(Path(spec.origin).with_name(MASK_FILE)) as archive, archive.open("mask.npy") as stream:
            np.lib.format.read_magic(stream)
            (_, columns), _, _ = np.lib.format.read_array_header_1_0(stream)
            stream.seek(FIRST_ROW * columns, os.SEEK_CUR)
            # A copy, because what is read cannot be changed.
            return cls(np.frombuffer(stream.read(rows * columns), np.uint8).copy(), columns)

    def sum(self) -> str:
        """Return the SHA-256 of all cells."""
        return hashlib.sha256(self.cells.data).hexdigest()

    def pieces(self) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        """Yield start and cells of the pieces they are written in."""
        for start in range(0, self.cells.size, PIECE_CELLS):
            yield start, self.cells[start : start + PIECE_CELLS]

    def flips(self) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        """Make land of sea and sea of land in ranges of any place and length; yield start and cells of each."""
        chance = np.random.default_rng(self.cells.size)
        for _ in range(FLIPS):
            start = int(chance.integers(self.cells.size))
            cells = self.cells[start : start + int(chance.integers(1, FLIP_CELLS_MAX))]
            cells ^= 1
            yield start, cells

    def meridian(self) -> tuple[int, npt.NDArray[np.uint8]]:
        """Mark the cells of one longitude; return the first of them and what they became: `columns` lie between two."""
        at = self.columns // 3
        self.cells[at :: self.columns] = MERIDIAN
        return at, self.cells[at :: self.columns]

    def apply(self, done: Patch) -> None:
        """Change cells as a write did."""
        self.cells[done.start : done.stop] = done.value

    def holds(self, array: Array, done: Patch) -> bool:
        """Tell whether an array has, where something was written, what is here."""
        return np.array_equal(array[done.start : done.stop], self.cells[done.start : done.stop])

    def adopt(self, array: Array, cut: Patch) -> int:
        """Take over what a write that was cut off left; return how many of its cells are new.

        Raises:
            CorruptionError: `DER.CSUM`: a cell is neither old nor new.
        """
        found = array[cut.start : cut.stop]
        old = self.cells[cut.start : cut.stop]
        torn = np.flatnonzero((found != old) & (found != cut.value))
        if torn.size:
            raise CorruptionError(f"cell {cut.start + int(torn[0])} of the mask is neither old nor new after the kill")
        new = int(np.count_nonzero(found != old))
        old[:] = found
        return new
