"""The state of the system service, and the steps of its operations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec

from daos.control.late import too_late
from daos.control.outbox import Rank, Work
from daos.control.outcomes import SECOND, Outcome
from daos.control.replicated import AnyCommand, State
from daos.control.system import effects
from daos.control.system.effects import AnyEffect
from daos.errors import DER, DaosError, NotFoundError, error_from_der
from daos.model.labels import check_reference, is_uuid
from daos.model.members import MemberState

OPERATION_TICKS_MAX = 60 * SECOND
"""After so long an operation that waits for ranks is given up."""
SELF_HEAL = ("exclude", "pool_exclude", "pool_rebuild")


class PoolState(StrEnum):
    """States of a pool's service, by DAOS's words."""

    CREATING = "Creating"
    READY = "Ready"
    DESTROYING = "Destroying"


class Member(msgspec.Struct, kw_only=True):
    """A rank of the system.

    Attributes:
        rank: Its number.
        uuid: Of its storage.
        address: Of the server beside it, `host:port`.
        uri: Where it serves.
        domain: Its fault domain, from the top down; the last is the host.
        incarnation: Stamp of the start of its process.
        targets: How many it has.
        capacity: Bytes of tier 0 and tier 1 that pools may have.
        state: Where it is in its life.
        reason: Why it is in this state.
        changed: When it came into this state.
    """

    rank: Rank
    uuid: str
    address: str
    uri: str
    domain: tuple[str, ...]
    incarnation: int
    targets: int
    capacity: tuple[int, int]
    state: MemberState = MemberState.JOINED
    reason: str = ""
    changed: int = 0

    @property
    def joined(self) -> bool:
        """Whether it serves."""
        return self.state is MemberState.JOINED


class Pool(msgspec.Struct, kw_only=True):
    """A pool of the system.

    Attributes:
        uuid: Its uuid.
        label: Its label; None for one without, or that is being destroyed.
        state: Where it is in its life.
        ranks: Its ranks.
        services: The ranks of its service.
        tiers: Bytes that it has on each rank.
        deadline: When what it waits for is given up; 0 if it waits for nothing, or for ever.
        force: Whether it is being destroyed also if its service does not answer.
        start: What its service is started with; None once it has been.
    """

    uuid: str
    label: str | None
    state: PoolState
    ranks: list[Rank]
    services: list[Rank]
    tiers: tuple[int, int]
    deadline: int
    force: bool = False
    start: effects.StartService | None = None


class PoolCreated(msgspec.Struct, frozen=True, kw_only=True):
    """The result of creating a pool.

    Attributes:
        uuid: Its uuid.
        ranks: Its ranks.
        services: The ranks of its service.
        tiers: Bytes that it has on each rank.
    """

    uuid: str
    ranks: tuple[Rank, ...]
    services: tuple[Rank, ...]
    tiers: tuple[int, int]


class RankResult(msgspec.Struct, frozen=True, kw_only=True):
    """How an operation went on a rank.

    Attributes:
        rank: The rank.
        code: 0, or the number of a `DER`.
    """

    rank: Rank
    code: int


class RankResults(msgspec.Struct, frozen=True, kw_only=True):
    """The result of stopping, starting or excluding ranks."""

    results: tuple[RankResult, ...]


class EngineOperation(msgspec.Struct, kw_only=True):
    """Ranks being stopped, started or erased.

    Attributes:
        results: Rank to code; None where it is not known yet.
        deadline: When what is not known is given up.
        erase: Whether the system is forgotten at the end.
    """

    results: dict[Rank, int | None]
    deadline: int
    erase: bool = False


class SystemState(State[AnyEffect], kw_only=True):
    """The state of the system service.

    Attributes:
        members: The ranks.
        retired: Uuids of storage whose rank has other storage now, with that rank.
        next_rank: Of the next engine that has none.
        version: Of the system map: counts changes of members.
        pools: By uuid.
        labels: Label to uuid.
        engines: Operations on engines that are under way.
        attributes: What administrators wrote.
        properties: Of the system.
    """

    members: dict[Rank, Member] = msgspec.field(default_factory=dict)
    retired: dict[str, Rank] = msgspec.field(default_factory=dict)
    next_rank: Rank = 0
    version: int = 0
    pools: dict[str, Pool] = msgspec.field(default_factory=dict)
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    engines: dict[str, EngineOperation] = msgspec.field(default_factory=dict)
    attributes: dict[str, str] = msgspec.field(default_factory=dict)
    properties: dict[str, str] = msgspec.field(default_factory=dict)

    def progressed(self, work: Work[AnyEffect]) -> None:
        """Let the effect say what follows."""
        work.effect.progressed(self, work)

    def may_reach(self, effect: AnyEffect, rank: Rank) -> bool:
        """Tell whether a rank is there for an effect: what a server does needs no engine."""
        return effect.by_server or (rank in self.members and self.members[rank].joined)

    def due(self, now: int) -> Iterator[tuple[str, AnyCommand]]:
        """Yield the end of operations whose time is over."""
        from daos.control.system.expire import Expire

        for pool in self.pools.values():
            if pool.deadline and now >= pool.deadline:
                yield f"pool {pool.uuid}", Expire(operation=pool.uuid, deadline=pool.deadline)
        for name, operation in self.engines.items():
            if now >= operation.deadline:
                yield f"engines {name}", Expire(operation=name, deadline=operation.deadline)

    def dead(self, ranks: dict[Rank, int]) -> AnyCommand | None:
        """Return the command that excludes those of the ranks that are still taken for alive."""
        from daos.control.system.members import MarkDead

        news = {
            rank: incarnation
            for rank, incarnation in ranks.items()
            if rank in self.members and self.members[rank].joined and self.members[rank].incarnation <= incarnation
        }
        return MarkDead(ranks=news) if news else None

    def find_pool(self, reference: str) -> Pool:
        """Return the pool of a label or uuid.

        Raises:
            InvalidError: `DER.INVAL`: it can be neither.
            NotFoundError: `DER.NONEXIST`.
        """
        name = check_reference(reference, "pool")
        pool = self.pools.get(self.labels.get(name, name))
        if pool is None:
            kind = "uuid" if is_uuid(name) else "label"
            raise NotFoundError(f'unable to find pool service with {kind} "{reference}"', hint="list the pools")
        return pool

    def self_heal(self, flag: str) -> bool:
        """Tell whether the system does of itself what a word of `self_heal` names."""
        return flag in self.properties.get("self_heal", ";".join(SELF_HEAL)).split(";")

    def free(self, member: Member) -> list[int]:
        """Return the bytes of each tier of a member that no pool has."""
        free = list(member.capacity)
        held = [pool.tiers for pool in self.pools.values() if member.rank in pool.ranks]
        for work in self.outbox.works.values():
            effect = work.effect
            if (
                isinstance(effect, effects.DestroyShards)
                and effect.subject not in self.pools
                and member.rank in work.ranks
            ):
                held.append(effect.tiers)
        for tiers in held:
            free = [left - taken for left, taken in zip(free, tiers, strict=True)]
        return free

    # Members

    def set_state(self, member: Member, state: MemberState, reason: str = "") -> None:
        """Bring a member into a state, and take the consequences."""
        was_joined = member.joined
        if member.state is not state:
            member.changed = self.time
        member.state, member.reason = state, reason
        if was_joined and not member.joined:
            for pool in list(self.pools.values()):
                if pool.state is PoolState.CREATING and member.rank in pool.ranks:
                    self.fail_create(pool.uuid, member.rank, DER.EXCLUDED.value)
                elif pool.state is PoolState.DESTROYING:
                    self.settle_destroy(pool.uuid)
        self.push_members()

    def push_members(self) -> None:
        """Make a new version of the system map, and tell it."""
        self.version += 1
        self.outbox.cancel(effects.MEMBERS)
        joined = [member.rank for member in self.members.values() if member.joined]
        self.outbox.put(effects.PushMembers(subject=effects.MEMBERS, version=self.version), joined)

    # Steps of creating a pool

    def start_service(self, uuid: str) -> None:
        """All shards are there."""
        pool = self.pools[uuid]
        if pool.start is not None:
            self.outbox.put(pool.start, pool.services)

    def finish_create(self, uuid: str) -> None:
        """The service is there too: the pool is ready."""
        pool = self.pools[uuid]
        pool.state, pool.deadline, pool.start = PoolState.READY, 0, None
        self.outcomes.finish(f"pool {uuid}", Outcome.done(created(pool)))

    def fail_create(self, uuid: str, rank: Rank, code: int) -> None:
        """A rank cannot do its part: take all back."""
        error = error_from_der(code, f"rank {rank} could not make its part of the pool", context={"rank": rank})
        self.outcomes.finish(f"pool {uuid}", Outcome.refused(error))
        self.begin_destroy(uuid)

    def expire_create(self, uuid: str, late: Sequence[Rank]) -> None:
        """Ranks did not do their part in time: take all back."""
        error = too_late(
            "the pool was not made",
            late,
            OPERATION_TICKS_MAX // SECOND,
            "dmg system query tells which ranks run; dmg system exclude keeps those out that do not come back",
        )
        self.outcomes.finish(f"pool {uuid}", Outcome.refused(error))
        self.begin_destroy(uuid)

    # Steps of destroying a pool

    def refuse_destroy(self, uuid: str, rank: Rank, code: int) -> None:
        """The pool's service says no."""
        if code == DER.EXIST:
            message = "cannot destroy a pool with existing containers"
            error = error_from_der(code, message, effects.CONTAINERS_HINT, {"rank": rank})
        else:
            error = error_from_der(
                code, "the pool's service refuses", "open handles go with --force, or by evicting them", {"rank": rank}
            )
        self.keep_pool(uuid, error)

    def keep_pool(self, uuid: str, error: DaosError) -> None:
        """Give up destroying a pool."""
        pool = self.pools[uuid]
        pool.deadline, pool.force = 0, False
        self.outbox.cancel(uuid)
        self.outbox.put(effects.ResumePool(subject=uuid), pool.services, anyone=True)
        self.outcomes.finish(f"pool {uuid}", Outcome.refused(error))

    def begin_destroy(self, uuid: str) -> None:
        """From here on the pool goes: free its label, delete what there is of it."""
        pool = self.pools[uuid]
        if pool.label is not None:
            del self.labels[pool.label]
        pool.state, pool.label, pool.deadline, pool.start = PoolState.DESTROYING, None, 0, None
        self.outbox.cancel(uuid)
        self.outbox.cancel(f"{uuid}/label")
        everybody = dict.fromkeys([*pool.ranks, *pool.services])
        self.outbox.put(effects.DestroyShards(subject=uuid, tiers=pool.tiers), everybody)
        self.settle_destroy(uuid)

    def settle_destroy(self, uuid: str) -> None:
        """Forget a pool of which no rank that is there has anything left; others delete it when they join."""
        waiting = [rank for work in self.outbox.works.values() if work.effect.subject == uuid for rank in work.ranks]
        if uuid in self.pools and not any(self.members[rank].joined for rank in waiting if rank in self.members):
            del self.pools[uuid]
            self.outcomes.finish(f"pool {uuid}", Outcome.done())

    # Steps of stopping, starting and erasing engines

    def stop_engines(self, name: str, *, force: bool, waiting: Sequence[Rank] = ()) -> None:
        """End the engines of an operation but those that still prepare for it."""
        works = [work for work in self.outbox.works.values() if isinstance(work.effect, effects.StopEngines)]
        begun = {rank for work in works for rank in work.ranks}
        results = self.engines[name].results
        ranks = [rank for rank, code in results.items() if code is None and rank not in begun and rank not in waiting]
        self.outbox.put(effects.StopEngines(subject=effects.ENGINE, operation=name, force=force), ranks)

    def engine_results(self, name: str, work: Work[AnyEffect], then: MemberState | None) -> None:
        """Take note of who has done his part; bring those into a state."""
        operation = self.engines[name]
        for rank in [rank for rank in work.asked if operation.results.get(rank, 0) is None and rank not in work.ranks]:
            operation.results[rank] = work.failed.get(rank, 0)
            if rank in work.failed:
                self.set_state(self.members[rank], MemberState.ERRORED, str(DER.of(work.failed[rank])))
            elif then is not None and self.members[rank].state is MemberState.STOPPING:
                self.set_state(self.members[rank], then)
        if None not in operation.results.values():
            self.finish_engines(name)

    def finish_engines(self, name: str) -> None:
        """Answer an operation on engines."""
        operation = self.engines.pop(name)
        results = {rank: DER.TIMEDOUT.value if code is None else code for rank, code in operation.results.items()}
        if operation.erase and not any(results.values()):
            self.forget()
        listed = tuple(RankResult(rank=rank, code=code) for rank, code in results.items())
        self.outcomes.finish(name, Outcome.done(RankResults(results=listed)))

    def forget(self) -> None:
        """Begin again with an empty system. Numbers of effects go on, so that ranks refuse old ones."""
        for table in (self.members, self.pools, self.labels, self.attributes, self.properties, self.outbox.works):
            table.clear()
        self.next_rank, self.version = 0, self.version + 1

    def check(self) -> None:
        """Compare labels with pools, works with what is waited for.

        Raises:
            AssertionError: They contradict each other.
        """
        super().check()
        labels = {pool.label: pool.uuid for pool in self.pools.values() if pool.label is not None}
        if labels != self.labels:
            raise AssertionError(f"labels {self.labels} of pools {labels}")
        subjects = {work.effect.subject for work in self.outbox.works.values()}
        for pool in self.pools.values():
            if (pool.state is not PoolState.READY or pool.deadline) and pool.uuid not in subjects:
                raise AssertionError(f"{pool} waits for nothing")


def created(pool: Pool) -> PoolCreated:
    """Return what the creator of a pool is told."""
    return PoolCreated(uuid=pool.uuid, ranks=tuple(pool.ranks), services=tuple(pool.services), tiers=pool.tiers)
