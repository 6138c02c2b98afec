"""Arrays: cells of one dtype, of any length."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, SupportsIndex, TypeAlias, overload

import numpy as np

from daos.client import _dtypes
from daos.errors import DER, InvalidError, OutOfRangeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import EllipsisType

    from daos.client._dtypes import Cells, Dtype, Scalar
    from daos.client._names import ObjectId
    from daos.client._seam import ArrayCore, Value
    from daos.client.container import Container

    Bound: TypeAlias = SupportsIndex | None
    Slice: TypeAlias = slice[Bound, Bound, Bound]
    Write: TypeAlias = tuple[int, Cells, int]
    """First cell, cells of one dimension, step."""

__all__ = ["Array"]

CELLS_MAX = (1 << 63) - 1
"""Cells of an array."""
BLOCK_BYTES = 4 << 20
"""What is read at a time by iterations, and written at a time of one repeated value."""


class Array:
    """Cells of one dtype, in one dimension, of any length, in a container.

    Made by `Container.array`; threads may share it.

    Slices read and write as NumPy's do, with these differences: what is written may lie behind the end, and the array
    grows; what was never written, or was punched, reads as the fill value; a step is at least 1. Reads copy into fresh
    memory: what was read does not change any more.

    Each cell is written as a whole or not at all. A write of many cells is as durable when it returns as the system was
    opened for, but not atomic: others may see a part of it, and after an error a part may be written. Data that is one
    piece of the array's dtype is neither copied nor converted: leave it alone while a call that writes it, or reads
    into it, runs in another thread.

    All methods raise `ClosedError` (`DER.NO_HDL`) when the system is closed, `ForkedError` in a forked child if it is
    embedded, and `CorruptionError` (`DER.CSUM`) rather than return wrong bytes; those that change something raise
    `NoSpaceError` (`DER.NOSPACE`) when it is full and `UncertainError` (`DER.TX_UNCERTAIN`) when a sync failed. Cells
    from 2**63 - 1 on do not exist: `InvalidError` (`DER.OVERFLOW`).
    """

    __slots__ = ("_container", "_core", "_dtype", "_fill", "_name", "_oid")

    def __init__(
        self, core: ArrayCore, dtype: Dtype, fill: bytes, *, name: str, container: Container, oid: ObjectId
    ) -> None:
        self._core = core
        self._dtype = dtype
        self._fill = fill
        self._name = name
        # Held, so that a system that only this array still uses is not closed by collection.
        self._container = container
        self._oid = oid

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickled, (self._container, self._dtype, self._fill, self._name, self._oid)

    @property
    def name(self) -> str:
        """Its name in the container."""
        return self._name

    @property
    def oid(self) -> ObjectId:
        """The object that holds it."""
        return self._oid

    @property
    def dtype(self) -> Dtype:
        """What its cells are."""
        return self._dtype

    @property
    def fill(self) -> Scalar:
        """What a cell reads as that nothing was written to."""
        return np.frombuffer(self._fill, self._dtype)[0]  # type: ignore[no-any-return]

    @property
    def chunk(self) -> int:
        """How many cells lie together: a chunk is on one target."""
        return self._core.chunk_size

    @property
    def size(self) -> int:
        """How many cells it has: up to the last one that was written and not punched. Asks the store."""
        return self._core.size()

    def __len__(self) -> int:
        return self._core.size()

    # --- reading

    @overload
    def __getitem__(self, index: SupportsIndex) -> Scalar: ...
    @overload
    def __getitem__(self, index: Slice | EllipsisType) -> Cells: ...
    def __getitem__(self, index: SupportsIndex | Slice | EllipsisType) -> Scalar | Cells:
        if isinstance(index, slice) or index is ...:
            return self.read(*_bounds(slice(None) if index is ... else index))
        at, size = _integer(index), self.size
        if not -size <= at < size:
            text = f"no cell {at} in {self._name!r} of {size} cells"
            raise OutOfRangeError(text, hint="a slice gives what is there", context={"index": at, "size": size})
        return self._read(at % size, 1, 1)[0]  # type: ignore[no-any-return]

    def read(self, start: Bound = None, stop: Bound = None, step: Bound = None) -> Cells:
        """Return the cells of a slice, `array[start:stop:step]`, in fresh memory.

        Raises:
            InvalidError: `DER.INVAL`: no integers, or a step below 1.
            NoSpaceError: `DER.NOMEM`: no memory for so many.
        """
        wanted = slice(start, stop, step)
        check_slice(wanted)
        cells = range(*wanted.indices(self.size))
        return self._read(cells.start, len(cells), cells.step)

    def read_into(self, buffer: Value, start: int = 0) -> None:
        """Read cells straight into a buffer until it is full; behind the end it gets the fill value.

        Args:
            buffer: One piece that can be written: of the array's dtype, or of bytes for whole cells.
            start: The first cell.

        Raises:
            InvalidError: `DER.INVAL`, `DER.IO_INVAL` or `DER.OVERFLOW`: no such buffer or start.
        """
        room = _dtypes.writable(buffer, self._dtype)
        first = check_count(start, "start")
        if room.nbytes:
            self._core.read_into(first, 1, room, self._fill)

    def blocks(self, cells: int | None = None) -> Iterator[Cells]:
        """Yield all cells, so many at a time; 4 MiB without a number. Cells added meanwhile may be missing."""
        count = block_cells(cells, self._dtype)
        size = self.size
        for start in range(0, size, count):
            yield self._read(start, min(count, size - start), 1)

    def __iter__(self) -> Iterator[Scalar]:
        for block in self.blocks():
            yield from block

    def __array__(self, dtype: Dtype | None = None, copy: bool | None = None) -> Cells:  # noqa: FBT001 -- NumPy's protocol
        if copy is False:
            raise ValueError("what is in a store cannot be had without a copy")
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    # --- writing

    def __setitem__(self, index: SupportsIndex | Slice | EllipsisType, value: object) -> None:
        for start, cells, step in writes(index, value, self._dtype, self._core.size, self._name):
            self._write(start, cells, step)

    def write(self, start: int, data: object, *, step: int = 1) -> None:
        """Write data, the first of it to the cell `start`; the array grows as it must.

        Args:
            start: The first cell.
            data: A scalar or one dimension: an array, a buffer, a list. `bytes` are numbers of one byte each.
            step: Write every so many-th cell.

        Raises:
            InvalidError: `DER.INVAL` or `DER.OVERFLOW`: data that does not become the dtype as NumPy's `same_kind` has
                it; a bad start or step.
        """
        self._write(*one_write(start, data, self._dtype, step))

    def append(self, data: object) -> int:
        """Write data behind the end; return its first cell.

        Not atomic: two that append at the same time may write to the same cells. Let one of them do it, or give each
        its own range.

        Raises:
            InvalidError: as `write`.
        """
        cells = _dtypes.as_cells(data, self._dtype).reshape(-1)
        size = self.size
        self._write(size, cells, 1)
        return size

    def resize(self, size: int) -> None:
        """Make it exactly so long: what is behind goes; a last cell that was a hole becomes the fill value.

        Not atomic against others that write at the same time.

        Raises:
            InvalidError: `DER.INVAL` or `DER.OVERFLOW`: no such size.
        """
        self._core.set_size(check_count(size, "size"), self._fill)

    def punch(self, start: int, stop: int | None = None) -> None:
        """Make the cells from `start` up to `stop` holes, without it all that follow; at the end, the array shrinks.

        Raises:
            InvalidError: `DER.INVAL` or `DER.OVERFLOW`: no such range.
        """
        self._core.punch(*punched(start, stop))

    def __repr__(self) -> str:
        return f"<daos.Array {self._name!r} in {self._container.label}, {self._dtype}>"

    # --- helpers

    def _read(self, start: int, count: int, step: int) -> Cells:
        """Return cells in fresh memory."""
        cells = _dtypes.fresh(count, self._dtype)
        if count:
            self._core.read_into(start, step, _dtypes.bytes_of(cells), self._fill)
        return cells

    def _write(self, start: int, cells: Cells, step: int) -> None:
        """Write cells of one dimension, which were checked."""
        if cells.size:
            self._core.write(start, step, _dtypes.bytes_of(cells))


# --- what a call comes to, for all that write and read arrays: the synchronous face, the awaited one, batches


def writes(index: object, value: object, dtype: Dtype, size: Callable[[], int], name: str) -> Iterator[Write]:
    """Yield the writes that `array[index] = value` comes to: first cell, cells of one dimension, step.

    Args:
        index: An integer, a slice or `...`.
        value: As many cells as the index has, or one.
        dtype: Of the array.
        size: Asks for the array's size; called only where the index needs it.
        name: Of the array.

    Raises:
        InvalidError: `DER.INVAL` or `DER.OVERFLOW`: a bad index, or data that does not fit; before the first write.
        OutOfRangeError: `DER.INVAL`: an integer before the first cell.
    """
    cells = _dtypes.as_cells(value, dtype)
    if not (isinstance(index, slice) or index is ...):
        if cells.size != 1:
            raise InvalidError(f"{cells.size} cells of data do not go into one", hint="write them to a slice")
        at = _integer(index)
        if at < 0:
            at += (length := size())
            if at < 0:
                raise OutOfRangeError(
                    f"no cell {at - length} in {name!r} of {length} cells", context={"index": at - length}
                )
        yield _checked(at, cells.reshape(1), 1)
        return
    start, count, step = _written(slice(None) if index is ... else index, cells, size)
    if cells.size == count and cells.ndim:
        yield _checked(start, cells, step)
        return
    if cells.size != 1:
        raise InvalidError(f"{cells.size} cells of data do not go into {count}", hint="give as many, or one")
    check_end(start, count, step)
    # One cell many times, a block at a time.
    block = np.full(min(count, block_cells(None, dtype)), cells, dtype)
    for done in range(0, count, max(1, block.size)):
        yield start + done * step, block[: count - done], step


def one_write(start: int, data: object, dtype: Dtype, step: int) -> Write:
    """Return the write of `Array.write`.

    Raises:
        InvalidError: As that.
    """
    first = check_count(start, "start")
    if check_count(step, "step") == 0:
        raise InvalidError("a step of 0", hint="at least 1")
    return _checked(first, _dtypes.as_cells(data, dtype).reshape(-1), step)


def punched(start: int, stop: int | None) -> tuple[int, int]:
    """Return first cell and number of what `Array.punch` makes holes.

    Raises:
        InvalidError: As that.
    """
    first = check_count(start, "start")
    end = CELLS_MAX if stop is None else check_count(stop, "stop")
    if first > end:
        raise InvalidError(f"the range {first} to {end} goes backwards", hint="start is not behind stop")
    return first, end - first


def block_cells(cells: int | None, dtype: Dtype) -> int:
    """Return how many cells are taken at a time: 4 MiB of them without a number.

    Raises:
        InvalidError: `DER.INVAL` or `DER.OVERFLOW`: no number of cells.
    """
    count = max(1, BLOCK_BYTES // dtype.itemsize) if cells is None else check_count(cells, "cells")
    if not count:
        raise InvalidError("blocks of no cells", hint="at least 1")
    return count


def check_slice(index: Slice) -> None:
    """Refuse a slice that is not of integers, or goes backwards.

    Raises:
        InvalidError: `DER.INVAL`.
    """
    _step(index)
    for bound in (index.start, index.stop):
        if bound is not None:
            _integer(bound)


def check_end(start: int, count: int, step: int) -> None:
    """Refuse cells that do not exist.

    Raises:
        InvalidError: `DER.OVERFLOW`.
    """
    last = start + (count - 1) * step
    if last >= CELLS_MAX:
        raise InvalidError(
            f"there is no cell {last}", code=DER.OVERFLOW, hint=f"an array has at most {CELLS_MAX} cells"
        )


def check_chunk(chunk: object) -> None:
    """Refuse what is no size of chunks.

    Raises:
        InvalidError: `DER.INVAL` or `DER.OVERFLOW`.
    """
    if chunk is not None and not check_count(chunk, "chunk"):
        raise InvalidError("chunks of no cells", hint="at least 1; without it, 1 MiB of cells")


def _no_index(index: object) -> InvalidError:
    """Return the error of what is no index."""
    hint = "an integer, or a slice; several cells by their numbers take several calls"
    return InvalidError(f"{index!r} is no index of an array", hint=hint)


def _integer(index: object) -> int:
    """Return an index that is an integer."""
    if isinstance(index, (bool, np.bool_)):
        raise _no_index(index)
    try:
        return operator.index(index)  # type: ignore[arg-type]
    except TypeError:
        raise _no_index(index) from None


def check_count(given: object, what: str) -> int:
    """Return an integer that is not negative.

    Raises:
        InvalidError: `DER.INVAL` or `DER.OVERFLOW`.
    """
    try:
        number = operator.index(given)  # type: ignore[arg-type]
    except TypeError:
        raise InvalidError(f"{what} is an integer, not {type(given).__name__}") from None
    if number < 0:
        raise InvalidError(f"{what} cannot be {number}", hint="at least 0")
    if number > CELLS_MAX:
        raise InvalidError(f"{what} cannot be {number}", code=DER.OVERFLOW, hint=f"at most {CELLS_MAX}")
    return number


def _checked(start: int, cells: Cells, step: int) -> Write:
    """Return a write of cells that exist."""
    if cells.size:
        check_end(start, cells.size, step)
    return start, cells, step


def _bounds(index: Slice) -> tuple[Bound, Bound, Bound]:
    return index.start, index.stop, index.step


def _written(index: Slice, cells: Cells, size: Callable[[], int]) -> tuple[int, int, int]:
    """Return first cell, number and step of a slice that is written; without an end, as far as the data goes."""
    step = _step(index)
    start = 0 if index.start is None else _integer(index.start)
    stop = None if index.stop is None else _integer(index.stop)
    backwards = start < 0 or (stop is not None and stop < 0)
    length = size() if backwards or (stop is None and not cells.ndim) else 0
    start = max(0, start + length) if start < 0 else start
    if stop is None:
        if cells.ndim:
            return start, cells.size, step
        stop = length
    end = stop + length if stop < 0 else stop
    return start, max(0, -((start - end) // step)), step


def _step(index: Slice) -> int:
    """Return the step of a slice."""
    step = 1 if index.step is None else _integer(index.step)
    if not 1 <= step <= CELLS_MAX:
        raise InvalidError(f"a step of {step}", hint="at least 1; turn what was read round: array[a:b][::-1]")
    return step


def _unpickled(container: Container, dtype: Dtype, fill: bytes, name: str, oid: ObjectId) -> Array:
    core = container._core.array_open(oid.hi, oid.lo)  # noqa: SLF001 -- one class in two
    return Array(core, dtype, fill, name=name, container=container, oid=oid)
