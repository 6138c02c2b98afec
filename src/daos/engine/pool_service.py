"""A replica of a pool's service in an engine: its log, its host, and the way of its effects to the ranks."""

from __future__ import annotations

import asyncio
import logging
import shutil
import uuid
from typing import TYPE_CHECKING

from daos import _core
from daos.control.pool.from_system import command_of
from daos.control.pool.service import POOL
from daos.control.pool.state import PoolState
from daos.control.replicated import Replica
from daos.engine import peers
from daos.engine.peers import Ranks
from daos.errors import DER, ClosedError, DaosError, InvalidError, NotFoundError, UnavailableError
from daos.model.acl import Permission
from daos.rsvc import Carried, Clock, NotLeaderError, ServiceHost, Together

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from daos.control.outcomes import Outcome, RequestId
    from daos.control.pool.effects import AnyEffect
    from daos.control.replicated import AnyCommand
    from daos.control.system import effects as of_system
    from daos.engine.parts import Parts
    from daos.engine.system_map import SystemMap

EFFECTS_MAX = 256
"""Effects of one request to a rank."""
START_S_MAX = 20.0
"""So long a new service may take until it has a leader that has created the pool; then it is asked for again."""
POINT_AGAIN_S = 0.05
PREFIX = "rdb-"
_log = logging.getLogger(__name__)


class PoolService:
    """A replica of a pool's service.

    Args:
        pool: The pool's uuid.
        rdb: Its log.
        ranks: The way to the ranks.
        clock: The process's.

    Attributes:
        peers: Where the other replicas were told to be.
        snapshots: A lock for each container of which a snapshot was taken.
    """

    def __init__(self, pool: str, rdb: _core.Rdb, ranks: Ranks, clock: Clock) -> None:
        self.pool = pool
        self.rdb = rdb
        self.peers: dict[int, str] = {}
        self.snapshots: dict[str, asyncio.Lock] = {}
        self._ranks = ranks
        together: Together[AnyEffect] = Together(self._carry, EFFECTS_MAX)
        self.host: ServiceHost[PoolState, AnyEffect] = ServiceHost(POOL, rdb, together, clock=clock, name=pool)

    @property
    def state(self) -> PoolState:
        """The state as this replica knows it."""
        return self.host.state

    async def _carry(self, rank: int, effects: Sequence[Carried[AnyEffect]]) -> list[DER | None]:
        told = tuple(peers.CarriedEffect(each.number, each.floor, each.effect) for each in effects)
        codes = await self._ranks.on(rank, peers.CarryEffects(pool=self.pool, effects=told), list[int])
        if len(codes) != len(told):
            raise InvalidError(f"rank {rank} tells of {len(codes)} effects, not {len(told)}", code=DER.PROTO)
        return [DER(code) if code else None for code in codes]

    async def submit(self, command: AnyCommand, request: RequestId | None = None, *, timeout_s: float) -> Outcome:
        """Have a command agreed on, as `ServiceHost.submit`."""
        return await self.host.submit(command, request, timeout_s=timeout_s)

    def voters(self) -> list[int]:
        """Return the ranks of its replicas."""
        voters = self.rdb.status()["voters"]
        return sorted(rank for rank, _ in voters) if isinstance(voters, list) else []


