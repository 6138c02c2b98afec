"""Arrays, awaitable."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from daos import _core
from daos.client import _dtypes
from daos.client.array import block_cells, check_count, check_slice, one_write, punched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from daos import client
    from daos.aio._queue import Home
    from daos.client._dtypes import Cells, Dtype, Scalar
    from daos.client._names import ObjectId
    from daos.client._seam import Value
    from daos.client.array import Bound

__all__ = ["Array"]


class Array:
    """Cells of one dtype, in one dimension, of any length, in a container: `daos.Array`, to be awaited.

    When an await returns, the change is as durable as the system was opened for. Writes under way at once happen in any
    order, and share their sync. Data is copied when a write begins. Memory that is read into belongs to the operation
    until that ends, also if its await was cancelled.

    Made by `Container.array`. All methods raise what those of `daos.Array` raise.
    """

    __slots__ = ("_core", "_home", "_sync")

    def __init__(self, sync: client.Array, home: Home) -> None:
        self._sync = sync
        self._core = _core.AsyncArray(cast("_core.Array", sync._core))  # noqa: SLF001 -- one class in two
        self._home = home

    def __reduce__(self) -> tuple[object, ...]:
        return Array, (self._sync, self._home)

    @property
    def name(self) -> str:
        """Its name in the container."""
        return self._sync.name

    @property
    def oid(self) -> ObjectId:
        """The object that holds it."""
        return self._sync.oid

    @property
    def dtype(self) -> Dtype:
        """What its cells are."""
        return self._sync.dtype

    @property
    def fill(self) -> Scalar:
        """What a cell reads as that nothing was written to."""
        return self._sync.fill

    @property
    def chunk(self) -> int:
        """How many cells lie together: a chunk is on one target."""
        return self._sync.chunk

    async def size(self) -> int:
        """Return how many cells it has: up to the last one that was written and not punched."""
        return cast("int", await self._home.run(self._core.size))

    # --- reading

    async def read(self, start: Bound = None, stop: Bound = None, step: Bound = None) -> Cells:
        """Return the cells of a slice, `array[start:stop:step]`, in fresh memory.

        Raises:
            InvalidError: `DER.INVAL`: no integers, or a step below 1.
            NoSpaceError: `DER.NOMEM`: no memory for so many.
        """
        wanted = slice(start, stop, step)
        check_slice(wanted)
        cells = range(*wanted.indices(await self.size()))
        return await self._read(cells.start, len(cells), cells.step)

    async def read_into(self, buffer: Value, start: int = 0) -> None:
        """Read cells straight into a buffer until it is full; behind the end it gets the fill value.

        Leave the buffer alone until the await returns. If that is cancelled, the operation may still write into it: the
        memory stays, but do not use it again. `read` has no such care to take.

        Args:
            buffer: One piece that can be written: of the array's dtype, or of bytes for whole cells.
            start: The first cell.

        Raises:
            InvalidError: `DER.INVAL`, `DER.IO_INVAL` or `DER.OVERFLOW`: no such buffer or start.
        """
        room = _dtypes.writable(buffer, self.dtype)
        first = check_count(start, "start")
        if room.nbytes:
            await self._home.run(self._core.read_into, first, 1, room, self._fill)

    async def blocks(self, cells: int | None = None) -> AsyncIterator[Cells]:
        """Yield all cells, so many at a time; 4 MiB without a number. Cells added meanwhile may be missing."""
        count = block_cells(cells, self.dtype)
        size = await self.size()
        for start in range(0, size, count):
            yield await self._read(start, min(count, size - start), 1)

    # --- writing

    async def write(self, start: int, data: object, *, step: int = 1) -> None:
        """Write data, the first of it to the cell `start`; the array grows as it must.

        Args:
            start: The first cell.
            data: A scalar or one dimension: an array, a buffer, a list. `bytes` are numbers of one byte each. It is
                copied when the call begins.
            step: Write every so many-th cell.

        Raises:
            InvalidError: `DER.INVAL` or `DER.OVERFLOW`: data that does not become the dtype as NumPy's `same_kind` has
                it; a bad start or step.
        """
        first, cells, step = one_write(start, data, self.dtype, step)
        if cells.size:
            await self._home.run(self._core.write, first, step, cells.tobytes())

    async def append(self, data: object) -> int:
        """Write data behind the end; return its first cell.

        Not atomic: two that append at the same time may write to the same cells. Let one of them do it, or give each
        its own range.

        Raises:
            InvalidError: as `write`.
        """
        # Checked and copied before anything else can run.
        _, cells, _ = one_write(0, data, self.dtype, 1)
        kept = cells.tobytes()
        size = await self.size()
        if kept:
            await self._home.run(self._core.write, size, 1, kept)
        return size

    async def resize(self, size: int) -> None:
        """Make it exactly so long: what is behind goes; a last cell that was a hole becomes the fill value.

        Not atomic against others that write at the same time.

        Raises:
            InvalidError: `DER.INVAL` or `DER.OVERFLOW`: no such size.
        """
        await self._home.run(self._core.set_size, check_count(size, "size"), self._fill)

    async def punch(self, start: int, stop: int | None = None) -> None:
        """Make the cells from `start` up to `stop` holes, without it all that follow; at the end, the array shrinks.

        Raises:
            InvalidError: `DER.INVAL` or `DER.OVERFLOW`: no such range.
        """
        await self._home.run(self._core.punch, *punched(start, stop))

    def __repr__(self) -> str:
        return repr(self._sync).replace("daos.Array", "daos.aio.Array")

    @property
    def _fill(self) -> bytes:
        return self._sync._fill  # noqa: SLF001 -- one class in two

    async def _read(self, start: int, count: int, step: int) -> Cells:
        """Return cells in fresh memory, which nobody else sees before they are there."""
        cells = _dtypes.fresh(count, self.dtype)
        if count:
            await self._home.run(self._core.read_into, start, step, _dtypes.bytes_of(cells), self._fill)
        return cells
