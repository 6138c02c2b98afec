"""What is asked of the whole system: a method a request, answered where the system service leads."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from typing import TypeVar

import msgspec

from daos._packed import decode
from daos.control.outbox import Rank
from daos.control.outcomes import RequestId
from daos.control.pool.container_settings import ContainerSetOwner
from daos.control.pool.handles import Evict
from daos.control.pool.settings import DeleteAclEntry, OverwriteAcl, SetProperties, UpdateAcl
from daos.control.pool.state import Evicted
from daos.control.replicated import AnyCommand
from daos.control.system import queries
from daos.control.system.engines import EraseSystem, StartRanks, StopRanks
from daos.control.system.members import ClearExclude, ExcludeRanks, Join, Joined, ReportMember
from daos.control.system.pool_create import PoolCreate
from daos.control.system.pool_destroy import PoolDestroy, PoolRelabel
from daos.control.system.settings import DEFAULTS, DeleteAttributes, SetAttributes
from daos.control.system.settings import SetProperties as SetSystemProperties
from daos.control.system.state import Member, Pool, PoolCreated, PoolState, RankResults, SystemState
from daos.errors import DER, BusyError, DaosError, InternalError, InvalidError, TimedOutError, UnavailableError
from daos.local import PoolAcl, PoolInfo, PoolRequest, PoolTarget
from daos.mgmt.race import STAGGER_S, Race
from daos.model.members import MemberState
from daos.server.leaders import PASSING
from daos.server.node import Server
from daos.server.replica import ReplicaStatus

REQUEST_S_MAX = 30.0
OPERATION_S_MAX = 150.0
"""Of what is done on ranks: twice the deadline of the service's own steps, and some."""
QUERY_S_MAX = 10.0
STATUS_S_MAX = 1.0
"""For a word of another replica: whoever takes longer does not answer."""
POOL_S_MAX = 60.0
POOL_ASK_S_MAX = 30.0
POOL_ABSENT_S_MAX = 5.0
"""For so long it is waited for a service of which no rank is there."""
AGAIN_S = 0.2
LEADERS_MAX = 4096
"""Pools whose leader is remembered; it is only where to ask first."""
LABEL = "label"

T = TypeVar("T")
PropertyMap = Mapping[str, str | int]


class Leader(msgspec.Struct, frozen=True, kw_only=True):
    """Who leads the system.

    Attributes:
        current: The address of its server; None while there is none.
        leads: It is this one.
        replicas: The addresses of all management replicas.
        down: Of these, those that do not answer.
    """

    current: str | None
    leads: bool
    replicas: tuple[str, ...]
    down: tuple[str, ...]


class SystemInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who is in the system.

    Attributes:
        members: The ranks that were asked for.
        free: Rank to the bytes of each tier that no pool has.
        version: Of the system map.
        self_heal: The system's property.
    """

    members: tuple[Member, ...]
    free: dict[Rank, tuple[int, ...]]
    version: int
    self_heal: str


class Cleanup(msgspec.Struct, frozen=True, kw_only=True):
    """What was closed of a pool.

    Attributes:
        pool: Its uuid.
        label: Its label; None for none.
        count: Handles.
        error: Why it failed; None if it did not.
    """

    pool: str
    label: str | None
    count: int = 0
    error: DaosError | None = None


class Management:
    """The requests about the system. All but `leader_query` are refused by a server that does not lead.

    Args:
        server: This server.
        version: Of the software.
    """

    def __init__(self, server: Server, version: str) -> None:
        self._server, self._version = server, version
        self._leaders: dict[str, Rank] = {}

    # The system

    async def leader_query(self, *, leader_only: bool = False) -> Leader:
        """Return who leads, and which replicas do not answer. Any server tells.

        Args:
            leader_only: Tell who leads as far as it is known here, which asks nobody: whoever wants to ask the leader
                finds out whether he is there.
        """
        settings, peers = self._server.settings, self._server.peers
        here = self._server.leader()
        if leader_only:
            return Leader(current=here, leads=self._server.leads, replicas=settings.replicas, down=())

        async def status(address: str) -> ReplicaStatus | None:
            if address == settings.address:
                return self._server.status()
            try:
                answer = await peers.server_call(address, "replica_status", b"\xc0", timeout_s=STATUS_S_MAX)
            except DaosError:
                return None
            return _decode(answer, ReplicaStatus)

        found = await asyncio.gather(*(status(address) for address in settings.replicas))
        told = dict(zip(settings.replicas, found, strict=True))
        return Leader(
            current=confirmed(told, here),
            leads=self._server.leads,
            replicas=settings.replicas,
            down=tuple(address for address, one in told.items() if one is None),
        )

    async def system_query(
        self, *, ranks: Collection[Rank] | None = None, states: Collection[MemberState] | None = None
    ) -> SystemInfo:
        """Return members of the system.

        Raises:
            NotFoundError: `DER.NONEXIST`: there is no such rank.
        """

        def look(state: SystemState) -> SystemInfo:
            members = queries.members(state, ranks=ranks, states=states)
            return SystemInfo(
                members=tuple(copy.copy(member) for member in members),
                free={member.rank: tuple(state.free(member)) for member in members},
                version=state.version,
                self_heal=state.properties.get("self_heal", DEFAULTS["self_heal"]),
            )

        return await self._query(look)

    async def system_stop(
        self, request: RequestId | None, *, ranks: Sequence[Rank] | None, force: bool, ignore_excluded: bool
    ) -> RankResults:
        """Stop engines; return when they have ended."""
        command = StopRanks(ranks=_ranks(ranks), force=force, ignore_excluded=ignore_excluded)
        return await self._operation(command, request)

    async def system_start(
        self, request: RequestId | None, *, ranks: Sequence[Rank] | None, ignore_excluded: bool
    ) -> RankResults:
        """Start engines; return when they have joined, or could not."""
        return await self._operation(StartRanks(ranks=_ranks(ranks), ignore_excluded=ignore_excluded), request)

    async def system_erase(self, request: RequestId | None) -> RankResults:
        """Delete the storage of all ranks, and forget the system."""
        return await self._operation(EraseSystem(), request)

    async def _operation(self, command: AnyCommand, request: RequestId | None) -> RankResults:
        outcome = await self._server.submit(command, request, timeout_s=OPERATION_S_MAX)
        return outcome.value(RankResults)

    async def system_exclude(
        self, request: RequestId | None, *, ranks: Sequence[Rank], clear: bool = False
    ) -> RankResults:
        """Keep ranks out, or let them in again."""
        command = ClearExclude(ranks=tuple(ranks)) if clear else ExcludeRanks(ranks=tuple(ranks))
        return await self._operation(command, request)

    async def system_cleanup(self, request: RequestId | None, *, machine: str) -> list[Cleanup]:
        """Close the pool handles that were opened from a machine; a result for each pool that had some, or failed."""
        if not machine:
            raise InvalidError("no machine given", hint="the name of a client's host")
        pools = [pool for pool in await self.pool_list() if pool.start is None]

        async def clean(pool: Pool) -> Cleanup:
            # Each pool's service knows requests by ids of its own: one id serves for all.
            try:
                count = await self.pool_evict(request, pool=pool.uuid, machine=machine)
            except DaosError as error:
                return Cleanup(pool=pool.uuid, label=pool.label, error=error)
            return Cleanup(pool=pool.uuid, label=pool.label, count=count)

        found = await asyncio.gather(*(clean(pool) for pool in pools))
        return [result for result in found if result.count or result.error is not None]

    async def system_set_attributes(self, request: RequestId | None, attributes: Mapping[str, str]) -> None:
        """Set attributes of the system."""
        await self._change(SetAttributes(attributes=dict(attributes)), request)

    async def system_get_attributes(self, names: Collection[str] | None = None) -> dict[str, str]:
        """Return attributes of the system."""
        return await self._query(lambda state: queries.attributes(state, names))

    async def system_delete_attributes(self, request: RequestId | None, names: Sequence[str]) -> None:
        """Delete attributes of the system."""
        await self._change(DeleteAttributes(names=tuple(names)), request)

    async def system_set_properties(self, request: RequestId | None, properties: Mapping[str, str]) -> None:
        """Set properties of the system."""
        await self._change(SetSystemProperties(properties=dict(properties)), request)

    async def system_get_properties(self, names: Collection[str] | None = None) -> dict[str, str]:
        """Return properties of the system."""
        system = self._server.settings.system
        return await self._query(
            lambda state: queries.properties(state, system=system, version=self._version, names=names)
        )

    async def join(self, request: RequestId | None, command: Join) -> Joined:
        """An engine has started."""
        return (await self._server.submit(command, request, timeout_s=REQUEST_S_MAX)).value(Joined)

    async def report_member(self, request: RequestId | None, command: ReportMember) -> None:
        """A server tells what became of an engine."""
        await self._change(command, request)

    async def members(self) -> tuple[int, list[Member]]:
        """Return the version of the system map, and all members."""
        return await self._query(lambda state: (state.version, [copy.copy(one) for one in queries.members(state)]))

    # Pools, as the system knows them

    async def pool_create(self, request: RequestId | None, command: PoolCreate) -> PoolCreated:
        """Make a pool; return when it serves."""
        outcome = await self._server.submit(command, request, timeout_s=OPERATION_S_MAX)
        return outcome.value(PoolCreated)

    async def pool_destroy(
        self, request: RequestId | None, *, pool: str, force: bool = False, recursive: bool = False
    ) -> None:
        """Delete a pool; return when it is gone from all ranks that are there."""
        command = PoolDestroy(pool=pool, force=force, recursive=recursive)
        (await self._server.submit(command, request, timeout_s=OPERATION_S_MAX)).check()

    async def pool_list(self) -> list[Pool]:
        """Return all pools."""
        return await self._query(lambda state: [copy.copy(pool) for pool in queries.pools(state)])

    async def pool_find(self, pool: str) -> Pool:
        """Return the pool of a label or uuid.

        Raises:
            NotFoundError: `DER.NONEXIST`.
        """
        return await self._query(lambda state: copy.copy(queries.find_pool(state, pool)))

    # Pools, as their services know them

    async def pool_query(self, pool: str, *, space: bool = True) -> tuple[Pool, PoolInfo]:
        """Return what the system and what the pool's service tell of a pool."""
        found = await self.pool_find(pool)
        return found, await self._pool_query(found, "pool", {"space": space}, PoolInfo)

    async def pool_query_targets(self, pool: str, *, rank: Rank, targets: Sequence[int] = ()) -> list[PoolTarget]:
        """Return targets of a rank of a pool; all of them for none."""
        found = await self.pool_find(pool)
        arguments = {"rank": rank, "targets": list(targets)}
        return await self._pool_query(found, "targets", arguments, list[PoolTarget])

    async def pool_evict(
        self,
        request: RequestId | None,
        *,
        pool: str,
        handles: Sequence[str] | None = None,
        machine: str | None = None,
    ) -> int:
        """Close handles of a pool; return how many, when no engine serves them any more."""
        found = await self.pool_find(pool)
        command = Evict(handles=None if handles is None else tuple(handles), machine=machine)
        return _decode(await self._pool_command(found, command, request), Evicted).count

    async def pool_set_properties(self, request: RequestId | None, *, pool: str, properties: PropertyMap) -> None:
        """Change properties of a pool. The label is the system's, and is changed first."""
        found = await self.pool_find(pool)
        others = {name: value for name, value in properties.items() if name != LABEL}
        if LABEL in properties:
            command = PoolRelabel(pool=found.uuid, label=str(properties[LABEL]))
            await self._change(command, request)
        if others:
            await self._pool_command(found, SetProperties(properties=others), request)

    async def pool_get_properties(self, pool: str, names: Collection[str] = ()) -> dict[str, str | int]:
        """Return properties of a pool; all of them for none.

        Raises:
            InvalidError: `DER.INVAL`: there is no such property.
        """
        found = await self.pool_find(pool)
        properties = await self._pool_query(found, "properties", {}, dict[str, str | int])
        properties[LABEL] = found.label or ""
        for name in names:
            if name not in properties:
                raise InvalidError(
                    f'there is no pool property "{name}"', hint=f"valid: {', '.join(sorted(properties))}"
                )
        return {name: properties[name] for name in sorted(properties) if not names or name in names}

    async def pool_get_acl(self, pool: str) -> PoolAcl:
        """Return the access list of a pool."""
        return await self._pool_query(await self.pool_find(pool), "acl", {}, PoolAcl)

    async def pool_overwrite_acl(self, request: RequestId | None, *, pool: str, entries: Sequence[str]) -> PoolAcl:
        """Replace the access list of a pool, and return it."""
        return await self._change_acl(request, pool, OverwriteAcl(entries=tuple(entries)))

    async def pool_update_acl(self, request: RequestId | None, *, pool: str, entries: Sequence[str]) -> PoolAcl:
        """Add or replace entries of the access list of a pool, and return it."""
        return await self._change_acl(request, pool, UpdateAcl(entries=tuple(entries)))

    async def pool_delete_acl(self, request: RequestId | None, *, pool: str, principal: str) -> PoolAcl:
        """Take an entry out of the access list of a pool, and return what is left."""
        return await self._change_acl(request, pool, DeleteAclEntry(principal=principal))

    async def _change_acl(self, request: RequestId | None, pool: str, command: AnyCommand) -> PoolAcl:
        found = await self.pool_find(pool)
        await self._pool_command(found, command, request)
        return await self._pool_query(found, "acl", {}, PoolAcl)

    async def container_set_owner(
        self, request: RequestId | None, *, pool: str, container: str, owner: str | None, group: str | None
    ) -> None:
        """Give a container away."""
        found = await self.pool_find(pool)
        command = ContainerSetOwner(container=container, owner=owner, group=group)
        await self._pool_command(found, command, request)

    # The ways there

    async def _change(self, command: AnyCommand, request: RequestId | None) -> None:
        (await self._server.submit(command, request, timeout_s=REQUEST_S_MAX)).check()

    async def _query(self, function: Callable[[SystemState], T]) -> T:
        return await self._server.query(function, timeout_s=QUERY_S_MAX)

    async def _pool_command(self, pool: Pool, command: AnyCommand, request: RequestId | None) -> bytes:
        name = str(type(command).__struct_config__.tag)
        # One without an id gets one here, so that it happens once, however often it is sent.
        request = request or RequestId(self._server.client, self._server.clock.now())
        arguments = msgspec.msgpack.encode(command)
        body = PoolRequest(pool=pool.uuid, request=request, kind="command", name=name, arguments=arguments)
        return await self._ask_pool(pool, body)

    async def _pool_query(self, pool: Pool, name: str, arguments: Mapping[str, object], result: type[T]) -> T:
        body = PoolRequest(pool=pool.uuid, kind="query", name=name, arguments=msgspec.msgpack.encode(arguments))
        return _decode(await self._ask_pool(pool, body), result)

    async def _ask_pool(self, pool: Pool, body: PoolRequest) -> bytes:
        """Ask the pool's service: who led last first, then whom it names, then its other ranks, until the time is over.

        A command carries its request's id, a query changes nothing: so two may be asked at a time.

        Raises:
            UnavailableError: None of its ranks is there.
            TimedOutError: None of them leads.
            DaosError: What the service answers.
        """
        if pool.state is not PoolState.READY:
            raise BusyError(f"the pool {pool.label or pool.uuid} is {pool.state.lower()}", hint="try again when it is")
        encoded = msgspec.msgpack.encode(body)
        search = _PoolSearch(pool, self._leaders.get(pool.uuid))
        try:
            async with asyncio.timeout(POOL_S_MAX), Race[Rank, bytes]() as race:
                return await self._search(search, race, encoded)
        except TimeoutError:
            raise TimedOutError(
                f"the service of pool {pool.uuid} does not answer: {search.error.message}",
                hint="dmg system query tells which of its ranks are there",
                context={"code": search.error.code.value},
            ) from None

    async def _search(self, search: _PoolSearch, race: Race[Rank, bytes], encoded: bytes) -> bytes:
        """Ask ranks of a pool's service until one answers: the next one too where one does not answer at once."""
        now = asyncio.get_running_loop().time
        begun = ask_at = now()
        pauses = False
        while True:
            if now() >= ask_at or search.knows_better(race) or not (race or pauses):
                rank = search.next(race)
                if rank is not None:
                    race.ask(rank, self._ask_rank(rank, encoded))
                    ask_at, pauses = now() + STAGGER_S, False
                else:
                    self._leaders.pop(search.pool.uuid, None)
                    if not (race or search.heard) and now() - begun > POOL_ABSENT_S_MAX:
                        raise search.absent()
                    search.begin_round()
                    ask_at, pauses = now() + AGAIN_S, True
            answered = await race.next(ask_at - now())
            if answered is not None:
                rank, task = answered
                try:
                    answer = task.result()
                except DaosError as refusal:
                    if refusal.code not in PASSING:
                        raise
                    search.refused(rank, refusal)
                else:
                    self._remember(search.pool.uuid, rank)
                    return answer

    async def _ask_rank(self, rank: Rank, encoded: bytes) -> bytes:
        member = self._server.host.state.members.get(rank)
        if member is None or not member.joined:
            raise UnavailableError(f"rank {rank} of its service has not joined", code=DER.UNREACH)
        answer = await self._server.engine_call_at(
            member.address, rank, "pool_request", encoded, timeout_s=POOL_ASK_S_MAX
        )
        return _decode(answer, bytes)

    def _remember(self, pool: str, rank: Rank) -> None:
        self._leaders.pop(pool, None)
        self._leaders[pool] = rank
        if len(self._leaders) > LEADERS_MAX:
            del self._leaders[next(iter(self._leaders))]


