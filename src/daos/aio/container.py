"""Containers, awaitable."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Literal, cast, overload

from daos.aio.attributes import Attributes
from daos.aio.kv import KV
from daos.client.kv import PAGE_KEYS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from daos import client
    from daos.aio._queue import Home
    from daos.aio.pool import Pool
    from daos.client.container import Create, KeysAre

__all__ = ["Container"]


class Container:
    """An open container: `daos.Container`, to be awaited. Made by `Pool.container`."""

    __slots__ = ("_home", "_pool", "_sync")

    def __init__(self, sync: client.Container, pool: Pool, home: Home) -> None:
        self._sync = sync
        self._pool = pool
        self._home = home

    @property
    def label(self) -> str:
        """Its label, unique in the pool."""
        return self._sync.label

    @property
    def uuid(self) -> str:
        """Its UUID, in lower case."""
        return self._sync.uuid

    @property
    def pool(self) -> Pool:
        """The pool that holds it."""
        return self._pool

    @property
    def properties(self) -> dict[str, str | int]:
        """A copy of its properties, with the defaults of those that were not given."""
        return self._sync.properties

    @property
    def layout(self) -> str:
        """Who owns the objects in it."""
        return self._sync.layout

    @property
    def attributes(self) -> Attributes:
        """Names and values that users keep with it."""
        return Attributes(self._sync.attributes, self._home)

    @property
    def as_of(self) -> client.Snapshot | None:
        """The snapshot it is read at; None for now."""
        return self._sync.as_of

    async def set_properties(self, properties: Mapping[str, object]) -> None:
        """Change properties, all or none; arguments and errors are those of `daos.Container.set_properties`."""
        await self._home.call(lambda: self._sync.set_properties(properties))

    @overload
    async def kv(self, name: str, *, create: Create = ..., keys: None = ...) -> KV[str]: ...
    @overload
    async def kv(self, name: str, *, create: Create = ..., keys: Literal["str"]) -> KV[str]: ...
    @overload
    async def kv(self, name: str, *, create: Create = ..., keys: Literal["bytes"]) -> KV[bytes]: ...
    @overload
    async def kv(self, name: str, *, create: Create = ..., keys: Literal["int"]) -> KV[int]: ...
    async def kv(
        self, name: str, *, create: Create = False, keys: KeysAre | None = None
    ) -> KV[str] | KV[bytes] | KV[int]:
        """Return the key-value store of a name; arguments and errors are those of `daos.Container.kv`."""
        sync = await self._home.call(lambda: self._sync.kv(name, create=create, keys=keys))
        # One of three types, which a type variable does not take at once.
        return KV(cast("client.KV[str]", sync), self._home)

    async def names(self) -> AsyncIterator[client.NamedObject]:
        """Yield what has a name, in the order of the names' bytes, a page at a time."""
        names = self._sync.names()
        while page := await self._home.call(lambda: list(islice(names, PAGE_KEYS))):
            for named in page:
                yield named

    async def destroy(self, name: str) -> None:
        """Remove a name and all its object holds; errors are those of `daos.Container.destroy`."""
        await self._home.call(lambda: self._sync.destroy(name))

    async def snapshot(self, name: str | None = None) -> client.Snapshot:
        """Take a snapshot: all whose await has returned is in it; errors are those of `daos.Container.snapshot`."""
        return await self._home.call(lambda: self._sync.snapshot(name))

    async def snapshots(self) -> list[client.Snapshot]:
        """Return the snapshots, oldest first."""
        return await self._home.call(self._sync.snapshots)

    async def at(self, snapshot: str | int | client.Snapshot) -> Container:
        """Return the container as of a snapshot, to be read; errors are those of `daos.Container.at`."""
        return Container(await self._home.call(lambda: self._sync.at(snapshot)), self._pool, self._home)

    async def objects(self) -> AsyncIterator[client.ObjectId]:
        """Yield the id of every object that is there; as `daos.Container.objects`."""
        objects = self._sync.objects()
        while page := await self._home.call(lambda: list(islice(objects, PAGE_KEYS))):
            for oid in page:
                yield oid

    async def diff(self, since: str | int | client.Snapshot) -> AsyncIterator[client.Difference]:
        """Yield what differs here from an earlier snapshot; as `daos.Container.diff`."""
        found = await self._home.call(lambda: self._sync.diff(since))
        while page := await self._home.call(lambda: list(islice(found, PAGE_KEYS))):
            for difference in page:
                yield difference

    async def check(self) -> client.CheckReport:
        """Read all that it holds and return what is not as it was stored; as `daos.Container.check`."""
        return await self._home.call(self._sync.check)

    async def rollback(self, snapshot: str | int | client.Snapshot) -> None:
        """Go back to a snapshot, as a new version; as `daos.Container.rollback`."""
        await self._home.call(lambda: self._sync.rollback(snapshot))

    async def destroy_snapshot(self, snapshot: str | int | client.Snapshot) -> None:
        """Destroy a snapshot; errors are those of `daos.Container.destroy_snapshot`."""
        await self._home.call(lambda: self._sync.destroy_snapshot(snapshot))

    async def aggregate(self) -> int:
        """Remove the versions that nobody can see any more; as `daos.Container.aggregate`."""
        return await self._home.call(self._sync.aggregate)

    async def destroy_snapshots(self, first: int, last: int) -> int:
        """Destroy all snapshots from one epoch to another; errors are those of `daos.Container.destroy_snapshots`."""
        return await self._home.call(lambda: self._sync.destroy_snapshots(first, last))

    def __repr__(self) -> str:
        return repr(self._sync).replace("daos.Container", "daos.aio.Container")
