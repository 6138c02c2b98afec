"""Containers, awaitable."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Literal, TypeVar, cast, overload

from daos.aio.acl import ContainerAcl
from daos.aio.attributes import Attributes
from daos.aio.batch import Batch
from daos.aio.kv import KV
from daos.aio.object import Object
from daos.aio.object_table import ObjectTable
from daos.client._attempts import check_deadline
from daos.client.kv import PAGE_KEYS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from daos import client
    from daos.aio._queue import Home
    from daos.aio.array import Array
    from daos.aio.pool import Pool
    from daos.aio.transaction import Transaction
    from daos.client._dtypes import DtypeLike
    from daos.client._service import ContainerInfo
    from daos.client.container import Create, KeysAre

__all__ = ["Container"]

T = TypeVar("T")


class Container:
    """An open container: `daos.Container`, to be awaited. Made by `Pool.container`."""

    __slots__ = ("_home", "_pool", "_sync")

    def __init__(self, sync: client.Container, pool: Pool, home: Home) -> None:
        self._sync = sync
        self._pool = pool
        self._home = home

    def __reduce__(self) -> tuple[object, ...]:
        return Container, (self._sync, self._pool, self._home)

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

    @property
    def acl(self) -> ContainerAcl:
        """Who may do what with it."""
        return ContainerAcl(self._sync.acl, self._home)

    async def info(self) -> ContainerInfo:
        """Return what the service of its pool tells of it; as `daos.Container.info`."""
        return await self._home.call(self._sync.info)

    async def set_owner(self, user: str | None = None, group: str | None = None) -> None:
        """Give it to another user or group; arguments and errors are those of `daos.Container.set_owner`."""
        await self._home.call(lambda: self._sync.set_owner(user, group))

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

    async def array(
        self,
        name: str,
        dtype: DtypeLike | None = None,
        *,
        create: Create = False,
        fill: object = None,
        chunk: int | None = None,
        oclass: str = "SX",
    ) -> Array:
        """Return the array of a name; arguments and errors are those of `daos.Container.array`."""
        # NumPy takes longer to load than all the rest.
        from daos.aio.array import Array

        open_it = self._sync.array
        sync = await self._home.call(lambda: open_it(name, dtype, create=create, fill=fill, chunk=chunk, oclass=oclass))
        return Array(sync, self._home)

    async def object(
        self,
        name_or_oid: str | client.ObjectId,
        *,
        create: Create = False,
        type: str | None = None,  # noqa: A002 -- DAOS's word for it
        oclass: str = "SX",
        keys: Literal["str", "bytes"] | None = None,
    ) -> Object:
        """Return an object of the native model; arguments and errors are those of `daos.Container.object`."""
        open_it = self._sync.object
        sync = await self._home.call(lambda: open_it(name_or_oid, create=create, type=type, oclass=oclass, keys=keys))
        return Object(sync, self._home)

    def local2global(self) -> bytes:
        """Return its handle for other processes; errors are those of `daos.Container.local2global`."""
        return self._sync.local2global()

    def batch(self) -> Batch:
        """Return a batch, for an `async with` block: changes that are sent one behind the other, awaited at its end."""
        return Batch(self._sync, self._home)

    def transaction(self) -> Transaction:
        """Return a transaction of this container: one attempt, to be used in an `async with` block.

        Raises:
            AccessError: `DER.NO_PERM`: this is a snapshot.
        """
        from daos.aio.transaction import Transaction

        return Transaction(self._sync.transaction(), self._pool, self._home)

    async def run(self, function: Callable[[Transaction], Awaitable[T]], *, deadline: float = 5.0) -> T:
        """Await a function with a transaction and commit that; after a conflict, again with a new one.

        Arguments and errors are those of `daos.Container.run`. If the await is cancelled, the transaction is aborted,
        unless it was committing: then the outcome is unknown.
        """
        from daos.aio.transaction import run

        check_deadline(deadline)
        return await run(self.transaction, function, deadline)

    def attempts(self, *, deadline: float = 5.0) -> AsyncIterator[Transaction]:
        """Yield a transaction, and after a conflict another one, until one commits; as `daos.Container.attempts`.

        Each commits when the loop comes round. One that is left by an exception, `break` or `return` is aborted by the
        event loop soon after.
        """
        from daos.aio.transaction import attempts

        check_deadline(deadline)
        return attempts(self.transaction, deadline)

    async def find(self, name: str) -> client.NamedObject | None:
        """Return what has a name, None if nothing has; errors are those of `daos.Container.find`."""
        return await self._home.call(lambda: self._sync.find(name))

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

    async def object_table(self, snapshot: str | int | client.Snapshot | None = None) -> ObjectTable:
        """Return the table of the objects of a snapshot, or of now; as `daos.Container.object_table`."""
        return ObjectTable(await self._home.call(lambda: self._sync.object_table(snapshot)), self._home)

    async def diff(self, since: str | int | client.Snapshot) -> AsyncIterator[client.Difference]:
        """Yield what differs here from an earlier snapshot; as `daos.Container.diff`."""
        found = await self._home.call(lambda: self._sync.diff(since))
        while page := await self._home.call(lambda: list(islice(found, PAGE_KEYS))):
            for difference in page:
                yield difference

    async def stat(self) -> client.ContainerStat:
        """Count all that it holds, every version of it; as `daos.Container.stat`."""
        return await self._home.call(self._sync.stat)

    async def check(self, *, told: Callable[[int], None] | None = None) -> client.CheckReport:
        """Read all that it holds and return what is not as it was stored; as `daos.Container.check`.

        `told` is called by a thread of the queue, not by the loop's.
        """
        return await self._home.call(lambda: self._sync.check(told=told))

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
        return repr(self._sync).replace("daos.", "daos.aio.", 1)
