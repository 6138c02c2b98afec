"""The pool service: containers, who may do what with them, snapshots, object ids."""

from __future__ import annotations

import pytest

from daos.control.pool import container_settings as settings
from daos.control.pool import queries
from daos.control.pool.container_create import ContainerCreate, ContainerDestroy
from daos.control.pool.container_open import ContainerClose, ContainerCloseAll, ContainerEvict, ContainerOpen, Opened
from daos.control.pool.effects import (
    CreateContainerShards,
    DestroyContainerShards,
    InstallHandles,
    InstallSnapshots,
    RevokeHandles,
)
from daos.control.pool.handles import Evict
from daos.control.pool.service import POOL
from daos.control.pool.snapshots import AllocateOids, OidRange, SnapshotCreate, SnapshotDestroy
from daos.control.pool.state import OPERATION_TICKS_MAX, ContainerCreated, Evicted, SnapshotEntry
from daos.control.pool.targets import ExcludeTargets, TargetsMoved
from daos.control.replicated import AnyCommand, ConfirmAll, Confirmed, Replica
from daos.errors import DER, AccessError, ClosedError, InvalidError
from daos.model.acl import Access, Permission
from tests.unit.control.pool_service import ALICE, BOB, PoolService, T, uuid

RO, RW, EX = Access.READ_ONLY, Access.READ_WRITE, Access.EXCLUSIVE


def test_a_container_is_made() -> None:
    pool = PoolService()
    handle = pool.connect()
    asked = pool.ask(ContainerCreate(handle=handle, uuid=uuid(100), label="run", layout="POSIX", properties={"rf": 0}))
    assert asked not in pool.outcomes
    ((ranks, effect),) = pool.works(CreateContainerShards)
    assert (ranks, effect.subject) == ([0, 1, 2, 3], uuid(100))
    assert pool.refused(ContainerOpen(handle=handle, container="run", uuid=uuid(50), access=RO)).code is DER.NONEXIST
    pool.settle(CreateContainerShards)
    assert pool.outcomes[asked].value(ContainerCreated).uuid == uuid(100)
    made = queries.container(pool.state, container="run")
    assert (made.owner, made.group, made.created, made.properties.layout) == ("alice@", "users@", T, "POSIX")
    assert (made.properties.values["rd_fac"], made.properties.values["ec_cell_sz"]) == (0, 128 << 10)
    assert made.acl == ("A::OWNER@:rwdtTaAo", "A:G:GROUP@:rwtT")
    assert queries.container(pool.state, container=pool.container(handle, 101)).properties.values["rd_fac"] == 1


@pytest.mark.parametrize("late", [False, True])
def test_a_container_is_taken_back(*, late: bool) -> None:
    pool = PoolService()
    handle = pool.connect()
    asked = pool.ask(ContainerCreate(handle=handle, uuid=uuid(100), label="run"))
    if late:
        for _, command in list(pool.state.due(T + OPERATION_TICKS_MAX)):
            pool.apply(command)
            pool.apply(command)
    else:
        pool.settle(CreateContainerShards, {2: DER.NOSPACE.value})
    told = pool.outcomes[asked]
    assert told.code == (DER.TIMEDOUT if late else DER.NOSPACE)
    if late:
        assert told.message == "the container was not made: ranks 0, 1, 2 and 3 did not answer within 60 s"
        assert "dmg system query" in (told.hint or "")
    assert pool.works(CreateContainerShards) == []
    assert pool.works(DestroyContainerShards) == [([0, 1, 2, 3], DestroyContainerShards(subject=uuid(100)))]
    pool.container(handle, 101, label="run")
    pool.settle(DestroyContainerShards)
    assert list(pool.state.containers) == [uuid(101)]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"uuid": "x"}, DER.INVAL),
        ({"uuid": uuid(100)}, DER.EXIST),
        ({"label": "run"}, DER.EXIST),
        ({"label": "a b"}, DER.INVAL),
        ({"layout": "ZFS"}, DER.INVAL),
        ({"properties": {"rf": 4}}, DER.INVAL),
        ({"properties": {"compression": "lz4"}}, DER.NOTSUPPORTED),
        ({"acl": ("x",)}, DER.INVAL),
        ({"owner": "a@b"}, DER.INVAL),
        ({"owner": "bob"}, DER.NO_PERM),
        ({"group": "admins"}, DER.NO_PERM),
        ({"handle": uuid(77)}, DER.NO_HDL),
        ({"handle": ""}, DER.INVAL),
    ],
)
def test_bad_containers(changes: dict[str, object], code: DER) -> None:
    pool = PoolService()
    handle = pool.connect()
    pool.container(handle, label="run")
    whole = {"handle": handle, "uuid": uuid(101)} | changes
    assert pool.refused(ContainerCreate(**whole)).code is code  # type: ignore[arg-type]


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = PoolService()
    handle = pool.connect()
    monkeypatch.setattr("daos.control.pool.container_create.CONTAINERS_MAX", 1)
    opened = pool.open(handle, pool.container(handle))
    assert pool.refused(ContainerCreate(handle=handle, uuid=uuid(101))).code is DER.OVERFLOW
    monkeypatch.setattr("daos.control.pool.snapshots.SNAPSHOTS_MAX", 1)
    pool.ok(SnapshotCreate(handle=opened, epoch=5))
    assert pool.refused(SnapshotCreate(handle=opened, epoch=6)).code is DER.OVERFLOW


