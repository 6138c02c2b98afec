"""This rank's parts of pools: shards made and deleted, handles admitted and revoked, behind the services' fences."""

from __future__ import annotations

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, TypeVar

import msgspec

from daos._packed import decode
from daos.control.fence import Fence
from daos.control.pool import effects
from daos.engine.body import handle_number
from daos.errors import DER, DaosError
from daos.model.acl import Permission
from daos.model.properties import ContainerProperties
from daos.rsvc import Asked, RankFence
from daos.rsvc.files import sync_directory, write_durably

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from daos._core import Engine
    from daos.engine.peers import CarriedEffect

THREADS = 8
"""Calls of the core at once: they wait for the disk."""
_SLOW = (effects.DestroyContainerShards, effects.InstallSnapshots, effects.InstallScrub)
_DURABLE = (effects.CreateContainerShards, *_SLOW)

NewPart: TypeAlias = "tuple[str, bytes, tuple[int, int, bool], bool]"
"""A container: its uuid, properties, checksums, whether no scrubber looks at it."""

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
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="daos-part")
        self.fences = RankFence(directory / "fences", self._threads)
        self._directory = directory / "pools"
        self._directory.mkdir(mode=0o700, exist_ok=True)
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

    async def carry(self, pool: str, carried: Sequence[CarriedEffect]) -> list[int]:
        """Carry out effects of a pool's service; return of each the number of a `DER`, 0 where it is done.

        What is made is made by one call of the core, and durable with one wait; so is what is admitted.
        """
        codes = [0] * len(carried)
        made = [nth for nth, each in enumerate(carried) if isinstance(each.effect, effects.CreateContainerShards)]
        slow = [nth for nth, each in enumerate(carried) if isinstance(each.effect, _SLOW)]
        passing = [nth for nth, each in enumerate(carried) if not isinstance(each.effect, _DURABLE)]
        await asyncio.gather(
            self._passing(pool, carried, passing, codes),
            self._make(pool, carried, made, codes),
            *(self._slow(pool, carried[nth], nth, codes) for nth in slow),
        )
        return codes

    async def _passing(self, pool: str, carried: Sequence[CarriedEffect], which: list[int], codes: list[int]) -> None:
        """Admit and revoke handles, which are in memory."""
        wanted: dict[int, tuple[str, str, int]] = {}
        revoked: list[str] = []
        for nth in which:
            effect, number, floor = carried[nth].effect, carried[nth].number, carried[nth].floor
            if isinstance(effect, effects.InstallHandles):
                if self._fence(pool).admit((effect.subject,), number, floor) and effect.container is not None:
                    # A pool's handle reaches no data.
                    wanted[nth] = (effect.subject, effect.container, effect.capabilities)
            elif isinstance(effect, effects.RevokeHandles):
                self._fence(pool).admit(effect.handles, number, floor)
                revoked += effect.handles
            elif isinstance(effect, effects.BroadcastPoolMap):
                self.map_versions[pool] = max(effect.version, self.map_versions.get(pool, 0))
            else:
                codes[nth] = DER.NOSYS.value  # it is not carried out by this release
        if not wanted and not revoked:
            return
        numbers = {nth: carried[nth].number for nth in wanted}
        try:
            await self.run(self._admit_all, pool, wanted, numbers, codes, revoked)
        except DaosError as error:
            for nth in which:
                codes[nth] = codes[nth] or error.code.value

    def _admit_all(
        self,
        pool: str,
        wanted: dict[int, tuple[str, str, int]],
        numbers: dict[int, int],
        codes: list[int],
        revoked: Iterable[str] = (),
    ) -> None:
        """Refuse handles that are revoked, and admit those that their fence has let through. In a thread."""
        gone = [_number(handle) for handle in revoked]
        if gone:
            self.core.revoke(gone)
        fence = self._fence(pool)
        # What is revoked by the same request, or was in the meantime, is not admitted.
        now = {nth: each for nth, each in wanted.items() if fence.last.get(each[0], 0) <= numbers[nth]}
        if not now:
            return
        asked = [
            (_number(handle), container, bool(rights & Permission.r), bool(rights & Permission.w))
            for handle, container, rights in now.values()
        ]
        for nth, here in zip(now, self.core.admit_all(pool, asked), strict=True):
            if not here:
                codes[nth] = DER.NONEXIST.value
        # Those that were revoked while they were being admitted; with the floor above it an effect is wanted no more.
        late = [
            _number(handle)
            for nth, (handle, _, _) in now.items()
            if max(fence.floor, fence.last.get(handle, 0)) > numbers[nth]
        ]
        if late:
            self.core.revoke(late)

    async def _make(self, pool: str, carried: Sequence[CarriedEffect], which: list[int], codes: list[int]) -> None:
        """Make shards, and admit the handles that they are opened by, all of them by one call."""
        parts: dict[int, NewPart] = {}
        opens: dict[int, tuple[str, str, int]] = {}
        for nth in which:
            effect = carried[nth].effect
            if not isinstance(effect, effects.CreateContainerShards):
                continue
            try:
                parts[nth] = _part(effect)
            except DaosError as error:
                codes[nth] = error.code.value
                continue
            if effect.handle is not None and self._fence(pool).admit(
                (effect.handle,), carried[nth].number, carried[nth].floor
            ):
                opens[nth] = (effect.handle, effect.subject, effect.capabilities)
        if parts:
            await self._make_parts(pool, carried, parts, opens, codes)

    async def _make_parts(
        self,
        pool: str,
        carried: Sequence[CarriedEffect],
        parts: dict[int, NewPart],
        opens: dict[int, tuple[str, str, int]],
        codes: list[int],
    ) -> None:
        def make(admitted: list[bool]) -> None:
            for nth, may in zip(parts, admitted, strict=True):
                if not may:  # a later one on its subject was there before
                    codes[nth] = DER.STALE.value
            self.core.containers_create(pool, [part for nth, part in parts.items() if not codes[nth]])
            wanted = {nth: each for nth, each in opens.items() if not codes[nth]}
            self._admit_all(pool, wanted, {nth: carried[nth].number for nth in wanted}, codes)

        named = [Asked(carried[nth].effect.subjects, carried[nth].number, carried[nth].floor) for nth in parts]
        try:
            await self.fences.carry(pool, named, make)
        except DaosError as error:
            for nth in parts:
                codes[nth] = codes[nth] or error.code.value

    async def _slow(self, pool: str, carried: CarriedEffect, nth: int, codes: list[int]) -> None:
        effect, number, floor = carried.effect, carried.number, carried.floor
        try:
            async with self.fences.entered(pool, effect.subjects, number, floor):
                if isinstance(effect, effects.DestroyContainerShards):
                    self._fence(pool).admit(effect.handles, number, floor)
                    await self.run(self.core.revoke, [_number(handle) for handle in effect.handles])
                    await self.run(self.core.container_destroy, pool, effect.subject)
                elif isinstance(effect, effects.InstallSnapshots):
                    await self.run(self.core.snapshots_set, pool, effect.container, list(effect.epochs))
                elif isinstance(effect, effects.InstallScrub):
                    await self.run(self.core.pool_scrub, pool, effect.mode, effect.freq, effect.thresh)
        except DaosError as error:
            codes[nth] = error.code.value

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


def _part(effect: effects.CreateContainerShards) -> NewPart:
    properties = ContainerProperties.decode(effect.properties)
    return (effect.subject, effect.properties, properties.checksums, properties.scrub_disabled)


def _number(handle: str) -> int:
    return handle_number(uuid.UUID(handle).bytes)
