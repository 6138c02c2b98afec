"""The system service: commands in, outcomes and effects out."""

from __future__ import annotations

from uuid import UUID

import pytest

from daos.control.outbox import Effect
from daos.control.outcomes import SECOND, Outcome, RequestId
from daos.control.replicated import AnyCommand, Confirm, Replica, encode_entry
from daos.control.system import queries
from daos.control.system.effects import (
    CreateShards,
    DestroyShards,
    EraseEngines,
    PrepareDestroy,
    PrepareShutdown,
    PushMembers,
    RelabelPool,
    ResumePool,
    StartEngines,
    StartService,
    StopEngines,
)
from daos.control.system.engines import EraseSystem, StartRanks, StopRanks
from daos.control.system.members import ClearExclude, ExcludeRanks, Join, Joined, MarkDead, ReportMember
from daos.control.system.pool_create import PoolCreate
from daos.control.system.pool_destroy import PoolDestroy, PoolRelabel, PoolReplicas
from daos.control.system.service import SYSTEM
from daos.control.system.settings import DeleteAttributes, SetAttributes, SetProperties
from daos.control.system.state import OPERATION_TICKS_MAX, PoolCreated, RankResults, SystemState
from daos.errors import DER, DaosError, InvalidError, NotFoundError
from daos.model.members import MemberState

T = 1000 * SECOND
GIB = 1 << 30
TIERS = (GIB, 4 * GIB)


def uuid(number: int) -> str:
    return str(UUID(int=number))


class System:
    """The service, on one replica."""

    def __init__(self, ranks: int = 0, domains: int | None = None) -> None:
        self.replica = Replica(SYSTEM)
        self.time = T
        self.outcomes: dict[int, Outcome] = {}
        self.stamp = T
        for rank in range(ranks):
            self.ok(self.join(rank, f"rack{rank % (domains or ranks)}"))

    @property
    def state(self) -> SystemState:
        return self.replica.state

    def join(self, number: int, rack: str = "rack0", **changes: object) -> Join:
        whole = {
            "uuid": uuid(1000 + number),
            "address": f"host{number}:10001",
            "uri": f"tcp://host{number}:31416",
            "domain": (rack,),
            "incarnation": 1,
            "targets": 2,
            "capacity": (8 * GIB, 32 * GIB),
        } | changes
        return Join(**whole)  # type: ignore[arg-type]

    def apply(self, command: AnyCommand, request: RequestId | None) -> None:
        applied = self.replica.apply(self.replica.index + 1, encode_entry(SYSTEM, self.time, command, request))
        self.outcomes |= {answer.request.stamp: answer.outcome for answer in applied.answers}
        self.state.check()

    def ask(self, command: AnyCommand) -> int:
        self.stamp += 1
        self.apply(command, RequestId("me", self.stamp))
        return self.stamp

    def ok(self, command: AnyCommand) -> Outcome:
        outcome = self.outcomes[self.ask(command)]
        outcome.check()
        return outcome

    def refused(self, command: AnyCommand) -> DaosError:
        before = self.replica.state.outbox.next, self.replica.state.version
        outcome = self.outcomes[self.ask(command)]
        assert (self.replica.state.outbox.next, self.replica.state.version) == before
        with pytest.raises(DaosError) as caught:
            outcome.check()
        return caught.value

    def works(self, kind: type[Effect]) -> dict[int, list[int]]:
        works = self.state.outbox.works.items()
        return {number: work.ranks for number, work in works if isinstance(work.effect, kind)}

    def finish(self, kind: type[Effect], failed: dict[int, int] | None = None) -> None:
        """Have all ranks report on the effects of a kind."""
        wrong = failed or {}
        for number, ranks in self.works(kind).items():
            done = tuple(rank for rank in ranks if rank not in wrong)
            self.apply(Confirm(work=number, done=done, failed=wrong), None)

    def create(self, number: int = 1, **changes: object) -> PoolCreate:
        whole = {"uuid": uuid(number), "tiers": TIERS, "owner": "alice@", "group": "users@"} | changes
        return PoolCreate(**whole)  # type: ignore[arg-type]

    def made(self, number: int = 1, **changes: object) -> PoolCreated:
        asked = self.ask(self.create(number, **changes))
        self.finish(CreateShards)
        self.finish(StartService)
        return self.outcomes[asked].value(PoolCreated)

    def words(self) -> list[str]:
        return [member.state.word for member in queries.members(self.state)]


