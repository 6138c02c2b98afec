"""Objects as they are stored, awaitable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from daos import _core
from daos.client._owned import owned_iods
from daos.client.kv import PAGE_KEYS
from daos.client.object import extreme

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from types import EllipsisType

    from daos import client
    from daos.aio._queue import Home
    from daos.client._dtypes import Cells
    from daos.client._keys import AnyCodec
    from daos.client._names import ObjectId
    from daos.client._values import Extreme, Range
    from daos.client.object import If, Key, Written

__all__ = ["Object"]


class Object:
    """An object with its dkeys and akeys, in a container: `daos.Object`, to be awaited.

    When an await returns, the change is as durable as the system was opened for. Operations under way at once happen in
    any order, and share their sync. A value that is `bytes` is held until the operation ends; any other buffer is
    copied when the call begins.

    Made by `Container.object`. All methods raise what those of `daos.Object` raise.
    """

    __slots__ = ("_core", "_home", "_sync")

    def __init__(self, sync: client.Object, home: Home) -> None:
        self._sync = sync
        self._core = _core.AsyncObject(cast("_core.Object", sync._core))  # noqa: SLF001 -- one class in two
        self._home = home

    def __reduce__(self) -> tuple[object, ...]:
        return Object, (self._sync, self._home)

    @property
    def name(self) -> str | None:
        """Its name in the container; None if it was opened by its id."""
        return self._sync.name

    @property
    def oid(self) -> ObjectId:
        """Its id."""
        return self._sync.oid

    @property
    def type(self) -> str:
        """Which of its keys are integers or in the order of their bytes, as `Container.object` takes it."""
        return self._sync.type

    @property
    def layout(self) -> list[int]:
        """The target of each of its shards, in their order; a dkey lies in one shard with all its akeys."""
        return self._sync.layout

    # --- values

    async def update(
        self,
        dkey: Key,
        values: Mapping[Key, Written] | None = None,
        /,
        *,
        if_dkey: If | None = None,
        if_akeys: If | None = None,
        **named: Written,
    ) -> None:
        """Give akeys of a dkey new values, all or none; arguments and errors are those of `daos.Object.update`."""
        stored, iods, flags = self._sync._changes(dkey, values, named, if_dkey, if_akeys)  # noqa: SLF001 -- one class in two
        await self._home.run(self._core.update, stored, owned_iods(iods), flags)

    async def fetch(self, dkey: Key, /, *akeys: Key | Mapping[Key, Range], **ranges: Range) -> dict[Key, bytes | Cells]:
        """Return values of akeys of a dkey, all as of one moment, by akey as it was given; as `daos.Object.fetch`."""
        stored, reading = self._sync._reading(dkey, akeys, ranges)  # noqa: SLF001 -- one class in two
        try:
            asked = next(reading)
            while True:
                # Made for this call; nobody else sees the memory before the answer is there.
                answers = await self._home.run(self._core.fetch, stored, asked)
                asked = reading.send(cast("Sequence[bytes | int | None]", answers))
        except StopIteration as done:
            return cast("dict[Key, bytes | Cells]", done.value)

    async def punch(
        self, dkey: Key | None = None, akeys: Iterable[Key] | None = None, *, if_present: bool = False
    ) -> None:
        """Remove akeys of a dkey, a dkey, or without arguments everything; as `daos.Object.punch`."""
        removed = self._sync._removed(dkey, akeys, if_present=if_present)  # noqa: SLF001 -- one class in two
        if removed is not None:
            await self._home.run(self._core.punch, *removed)

    # --- keys

    async def dkeys(self, *, reverse: bool = False) -> AsyncIterator[Key]:
        """Yield its dkeys, a page at a time, in the order of `daos.Object.dkeys`."""
        async for key in self._keys(None, self._sync._dkeys, reverse=reverse):  # noqa: SLF001 -- one class in two
            yield key

    async def akeys(self, dkey: Key, *, reverse: bool = False) -> AsyncIterator[Key]:
        """Yield the akeys of a dkey, a page at a time, in the order of `daos.Object.akeys`."""
        sync = self._sync
        async for key in self._keys(sync._dkey(dkey), sync._akeys, reverse=reverse):  # noqa: SLF001 -- one class in two
            yield key

    async def exists(self, dkey: Key | None = None) -> bool:
        """Tell whether a dkey holds something, or without one the object."""
        stored = None if dkey is None else self._sync._dkey(dkey)  # noqa: SLF001 -- one class in two
        anchor: bytes | None = None
        while True:
            page, anchor = await self._page(stored, anchor, 1, reverse=False)
            if page or anchor is None:
                return bool(page)

    async def query(
        self,
        which: Literal["max", "min"] = "max",
        *,
        dkey: Key | EllipsisType = ...,
        akey: Key | EllipsisType | None = None,
        records: bool = False,
    ) -> Extreme | None:
        """Return the greatest or the least key or record, None if there is none; as `daos.Object.query`."""
        asked = self._sync._asked(which, dkey, akey, records=records)  # noqa: SLF001 -- one class in two
        found = await self._home.run(self._core.query, *asked)
        if found is None:
            return None
        return extreme(which, *cast("tuple[int | None, int | None, tuple[int, int] | None, int]", found))

    def __repr__(self) -> str:
        return repr(self._sync).replace("daos.Object", "daos.aio.Object")

    # --- helpers

    async def _page(
        self, dkey: bytes | None, anchor: bytes | None, count: int, *, reverse: bool
    ) -> tuple[list[bytes], bytes | None]:
        listed = await self._home.run(self._core.list_keys, dkey, anchor, count, reverse)
        return cast("tuple[list[bytes], bytes | None]", listed)

    async def _keys(self, dkey: bytes | None, codec: AnyCodec, *, reverse: bool) -> AsyncIterator[Key]:
        anchor: bytes | None = None
        while True:
            page, anchor = await self._page(dkey, anchor, PAGE_KEYS, reverse=reverse)
            for key in page:
                yield codec.decode(key)
            if anchor is None:
                return
