"""Requests about snapshots of a container, and its object ids."""

from __future__ import annotations

import msgspec

from daos.control.pool.container_settings import _ContainerCommand
from daos.control.pool.state import Container, PoolState, SnapshotEntry, snapshots_of
from daos.errors import DER, ExistsError, InvalidError, NotFoundError
from daos.model.acl import Permission
from daos.model.snapshots import check_epoch, check_snapshot_name

SNAPSHOTS_MAX = 4096
"""Of a container: all are told to each engine."""
OIDS_MAX = 1 << 32
"""Object ids that are given out at once."""


class SnapshotCreate(_ContainerCommand, frozen=True, kw_only=True, tag="snapshot_create"):
    """Keep what is visible at an epoch.

    Attributes:
        epoch: Given by the leader, when nothing at or below it is under way.
        name: Unique in the container; None for none.
    """

    epoch: int
    name: str | None = None

    def run(self, state: PoolState) -> SnapshotEntry:
        """Add it, and tell the engines."""
        container = self.opened(state, Permission.w, "create snapshots")
        snapshot = SnapshotEntry(check_epoch(self.epoch), None if self.name is None else check_snapshot_name(self.name))
        if container.snapshots and self.epoch <= container.snapshots[-1].epoch:
            raise InvalidError(f"there is a snapshot at {container.snapshots[-1].epoch:#x}, not below {self.epoch:#x}")
        if snapshot.name is not None and any(each.name == snapshot.name for each in container.snapshots):
            raise ExistsError(f'there is a snapshot "{snapshot.name}"', hint="choose another name")
        if len(container.snapshots) >= SNAPSHOTS_MAX:
            raise InvalidError(f"a container has at most {SNAPSHOTS_MAX} snapshots", code=DER.OVERFLOW)
        state.outbox.check_room()
        container.snapshots.append(snapshot)
        _tell(state, container)
        return snapshot


class SnapshotsDestroyed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request to destroy snapshots.

    Attributes:
        count: How many were destroyed.
    """

    count: int


class SnapshotDestroy(_ContainerCommand, frozen=True, kw_only=True, tag="snapshot_destroy"):
    """Keep an epoch no longer.

    Attributes:
        epoch: Of the snapshot.
        told: How many were destroyed by the request that ends with this one.
    """

    epoch: int
    told: int = 1

    def run(self, state: PoolState) -> SnapshotsDestroyed:
        """Take it off, and tell the engines."""
        container = self.opened(state, Permission.w, "destroy snapshots")
        left = [each for each in container.snapshots if each.epoch != self.epoch]
        if len(left) == len(container.snapshots):
            raise NotFoundError(f"there is no snapshot at {self.epoch:#x}", hint="list the snapshots")
        container.snapshots = left
        _tell(state, container)
        return SnapshotsDestroyed(count=self.told)


class OidRange(msgspec.Struct, frozen=True, kw_only=True):
    """Object ids that nobody else is given.

    Attributes:
        first: The first.
        count: How many.
    """

    first: int
    count: int


class AllocateOids(_ContainerCommand, frozen=True, kw_only=True, tag="allocate_oids"):
    """Have object ids for new objects.

    Attributes:
        count: How many.
    """

    count: int

    def run(self, state: PoolState) -> OidRange:
        """Give the next."""
        container = self.opened(state, Permission.w, "create objects")
        if not 1 <= self.count <= OIDS_MAX:
            raise InvalidError(f"{self.count} object ids at once", hint=f"1 to {OIDS_MAX}")
        if container.next_oid + self.count > 1 << 64:
            raise InvalidError("the container has given out all object ids", code=DER.OVERFLOW)
        first, container.next_oid = container.next_oid, container.next_oid + self.count
        return OidRange(first=first, count=self.count)


def _tell(state: PoolState, container: Container) -> None:
    effect = snapshots_of(container)
    state.outbox.cancel(effect.subject)
    state.outbox.put(effect, state.map.in_use())
