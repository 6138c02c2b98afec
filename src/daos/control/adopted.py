"""What the services of a system begin with that was an embedded one before: pools and containers that are there."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from daos.control.pool.container_create import CONTAINERS_MAX
from daos.control.pool.create import CreatePool
from daos.control.pool.state import Container, ContainerState, PoolState, SnapshotEntry
from daos.control.system.effects import PoolRank
from daos.control.system.members import Join
from daos.control.system.state import Pool, SystemState
from daos.control.system.state import PoolState as Life
from daos.errors import DER, ExistsError, InvalidError
from daos.model.acl import DEFAULT_CONTAINER_ACL, DEFAULT_POOL_ACL, check_principal
from daos.model.labels import check_label
from daos.model.members import MemberState
from daos.model.pool_properties import pool_properties
from daos.model.properties import ContainerProperties

INCARNATION = 1
"""Of a process that never was: any that starts comes after it."""


class FoundContainer(msgspec.Struct, frozen=True, kw_only=True):
    """A container of an embedded system.

    Attributes:
        uuid: Its uuid.
        label: Its label.
        properties: All of its properties.
        attributes: What users wrote.
        snapshots: Epoch and name of each, by epoch.
        next_oid: The first object id that was not given out.
    """

    uuid: str
    label: str
    properties: ContainerProperties
    attributes: dict[str, bytes]
    snapshots: tuple[tuple[int, str | None], ...]
    next_oid: int


class FoundPool(msgspec.Struct, frozen=True, kw_only=True):
    """A pool of an embedded system.

    Attributes:
        uuid: Its uuid.
        label: Its label.
        properties: Those that an embedded pool has.
        attributes: What users wrote.
        containers: Its containers.
    """

    uuid: str
    label: str
    properties: dict[str, str | int]
    attributes: dict[str, bytes]
    containers: tuple[FoundContainer, ...]


class Ownership(msgspec.Struct, frozen=True, kw_only=True):
    """Whose it all is from now on.

    Attributes:
        owner: `user@`.
        group: `group@`.
    """

    owner: str
    group: str


def pool_state(pool: FoundPool, rank: PoolRank, owner: Ownership, now: int) -> PoolState:
    """Return the state that the service of a pool begins with: all containers are ready.

    Args:
        pool: The pool.
        rank: That has its shards.
        owner: Whose it is, and its containers.
        now: The time, a stamp of the hybrid logical clock.

    Raises:
        InvalidError: `DER.INVAL`: a label or property that a served pool cannot have; `DER.OVERFLOW`: too many
            containers.
        ExistsError: `DER.EXIST`: two containers have one label.
    """
    if len(pool.containers) > CONTAINERS_MAX:
        raise InvalidError(
            f"pool {pool.label} has {len(pool.containers)} containers, a served pool at most {CONTAINERS_MAX}",
            code=DER.OVERFLOW,
            hint="destroy some first",
        )
    user, group = check_principal(owner.owner), check_principal(owner.group)
    state = PoolState(time=now)
    CreatePool(
        uuid=pool.uuid,
        label=check_label(pool.label, "pool"),
        ranks=(rank,),
        properties=pool_properties(pool.properties, domains=1),
        acl=DEFAULT_POOL_ACL.lines(),
        owner=user,
        group=group,
    ).run(state)
    state.attributes = dict(pool.attributes)
    for found in pool.containers:
        if check_label(found.label, "container") in state.labels:
            raise ExistsError(f'pool {pool.label} has two containers "{found.label}"', hint="change a label first")
        state.labels[found.label] = found.uuid
        state.containers[found.uuid] = Container(
            uuid=found.uuid,
            label=found.label,
            state=ContainerState.READY,
            properties=found.properties,
            acl=DEFAULT_CONTAINER_ACL.lines(),
            owner=user,
            group=group,
            attributes=dict(found.attributes),
            snapshots=[SnapshotEntry(epoch, name) for epoch, name in found.snapshots],
            next_oid=found.next_oid,
            created=now,
        )
    return state


def system_state(pools: Iterable[FoundPool], member: Join, tiers: tuple[int, int], now: int) -> SystemState:
    """Return the state that the system service begins with: one rank, which is stopped yet, and its pools.

    Args:
        pools: The pools.
        member: The rank as it would join.
        tiers: Bytes of tier 0 and tier 1 of each pool.
        now: The time, a stamp of the hybrid logical clock.

    Raises:
        InvalidError: `DER.INVAL`: a rank or label that cannot be.
        ExistsError: `DER.EXIST`: two pools have one label.
    """
    state = SystemState(time=now)
    rank = member.run(state).rank
    state.set_state(state.members[rank], MemberState.STOPPED, "adopted, and not started yet")
    for pool in pools:
        if check_label(pool.label, "pool") in state.labels:
            raise ExistsError(f'there are two pools "{pool.label}"', hint="change a label first")
        state.labels[pool.label] = pool.uuid
        state.pools[pool.uuid] = Pool(
            uuid=pool.uuid,
            label=pool.label,
            state=Life.READY,
            ranks=[rank],
            services=[rank],
            tiers=tiers,
            deadline=0,
        )
    return state
