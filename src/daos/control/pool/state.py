"""The state of a pool's service, and the steps of its operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from functools import lru_cache

import msgspec

from daos.control.outbox import Rank, Work
from daos.control.outcomes import SECOND, Outcome
from daos.control.pool import effects
from daos.control.pool.effects import AnyEffect
from daos.control.pool.map import PoolMap
from daos.control.replicated import AnyCommand, State
from daos.errors import AccessError, BusyError, ClosedError, InvalidError, NotFoundError, error_from_der
from daos.model.acl import Access, Acl, Credential, Permission, container_capabilities, pool_capabilities
from daos.model.labels import check_reference
from daos.model.properties import ContainerProperties

OPERATION_TICKS_MAX = 60 * SECOND
"""After so long the making of a container is given up."""
HANDLES_MAX = 65_536
"""Handles of a pool and its containers."""


class ContainerState(StrEnum):
    """Where a container is in its life."""

    CREATING = "Creating"
    READY = "Ready"
    DESTROYING = "Destroying"


class Handle(msgspec.Struct, frozen=True, kw_only=True):
    """An open pool.

    Attributes:
        uuid: Drawn by the client.
        credential: Who opened it.
        capabilities: What it allows, for as long as it is open.
        access: How it was asked for.
        opened: When.
    """

    uuid: str
    credential: Credential
    capabilities: Permission
    access: Access
    opened: int


class ContainerHandle(msgspec.Struct, frozen=True, kw_only=True):
    """An open container.

    Attributes:
        uuid: Drawn by the client.
        container: Which.
        handle: The pool's, through which it was opened.
        capabilities: What it allows, for as long as it is open.
        access: How it was asked for.
    """

    uuid: str
    container: str
    handle: str
    capabilities: Permission
    access: Access


class SnapshotEntry(msgspec.Struct, frozen=True):
    """A snapshot of a container.

    Attributes:
        epoch: Of what is visible in it.
        name: Unique in the container; None for one without.
    """

    epoch: int
    name: str | None = None


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """A handle that a container is opened by as soon as it is made.

    Attributes:
        uuid: The new handle's, drawn by the client.
        handle: Of the pool.
        capabilities: What it will allow.
        access: How it was asked for.
    """

    uuid: str
    handle: str
    capabilities: Permission
    access: Access


class Container(msgspec.Struct, kw_only=True):
    """A container.

    Attributes:
        uuid: Its uuid.
        label: Its label; None for one without, or that is being destroyed.
        state: Where it is in its life.
        properties: All of its properties.
        acl: Its access list, an entry a line.
        owner: Its owner, `user@`.
        group: Its owner's group, `group@`.
        attributes: What users wrote.
        snapshots: By epoch.
        next_oid: The first object id that was not given out.
        healthy_at: The version of the pool map up to which losses were accepted.
        created: When it was made.
        opened: When it was opened last; 0 for never.
        deadline: When its making is given up; 0 afterwards.
        opening: The handle that it is opened by when it is made; None for none, and afterwards.
    """

    uuid: str
    label: str | None
    state: ContainerState
    properties: ContainerProperties
    acl: tuple[str, ...]
    owner: str
    group: str
    attributes: dict[str, bytes] = msgspec.field(default_factory=dict)
    snapshots: list[SnapshotEntry] = msgspec.field(default_factory=list)
    next_oid: int = 1
    healthy_at: int = 0
    created: int = 0
    opened: int = 0
    deadline: int = 0
    opening: Opening | None = None


class Returning(msgspec.Struct, frozen=True, kw_only=True):
    """Targets that are being brought back.

    Attributes:
        targets: Rank to the indexes of its targets.
        deadline: When it is given up.
    """

    targets: dict[Rank, tuple[int, ...]]
    deadline: int


class PoolState(State[AnyEffect], kw_only=True, dict=True):
    """The state of a pool's service.

    What a command looks for is found without going through all containers or handles, so that a pool with many of
    them is as fast as one with few.

    Attributes:
        uuid: The pool's; empty before it is created.
        label: Its label; the system service keeps labels unique.
        map: Its map.
        properties: All of its properties.
        attributes: What users wrote.
        acl: Its access list, an entry a line.
        owner: Its owner, `user@`.
        group: Its owner's group, `group@`.
        frozen: Whether it is about to be destroyed, and refuses handles and containers.
        asked: The number of the newest effect of the system service that froze or resumed it.
        labelled: The number of the newest effect of the system service that gave it a label.
        alive: Ranks to the newest incarnations that have joined.
        gone: Ranks that are dead and were not excluded, with their incarnations.
        handles: Open handles.
        containers: By uuid; `add_container` adds one.
        labels: Label to the uuid of a container.
        container_handles: Open handles of containers; `add_handle` and `revoke` change them.
        returning: Ranks that are being brought back, by the name of the operation.
    """

    uuid: str = ""
    label: str | None = None
    map: PoolMap = msgspec.field(default_factory=PoolMap)
    properties: dict[str, str | int] = msgspec.field(default_factory=dict)
    attributes: dict[str, bytes] = msgspec.field(default_factory=dict)
    acl: tuple[str, ...] = ()
    owner: str = ""
    group: str = ""
    frozen: bool = False
    asked: int = 0
    labelled: int = 0
    alive: dict[Rank, int] = msgspec.field(default_factory=dict)
    gone: dict[Rank, int] = msgspec.field(default_factory=dict)
    handles: dict[str, Handle] = msgspec.field(default_factory=dict)
    containers: dict[str, Container] = msgspec.field(default_factory=dict)
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    container_handles: dict[str, ContainerHandle] = msgspec.field(default_factory=dict)
    returning: dict[str, Returning] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Find again what is stored elsewhere in the state."""
        self._of_container: dict[str, dict[str, None]] = {}
        self._of_pool: dict[str, dict[str, None]] = {}
        for handle in self.container_handles.values():
            self._index(handle)
        self._making = {each.uuid: None for each in self.containers.values() if each.deadline}

    def _index(self, handle: ContainerHandle) -> None:
        self._of_container.setdefault(handle.container, {})[handle.uuid] = None
        self._of_pool.setdefault(handle.handle, {})[handle.uuid] = None

    def add_handle(self, handle: ContainerHandle) -> None:
        """Open a container."""
        self.container_handles[handle.uuid] = handle
        self._index(handle)

    def _drop_handle(self, uuid: str) -> None:
        handle = self.container_handles.pop(uuid, None)
        if handle is None:
            return
        for table, key in ((self._of_container, handle.container), (self._of_pool, handle.handle)):
            uuids = table[key]
            del uuids[uuid]
            if not uuids:
                del table[key]

    def handles_of(self, container: str) -> list[ContainerHandle]:
        """Return the open handles of a container, in the order in which they were opened."""
        return [self.container_handles[uuid] for uuid in self._of_container.get(container, ())]

    def handles_by(self, handle: str) -> list[ContainerHandle]:
        """Return the handles of containers that were opened by a handle of the pool, in that order."""
        return [self.container_handles[uuid] for uuid in self._of_pool.get(handle, ())]

    def add_container(self, container: Container) -> None:
        """Begin to make a container."""
        self.containers[container.uuid] = container
        if container.label is not None:
            self.labels[container.label] = container.uuid
        self._making[container.uuid] = None

    def progressed(self, work: Work[AnyEffect]) -> None:
        """Let the effect say what follows."""
        work.effect.progressed(self, work)

    def may_reach(self, effect: AnyEffect, rank: Rank) -> bool:  # noqa: ARG002 -- the form is given
        """Tell whether a rank is there: ranks that leave are taken off all effects, so those that are left are."""
        return True

    def due(self, now: int) -> Iterator[tuple[str, AnyCommand]]:
        """Yield the end of operations whose time is over."""
        from daos.control.pool.expire import Expire

        for uuid in self._making:
            container = self.containers[uuid]
            if now >= container.deadline:
                yield container.uuid, Expire(operation=container.uuid, deadline=container.deadline)
        for name, returning in self.returning.items():
            if now >= returning.deadline:
                yield name, Expire(operation=name, deadline=returning.deadline)

    def dead(self, ranks: dict[Rank, int]) -> AnyCommand | None:
        """Return the command for those of the ranks whose death is news."""
        from daos.control.pool.targets import MarkDead

        news = {
            rank: incarnation
            for rank, incarnation in ranks.items()
            if rank in self.map.ranks
            and self.map.ranks[rank].in_use
            and self.gone.get(rank, 0) < incarnation
            and self.alive.get(rank, 0) <= incarnation
        }
        return MarkDead(ranks=news) if news else None

    # What requests are about

    def check_created(self) -> None:
        """Return if there is a pool that is not about to be destroyed.

        Raises:
            NotFoundError: `DER.NONEXIST`: it was not created yet.
            BusyError: `DER.BUSY`: it is being destroyed.
        """
        if not self.uuid:
            raise NotFoundError("the pool is being created")
        if self.frozen:
            raise BusyError("the pool is being destroyed")

    def handle_of(self, uuid: str) -> Handle:
        """Return an open handle of the pool.

        Raises:
            ClosedError: `DER.NO_HDL`.
        """
        handle = self.handles.get(uuid)
        if handle is None:
            raise ClosedError("the pool handle is closed or was evicted", hint="connect again")
        return handle

    def require(self, uuid: str, need: Permission, what: str) -> None:
        """Return if a handle of the pool allows something; no handle is an administrator's.

        Raises:
            ClosedError: `DER.NO_HDL`.
            AccessError: `DER.NO_PERM`.
        """
        if uuid and not self.handle_of(uuid).capabilities & need:
            raise AccessError(f"the pool handle does not allow to {what}", hint="connect for reading and writing")

    def container_of(self, reference: str) -> Container:
        """Return the container of a label or uuid that is ready.

        Raises:
            InvalidError: `DER.INVAL`: it can be neither.
            NotFoundError: `DER.NONEXIST`.
        """
        name = check_reference(reference, "container")
        container = self.containers.get(self.labels.get(name, name))
        if container is None or container.state is not ContainerState.READY:
            raise no_container(reference)
        return container

    def opened(self, uuid: str, container: str, need: Permission, what: str) -> Container:
        """Return the container that a request is about, which its handle must allow; by name for administrators.

        Raises:
            ClosedError: `DER.NO_HDL`.
            AccessError: `DER.NO_PERM`.
            NotFoundError: `DER.NONEXIST`.
            InvalidError: `DER.INVAL`: both are given.
        """
        if not uuid:
            return self.container_of(container)
        if container:
            raise InvalidError("a request names a container or has a handle, not both")
        handle = self.container_handles.get(uuid)
        if handle is None:
            raise ClosedError("the container handle is closed or was evicted", hint="open the container again")
        if not handle.capabilities & need:
            raise AccessError(
                f"the container handle does not allow to {what}", hint="its ACL must allow it when it is opened"
            )
        return self.containers[handle.container]

    def rights(self, container: Container, credential: Credential) -> Permission:
        """Return what a caller is allowed by the access list of a container."""
        acl = acl_of(container.acl)
        return acl.permissions(credential, owner=container.owner, group=container.group)

    def visible(self, container: Container, credential: Credential) -> bool:
        """Tell whether a caller may know of a container."""
        return bool(self.rights(container, credential)) or credential.user == container.owner

    def unclean(self, container: Container) -> bool:
        """Tell whether more fault domains were lost at once than the container bears."""
        factor = container.properties.values["rd_fac"]
        return self.map.down_domains(container.healthy_at) > int(factor)

    # Steps

    def tell_map(self) -> None:
        """Take the newest map to the engines, those that it leaves out too."""
        for rank in [rank.rank for rank in self.map.ranks.values() if not rank.in_use]:
            self.drop_rank(rank)
        self.outbox.cancel(effects.MAP)
        self.outbox.put(effects.BroadcastPoolMap(subject=effects.MAP, version=self.map.version), self.map.in_use())

    def drop_rank(self, rank: Rank) -> None:
        """Wait for a rank no longer: it serves nothing, and discards all before it is taken into use again."""
        for number, work in list(self.outbox.works.items()):
            if rank not in work.ranks or isinstance(work.effect, effects.DiscardShards):
                continue
            left = self.outbox.confirm(number, (rank,), {})
            if left is not None:
                self.progressed(left)

    def revoke(self, handles: Iterable[str], container_handles: Iterable[str]) -> str:
        """Close handles, and have the engines refuse them; return the name of the operation."""
        pools = list(handles)
        nested = [each.uuid for handle in pools for each in self.handles_by(handle)]
        named = list(dict.fromkeys([*pools, *nested, *container_handles]))
        for uuid in named:
            self.handles.pop(uuid, None)
            self._drop_handle(uuid)
            self.outbox.cancel(uuid)
        name = f"revoke {self.outbox.next}"
        self.outbox.put(effects.RevokeHandles(subject=name, handles=tuple(named)), self.map.in_use())
        return name

    def recheck(self) -> None:
        """Revoke handles of the pool that allow more than its access list does by now."""
        acl = Acl.parse(self.acl)
        lost = []
        for handle in self.handles.values():
            rights = acl.permissions(handle.credential, owner=self.owner, group=self.group)
            if not _still(lambda: pool_capabilities(rights, handle.access), handle.capabilities):  # noqa: B023 -- called at once
                lost.append(handle.uuid)
        if lost:
            self.revoke(lost, ())

    def recheck_container(self, container: Container) -> None:
        """Revoke handles of a container that allow more than its access list does by now."""
        lost = []
        for handle in self.handles_of(container.uuid):
            caller = self.handles[handle.handle].credential
            rights, owns = self.rights(container, caller), caller.user == container.owner
            if not _still(lambda: container_capabilities(rights, handle.access, owner=owns), handle.capabilities):  # noqa: B023 -- called at once
                lost.append(handle.uuid)
        if lost:
            self.revoke((), lost)

    def finish_revoke(self, name: str, count: int) -> None:
        """Answer who evicted handles."""
        self.outcomes.finish(name, Outcome.done(Evicted(count=count)))

    def finish_container(self, uuid: str) -> None:
        """Shards of a container are there; when all are, it is ready."""
        container = self.containers[uuid]
        waiting = bool(self.outbox.of(uuid))
        if container.state is ContainerState.CREATING and not waiting:
            container.state, container.deadline = ContainerState.READY, 0
            del self._making[uuid]
            made = ContainerCreated(uuid=uuid)
            if self._open_made(container):
                made = ContainerCreated(uuid=uuid, opened=True, properties=container.properties.encode())
            self.outcomes.finish(f"create {uuid}", Outcome.done(made))

    def _open_made(self, container: Container) -> bool:
        """Open a container that is made by the handle that was asked for; its engines know it already."""
        opening, container.opening = container.opening, None
        if opening is None:
            return False
        if opening.handle not in self.handles:
            # Whoever made it was evicted meanwhile: what the engines were told is taken back.
            self.revoke((), (opening.uuid,))
            return False
        container.opened = self.time
        self.add_handle(
            ContainerHandle(
                uuid=opening.uuid,
                container=container.uuid,
                handle=opening.handle,
                capabilities=opening.capabilities,
                access=opening.access,
            )
        )
        return True

    def fail_container(self, uuid: str, rank: Rank, code: int) -> None:
        """A rank cannot make its shards: take all back, or leave the rank out of a container that was ready before."""
        container = self.containers[uuid]
        if container.state is ContainerState.CREATING:
            error = error_from_der(
                code, f"rank {rank} could not make its part of the container", context={"rank": rank}
            )
            self.outcomes.finish(f"create {uuid}", Outcome.refused(error))
            self.destroy_container(container)
        elif container.state is ContainerState.READY:
            self.outbox.put(shards_of(container), (rank,))

    def destroy_container(self, container: Container) -> None:
        """From here on a container goes: close its handles, free its label, delete its shards."""
        handles = tuple(handle.uuid for handle in self.handles_of(container.uuid))
        if container.opening is not None:
            handles, container.opening = (*handles, container.opening.uuid), None
        for subject in (container.uuid, f"{container.uuid}/snapshots", *handles):
            self.outbox.cancel(subject)
        for uuid in handles:
            self._drop_handle(uuid)
        if container.label is not None:
            del self.labels[container.label]
        self._making.pop(container.uuid, None)
        container.label, container.state, container.deadline = None, ContainerState.DESTROYING, 0
        effect = effects.DestroyContainerShards(subject=container.uuid, handles=handles)
        ranks = self.map.in_use()
        self.outbox.put(effect, ranks)
        if not ranks:
            self.forget_container(container.uuid)

    def forget_container(self, uuid: str) -> None:
        """Nobody has anything of a container left."""
        del self.containers[uuid]
        self.outcomes.finish(f"destroy {uuid}", Outcome.done())

    def finish_reintegrate(self, name: str) -> None:
        """Targets that come back are empty: take them into use, with all containers."""
        returning = self.returning.pop(name).targets
        targets = [target for rank, indexes in returning.items() for target in self.map.chosen(rank, indexes)]
        if self.map.reintegrate(targets):
            for container in self.containers.values():
                if container.state is not ContainerState.DESTROYING:
                    self.outbox.put(shards_of(container), returning)
                if container.snapshots:
                    self.outbox.put(snapshots_of(container), returning)
            self.outbox.put(effects.InstallScrub.of(self.properties), returning)
            self.tell_map()
        self.outcomes.finish(name, Outcome.done(MapChanged(version=self.map.version)))

    def check(self) -> None:
        """Compare labels with containers, handles with what they are of.

        Raises:
            AssertionError: They contradict each other.
        """
        super().check()
        self._check_found()
        labels = {each.label: each.uuid for each in self.containers.values() if each.label is not None}
        if labels != self.labels:
            raise AssertionError(f"labels {self.labels} of containers {labels}")
        for handle in self.container_handles.values():
            if handle.handle not in self.handles or self.containers[handle.container].state is not ContainerState.READY:
                raise AssertionError(f"{handle} is of nothing")
        subjects = {work.effect.subject for work in self.outbox.works.values()}
        for container in self.containers.values():
            if container.state is not ContainerState.READY and container.uuid not in subjects:
                raise AssertionError(f"{container} waits for nothing")

    def _check_found(self) -> None:
        opened = self.container_handles.values()
        by = {"container": self._of_container, "handle": self._of_pool}
        for name, table in by.items():
            wanted: dict[str, list[str]] = {}
            for handle in opened:
                wanted.setdefault(getattr(handle, name), []).append(handle.uuid)
            if wanted != {key: list(uuids) for key, uuids in table.items()}:
                raise AssertionError(f"{table} are not the open handles by {name}")
        if list(self._making) != [each.uuid for each in self.containers.values() if each.deadline]:
            raise AssertionError(f"{self._making} are not those that are being made")


