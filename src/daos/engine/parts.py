"""This rank's parts of pools: shards made and deleted, handles admitted and revoked, behind the services' fences."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import msgspec

from daos._packed import decode
from daos.control.fence import Fence
from daos.control.pool import effects
from daos.engine.body import handle_number
from daos.errors import DER, InvalidError
from daos.model.acl import Permission
from daos.model.properties import ContainerProperties
from daos.rsvc import RankFence
from daos.rsvc.files import sync_directory, write_durably

if TYPE_CHECKING:
    from daos._core import Engine

THREADS = 8
"""Calls of the core at once: they wait for the disk."""
_DURABLE = (effects.CreateContainerShards, effects.DestroyContainerShards, effects.InstallSnapshots)

P = ParamSpec("P")
T = TypeVar("T")


class PoolPart(msgspec.Struct, frozen=True, array_like=True):
    """What a rank keeps of a pool beside its shards.

    Attributes:
        version: Of this form.
        tiers: Bytes that the pool has here, of tier 0 and tier 1.
    """

    version: int
    tiers: tuple[int, int]


class Parts:
    """The parts of one rank.

    Args:
        core: Its storage.
        directory: Where what is kept beside it lies.
    """

    def __init__(self, core: Engine, directory: Path) -> None:
        self.core = core
        self.fences = RankFence(directory / "fences")
        self._directory = directory / "pools"
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="daos-part")
        # Handles are admitted in memory, and gone with the process; so are their fences.
        self._handles: dict[str, Fence] = {}
        self.map_versions: dict[str, int] = {}

    async def run(self, call: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Make a call of the core in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: call(*arguments, **keywords))

    def close(self) -> None:
        """Wait for the calls under way."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    # Pools

    async def create(self, pool: str, tiers: tuple[int, int]) -> None:
        """Make a pool's shards."""
        await self.run(write_durably, self._path(pool), msgspec.msgpack.encode(PoolPart(1, tiers)))
        await self.run(self.core.pool_create, pool)
        await self.run(self.core.pool_quota, pool, *tiers)

    async def bound(self) -> None:
        """Bound the pools that are here, after a start."""
        for pool in await self.run(self.core.pools):
            await self.run(self.core.pool_quota, pool, *self.tiers(pool))

    async def destroy(self, pool: str) -> None:
        """Delete all that there is of a pool."""
        await self.run(self.core.pool_destroy, pool)
        self._path(pool).unlink(missing_ok=True)
        await self.run(sync_directory, self._directory)
        self._handles.pop(pool, None)
        self.map_versions.pop(pool, None)

    def tiers(self, pool: str) -> tuple[int, int]:
        """Return the bytes that a pool has here; none for one that is not here."""
        try:
            return decode(self._path(pool).read_bytes(), PoolPart).tiers
        except (FileNotFoundError, msgspec.DecodeError):
            return (0, 0)

    def _path(self, pool: str) -> Path:
        return self._directory / str(uuid.UUID(pool))

    # Effects of a pool's service

    async def carry(self, pool: str, number: int, floor: int, effect: effects.AnyEffect) -> None:
        """Carry out an effect of a pool's service.

        Raises:
            StaleError: `DER.STALE`: a later one on its subject was there before.
            DaosError: It cannot be carried out.
        """
        if isinstance(effect, _DURABLE):
            async with self.fences.entered(pool, effect.subjects, number, floor):
                await self._durable(pool, number, floor, effect)
        elif isinstance(effect, effects.InstallHandles):
            rights = Permission(effect.capabilities)
            await self.admit(pool, effect.subject, effect.container, rights, number, floor)
        elif isinstance(effect, effects.RevokeHandles):
            self._fence(pool).admit(effect.handles, number, floor)
            await self.run(self.core.revoke, [_number(handle) for handle in effect.handles])
        elif isinstance(effect, effects.BroadcastPoolMap):
            self.map_versions[pool] = max(effect.version, self.map_versions.get(pool, 0))
        else:
            raise InvalidError(f"{type(effect).__name__} is not carried out by this release", code=DER.NOSYS)

    async def _durable(self, pool: str, number: int, floor: int, effect: effects.AnyEffect) -> None:
        if isinstance(effect, effects.CreateContainerShards):
            properties = ContainerProperties.decode(effect.properties)
            await self.run(
                self.core.container_create,
                pool,
                effect.subject,
                props=effect.properties,
                checksums=properties.checksums,
                scrub_disabled=properties.scrub_disabled,
            )
        elif isinstance(effect, effects.DestroyContainerShards):
            self._fence(pool).admit(effect.handles, number, floor)
            await self.run(self.core.revoke, [_number(handle) for handle in effect.handles])
            await self.run(self.core.container_destroy, pool, effect.subject)
        elif isinstance(effect, effects.InstallSnapshots):
            await self.run(self.core.snapshots_set, pool, effect.container, list(effect.epochs))

    async def admit(  # noqa: PLR0917 -- what an effect says, in its order
        self, pool: str, handle: str, container: str | None, rights: Permission, number: int, floor: int
    ) -> bool:
        """Admit requests by a handle; False where a later effect on it was there before: it decides.

        Raises:
            NotFoundError: `DER.NONEXIST`: the container's shards are not here.
        """
        if not self._fence(pool).admit((handle,), number, floor):
            return False
        if container is None:
            return True  # a pool's handle reaches no data
        read, write = bool(rights & Permission.r), bool(rights & Permission.w)
        await self.run(self.core.admit, _number(handle), pool, container, read=read, write=write)
        if self._fence(pool).last.get(handle, 0) > number:
            # It was revoked while it was being admitted.
            await self.run(self.core.revoke, [_number(handle)])
            return False
        return True

    def _fence(self, pool: str) -> Fence:
        return self._handles.setdefault(pool, Fence())


def _number(handle: str) -> int:
    return handle_number(uuid.UUID(handle).bytes)
