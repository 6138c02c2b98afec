"""The pool service: handles, properties, attributes, access lists, the pool map."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daos.control.outcomes import SECOND
from daos.control.pool import queries
from daos.control.pool.container_create import ContainerCreate
from daos.control.pool.create import CreatePool, PrepareDestroy, ResumePool
from daos.control.pool.effects import (
    BroadcastPoolMap,
    CreateContainerShards,
    DiscardShards,
    InstallHandles,
    InstallScrub,
    RevokeHandles,
)
from daos.control.pool.handles import Connect, Connected, Disconnect, Evict
from daos.control.pool.map import MapRank, PoolMap, Target
from daos.control.pool.settings import (
    DeleteAclEntry,
    DeleteAttributes,
    OverwriteAcl,
    SetAttributes,
    SetLabel,
    SetProperties,
    UpdateAcl,
)
from daos.control.pool.state import OPERATION_TICKS_MAX, Evicted, MapChanged
from daos.control.pool.targets import (
    DrainTargets,
    ExcludeTargets,
    MarkAlive,
    MarkDead,
    ReintegrateTargets,
    TargetsMoved,
)
from daos.control.replicated import AnyCommand, Confirm
from daos.errors import DER, ClosedError, DaosError, NotFoundError
from daos.model.acl import Access, Permission
from daos.model.targets import TargetState
from tests.unit.control.pool_service import ALICE, BOB, CAROL, PoolService, T, uuid

RO, RW, EX = Access.READ_ONLY, Access.READ_WRITE, Access.EXCLUSIVE


def states(pool: PoolService) -> list[str]:
    return ["/".join(target.state.name for target in rank.targets) for rank in pool.state.map.ranks.values()]


# Creation and the system service


def test_the_pool_is_created_once() -> None:
    pool = PoolService(2)
    before = pool.stable()
    again = CreatePool(uuid=uuid(1), label=None, ranks=(), properties={}, acl=(), owner="", group="")
    pool.ok(again)
    assert pool.stable() == before
    other = CreatePool(uuid=uuid(2), label=None, ranks=(), properties={}, acl=(), owner="", group="")
    assert pool.refused(other).code is DER.EXIST


def test_destroying_is_prepared() -> None:
    pool = PoolService()
    handle = pool.connect()
    pool.settle()
    assert pool.refused(PrepareDestroy(work=5, force=False, recursive=False)).code is DER.BUSY
    pool.container(handle)
    assert pool.refused(PrepareDestroy(work=5, force=True, recursive=False)).code is DER.EXIST
    pool.ok(PrepareDestroy(work=5, force=True, recursive=True))
    assert pool.state.handles == {}
    ((_, effect),) = pool.works(RevokeHandles)
    assert effect.subjects == (handle,)
    refused = pool.refused(Connect(handle=uuid(99), credential=ALICE, access=RO))
    assert (refused.code, refused.message) == (DER.BUSY, "the pool is being destroyed")
    assert pool.refused(SetProperties(properties={"reclaim": "time"})).code is DER.BUSY
    pool.ok(ResumePool(work=4))
    assert pool.state.frozen, "that came late"
    pool.ok(ResumePool(work=6))
    pool.ok(PrepareDestroy(work=5, force=True, recursive=True))
    assert not pool.state.frozen, "that came late"
    pool.connect()


# Handles


@pytest.mark.parametrize(
    ("acl", "access", "code", "allowed"),
    [
        ((), RO, DER.NONEXIST, ""),
        (("A::carol@:rw",), RO, DER.NONEXIST, ""),
        (("A::bob@:",), RO, DER.NONEXIST, ""),
        (("A::bob@:r",), RO, None, "r"),
        (("A::bob@:r",), RW, DER.NO_PERM, ""),
        (("A::bob@:t",), EX, DER.NO_PERM, ""),
        (("A::bob@:w",), RO, DER.NO_PERM, ""),
        (("A::bob@:rw",), RW, None, "rwc"),
        (("A:G:GROUP@:rwd",), EX, None, "rwcd"),
        (("A::bob@:r", "A:G:GROUP@:rw"), RW, DER.NO_PERM, ""),
    ],
)
def test_rights_at_connect(acl: tuple[str, ...], access: Access, code: DER | None, allowed: str) -> None:
    pool = PoolService(acl=acl)
    command = Connect(handle=uuid(9), credential=BOB, access=access)
    if code is None:
        expected = sum((Permission[letter] for letter in allowed), Permission(0))
        assert pool.value(command, Connected) == Connected(capabilities=expected, version=1)
        ((ranks, effect),) = pool.works(InstallHandles)
        assert (ranks, effect) == (
            [0, 1, 2, 3],
            InstallHandles(subject=uuid(9), container=None, capabilities=int(expected)),
        )
    else:
        assert pool.refused(command).code is code


def test_who_has_no_right_learns_nothing() -> None:
    absent = PoolService(acl=("A::bob@:rw",)).refused(Connect(handle=uuid(9), credential=CAROL, access=RO))
    assert (absent.code, absent.message) == (DER.NONEXIST, f'unable to find pool service with uuid "{uuid(1)}"')
    pool = PoolService(acl=())
    pool.ok(PrepareDestroy(work=1, force=True, recursive=True))
    assert pool.refused(Connect(handle=uuid(9), credential=CAROL, access=RO)).message == absent.message


def test_handles_that_allow_more_than_the_list_are_revoked() -> None:
    pool = PoolService()
    handle = pool.connect()
    pool.ok(OverwriteAcl(entries=("A::OWNER@:rwd", "A::bob@:r")))
    pool.ok(SetAttributes(handle=handle, attributes={"a": b"1"}))
    bobs = pool.connect(BOB, RO)
    pool.ok(OverwriteAcl(entries=("A::bob@:r",)))
    assert pool.refused(SetAttributes(handle=handle, attributes={"a": b"1"})).code is DER.NO_HDL
    assert set(pool.state.handles) == {bobs}
    assert pool.refused(Connect(handle=uuid(99), credential=ALICE, access=RO)).code is DER.NONEXIST


def test_exclusive_handles() -> None:
    pool = PoolService()
    handle = pool.connect(access=EX)
    assert pool.refused(Connect(handle=uuid(99), credential=BOB, access=RO)).code is DER.BUSY
    pool.ok(Disconnect(handle=handle))
    pool.connect(BOB, RO)
    assert pool.refused(Connect(handle=uuid(99), credential=ALICE, access=EX)).code is DER.BUSY


def test_handles_are_closed_and_revoked(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = PoolService()
    handle = pool.connect()
    assert pool.refused(Connect(handle=handle, credential=ALICE, access=RO)).code is DER.EXIST
    pool.ok(Disconnect(handle=handle))
    assert pool.works(InstallHandles) == []
    assert pool.refused(Disconnect(handle=handle)).code is DER.NO_HDL
    revoked = pool.refused(Connect(handle=handle, credential=ALICE, access=RO))
    assert (revoked.code, revoked.message) == (DER.BUSY, "a handle with this uuid is being revoked")
    assert pool.refused(Connect(handle="x", credential=ALICE, access=RO)).code is DER.INVAL
    monkeypatch.setattr("daos.control.pool.handles.HANDLES_MAX", 1)
    pool.connect()
    assert pool.refused(Connect(handle=uuid(99), credential=ALICE, access=RO)).code is DER.BUSY


def test_evicting_is_answered_when_no_engine_serves_them() -> None:
    pool = PoolService()
    mine, theirs = pool.connect(), pool.connect(BOB)
    container = pool.container(mine)
    opened = pool.open(mine, container)
    pool.settle()
    asked = pool.ask(Evict(machine="node1"))
    assert asked not in pool.outcomes
    assert list(pool.state.handles) == [theirs]
    ((ranks, effect),) = pool.works(RevokeHandles)
    assert (ranks, effect.subjects) == ([0, 1, 2, 3], (mine, opened))
    pool.ok(ExcludeTargets(ranks={3: None}))
    pool.settle(RevokeHandles)
    assert pool.outcomes[asked].value(Evicted).count == 2
    assert pool.value(Evict(handles=(mine,)), Evicted).count == 0
    with pytest.raises(ClosedError):
        queries.handle(pool.state, mine)
    assert queries.handle(pool.state, theirs).capabilities == Permission.r | Permission.w | Permission.c
    pool.ok(ExcludeTargets(ranks={0: None, 1: None, 2: None}, force=True))
    assert pool.value(Evict(), Evicted).count == 1, "there is nobody to be waited for"


def test_disconnecting_with_open_containers() -> None:
    pool = PoolService()
    handle = pool.connect()
    pool.open(handle, pool.container(handle))
    assert pool.refused(Disconnect(handle=handle)).code is DER.BUSY


# Settings


def test_properties() -> None:
    pool = PoolService()
    pool.ok(SetProperties(properties={"self_heal": "rebuild;exclude", "scrub": "lazy"}))
    assert (pool.state.properties["self_heal"], pool.state.properties["scrub"]) == ("exclude;rebuild", "lazy")
    assert pool.refused(SetProperties(properties={"scrub": "off", "svc_rf": 1})).code is DER.NO_PERM
    assert pool.state.properties["scrub"] == "lazy"


def test_the_engines_are_told_how_the_pool_is_scrubbed() -> None:
    pool = PoolService()
    assert pool.works(InstallScrub) == [], "off is what it is of itself"
    pool.ok(SetProperties(properties={"self_heal": "none"}))
    assert pool.works(InstallScrub) == []
    pool.ok(SetProperties(properties={"scrub": "timed", "scrub_freq": 60}))
    pool.ok(SetProperties(properties={"scrub_thresh": 3}))
    wanted = InstallScrub(subject="scrub", mode=2, freq=60, thresh=3)
    assert pool.works(InstallScrub) == [([0, 1, 2, 3], wanted)], "the last word alone"
    pool.settle()
    pool.ok(ExcludeTargets(ranks={1: None}))
    pool.ok(SetProperties(properties={"scrub": "off"}))
    assert [ranks for ranks, _ in pool.works(InstallScrub)] == [[0, 2, 3]]
    pool.settle()
    pool.ask(ReintegrateTargets(ranks={1: None}))
    pool.settle(DiscardShards)
    assert pool.works(InstallScrub) == [([1], InstallScrub(subject="scrub", mode=0, freq=60, thresh=3))]


def test_labels_come_from_the_system() -> None:
    pool = PoolService()
    pool.ok(SetLabel(work=7, label="new"))
    pool.ok(SetLabel(work=5, label="late"))
    assert pool.state.label == "new"


def test_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = PoolService()
    handle, reader = pool.connect(), pool.connect(BOB, RO)
    pool.ok(SetAttributes(handle=handle, attributes={"b": b"1", "a": b"\0"}))
    pool.ok(SetAttributes(attributes={"c": b"3"}))
    assert queries.attributes(pool.state.attributes, ["c", "a"]) == {"a": b"\0", "c": b"3"}
    assert pool.refused(SetAttributes(handle=reader, attributes={"a": b"2"})).code is DER.NO_PERM
    assert pool.refused(DeleteAttributes(handle=reader, names=("a",))).code is DER.NO_PERM
    assert pool.refused(SetAttributes(handle=handle, attributes={"a": b"2", "d": b""})).code is DER.INVAL
    assert pool.refused(SetAttributes(handle=uuid(77), attributes={})).code is DER.NO_HDL
    pool.ok(DeleteAttributes(handle=handle, names=("a", "nothing")))
    assert pool.refused(DeleteAttributes(handle=handle, names=("",))).code is DER.INVAL
    assert list(pool.state.attributes) == ["b", "c"]
    with pytest.raises(NotFoundError):
        queries.attributes(pool.state.attributes, ["a"])
    monkeypatch.setattr("daos.control.attributes.ATTRIBUTES_MAX", 2)
    assert pool.refused(SetAttributes(attributes={"d": b"4"})).code is DER.INVAL


def test_access_lists() -> None:
    pool = PoolService()
    pool.ok(UpdateAcl(entries=("A::bob@:rT", "A::OWNER@:r")))
    assert pool.state.acl[:2] == ("A::OWNER@:r", "A::bob@:rT"), "letters without a meaning stay"
    pool.ok(DeleteAclEntry(principal="u:bob@"))
    assert pool.refused(DeleteAclEntry(principal="u:bob@")).code is DER.NONEXIST
    assert pool.refused(DeleteAclEntry(principal="bob@")).code is DER.INVAL
    assert pool.refused(UpdateAcl(entries=("A::bob@:r", "A::bob@:w"))).code is DER.INVAL
    pool.ok(OverwriteAcl(entries=("A::EVERYONE@:r",)))
    assert list(pool.state.acl) == ["A::EVERYONE@:r"]


# The map


def test_exclusion() -> None:
    pool = PoolService()
    assert pool.value(ExcludeTargets(ranks={1: (0,)}), MapChanged).version == 2
    assert states(pool) == ["UPIN/UPIN", "DOWN/UPIN", "UPIN/UPIN", "UPIN/UPIN"]
    assert pool.value(ExcludeTargets(ranks={1: (0,)}), MapChanged).version == 2, "it is out already"
    assert pool.works(BroadcastPoolMap) == [([0, 1, 2, 3], BroadcastPoolMap(subject="map", version=2))]
    pool.ok(ExcludeTargets(ranks={1: None}))
    assert pool.works(BroadcastPoolMap) == [([0, 2, 3], BroadcastPoolMap(subject="map", version=3))]
    error = pool.refused(ExcludeTargets(ranks={2: None}))
    assert (error.code, "2 fault domains would be down" in error.message) == (DER.RF, True)
    pool.ok(ExcludeTargets(ranks={2: None}, force=True))
    assert queries.ranks(pool.state) == ([0, 3], [1, 2], [])
    assert queries.degraded(pool.state)
    pool.ok(TargetsMoved(ranks={1: None, 2: None}))
    assert states(pool)[1:3] == ["DOWNOUT/DOWNOUT"] * 2
    assert not queries.degraded(pool.state)
    pool.ok(ExcludeTargets(ranks={3: None}))


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (ExcludeTargets(ranks={}), DER.INVAL),
        (ExcludeTargets(ranks={9: None}), DER.NONEXIST),
        (DrainTargets(ranks={0: (2,)}), DER.NONEXIST),
        (ReintegrateTargets(ranks={0: ()}), DER.NONEXIST),
        (TargetsMoved(ranks={0: None}), DER.INVAL),
    ],
)
def test_bad_targets(command: AnyCommand, code: DER) -> None:
    assert PoolService().refused(command).code is code


def test_drain() -> None:
    pool = PoolService()
    pool.ok(DrainTargets(ranks={1: None}))
    assert states(pool)[1] == "DRAIN/DRAIN"
    assert pool.refused(DrainTargets(ranks={2: None})).code is DER.BUSY
    assert pool.refused(ReintegrateTargets(ranks={1: None})).code is DER.BUSY
    assert pool.value(ExcludeTargets(ranks={1: None}), MapChanged).version == 2, "passed over"
    pool.ok(TargetsMoved(ranks={1: None}))
    assert states(pool)[1] == "DOWNOUT/DOWNOUT"
    pool.ok(DrainTargets(ranks={2: None}))


def test_ranks_that_come_back_are_emptied_first() -> None:
    pool = PoolService()
    handle = pool.connect()
    pool.ok(ExcludeTargets(ranks={1: None}))
    container = pool.container(handle)
    pool.settle()
    asked = pool.ask(ReintegrateTargets(ranks={1: None, 0: None}))
    assert states(pool)[1] == "DOWN/DOWN"
    ((ranks, effect),) = pool.works(DiscardShards)
    assert (ranks, effect) == ([1], DiscardShards(subject=effect.subject, targets={1: (0, 1)}, epoch=T))
    assert pool.refused(ReintegrateTargets(ranks={1: None})).code is DER.BUSY
    pool.settle(DiscardShards)
    assert pool.outcomes[asked].value(MapChanged).version == 3
    assert states(pool)[1] == "UP/UP"
    assert [(ranks, effect.subject) for ranks, effect in pool.works(CreateContainerShards)] == [([1], container)]
    pool.ok(TargetsMoved(ranks={1: None}))
    assert states(pool)[1] == "UPIN/UPIN"
    assert pool.value(ReintegrateTargets(ranks={1: None}), MapChanged).version == 4, "it is in"


def test_one_target_comes_back() -> None:
    pool = PoolService()
    pool.ok(ExcludeTargets(ranks={1: None}))
    pool.ask(ReintegrateTargets(ranks={1: (1,)}))
    ((_, effect),) = pool.works(DiscardShards)
    assert isinstance(effect, DiscardShards)
    assert effect.targets == {1: (1,)}
    pool.settle(DiscardShards)
    assert states(pool)[1] == "DOWN/UP"


def test_a_container_waits_for_ranks_that_come_back_meanwhile() -> None:
    pool = PoolService()
    handle = pool.connect()
    pool.ok(ExcludeTargets(ranks={1: None}))
    pool.settle()
    pool.ask(ReintegrateTargets(ranks={1: None}))
    asked = pool.ask(ContainerCreate(handle=handle, uuid=uuid(100)))
    pool.settle(DiscardShards)
    first, second = (number for number, work in pool.state.outbox.works.items() if work.effect.subject == uuid(100))
    pool.apply(Confirm(work=second, done=(1,)))
    assert asked not in pool.outcomes
    pool.apply(Confirm(work=first, done=(0, 2, 3)))
    assert pool.outcomes[asked].code == 0


def test_ranks_that_do_not_come_back() -> None:
    pool = PoolService()
    pool.ok(ExcludeTargets(ranks={1: None}))
    asked = pool.ask(ReintegrateTargets(ranks={1: None}))
    for _, command in list(pool.state.due(T + OPERATION_TICKS_MAX)):
        pool.apply(command)
        pool.apply(command)
    assert pool.outcomes[asked].code == DER.TIMEDOUT
    assert (states(pool)[1], pool.works(DiscardShards)) == ("DOWN/DOWN", [])
    pool.ask(ReintegrateTargets(ranks={1: None}))
    assert pool.works(DiscardShards)


def test_deaths() -> None:
    pool = PoolService()
    pool.apply(MarkAlive(rank=1, incarnation=5))
    assert pool.state.dead({1: 4, 9: 1}) is None
    command = pool.state.dead({1: 5, 2: 1})
    assert command == MarkDead(ranks={1: 5, 2: 1})
    pool.apply(MarkDead(ranks={1: 4}))
    assert states(pool) == ["UPIN/UPIN"] * 4, "an earlier process"
    pool.apply(MarkDead(ranks={1: 5, 2: 1}))
    assert queries.ranks(pool.state) == ([0, 2, 3], [1], [2]), "the redundancy does not bear a second one"
    assert pool.state.dead({2: 1}) is None, "that is known"
    pool.apply(MarkAlive(rank=2, incarnation=2))
    assert queries.ranks(pool.state) == ([0, 2, 3], [1], [])
    pool.ok(SetProperties(properties={"self_heal": "none"}))
    pool.apply(MarkDead(ranks={3: 1}))
    assert queries.ranks(pool.state) == ([0, 2, 3], [1], [3])


def test_time_is_of_the_leader() -> None:
    pool = PoolService()
    pool.time += 5 * SECOND
    handle = pool.connect()
    assert pool.state.handles[handle].opened == T + 5 * SECOND


@given(st.data())
def test_any_order_of_changes_of_a_map(data: st.DataObject) -> None:
    """Versions only grow, and exactly when something changed; what is refused changes nothing."""
    ranks = {rank: MapRank(rank=rank, domain=(f"host{rank // 2}",), targets=[Target(), Target()]) for rank in range(6)}
    pool_map = PoolMap(version=1, ranks=ranks)
    for _ in range(data.draw(st.integers(1, 12))):
        rank = data.draw(st.integers(0, 5))
        indexes = data.draw(st.sampled_from((None, (0,), (1,))))
        targets = pool_map.chosen(rank, indexes)
        before = [(each.state, each.version) for other in ranks.values() for each in other.targets]
        version, down = pool_map.version, pool_map.down_domains()
        name = data.draw(st.sampled_from(("exclude", "force", "drain", "reintegrate", "moved")))
        changed, refused = False, None
        try:
            if name in ("exclude", "force"):
                changed = pool_map.exclude(targets, rd_fac=1, force=name == "force")
            elif name == "drain":
                changed = pool_map.drain(targets)
            elif name == "reintegrate":
                changed = pool_map.reintegrate(pool_map.check_reintegrate(targets))
            else:
                changed = pool_map.moved(targets)
        except DaosError as error:
            refused = error.code
        assert refused in (None, DER.RF, DER.BUSY, DER.INVAL)
        after = [(each.state, each.version) for other in ranks.values() for each in other.targets]
        assert changed == (after != before)
        assert pool_map.version == version + changed
        assert max(each[1] for each in after) <= pool_map.version
        if name == "exclude":
            assert pool_map.down_domains() <= max(1, down)
        assert all(state is not TargetState.UNKNOWN for state, _ in after)