# Joining


def test_ranks_are_given_in_turn() -> None:
    system = System(2)
    joined = system.ok(system.join(5)).value(Joined)
    assert (joined.rank, joined.state) == (2, MemberState.JOINED)
    assert system.ok(system.join(7, rank=7)).value(Joined).rank == 7
    assert system.ok(system.join(8)).value(Joined).rank == 8
    assert [(type(w.effect), w.ranks) for w in system.state.outbox.works.values()] == [(PushMembers, [0, 1, 2, 7, 8])]


def test_it_is_told_when_a_rank_joined() -> None:
    system = System(1)
    member = system.state.members[0]
    assert member.changed == T
    system.time += 5 * SECOND
    system.ok(system.join(0))
    assert system.state.members[0].changed == T, "the same process has been there since"
    system.time += 5 * SECOND
    system.ok(system.join(0, incarnation=2))
    assert system.state.members[0].changed == T + 10 * SECOND, "it was started again, and nobody had noticed it end"
    system.ok(ReportMember(rank=0, incarnation=2, state=MemberState.STOPPED))
    system.time += 5 * SECOND
    system.ok(system.join(0, incarnation=3))
    assert system.state.members[0].changed == T + 15 * SECOND
    # As a release wrote it that did not keep it.
    system.state.members[0].changed = 0
    system.ok(system.join(0, incarnation=3))
    assert system.state.members[0].changed == T + 15 * SECOND


def test_the_same_storage_keeps_its_rank() -> None:
    system = System(2)
    version = system.state.version
    joined = system.ok(system.join(1, "rack1", incarnation=9, address="moved:1")).value(Joined)
    assert joined.rank == 1
    assert joined.version > version
    assert system.state.members[1].address == "moved:1"
    error = system.refused(system.join(1, "rack1", incarnation=8))
    assert error.code is DER.STALE
    assert system.refused(system.join(1, "rack1", incarnation=10, rank=0)).code is DER.EXIST


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"uuid": "tank"}, "no uuid"),
        ({"domain": ()}, "invalid fault domain /"),
        ({"domain": ("a", "b")}, "has 2 levels, others have 1"),
        ({"targets": 0}, "at least one target"),
        ({"capacity": (-1, 0)}, "no negative capacity"),
        ({"rank": 1 << 16}, "out of range"),
        ({"rank": 0}, "rank 0 has other storage"),
        ({"replace": True}, "is there to be replaced"),
    ],
)
def test_bad_joins(changes: dict[str, object], said: str) -> None:
    system = System(2)
    assert said in system.refused(system.join(9, **changes)).message  # type: ignore[arg-type]


def test_new_storage_takes_the_place_of_lost_storage() -> None:
    system = System(2)
    system.made(ranks=(0, 1))
    system.apply(MarkDead(ranks={1: 1}), None)
    asked = system.ask(PoolDestroy(pool=uuid(1), force=True))
    system.finish(PrepareDestroy)
    system.apply(Confirm(work=next(iter(system.works(DestroyShards))), done=(0,)), None)
    assert system.outcomes[asked].code == 0
    assert list(system.works(DestroyShards).values()) == [[1]], "rank 1 has the shard still"
    assert system.state.free(system.state.members[1]) == [7 * GIB, 28 * GIB]
    fresh = system.join(1, "rack1", uuid=uuid(77), replace=True)
    assert system.ok(fresh).value(Joined).rank == 1
    assert system.works(DestroyShards) == {}, "the storage that had it is gone"
    assert system.state.free(system.state.members[1]) == [8 * GIB, 32 * GIB]
    late = system.refused(system.join(1, "rack1", incarnation=5))
    assert (late.code, late.message) == (DER.EXCLUDED, f"rank 1 was given to other storage than {uuid(1001)}")