def test_no_rank_is_there() -> None:
    pool = PoolService(1, rd_fac=0)
    handle = pool.connect()
    pool.container(handle, 100)
    pool.ok(ExcludeTargets(ranks={0: None}, force=True))
    assert pool.refused(ContainerCreate(handle=handle, uuid=uuid(101))).code is DER.RF
    pool.ok(ContainerDestroy(handle=handle, container=uuid(100)))
    assert pool.state.containers == {}


def test_owners() -> None:
    pool = PoolService()
    bob = pool.connect(BOB)
    pool.container(bob, 100, owner="bob", group="users")
    pool.container("", 101, owner="carol", group="carols")
    owners = [(each.owner, each.group) for each in queries.containers(pool.state)]
    assert owners == [("bob@", "users@"), ("carol@", "carols@")]


# Who may do what


@pytest.mark.parametrize(
    ("acl", "access", "code", "allowed"),
    [
        ((), RO, DER.NONEXIST, ""),
        (("A::bob@:",), RO, DER.NONEXIST, ""),
        (("A::bob@:w",), RO, DER.NO_PERM, ""),
        (("A::bob@:r",), RO, None, "r"),
        (("A::bob@:r",), RW, DER.NO_PERM, ""),
        (("A::bob@:rw",), RW, None, "rw"),
        (("A::bob@:rwdtTaAo",), RO, None, "rta"),
        (("A::bob@:rwdtTaAo",), EX, DER.NO_PERM, ""),
        (("A:G:GROUP@:rtT",), RW, None, "rtT"),
    ],
)
def test_rights_at_open(acl: tuple[str, ...], access: Access, code: DER | None, allowed: str) -> None:
    pool = PoolService()
    container = pool.container(pool.connect(), acl=acl)
    handle = pool.connect(BOB, RO)
    pool.settle()
    command = ContainerOpen(handle=handle, container=container, uuid=uuid(50), access=access)
    if code is None:
        expected = sum((Permission[letter] for letter in allowed), Permission(0))
        assert pool.value(command, Opened).capabilities == expected
        assert pool.works(InstallHandles) == [
            ([0, 1, 2, 3], InstallHandles(subject=uuid(50), container=container, capabilities=int(expected)))
        ]
    else:
        error = pool.refused(command)
        assert error.code is code
        if code is DER.NONEXIST:
            absent = ContainerOpen(handle=handle, container=uuid(999), uuid=uuid(50), access=access)
            assert error.message == pool.refused(absent).message.replace(uuid(999), container)


def test_an_owner_may_always_set_the_list() -> None:
    pool = PoolService()
    handle = pool.connect()
    container = pool.container(handle, acl=("A::OWNER@:",))
    opened = pool.open(handle, container)
    assert pool.refused(settings.ContainerSetAttributes(handle=opened, attributes={"a": b"1"})).code is DER.NO_PERM
    pool.ok(settings.ContainerUpdateAcl(handle=opened, entries=("A::OWNER@:rw",)))
    assert pool.refused(settings.ContainerSetAttributes(handle=opened, attributes={"a": b"1"})).code is DER.NO_PERM
    pool.ok(settings.ContainerSetAttributes(handle=pool.open(handle, container), attributes={"a": b"1"}))


