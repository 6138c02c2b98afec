"""Access lists of containers of running systems, awaitable."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from daos import client
    from daos.aio._queue import Home

__all__ = ["ContainerAcl"]


class ContainerAcl:
    """The access list of a container: `daos.ContainerAcl`, to be awaited. Made by `Container.acl`."""

    __slots__ = ("_home", "_sync")

    def __init__(self, sync: client.ContainerAcl, home: Home) -> None:
        self._sync = sync
        self._home = home

    def __reduce__(self) -> tuple[object, ...]:
        return ContainerAcl, (self._sync, self._home)

    async def get(self) -> client.AccessList:
        """Return the list, with owner and group."""
        return await self._home.call(self._sync.get)

    async def overwrite(self, entries: Iterable[str]) -> None:
        """Replace the list; errors are those of `daos.ContainerAcl.overwrite`."""
        await self._home.call(lambda: self._sync.overwrite(entries))

    async def update(self, entries: Iterable[str]) -> None:
        """Add or replace entries; errors are those of `daos.ContainerAcl.update`."""
        await self._home.call(lambda: self._sync.update(entries))

    async def delete(self, principal: str) -> None:
        """Take an entry out; errors are those of `daos.ContainerAcl.delete`."""
        await self._home.call(lambda: self._sync.delete(principal))

    def __repr__(self) -> str:
        return repr(self._sync).replace("daos.ContainerAcl", "daos.aio.ContainerAcl")