def test_an_excluded_rank_stays_out() -> None:
    system = System(3)
    system.ok(ExcludeRanks(ranks=(1,)))
    assert system.words() == ["Joined", "AdminExcluded", "Joined"]
    assert system.refused(system.join(1, "rack1", incarnation=2)).code is DER.EXCLUDED
    assert system.refused(system.join(1, "rack1", uuid=uuid(5), replace=True)).code is DER.EXCLUDED
    system.apply(ReportMember(rank=1, incarnation=9, state=MemberState.STARTING), None)
    assert system.words()[1] == "AdminExcluded"
    system.ok(ClearExclude(ranks=(1, 2)))
    assert system.words() == ["Joined", "Excluded", "Joined"]
    system.ok(system.join(1, "rack1", incarnation=2))
    assert system.words()[1] == "Joined"
    assert system.refused(ExcludeRanks(ranks=(9,))).code is DER.NONEXIST
    assert system.refused(ExcludeRanks(ranks=())).code is DER.INVAL


@pytest.mark.parametrize(("self_heal", "word"), [("exclude", "Excluded"), ("pool_exclude", "Unresponsive")])
def test_the_dead(self_heal: str, word: str) -> None:
    system = System(2)
    system.ok(SetProperties(properties={"self_heal": self_heal}))
    system.apply(MarkDead(ranks={1: 0, 7: 9}), None)
    assert system.words() == ["Joined", "Joined"], "an older incarnation, and nobody"
    system.apply(MarkDead(ranks={1: 1}), None)
    assert system.words() == ["Joined", word]


def test_reports_of_servers() -> None:
    system = System(1)
    system.ok(ReportMember(rank=0, incarnation=1, state=MemberState.ERRORED, reason="signal: aborted"))
    assert (system.words(), system.state.members[0].reason) == (["Errored"], "signal: aborted")
    system.ok(system.join(0, incarnation=2))
    system.ok(ReportMember(rank=0, incarnation=1, state=MemberState.STOPPED))
    assert system.words() == ["Joined"], "that was the process before"
    assert (
        "cannot report a rank Joined"
        in system.refused(ReportMember(rank=0, incarnation=2, state=MemberState.JOINED)).message
    )


# Pools


def test_a_pool_is_made_step_by_step() -> None:
    system = System(5)
    asked = system.ask(system.create(label="tank"))
    assert asked not in system.outcomes
    assert list(system.works(CreateShards).values()) == [[0, 1, 2, 3, 4]]
    assert not system.works(StartService)
    system.finish(CreateShards)
    (work,) = [work for work in system.state.outbox.works.values() if isinstance(work.effect, StartService)]
    assert isinstance(work.effect, StartService)
    assert (work.effect.label, work.effect.services, work.effect.owner) == ("tank", (0, 1, 2, 3, 4), "alice@")
    assert work.effect.acl == ("A::OWNER@:rw", "A:G:GROUP@:rw")
    assert work.effect.properties["rd_fac"] == 3
    assert [(each.rank, each.domain, each.targets) for each in work.effect.ranks][:2] == [
        (0, ("rack0",), 2),
        (1, ("rack1",), 2),
    ]
    system.finish(StartService)
    made = system.outcomes[asked].value(PoolCreated)
    assert made == PoolCreated(uuid=uuid(1), ranks=(0, 1, 2, 3, 4), services=(0, 1, 2, 3, 4), tiers=TIERS)
    assert queries.find_pool(system.state, "tank").uuid == uuid(1)
    assert queries.find_pool(system.state, uuid(1).upper()).label == "tank"
    assert system.ok(system.create(label="tank")).value(PoolCreated) == made, "asked again by who has forgotten it"
    assert system.refused(system.create(label="other")).code is DER.EXIST


@pytest.mark.parametrize("step", [CreateShards, StartService])
def test_a_rank_that_cannot_takes_the_pool_back(step: type[Effect]) -> None:
    system = System(3)
    asked = system.ask(system.create(label="tank"))
    if step is StartService:
        system.finish(CreateShards)
    system.finish(step, {1: DER.NOSPACE})
    assert system.outcomes[asked].code == DER.NOSPACE
    assert system.state.labels == {}, "another may have the label at once"
    assert system.refused(system.create(label="tank")).code is DER.BUSY
    assert list(system.works(DestroyShards).values()) == [[0, 1, 2]]
    system.finish(DestroyShards)
    assert system.state.pools == {}
    system.made(label="tank")