@pytest.mark.parametrize(
    ("command", "letter"),
    [
        (settings.ContainerSetProperties(handle=uuid(50), properties={"label": "x"}), "T"),
        (settings.ContainerSetAttributes(handle=uuid(50), attributes={"a": b"1"}), "w"),
        (settings.ContainerDeleteAttributes(handle=uuid(50), names=("a",)), "w"),
        (settings.ContainerOverwriteAcl(handle=uuid(50), entries=()), "A"),
        (settings.ContainerUpdateAcl(handle=uuid(50), entries=()), "A"),
        (settings.ContainerDeleteAclEntry(handle=uuid(50), principal="u:bob@"), "A"),
        (settings.ContainerSetOwner(handle=uuid(50), owner="bob"), "o"),
        (SnapshotCreate(handle=uuid(50), epoch=5), "w"),
        (SnapshotDestroy(handle=uuid(50), epoch=1), "w"),
        (AllocateOids(handle=uuid(50), count=1), "w"),
    ],
)
@pytest.mark.parametrize("has", [False, True])
def test_each_request_needs_its_letter(command: AnyCommand, letter: str, *, has: bool) -> None:
    letters = letter if has else "rwdtTaAo".replace(letter, "")
    pool = PoolService()
    container = pool.container(pool.connect(), acl=(f"A::bob@:r{letters}",))
    pool.ok(SnapshotCreate(container=container, epoch=1))
    open_it = ContainerOpen(handle=pool.connect(BOB, RO), container=container, uuid=uuid(50), access=RW)
    pool.ok(open_it)
    if has:
        pool.ok(command)
    else:
        assert pool.refused(command).code is DER.NO_PERM
    if uuid(50) in pool.state.container_handles:
        pool.ok(ContainerClose(handle=uuid(50)))
    else:
        # Whoever takes a right from himself has lost the handle that allowed it.
        assert has
        assert isinstance(command, settings.ContainerOverwriteAcl | settings.ContainerDeleteAclEntry)
    assert pool.refused(command).code is DER.NO_HDL


def test_handles_that_allow_more_than_the_list_are_revoked() -> None:
    pool = PoolService()
    handle, bobs = pool.connect(), pool.connect(BOB, RO)
    container = pool.container(handle, acl=("A::OWNER@:rwdtTaAo", "A::bob@:rw"))
    writes = ContainerOpen(handle=bobs, container=container, uuid=uuid(50), access=RW)
    reads = ContainerOpen(handle=bobs, container=container, uuid=uuid(51), access=RO)
    mine = pool.open(handle, container)
    pool.ok(writes)
    pool.ok(reads)
    pool.settle(InstallHandles)
    pool.ok(settings.ContainerUpdateAcl(container=container, entries=("A::bob@:r",)))
    assert set(pool.state.container_handles) == {uuid(51), mine}
    revoked = [work.effect for work in pool.state.outbox.works.values() if isinstance(work.effect, RevokeHandles)]
    assert [effect.handles for effect in revoked] == [(uuid(50),)]
    pool.ok(settings.ContainerSetOwner(container=container, owner="carol@", group="carols@"))
    assert set(pool.state.container_handles) == {uuid(51)}


@pytest.mark.parametrize(
    ("pool_acl", "acl", "code"),
    [
        ("A::bob@:rw", "A::bob@:rwd", None),
        ("A::bob@:rw", "A::bob@:rw", DER.NO_PERM),
        ("A::bob@:rwd", "A::bob@:r", None),
        ("A::bob@:rwd", "A::bob@:", None),
        ("A::bob@:rw", "A::bob@:", DER.NONEXIST),
        ("A::bob@:rd", "A::bob@:rwd", None),
    ],
)
def test_who_may_destroy(pool_acl: str, acl: str, code: DER | None) -> None:
    pool = PoolService(acl=("A::OWNER@:rw", pool_acl))
    container = pool.container(pool.connect(), acl=(acl,))
    command = ContainerDestroy(handle=pool.connect(BOB), container=container)
    if code is None:
        asked = pool.ask(command)
        pool.settle(DestroyContainerShards)
        assert pool.outcomes[asked].code == 0
    else:
        assert pool.refused(command).code is code


