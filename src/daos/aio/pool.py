"""Pools, awaitable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daos.aio.attributes import Attributes
from daos.aio.container import Container

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from daos.aio._queue import Home
    from daos.aio.system import System
    from daos.client import Listed
    from daos.client import Pool as SyncPool
    from daos.client._service import PoolInfo, TargetInfo
    from daos.client.container import Create
    from daos.model.posix import Posix
    from daos.model.scrub import ScrubStatus

__all__ = ["Pool"]


class Pool:
    """An open pool: `daos.Pool`, to be awaited. Made by `daos.aio.open`, `daos.aio.connect` and `System.pool`.

    As a context manager it closes, at the end, the whole system if it came from `daos.aio.open`, or the connection if
    it came from `daos.aio.connect`.
    """

    __slots__ = ("_home", "_owns_system", "_sync", "_system")

    def __init__(self, sync: SyncPool, system: System, home: Home, *, owns_system: bool = False) -> None:
        self._sync = sync
        self._system = system
        self._home = home
        self._owns_system = owns_system

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickled, (self._sync, self._home, self._owns_system)

    @property
    def label(self) -> str:
        """Its label, unique in the system."""
        return self._sync.label

    @property
    def uuid(self) -> str:
        """Its UUID, in lower case."""
        return self._sync.uuid

    @property
    def system(self) -> System:
        """The system that holds it."""
        return self._system

    @property
    def attributes(self) -> Attributes:
        """Names and values that users keep with it."""
        return Attributes(self._sync.attributes, self._home)

    async def set_properties(self, properties: Mapping[str, object]) -> None:
        """Change properties, all or none; arguments and errors are those of `daos.Pool.set_properties`."""
        await self._home.call(lambda: self._sync.set_properties(properties))

    @property
    def properties(self) -> dict[str, str | int]:
        """Its properties as they are now: `label`, `scrub`, `scrub_freq`, `scrub_thresh`."""
        return self._sync.properties

    async def scrub_status(self) -> ScrubStatus:
        """Return how it is scrubbed and what was found wrong; as `daos.Pool.scrub_status`."""
        return await self._home.call(self._sync.scrub_status)

    async def info(self, *, space: bool = True) -> PoolInfo:
        """Return what the service of the pool tells; as `daos.Pool.info`."""
        return await self._home.call(lambda: self._sync.info(space=space))

    async def targets_of(self, rank: int, indexes: Iterable[int] = ()) -> list[TargetInfo]:
        """Return targets of a rank, with their space; as `daos.Pool.targets_of`."""
        return await self._home.call(lambda: self._sync.targets_of(rank, indexes))

    async def places(self) -> list[tuple[int, int]]:
        """Return rank and index of each target; as `daos.Pool.places`."""
        return await self._home.call(self._sync.places)

    async def evict_container(self, label: str, *, everybody: bool = False) -> int:
        """Close handles of a container; arguments and errors are those of `daos.Pool.evict_container`."""
        return await self._home.call(lambda: self._sync.evict_container(label, everybody=everybody))

    async def container(
        self,
        label: str,
        *,
        create: Create = False,
        properties: Mapping[str, object] | None = None,
        type: str | Posix | None = None,  # noqa: A002 -- DAOS's word for it
    ) -> Container:
        """Return a container; arguments and errors are those of `daos.Pool.container`."""
        open_it = self._sync.container
        sync = await self._home.call(lambda: open_it(label, create=create, properties=properties, type=type))
        return Container(sync, self, self._home)

    def local2global(self) -> bytes:
        """Return the handle of the pool for other processes; errors are those of `daos.Pool.local2global`."""
        return self._sync.local2global()

    def global2local(self, handle: bytes | bytearray | memoryview) -> Container:
        """Return a container that another process has opened; nobody is asked. As `daos.Pool.global2local`."""
        return Container(self._sync.global2local(handle), self, self._home)

    async def containers(self) -> list[Listed]:
        """Return UUID and label of each container, in the order of the labels."""
        return await self._home.call(self._sync.containers)

    async def destroy_container(self, label: str, *, force: bool = False) -> None:
        """Destroy a container and all in it; errors are those of `daos.Pool.destroy_container`."""
        await self._home.call(lambda: self._sync.destroy_container(label, force=force))

    async def close(self) -> None:
        """Close the system or connection, if this pool came from `daos.aio.open` or `daos.aio.connect`."""
        if self._owns_system:
            await self._system.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return repr(self._sync).replace("daos.Pool", "daos.aio.Pool")


def _unpickled(sync: SyncPool, home: Home, owns_system: bool) -> Pool:  # noqa: FBT001 -- a pickle has no keywords
    from daos.aio.system import System

    return Pool(sync, System(sync.system, home), home, owns_system=owns_system)
