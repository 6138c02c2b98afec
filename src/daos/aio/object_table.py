"""Object id tables, awaitable."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from daos.client.kv import PAGE_KEYS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

    from daos import client
    from daos.aio._queue import Home

__all__ = ["ObjectTable"]

T = TypeVar("T")


class ObjectTable:
    """The objects of a container and their markers: `daos.ObjectTable`, to be awaited.

    Made by `Container.object_table`.
    """

    __slots__ = ("_home", "_sync")

    def __init__(self, sync: client.ObjectTable, home: Home) -> None:
        self._sync = sync
        self._home = home

    async def mark(self, oid: client.ObjectId, marker: bytes | None) -> None:
        """Put a marker on an object, or take it away; as `daos.ObjectTable.mark`."""
        await self._home.call(lambda: self._sync.mark(oid, marker))

    async def mark_many(
        self, markers: Mapping[client.ObjectId, bytes | None] | Iterable[tuple[client.ObjectId, bytes | None]]
    ) -> None:
        """Put a marker on each of many objects; as `daos.ObjectTable.mark_many`."""
        await self._home.call(lambda: self._sync.mark_many(markers))

    async def get(self, oid: client.ObjectId) -> bytes | None:
        """Return the marker of an object, None without one."""
        return await self._home.call(lambda: self._sync.get(oid))

    async def objects(self) -> AsyncIterator[client.ObjectId]:
        """Yield the ids of all objects; as `daos.ObjectTable.objects`."""
        async for oid in self._paged(self._sync.objects()):
            yield oid

    async def items(self) -> AsyncIterator[tuple[client.ObjectId, bytes | None]]:
        """Yield each object with its marker; as `daos.ObjectTable.items`."""
        async for pair in self._paged(self._sync.items()):
            yield pair

    async def unmarked(self) -> AsyncIterator[client.ObjectId]:
        """Yield the ids of the objects without a marker; as `daos.ObjectTable.unmarked`."""
        async for oid in self._paged(self._sync.unmarked()):
            yield oid

    async def clear(self) -> None:
        """Take all markers away, in one step."""
        await self._home.call(self._sync.clear)

    async def _paged(self, found: Iterator[T]) -> AsyncIterator[T]:
        """Yield what an iterator does, which is asked a page at a time."""
        while page := await self._home.call(lambda: list(islice(found, PAGE_KEYS))):
            for one in page:
                yield one
