"""What services begin with that take over an embedded system."""

from __future__ import annotations

import msgspec
import pytest

from daos.control import adopted
from daos.control.adopted import FoundContainer, FoundPool, Ownership
from daos.control.pool.container_create import CONTAINERS_MAX, ContainerCreate
from daos.control.pool.effects import InstallSnapshots
from daos.control.pool.service import POOL
from daos.control.pool.snapshots import AllocateOids, SnapshotDestroy
from daos.control.pool.state import ContainerState, PoolState, SnapshotEntry
from daos.control.replicated import Replica, encode_entry
from daos.control.system.effects import PoolRank
from daos.control.system.members import Join
from daos.control.system.pool_create import PoolCreate
from daos.control.system.service import SYSTEM
from daos.control.system.state import PoolState as Life
from daos.control.system.state import SystemState
from daos.errors import DER, ExistsError, InvalidError, NoSpaceError
from daos.model.acl import DEFAULT_CONTAINER_ACL, DEFAULT_POOL_ACL
from daos.model.members import MemberState
from daos.model.properties import container_properties

OWNER = Ownership(owner="ann", group="staff@")
RANK = PoolRank(rank=0, domain=("h",), targets=2)
NOW = 1 << 60
MEMBER = Join(
    uuid="00000000-0000-4000-8000-000000000001",
    rank=0,
    address="h:1",
    uri="",
    domain=("h",),
    incarnation=adopted.INCARNATION,
    targets=2,
    capacity=(1000 << 20, 0),
)


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def container(number: int, label: str) -> FoundContainer:
    return FoundContainer(
        uuid=uuid(number),
        label=label,
        properties=container_properties({"cksum": "sha256"}),
        attributes={"a": b"1"},
        snapshots=((5, "five"), (9, None)),
        next_oid=77,
    )


def pool(*containers: FoundContainer, number: int = 10, label: str = "tank") -> FoundPool:
    return FoundPool(
        uuid=uuid(number),
        label=label,
        properties={"scrub": "timed", "scrub_freq": 60, "scrub_thresh": 3},
        attributes={"who": b"me"},
        containers=containers,
    )


def test_a_pool_begins_with_all_that_was_found() -> None:
    state = adopted.pool_state(pool(container(1, "one"), container(2, "two")), RANK, OWNER, NOW)
    state.check()
    assert (state.uuid, state.label, state.attributes, state.time) == (uuid(10), "tank", {"who": b"me"}, NOW)
    assert (state.owner, state.group, state.acl) == ("ann@", "staff@", DEFAULT_POOL_ACL.lines())
    assert {name: state.properties[name] for name in ("scrub", "scrub_freq", "scrub_thresh", "rd_fac")} == {
        "scrub": "timed",
        "scrub_freq": 60,
        "scrub_thresh": 3,
        "rd_fac": 0,
    }
    assert (state.map.in_use(), len(state.map.ranks[0].targets)) == ([0], 2)
    one = state.container_of("one")
    assert (one.uuid, one.state, one.next_oid, one.attributes) == (uuid(1), ContainerState.READY, 77, {"a": b"1"})
    assert one.properties.values["cksum"] == "sha256"
    assert one.snapshots == [SnapshotEntry(5, "five"), SnapshotEntry(9)]
    assert (one.owner, one.group, one.acl) == ("ann@", "staff@", DEFAULT_CONTAINER_ACL.lines())


def test_a_service_goes_on_from_there() -> None:
    replica = Replica(POOL)
    replica.state = adopted.pool_state(pool(container(1, "one")), RANK, OWNER, NOW)
    again = Replica.restore(POOL, replica.snapshot())
    assert again.digest() == replica.digest()
    made = ContainerCreate(uuid=uuid(3), label="three", owner="ann@", group="staff@")
    again.apply(1, encode_entry(POOL, NOW + 1, made))
    again.apply(2, encode_entry(POOL, NOW + 2, AllocateOids(container="one", count=3)))
    again.apply(3, encode_entry(POOL, NOW + 3, SnapshotDestroy(container="one", epoch=5)))
    state: PoolState = again.state
    state.check()
    assert list(state.labels) == ["one", "three"]
    assert state.containers[uuid(1)].next_oid == 80
    told = [work.effect for work in state.outbox.works.values() if isinstance(work.effect, InstallSnapshots)]
    assert [effect.epochs for effect in told] == [(9,)]


def test_a_system_begins_with_a_rank_that_is_stopped_and_joins_with_its_storage() -> None:
    state: SystemState = adopted.system_state([pool(), pool(number=11, label="other")], MEMBER, (400 << 20, 0), NOW)
    state.check()
    assert [(member.rank, member.state) for member in state.members.values()] == [(0, MemberState.STOPPED)]
    assert state.labels == {"tank": uuid(10), "other": uuid(11)}
    assert {(one.state, *one.ranks, *one.services, one.tiers) for one in state.pools.values()} == {
        (Life.READY, 0, 0, (400 << 20, 0))
    }
    assert state.free(state.members[0]) == [200 << 20, 0]
    replica = Replica(SYSTEM)
    replica.state = state
    again = Replica.restore(SYSTEM, replica.snapshot())
    come = msgspec.structs.replace(MEMBER, incarnation=NOW, uri="127.0.0.1:5")
    again.apply(1, encode_entry(SYSTEM, NOW, come))
    again.state.check()
    assert [(member.rank, member.joined) for member in again.state.members.values()] == [(0, True)]
    with pytest.raises(NoSpaceError):
        PoolCreate(uuid=uuid(12), label="more", tiers=(201 << 20, 0), owner="ann@", group="staff@").run(again.state)
    PoolCreate(uuid=uuid(12), label="more", tiers=(200 << 20, 0), owner="ann@", group="staff@").run(again.state)


def test_what_a_served_pool_cannot_have_is_refused() -> None:
    with pytest.raises(ExistsError, match='two containers "one"'):
        adopted.pool_state(pool(container(1, "one"), container(2, "one")), RANK, OWNER, NOW)
    with pytest.raises(ExistsError, match='two pools "tank"'):
        adopted.system_state([pool(), pool(number=11)], MEMBER, (1, 0), NOW)
    with pytest.raises(InvalidError, match="label"):
        adopted.pool_state(pool(label="no/label"), RANK, OWNER, NOW)
    with pytest.raises(InvalidError, match="principal"):
        adopted.pool_state(pool(), RANK, Ownership(owner="a:b", group="staff@"), NOW)
    many = tuple(container(1, "one") for _ in range(CONTAINERS_MAX + 1))
    with pytest.raises(InvalidError, match="containers, a served pool at most") as refused:
        adopted.pool_state(pool(*many), RANK, OWNER, NOW)
    assert refused.value.code is DER.OVERFLOW