def test_a_rank_that_leaves_takes_the_pool_back() -> None:
    system = System(3)
    asked = system.ask(system.create())
    system.apply(MarkDead(ranks={2: 1}), None)
    assert system.outcomes[asked].code == DER.EXCLUDED
    assert list(system.works(DestroyShards).values()) == [[0, 1, 2]]
    system.apply(Confirm(work=next(iter(system.works(DestroyShards))), done=(0, 1)), None)
    assert system.state.pools == {}
    assert list(system.works(DestroyShards).values()) == [[2]], "it deletes its shard when it is back"


def test_time_takes_the_pool_back() -> None:
    system = System(3)
    asked = system.ask(system.create())
    assert list(system.state.due(T + OPERATION_TICKS_MAX - 1)) == []
    for _, command in system.state.due(T + OPERATION_TICKS_MAX):
        system.apply(command, None)
        system.apply(command, None)
    told = system.outcomes[asked]
    assert told.code == DER.TIMEDOUT
    assert told.message == "the pool was not made: ranks 0, 1 and 2 did not answer within 60 s"
    assert told.hint is not None
    assert "dmg system query" in told.hint
    assert "dmg system exclude" in told.hint
    assert system.works(DestroyShards)


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"uuid": "x"}, DER.INVAL, "no uuid"),
        ({"label": "bad label"}, DER.INVAL, 'invalid pool label "bad label"'),
        ({"ranks": (0,), "count": 1}, DER.INVAL, "--nranks may not be mixed with --ranks"),
        ({"ranks": (0, 9)}, DER.INVAL, "pool request contains invalid rank: 9"),
        ({"ranks": ()}, DER.INVAL, "pool request contains invalid rank: none"),
        ({"count": 7}, DER.INVAL, "invalid number of ranks (requested: 7, available: 6)"),
        ({"tiers": (1 << 20, 0)}, DER.INVAL, "requested SCM capacity too small (min 33.6 MB per rank)"),
        ({"tiers": (GIB, GIB)}, DER.INVAL, "requested NVMe capacity too small"),
        ({"tiers": (9 * GIB, 0)}, DER.NOSPACE, "of SCM free"),
        ({"properties": {"foo": 1}}, DER.INVAL, '"foo" is not a settable property'),
        ({"properties": {"svc_list": 1}}, DER.NO_PERM, "cannot set svc_list"),
        ({"properties": {"rf": 3}}, DER.INVAL, "redundancy factor 3 requires at least 4 fault domains but only 3"),
        ({"acl": ("A::bob",)}, DER.INVAL, "invalid ACL entry"),
        ({"owner": "a@b"}, DER.INVAL, "invalid principal"),
    ],
)
def test_bad_pools(changes: dict[str, object], code: DER, said: str) -> None:
    system = System(6, domains=3)
    error = system.refused(system.create(**changes))  # type: ignore[arg-type]
    assert (error.code, said in error.message) == (code, True), error.message
    assert system.state.pools == {}


def test_nobody_is_there() -> None:
    assert "zero target ranks" in System().refused(System().create()).message


def test_a_number_of_ranks_comes_from_many_domains() -> None:
    system = System(6, domains=3)
    system.made(1, ranks=(0, 1), tiers=(6 * GIB, 0))
    chosen = system.made(2, count=3).ranks
    assert chosen == (2, 3, 4), "of each domain the rank with the most space"
    assert system.made(3, count=4, properties={"svc_rf": 0}).services in ((0,), (2,), (3,))
    assert len(system.made(4).services) == 3, "as many as there are domains"
    assert "rank 0 has" in system.refused(system.create(5, tiers=(3 * GIB, 0))).message
    assert system.state.free(system.state.members[2]) == [5 * GIB, 20 * GIB]


def test_destroying_asks_the_pool() -> None:
    system = System(3)
    system.made(label="tank")
    asked = system.ask(PoolDestroy(pool="tank", recursive=True))
    (work,) = [work for work in system.state.outbox.works.values() if isinstance(work.effect, PrepareDestroy)]
    assert isinstance(work.effect, PrepareDestroy)
    assert (work.anyone, work.effect.force, work.effect.recursive) == (True, False, True)
    assert system.refused(PoolDestroy(pool="tank")).code is DER.BUSY
    system.finish(PrepareDestroy, {0: DER.EXIST})
    assert system.outcomes[asked].code == DER.EXIST
    assert system.outcomes[asked].message == "cannot destroy a pool with existing containers"
    assert list(system.works(ResumePool)), "it may have refused handles by then"
    asked = system.ask(PoolDestroy(pool="tank"))
    system.finish(PrepareDestroy)
    assert asked not in system.outcomes
    assert system.refused(PoolRelabel(pool=uuid(1), label="x")).code is DER.BUSY
    system.finish(DestroyShards)
    assert system.outcomes[asked].code == 0
    with pytest.raises(NotFoundError, match='unable to find pool service with label "tank"'):
        queries.find_pool(system.state, "tank")
    with pytest.raises(NotFoundError, match="with uuid"):
        queries.find_pool(system.state, uuid(1))