def test_a_read_only_pool_handle_destroys_nothing() -> None:
    pool = PoolService()
    container = pool.container(pool.connect())
    assert pool.refused(ContainerDestroy(handle=pool.connect(ALICE, RO), container=container)).code is DER.NO_PERM
    assert pool.refused(ContainerCreate(handle=pool.connect(ALICE, RO), uuid=uuid(9))).code is DER.NO_PERM


def test_listing_shows_what_one_may_know() -> None:
    pool = PoolService()
    alice, bob = pool.connect(), pool.connect(BOB, RO)
    pool.container(alice, 100, label="z", acl=("A::OWNER@:rw",))
    pool.container(alice, 101, acl=("A::bob@:t",))
    pool.container(alice, 102, label="a")
    assert [each.uuid for each in queries.containers(pool.state)] == [uuid(102), uuid(100), uuid(101)]
    assert [each.uuid for each in queries.containers(pool.state, alice)] == [uuid(102), uuid(100), uuid(101)]
    assert [each.uuid for each in queries.containers(pool.state, bob)] == [uuid(102), uuid(101)]
    with pytest.raises(ClosedError):
        queries.containers(pool.state, uuid(77))


# Handles


def test_exclusive_containers() -> None:
    pool = PoolService()
    alice, bob = pool.connect(), pool.connect(BOB, RO)
    container = pool.container(alice)
    opened = pool.open(alice, container, EX)
    other = ContainerOpen(handle=bob, container=container, uuid=uuid(60), access=RO)
    assert pool.refused(other).code is DER.BUSY
    pool.ok(ContainerClose(handle=opened))
    assert pool.refused(ContainerClose(handle=opened)).code is DER.NO_HDL
    pool.ok(other)
    exclusive = ContainerOpen(handle=alice, container=container, uuid=uuid(61), access=EX)
    assert pool.refused(exclusive).code is DER.BUSY
    again = ContainerOpen(handle=alice, container=container, uuid=uuid(60), access=RO)
    assert pool.refused(again).code is DER.EXIST


def test_evicting_handles_of_a_container() -> None:
    pool = PoolService()
    alice, bob = pool.connect(), pool.connect(BOB, RO)
    container = pool.container(alice)
    mine, theirs = pool.open(alice, container), pool.open(bob, container)
    assert pool.refused(ContainerEvict(handle=bob, container=container, everybody=True)).code is DER.NO_PERM
    asked = pool.ask(ContainerEvict(handle=bob, container=container))
    assert list(pool.state.container_handles) == [mine]
    pool.settle(RevokeHandles)
    assert pool.outcomes[asked].value(Evicted).count == 1
    asked = pool.ask(ContainerEvict(handle=alice, container=container, everybody=True))
    pool.settle(RevokeHandles)
    assert (pool.outcomes[asked].value(Evicted).count, pool.state.container_handles) == (1, {})
    assert pool.value(ContainerEvict(container=container), Evicted).count == 0
    assert theirs not in pool.state.container_handles
    hidden = pool.container(alice, 101, acl=())
    assert pool.refused(ContainerEvict(handle=bob, container=hidden)).code is DER.NONEXIST


def test_destroying_open_containers() -> None:
    pool = PoolService()
    handle = pool.connect()
    container = pool.container(handle, label="run")
    opened = pool.open(handle, container)
    pool.ok(SnapshotCreate(handle=opened, epoch=5))
    assert pool.refused(ContainerDestroy(handle=pool.connect(), container="run")).code is DER.BUSY
    assert pool.refused(ContainerDestroy(container="run")).code is DER.BUSY
    asked = pool.ask(ContainerDestroy(handle=handle, container="run"))
    assert pool.works(DestroyContainerShards) == [
        ([0, 1, 2, 3], DestroyContainerShards(subject=container, handles=(opened,)))
    ]
    assert pool.works(InstallSnapshots) == []
    assert pool.refused(ContainerDestroy(container=container)).code is DER.NONEXIST, "it is being destroyed"
    reused = ContainerOpen(handle=handle, container=pool.container(handle, 101), uuid=opened, access=RO)
    assert pool.refused(reused).code is DER.BUSY
    pool.settle(DestroyContainerShards, {1: DER.IO.value})
    assert pool.outcomes[asked].code == 0


