"""User attributes of pools and containers, awaitable."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from daos import client
    from daos.aio._queue import Home

__all__ = ["Attributes"]


class Attributes:
    """Names and values that users keep with a pool or container: `daos.Attributes`, to be awaited.

    Made by `Pool.attributes` and `Container.attributes`. All methods raise what those of `daos.Attributes` raise.
    """

    __slots__ = ("_home", "_sync")

    def __init__(self, sync: client.Attributes, home: Home) -> None:
        self._sync = sync
        self._home = home

    def __reduce__(self) -> tuple[object, ...]:
        return Attributes, (self._sync, self._home)

    async def get(self, name: str) -> bytes | None:
        """Return a value, None for a name that is absent."""
        return await self._home.call(lambda: self._sync.get(name))

    async def get_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return the values of several names, in one call of the core; one that is absent is an error."""
        return await self._home.call(lambda: self._sync.get_many(names))

    async def update(self, other: Mapping[str, bytes] | Iterable[tuple[str, bytes]] = (), /) -> None:
        """Set several, all or none."""
        await self._home.call(lambda: self._sync.update(other))

    async def remove(self, names: Iterable[str]) -> None:
        """Remove several in one step; those that are absent are no error."""
        await self._home.call(lambda: self._sync.remove(names))

    async def clear(self) -> None:
        """Remove all that are there, in one step."""
        await self._home.call(self._sync.clear)

    async def keys(self) -> AsyncIterator[str]:
        """Yield the names."""
        for name in await self._home.call(lambda: list(self._sync)):
            yield name

    def __repr__(self) -> str:
        return repr(self._sync).replace("daos.Attributes", "daos.aio.Attributes")