@pytest.mark.parametrize("force", [False, True])
def test_a_service_that_does_not_answer(*, force: bool) -> None:
    system = System(3)
    system.made()
    asked = system.ask(PoolDestroy(pool=uuid(1), force=force))
    for _, command in system.state.due(T + OPERATION_TICKS_MAX):
        system.apply(command, None)
    if force:
        assert system.works(DestroyShards)
    else:
        assert system.outcomes[asked].code == DER.TIMEDOUT
        assert (system.works(ResumePool) != {}, system.works(PrepareDestroy)) == (True, {})
        assert list(system.state.due(T + 2 * OPERATION_TICKS_MAX)) == []


def test_labels_are_unique() -> None:
    system = System(1)
    system.made(1, label="a")
    system.made(2)
    assert system.refused(system.create(3, label="a")).message == 'pool label "a" already exists in the system'
    assert system.refused(PoolRelabel(pool=uuid(2), label="a")).code is DER.EXIST
    system.ok(PoolRelabel(pool="a", label="a"))
    system.ok(PoolRelabel(pool="a", label="b"))
    system.ok(PoolRelabel(pool=uuid(2), label="a"))
    assert [pool.uuid for pool in queries.pools(system.state)] == [uuid(2), uuid(1)]
    system.ok(PoolRelabel(pool=uuid(2), label="c"))
    told = [work.effect for work in system.state.outbox.works.values() if isinstance(work.effect, RelabelPool)]
    assert [(effect.subject, effect.label) for effect in told] == [(f"{uuid(1)}/label", "b"), (f"{uuid(2)}/label", "c")]
    system.ask(PoolDestroy(pool="b"))
    system.finish(PrepareDestroy)
    assert len(system.works(RelabelPool)) == 1


def test_a_pool_tells_where_it_is() -> None:
    system = System(4)
    system.made(1, ranks=(0, 1))
    system.ok(PoolReplicas(pool=uuid(1), services=(1,)))
    assert (system.state.pools[uuid(1)].ranks, system.state.pools[uuid(1)].services) == ([0, 1], [1])
    assert system.refused(PoolReplicas(pool=uuid(1), services=(2,))).code is DER.INVAL
    assert system.refused(PoolReplicas(pool=uuid(1), services=())).code is DER.INVAL


# Engines


def test_stop_start_erase() -> None:
    system = System(3)
    system.made()
    asked = system.ask(StopRanks())
    assert system.words() == ["Stopping"] * 3
    number = next(iter(system.works(PrepareShutdown)))
    system.apply(Confirm(work=number, done=(0,), failed={1: DER.IO}), None)
    assert list(system.works(StopEngines).values()) == [[0, 1]], "nobody waits for rank 2"
    assert system.refused(EraseSystem()).code is DER.BUSY
    system.apply(Confirm(work=number, done=(2,)), None)
    assert list(system.works(StopEngines).values()) == [[0, 1], [2]]
    system.finish(StopEngines, {1: DER.IO})
    results = system.outcomes[asked].value(RankResults).results
    assert [(result.rank, result.code) for result in results] == [(0, 0), (1, DER.IO), (2, 0)]
    assert system.words() == ["Stopped", "Errored", "Stopped"]
    assert all(result.code == 0 for result in system.ok(StopRanks()).value(RankResults).results), "twice is fine"
    asked = system.ask(StartRanks(ranks=(0,)))
    assert system.words()[0] == "Starting"
    system.finish(StartEngines)
    assert system.outcomes[asked].code == 0
    system.ok(system.join(0, incarnation=2))
    asked = system.ask(StopRanks(ranks=(0,), force=True))
    assert not system.works(PrepareShutdown)
    system.finish(StopEngines)
    asked = system.ask(EraseSystem())
    system.finish(EraseEngines, {1: DER.IO})
    assert [result.code for result in system.outcomes[asked].value(RankResults).results] == [0, DER.IO, 0]
    assert len(system.state.members) == 3
    asked = system.ask(EraseSystem())
    system.finish(EraseEngines)
    assert (system.state.members, system.state.pools) == ({}, {})
    assert system.ok(system.join(9)).value(Joined).rank == 0