def confirmed(told: Mapping[str, ReplicaStatus | None], here: str | None) -> str | None:
    """Return the server that says itself that it leads; None if none does.

    Args:
        told: What each replica says; None for one that does not answer.
        here: Whom the server takes for the leader that was asked. It decides where two say so: one that was cut off may
            not have noticed yet.
    """
    leading = [address for address, status in told.items() if status is not None and status.leads]
    return here if here in leading else next(iter(leading), None)


class _PoolSearch:
    """Which rank of a pool's service to ask next. Pure.

    Args:
        pool: The pool.
        leader: Who led it last; None if that is not known.

    Attributes:
        error: What was heard last.
        heard: Whether one of them was there.
    """

    def __init__(self, pool: Pool, leader: Rank | None) -> None:
        self.pool = pool
        self.error: DaosError = UnavailableError(f"the pool {pool.uuid} has no service", code=DER.NO_SERVICE)
        self.heard = False
        self._queue = list(pool.services if leader is None else (leader, *pool.services))
        self._asked: set[Rank] = set()
        self._told: Rank | None = None

    def next(self, under_way: Container[Rank]) -> Rank | None:
        """Return the next rank of this round; None at its end. Those under way are passed over."""
        while self._queue:
            rank = self._queue.pop(0)
            if rank not in self._asked and rank not in under_way:
                self._asked.add(rank)
                return rank
        return None

    def knows_better(self, under_way: Container[Rank]) -> bool:
        """Tell whether the next is one that another rank takes for the leader, and that is not asked yet."""
        told = self._told
        return told is not None and self._queue[:1] == [told] and told not in self._asked and told not in under_way

    def refused(self, rank: Rank, refusal: DaosError) -> None:
        """Take note of a rank that did not do it, and of whom it names."""
        self.error = refusal
        self.heard = self.heard or refusal.code is not DER.UNREACH
        leader = refusal.context.get("leader")
        if refusal.code is DER.NOTLEADER and isinstance(leader, int) and leader != rank:
            self._told = leader
            self._queue.insert(0, leader)

    def begin_round(self) -> None:
        """Begin a round."""
        self._queue, self._asked, self._told = list(self.pool.services), set(), None

    def absent(self) -> DaosError:
        """Return the error of a service of which nobody is there."""
        return UnavailableError(
            f"no rank of the service of pool {self.pool.label or self.pool.uuid} is there: {self.error.message}",
            hint="dmg system query tells which ranks are there",
        )


def _ranks(ranks: Sequence[Rank] | None) -> tuple[Rank, ...] | None:
    return None if ranks is None else tuple(ranks)


def _decode(answer: bytes, wanted: type[T]) -> T:
    try:
        return decode(answer, wanted)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InternalError(f"the answer of an engine cannot be read: {error}") from None