class PoolServices:
    """The replicas of pool services that an engine has.

    Args:
        directory: Where their logs are.
        system: The system's name.
        core: The engine's, whose control address they are reached at.
        parts: This rank's.
        ranks: The way to the ranks.
        members: Where those are.
        clock: The process's.
        tls: Its certificate; None without.
    """

    def __init__(  # noqa: PLR0917 -- made in one place
        self,
        directory: Path,
        system: str,
        core: _core.Engine,
        parts: Parts,
        ranks: Ranks,
        members: SystemMap,
        clock: Clock,
        tls: tuple[str, str, str] | None = None,
    ) -> None:
        self._tls = tls
        self._directory, self._system, self._core = directory, system, core
        self._parts, self._ranks, self._members, self._clock = parts, ranks, members, clock
        self._services: dict[str, PoolService] = {}
        members.when_changed(self._point)
        members.when_back(self._back)

    def _back(self, rank: int) -> None:
        """Carry out what waits for a rank that was started again."""
        for service in self._services.values():
            service.host.back(rank)

    def __iter__(self) -> Iterator[PoolService]:
        return iter(list(self._services.values()))

    def find(self, pool: str) -> PoolService:
        """Return the replica of a pool's service.

        Raises:
            NotFoundError: `DER.NONEXIST`: there is none here.
        """
        service = self._services.get(pool)
        if service is None:
            raise NotFoundError(f"rank {self._ranks.rank} has no replica of the service of pool {pool}")
        return service

    async def open_all(self) -> None:
        """Open the replicas that are stored here."""
        for path in sorted(self._directory.glob(f"{PREFIX}*")):
            pool = path.name.removeprefix(PREFIX)
            try:
                rdb = await self._parts.run(
                    _core.Rdb.open,
                    str(path),
                    group=uuid.UUID(pool).bytes,
                    listen="",
                    system=self._system,
                    engine=self._core,
                    tls=self._tls,
                )
            except DaosError as error:
                if error.code is DER.NONEXIST:
                    # Its making was cut short: nobody was told that it was there.
                    shutil.rmtree(path)
                    continue
                # Others go on; this one is the administrator's.
                _log.error("the service of pool %s cannot be opened: %s", pool, error.message)
                continue
            self._begin(pool, rdb)

    def _begin(self, pool: str, rdb: _core.Rdb) -> PoolService:
        service = PoolService(pool, rdb, self._ranks, self._clock)
        self._services[pool] = service
        self._point()
        service.host.start()
        return service

    def _point(self) -> None:
        """Tell the replicas where the others are; one whose members are not told yet is looked at again."""
        if any(not service.voters() for service in self._services.values()):
            asyncio.get_running_loop().call_later(POINT_AGAIN_S, self._point)
        for service in self._services.values():
            wanted = {rank: member.uri for rank, member in self._members.ranks.items() if member.uri}
            for rank in service.voters():
                if rank != self._ranks.rank and rank in wanted and service.peers.get(rank) != wanted[rank]:
                    service.rdb.set_peer(rank, wanted[rank])
                    service.peers[rank] = wanted[rank]

    # Effects of the system service

    async def start(self, number: int, effect: of_system.StartService) -> None:
        """Make and start a replica; done when the pool has been created in it.

        Raises:
            TimedOutError: It is not yet.
            DaosError: It cannot be made.
        """
        pool = effect.subject
        service = self._services.get(pool)
        if service is None:
            await self._members.known(set(effect.services), timeout_s=START_S_MAX)
            path = self._directory / f"{PREFIX}{pool}"
            rdb = await self._parts.run(
                _core.Rdb.create,
                str(path),
                group=uuid.UUID(pool).bytes,
                rank=self._ranks.rank,
                replicas=list(effect.services),
                state=Replica(POOL).snapshot(),
                listen="",
                system=self._system,
                engine=self._core,
                tls=self._tls,
            )
            service = self._services.get(pool) or self._begin(pool, rdb)
        host = service.host
        await host.until(lambda: bool(host.state.uuid) or host.leads, timeout_s=START_S_MAX)
        if not host.state.uuid:
            await self.lead(number, effect)

    async def lead(self, number: int, effect: of_system.SystemEffect) -> None:
        """Have a pool's service do what the system service wants of it; another replica leads: `NotLeaderError`.

        Raises:
            DaosError: What it refuses it with.
        """
        service = self.find(effect.subject.removesuffix("/label"))
        outcome = await service.submit(command_of(number, effect), timeout_s=START_S_MAX)
        outcome.check()

    async def destroy(self, pool: str) -> None:
        """Stop a replica and delete what it stored. There may be none."""
        service = self._services.pop(pool, None)
        if service is not None:
            await service.host.close()
        path = self._directory / f"{PREFIX}{pool}"
        if path.exists():
            await self._parts.run(shutil.rmtree, path)

    async def close(self) -> None:
        """Stop all of them."""
        for service in self._services.values():
            await service.host.close()
        self._services.clear()

    # Handles

    async def find_handle(self, pool: str, handle: str) -> peers.FoundHandle:
        """Return what a handle of a pool stands for, where this replica leads.

        Raises:
            ClosedError: `DER.NO_HDL`.
            DaosError: It cannot be told now.
        """
        service = self.find(pool)

        def told(state: PoolState) -> peers.FoundHandle:
            number = state.outbox.next - 1
            floor = state.outbox.floor(self._ranks.rank)
            nested = state.container_handles.get(handle)
            if nested is not None:
                return peers.FoundHandle(
                    container=nested.container, capabilities=int(nested.capabilities), number=number, floor=floor
                )
            found = state.handle_of(handle)
            return peers.FoundHandle(capabilities=int(found.capabilities), number=number, floor=floor)

        try:
            return await service.host.query(told, timeout_s=peers.ASK_S_MAX)
        except NotLeaderError as error:
            return peers.FoundHandle(leader=-1 if error.leader is None else error.leader)

    async def learn(self, pool: str, handle: str, replicas: list[int]) -> bool:
        """Have this rank admit a handle that it does not know; False where no leader was found.

        Raises:
            ClosedError: `DER.NO_HDL`: it is not open.
            DaosError: It cannot be admitted.
        """
        last: DaosError | None = None
        for rank in replicas[:16]:
            try:
                if rank == self._ranks.rank:
                    found = await self.find_handle(pool, handle)
                else:
                    found = await self._ranks.ask(rank, peers.FindHandle(pool=pool, handle=handle), peers.FoundHandle)
            except (UnavailableError, NotFoundError) as error:
                last = error
                continue
            if found.leader is None:
                rights = Permission(found.capabilities)
                if not await self._parts.admit(pool, handle, found.container, rights, found.number, found.floor):
                    raise ClosedError("the handle was closed or evicted meanwhile", hint="connect to the pool again")
                return True
        if last is not None and isinstance(last, NotFoundError):
            raise last
        return False