def _still(allowed: Callable[[], Permission], granted: Permission) -> bool:
    """Tell whether all that was granted is allowed yet."""
    try:
        return not granted & ~allowed()
    except AccessError:
        return False


class ContainerCreated(msgspec.Struct, frozen=True, kw_only=True):
    """The result of making a container.

    Attributes:
        uuid: Its uuid.
        opened: Whether it is open by the handle that the request gave.
        properties: In their stored form, where it is.
    """

    uuid: str
    opened: bool = False
    properties: bytes = b""


class Evicted(msgspec.Struct, frozen=True, kw_only=True):
    """The result of evicting handles.

    Attributes:
        count: How many, those of containers included.
    """

    count: int


class MapChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The result of changing the pool map.

    Attributes:
        version: Of the map afterwards.
    """

    version: int


def shards_of(container: Container) -> effects.CreateContainerShards:
    """Return what makes the shards of a container."""
    opening = container.opening
    return effects.CreateContainerShards(
        subject=container.uuid,
        properties=container.properties.encode(),
        handle=None if opening is None else opening.uuid,
        capabilities=0 if opening is None else int(opening.capabilities),
    )


@lru_cache(maxsize=256)
def acl_of(lines: tuple[str, ...]) -> Acl:
    """Return an access list, which most containers have the same of."""
    return Acl.parse(lines)


def snapshots_of(container: Container) -> effects.InstallSnapshots:
    """Return what tells the snapshots of a container."""
    return effects.InstallSnapshots(
        subject=f"{container.uuid}/snapshots",
        container=container.uuid,
        epochs=tuple(snapshot.epoch for snapshot in container.snapshots),
    )


def no_container(reference: str) -> NotFoundError:
    """Return what is told of a container that is not there, or that the caller may not know of."""
    return NotFoundError(f'there is no container "{reference}"', hint="list the containers of the pool")