def test_more_was_lost_than_it_bears() -> None:
    pool = PoolService()
    handle = pool.connect()
    one, none = pool.container(handle, 100), pool.container(handle, 101, properties={"rd_fac": 0})
    pool.ok(ExcludeTargets(ranks={2: None}))
    pool.open(handle, one)
    command = ContainerOpen(handle=handle, container=none, uuid=uuid(60), access=RO)
    assert pool.refused(command).code is DER.RF
    forced = ContainerOpen(handle=handle, container=none, uuid=uuid(61), access=RO, force=True)
    pool.ok(forced)
    pool.ok(settings.ContainerSetProperties(container=none, properties={"status": "healthy"}))
    pool.ok(command)
    pool.ok(ExcludeTargets(ranks={3: None}, force=True))
    assert pool.state.unclean(pool.state.containers[none])
    pool.ok(TargetsMoved(ranks={2: None, 3: None}))
    assert not pool.state.unclean(pool.state.containers[one])


# Settings, snapshots, object ids


def test_settings() -> None:
    pool = PoolService()
    handle = pool.connect()
    container = pool.container(handle, 100, label="one")
    pool.container(handle, 101, label="two")
    opened = pool.open(handle, container)
    label = settings.ContainerSetProperties
    assert pool.refused(label(handle=opened, properties={"label": "two"})).code is DER.EXIST
    assert pool.refused(label(handle=opened, properties={"cksum": "off"})).code is DER.NO_PERM
    assert pool.refused(label(handle=opened, container="two", properties={})).code is DER.INVAL
    pool.ok(label(handle=opened, properties={"label": "one"}))
    pool.ok(label(container="one", properties={"label": "three"}))
    assert pool.state.labels == {"two": uuid(101), "three": uuid(100)}
    pool.ok(settings.ContainerSetAttributes(handle=opened, attributes={"a": b"1", "b": b"2"}))
    pool.ok(settings.ContainerDeleteAttributes(handle=opened, names=("a", "c")))
    assert queries.attributes(pool.state.containers[container].attributes) == {"b": b"2"}
    pool.ok(settings.ContainerUpdateAcl(handle=opened, entries=("A::bob@:r",)))
    pool.ok(settings.ContainerDeleteAclEntry(handle=opened, principal="GROUP@"))
    acl, owner, group = queries.container_acl(pool.state, opened)
    assert (acl.lines(), owner, group) == (("A::OWNER@:rwdtTaAo", "A::bob@:r"), "alice@", "users@")
    assert pool.refused(settings.ContainerSetOwner(handle=opened)).code is DER.INVAL
    pool.ok(settings.ContainerSetOwner(handle=opened, owner="carol"))
    pool.ok(settings.ContainerSetOwner(container=container, group="carols@"))
    assert queries.container_acl(pool.state, container=container)[1:] == ("carol@", "carols@")
    assert pool.refused(settings.ContainerOverwriteAcl(handle=opened, entries=())).code is DER.NO_HDL
    pool.ok(settings.ContainerOverwriteAcl(container=container, entries=("A::carol@:r",)))
    assert (
        pool.refused(ContainerOpen(handle=handle, container=container, uuid=uuid(60), access=RO)).code is DER.NONEXIST
    )
    assert queries.open_handles(pool.state, pool.state.containers[container]) == 0


def test_queries_need_rights() -> None:
    pool = PoolService()
    container = pool.container(pool.connect(), acl=("A::bob@:t",))
    handle = pool.open(pool.connect(BOB, RO), container, RO)
    assert queries.container(pool.state, handle).uuid == container
    for query in (queries.container_acl, queries.snapshots):
        with pytest.raises(AccessError):
            query(pool.state, handle)
    with pytest.raises(InvalidError):
        queries.container(pool.state, handle, container)


