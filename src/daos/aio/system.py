"""Systems, and how one is opened in this process, or connected to, by an event loop."""

from __future__ import annotations

import asyncio
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from daos import _core
from daos.aio._queue import Home
from daos.aio.pool import Pool
from daos.client import served, sharing
from daos.client import system as sync_face

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Coroutine, Generator
    from types import TracebackType
    from typing import Self

    from daos.client import Listed
    from daos.client import Pool as SyncPool
    from daos.client import System as SyncSystem
    from daos.client.container import Create
    from daos.client.served import Mode
    from daos.client.system import Durability

__all__ = ["System", "connect", "global2local", "open", "open_system"]


class System:
    """A system that is open in this process: `daos.System`, to be awaited.

    Made by `daos.aio.open_system`; of a running system, which `daos.aio.connect` reaches, it is what one pool needs.
    """

    __slots__ = ("_home", "_sync")

    def __init__(self, sync: SyncSystem, home: Home) -> None:
        self._sync = sync
        self._home = home

    @property
    def path(self) -> str:
        """Its directory, or `:memory:`."""
        return self._sync.path

    @property
    def targets(self) -> int:
        """The number of its targets."""
        return self._sync.targets

    @property
    def served(self) -> bool:
        """Whether it is a running system, not an embedded one."""
        return self._sync.served

    async def space(self) -> sync_face.Space:
        """Return how its bytes are used; as `daos.System.space`."""
        return await self._home.call(self._sync.space)

    async def pools(self) -> list[Listed]:
        """Return UUID and label of each pool, in the order of the labels."""
        return await self._home.call(self._sync.pools)

    async def pool(self, label: str, *, create: Create = False) -> Pool:
        """Return a pool; arguments and errors are those of `daos.System.pool`."""
        return Pool(await self._home.call(lambda: self._sync.pool(label, create=create)), self, self._home)

    async def create_pool(self, label: str) -> Pool:
        """Return a new pool; errors are those of `daos.System.create_pool`."""
        return Pool(await self._home.call(lambda: self._sync.create_pool(label)), self, self._home)

    async def destroy_pool(self, label: str) -> None:
        """Destroy a pool and all in it; errors are those of `daos.System.destroy_pool`."""
        await self._home.call(lambda: self._sync.destroy_pool(label))

    async def close(self) -> None:
        """Close it, and with it every handle opened from it; closing again is no error.

        What the running loop submitted before is done first; what comes later is refused. Operations of other loops are
        done or raise `ClosedError`.
        """
        self._home.closed = True
        await self._home.call(self._sync.close, last=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return repr(self._sync).replace("daos.System", "daos.aio.System")


class _Closable(Protocol):
    async def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)


class _Opening(Generic[C]):
    """What opens something: to be awaited, or entered by `async with`, which closes it."""

    __slots__ = ("_opened", "_start")

    def __init__(self, start: Callable[[], Coroutine[object, object, C]]) -> None:
        self._start = start
        self._opened: C | None = None

    def __await__(self) -> Generator[object, object, C]:
        return (yield from self._start().__await__())

    async def __aenter__(self) -> C:
        self._opened = await self
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            await self._opened.close()


def open_system(
    path: str | os.PathLike[str],
    *,
    create: bool = True,
    targets: int = 1,
    durability: Durability = "synced",
    size: int | str | None = None,
    cache: int | str | None = None,
    share: bool = True,
) -> _Opening[System]:
    """Open a system in this process; await it, or enter it by `async with`.

    Arguments and errors are those of `daos.open_system`. If the await is cancelled, what it opens is closed again.
    """

    async def start() -> System:
        home = Home()
        options = partial(sync_face.open_system, create=create, targets=targets, durability=durability)
        return System(await home.call(lambda: options(path, size=size, cache=cache, share=share)), home)

    return _Opening(start)


def open(  # noqa: A001 -- it is called `daos.aio.open`
    path: str | os.PathLike[str],
    *,
    pool: str = "default",
    create: bool = True,
    targets: int = 1,
    durability: Durability = "synced",
    size: int | str | None = None,
    cache: int | str | None = None,
    share: bool = True,
) -> _Opening[Pool]:
    """Open a pool of a system in this process; await it, or enter it by `async with`, which closes the system.

    Arguments and errors are those of `daos.open`. If the await is cancelled, what it opens is closed again.
    """

    async def start() -> Pool:
        home = Home()
        options = partial(sync_face.open, pool=pool, create=create, targets=targets, durability=durability)
        sync = await home.call(lambda: options(path, size=size, cache=cache, share=share))
        return Pool(sync, System(sync.system, home), home, owns_system=True)

    return _Opening(start)


class _Connecting:
    """A pool that a thread connects to while somebody waits for it, or does not any more."""

    __slots__ = ("_given_up", "_lock", "_opened", "_start")

    def __init__(self, start: Callable[[], SyncPool]) -> None:
        self._start = start
        self._lock = Lock()
        self._opened: SyncPool | None = None
        self._given_up = False

    def connect(self) -> SyncPool:
        """Return the pool, in the thread that connects; closed if nobody waits for it any more."""
        pool = self._start()
        with self._lock:
            self._opened = pool
            given_up = self._given_up
        if given_up:
            pool.close()
        return pool

    def give_up(self) -> SyncPool | None:
        """Return what is there already, to be closed; what comes later is closed by its thread."""
        with self._lock:
            self._given_up = True
            return self._opened


def connect(
    url: str,
    *,
    mode: Mode = "rw",
    durability: Durability = "synced",
    timeout: float = served.TIMEOUT_S,
    agent: str | os.PathLike[str] | None = None,
) -> _Opening[Pool]:
    """Open a pool of a running system; await it, or enter it by `async with`, which closes the connection.

    Arguments and errors are those of `daos.connect`. If the await is cancelled, what it opens is closed again.
    """

    async def start() -> Pool:
        home = Home()
        options = partial(served.connect, url, mode=mode, durability=durability, timeout=timeout, agent=agent)
        connecting = _Connecting(options)
        try:
            sync = await home.call(connecting.connect)
        except asyncio.CancelledError:
            # Not left to the collector: a handle that is open is known to the agent and to the pool's service.
            pool = connecting.give_up()
            if pool is not None:
                closing = home.run(_core.EventQueue.call, pool.close)
                # Nobody awaits it; what goes wrong there, the agent puts right when this process ends.
                closing.add_done_callback(asyncio.Future.exception)
            raise
        return Pool(sync, System(sync.system, home), home, owns_system=True)

    return _Opening(start)


async def global2local(
    handle: bytes | bytearray | memoryview,
    *,
    timeout: float | None = None,  # noqa: ASYNC109 -- of each call of the pool, not of this one
    agent: str | os.PathLike[str] | None = None,
) -> Pool:
    """Return a pool that another process has opened, of what its `Pool.local2global` returned there.

    Arguments and errors are those of `daos.global2local`.
    """
    home = Home()
    sync = await home.call(lambda: sharing.global2local(handle, timeout=timeout, agent=agent))
    return Pool(sync, System(sync.system, home), home, owns_system=True)