def test_servers_that_do_not_answer() -> None:
    system = System(2)
    asked = system.ask(StopRanks(force=True))
    system.apply(Confirm(work=next(iter(system.works(StopEngines))), done=(0,)), None)
    assert system.words() == ["Stopped", "Stopping"]
    assert system.refused(StartRanks(ranks=(0, 1))).code is DER.BUSY
    assert system.refused(StopRanks()).code is DER.BUSY
    for _, command in list(system.state.due(T + OPERATION_TICKS_MAX)):
        system.apply(command, None)
    assert system.outcomes[asked].value(RankResults).results[1].code == DER.TIMEDOUT
    assert not system.works(StopEngines)
    assert system.words()[1] == "Errored"


def test_ranks_that_an_administrator_excluded_are_named() -> None:
    system = System(2)
    system.ok(ExcludeRanks(ranks=(1,)))
    assert system.refused(StopRanks()).code is DER.EXCLUDED
    system.ask(StopRanks(ignore_excluded=True))
    assert system.words() == ["Stopping", "AdminExcluded"]
    assert system.refused(StartRanks(ranks=(1,), ignore_excluded=True)).code is DER.INVAL
    assert System().refused(EraseSystem()).code is DER.INVAL


# Settings and queries


def test_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System()
    system.ok(SetAttributes(attributes={"b": "1", "a": "2"}))
    assert queries.attributes(system.state) == {"a": "2", "b": "1"}
    assert queries.attributes(system.state, ["b"]) == {"b": "1"}
    system.ok(DeleteAttributes(names=("b", "b")))
    assert 'key "b"' in system.refused(DeleteAttributes(names=("a", "b"))).message
    assert system.refused(SetAttributes(attributes={"": "1"})).code is DER.INVAL
    assert system.refused(SetAttributes(attributes={"x": "1" * 70_000})).code is DER.REC2BIG
    with pytest.raises(NotFoundError):
        queries.attributes(system.state, ["b"])
    monkeypatch.setattr("daos.control.system.settings.ATTRIBUTES_MAX", 1)
    assert system.refused(SetAttributes(attributes={"c": "1"})).code is DER.INVAL
    assert system.state.attributes == {"a": "2"}


def test_properties() -> None:
    system = System()
    system.ok(SetProperties(properties={"self_heal": "pool_rebuild;exclude", "pool_scrub_thresh": "7"}))
    assert queries.properties(system.state, system="daos_server", version="0.1.0") == {
        "daos_system": "daos_server",
        "daos_version": "0.1.0",
        "pool_scrub_mode": "off",
        "pool_scrub_thresh": "7",
        "self_heal": "exclude;pool_rebuild",
    }
    assert queries.properties(system.state, system="s", version="v", names=["self_heal"]) == {
        "self_heal": "exclude;pool_rebuild"
    }
    system.ok(SetProperties(properties={"self_heal": "none"}))
    assert not system.state.self_heal("exclude")
    for name, word in (("self_heal", "bad"), ("pool_scrub_mode", "x"), ("pool_scrub_thresh", "-1"), ("foo", "1")):
        assert system.refused(SetProperties(properties={name: word})).code is DER.INVAL
    assert system.refused(SetProperties(properties={"daos_version": "9"})).code is DER.NO_PERM
    with pytest.raises(InvalidError, match="foo"):
        queries.properties(system.state, system="s", version="v", names=["foo"])


def test_queries_of_members() -> None:
    system = System(3)
    system.ok(ExcludeRanks(ranks=(1,)))
    assert [m.rank for m in queries.members(system.state, states=[MemberState.JOINED])] == [0, 2]
    assert [m.rank for m in queries.members(system.state, ranks=[2, 1])] == [1, 2]
    with pytest.raises(NotFoundError, match="no rank 9"):
        queries.members(system.state, ranks=[9])