def test_snapshots() -> None:
    pool = PoolService()
    handle = pool.connect()
    opened = pool.open(handle, pool.container(handle))
    assert pool.value(SnapshotCreate(handle=opened, epoch=5, name="a"), SnapshotEntry) == SnapshotEntry(5, "a")
    pool.ok(SnapshotCreate(handle=opened, epoch=7))
    assert pool.works(InstallSnapshots) == [
        ([0, 1, 2, 3], InstallSnapshots(subject=f"{uuid(100)}/snapshots", container=uuid(100), epochs=(5, 7)))
    ]
    for command in (
        SnapshotCreate(handle=opened, epoch=7),
        SnapshotCreate(handle=opened, epoch=-1),
        SnapshotCreate(handle=opened, epoch=8, name="12"),
    ):
        assert pool.refused(command).code is DER.INVAL
    assert pool.refused(SnapshotCreate(handle=opened, epoch=8, name="a")).code is DER.EXIST
    pool.ok(SnapshotDestroy(handle=opened, epoch=5))
    assert pool.refused(SnapshotDestroy(handle=opened, epoch=5)).code is DER.NONEXIST
    assert queries.snapshots(pool.state, opened) == [SnapshotEntry(7)]
    opening = ContainerOpen(handle=handle, container=uuid(100), uuid=uuid(60), access=RO)
    assert pool.value(opening, Opened).snapshots == (7,)


def test_object_ids_are_given_once() -> None:
    pool = PoolService()
    handle = pool.connect()
    opened = pool.open(handle, pool.container(handle))
    ranges = [pool.value(AllocateOids(handle=opened, count=count), OidRange) for count in (1, 1 << 32, 5)]
    assert [(each.first, each.count) for each in ranges] == [(1, 1), (2, 1 << 32), (2 + (1 << 32), 5)]
    for count in (0, -1, (1 << 32) + 1):
        assert pool.refused(AllocateOids(handle=opened, count=count)).code is DER.INVAL
    pool.state.containers[uuid(100)].next_oid = (1 << 64) - 2
    assert pool.refused(AllocateOids(handle=opened, count=3)).code is DER.OVERFLOW
    assert pool.value(AllocateOids(handle=opened, count=2), OidRange).first == (1 << 64) - 2


def test_a_snapshot_of_the_service_keeps_all() -> None:
    pool = PoolService()
    handle = pool.connect()
    opened = pool.open(handle, pool.container(handle, label="run"))
    pool.ok(SnapshotCreate(handle=opened, epoch=5, name="a"))
    pool.ok(settings.ContainerSetAttributes(handle=opened, attributes={"a": b"\xff"}))
    pool.ok(ExcludeTargets(ranks={1: (0,)}))
    other = Replica.restore(POOL, pool.replica.snapshot())
    assert (other.state, other.digest()) == (pool.state, pool.replica.digest())


# Made and opened by one command


def test_a_container_is_made_and_opened() -> None:
    pool = PoolService()
    handle = pool.connect()
    pool.settle()
    asked = pool.ask(ContainerCreate(handle=handle, uuid=uuid(100), label="run", opens=uuid(50), access=RO))
    ((_, effect),) = pool.works(CreateContainerShards)
    assert isinstance(effect, CreateContainerShards)
    assert (effect.handle, effect.subjects) == (uuid(50), (uuid(100), uuid(50)))
    assert Permission(effect.capabilities) & Permission.r
    assert not Permission(effect.capabilities) & Permission.w
    busy = ContainerCreate(handle=handle, uuid=uuid(101), opens=uuid(50))
    assert pool.refused(busy).code is DER.BUSY, "one that is being opened is nobody else's"
    assert uuid(50) not in pool.state.container_handles
    pool.settle(CreateContainerShards)
    made = pool.outcomes[asked].value(ContainerCreated)
    assert (made.uuid, made.opened) == (uuid(100), True)
    container = queries.container(pool.state, container="run")
    assert made.properties == container.properties.encode()
    assert (container.opening, container.opened) == (None, T)
    assert pool.works(InstallHandles) == [], "the engines know it"
    opened = pool.state.container_handles[uuid(50)]
    assert (opened.handle, opened.container, opened.capabilities) == (handle, uuid(100), effect.capabilities)
    again = Replica.restore(POOL, pool.replica.snapshot())
    again.state.check()
    assert pool.refused(busy).code is DER.EXIST
    pool.ok(ContainerClose(handle=uuid(50)))
    assert [effect for _, effect in pool.works(RevokeHandles)] == [
        RevokeHandles(subject=f"revoke {pool.state.outbox.next - 1}", handles=(uuid(50),))
    ]


def test_who_is_evicted_while_a_container_is_made_has_it_not_open() -> None:
    pool = PoolService()
    handle = pool.connect()
    asked = pool.ask(ContainerCreate(handle=handle, uuid=uuid(100), opens=uuid(50)))
    pool.ask(Evict(handles=(handle,)))
    pool.settle(CreateContainerShards)
    made = pool.outcomes[asked].value(ContainerCreated)
    assert (made.opened, made.properties) == (False, b"")
    assert uuid(50) not in pool.state.container_handles
    assert uuid(100) in pool.state.containers
    revoked = [effect.handles for _, effect in pool.works(RevokeHandles) if isinstance(effect, RevokeHandles)]
    assert (uuid(50),) in revoked, "what the engines were told is taken back"


def test_a_container_that_is_taken_back_takes_its_handle_along() -> None:
    pool = PoolService()
    handle = pool.connect()
    asked = pool.ask(ContainerCreate(handle=handle, uuid=uuid(100), label="run", opens=uuid(50)))
    pool.settle(CreateContainerShards, {1: DER.NOSPACE.value})
    assert pool.outcomes[asked].code == DER.NOSPACE.value
    ((_, effect),) = pool.works(DestroyContainerShards)
    assert effect == DestroyContainerShards(subject=uuid(100), handles=(uuid(50),))
    assert pool.state.container_handles == {}
    pool.settle()
    assert pool.container(pool.connect(), 100, opens=uuid(50)) == uuid(100)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"opens": "x"}, DER.INVAL),
        ({"handle": ""}, DER.NO_HDL),
        ({"label": "taken"}, DER.EXIST),
    ],
)
def test_what_may_not_be_opened_is_not_made(changes: dict[str, object], code: DER) -> None:
    pool = PoolService()
    handle = pool.connect()
    pool.container(handle, 99, label="taken")
    create = {"handle": handle, "uuid": uuid(100), "opens": uuid(50), "owner": "", "group": ""}
    if changes.get("handle") == "":
        create |= {"owner": "alice@", "group": "users@"}
    assert pool.refused(ContainerCreate(**(create | changes))).code is code  # type: ignore[arg-type]


def test_handles_are_closed_together() -> None:
    pool = PoolService()
    handle = pool.connect()
    opened = [pool.open(handle, pool.container(handle, number)) for number in (100, 101, 102)]
    pool.settle()
    pool.ok(ContainerCloseAll(handles=(opened[0], uuid(77), opened[2], opened[0])))
    ((_, effect),) = pool.works(RevokeHandles)
    assert isinstance(effect, RevokeHandles)
    assert effect.handles == (opened[0], opened[2])
    assert list(pool.state.container_handles) == [opened[1]]
    pool.ok(ContainerCloseAll(handles=(opened[0], opened[2])))
    assert len(pool.works(RevokeHandles)) == 1, "those that are closed already are nobody's to revoke"


def test_what_is_confirmed_together_is_as_if_it_was_one_by_one() -> None:
    pool, other = PoolService(), PoolService()
    for service in (pool, other):
        handle = service.connect()
        for number in (100, 101, 102):
            service.ask(ContainerCreate(handle=handle, uuid=uuid(number), opens=uuid(number + 50)))
    first, second, third, fourth = list(pool.state.outbox.works)
    everybody = (0, 1, 2, 3)
    confirmed = (
        Confirmed(first, everybody),
        Confirmed(second, everybody),
        Confirmed(999, everybody),
        Confirmed(third, (0, 1), {2: DER.NOSPACE.value}),
        Confirmed(fourth, (1,)),
    )
    pool.apply(ConfirmAll(works=confirmed))
    for each in confirmed:
        other.apply(ConfirmAll(works=(each,)))
    assert pool.stable() == other.stable()
    assert pool.outcomes == other.outcomes
    assert len(pool.state.container_handles) == 1
    assert pool.state.outbox.works[fourth].ranks == [0, 2, 3]
