"""Requests that open and close a container."""

from __future__ import annotations

import msgspec

from daos.control.outcomes import Pending
from daos.control.pool.effects import InstallHandles
from daos.control.pool.handles import check_exclusive, check_new_handle
from daos.control.pool.state import ContainerHandle, Evicted, PoolState, no_container
from daos.control.replicated import Command
from daos.errors import DER, AccessError, ClosedError, UnavailableError
from daos.model.acl import Access, Permission, container_capabilities


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """The result of opening a container.

    Attributes:
        uuid: The container's.
        capabilities: What the handle allows, as bits of `daos.model.acl.Permission`.
        properties: Of the container, in their stored form.
        snapshots: Epochs of its snapshots.
    """

    uuid: str
    capabilities: Permission
    properties: bytes
    snapshots: tuple[int, ...]


class ContainerOpen(Command[PoolState], frozen=True, kw_only=True, tag="container_open"):
    """Open a container. A pool handle for reading is enough to open a container for writing.

    Attributes:
        handle: Of the pool.
        container: Its label or uuid.
        uuid: The new handle's, drawn by the client.
        access: How it is asked for.
        force: Also if more was lost than its redundancy bears.
    """

    handle: str
    container: str
    uuid: str
    access: Access
    force: bool = False

    def run(self, state: PoolState) -> Opened:
        """Decide what the handle allows, by the credential that the pool was opened with."""
        state.check_created()
        credential = state.handle_of(self.handle).credential
        container = state.container_of(self.container)
        if not state.visible(container, credential):
            raise no_container(self.container)
        rights = state.rights(container, credential)
        capabilities = container_capabilities(rights, self.access, owner=credential.user == container.owner)
        others = [each.access for each in state.handles_of(container.uuid)]
        check_exclusive(self.access, others)
        if state.unclean(container) and not self.force:
            raise UnavailableError(
                f"more fault domains of the container {self.container} were lost than its redundancy bears",
                code=DER.RF,
                hint="bring ranks back, or set its property status to healthy and bear with what is lost",
            )
        check_new_handle(state, self.uuid)
        container.opened = state.time
        state.add_handle(
            ContainerHandle(
                uuid=self.uuid,
                container=container.uuid,
                handle=self.handle,
                capabilities=capabilities,
                access=self.access,
            )
        )
        effect = InstallHandles(subject=self.uuid, container=container.uuid, capabilities=int(capabilities))
        state.outbox.put(effect, state.map.in_use())
        return Opened(
            uuid=container.uuid,
            capabilities=capabilities,
            properties=container.properties.encode(),
            snapshots=tuple(snapshot.epoch for snapshot in container.snapshots),
        )


class ContainerClose(Command[PoolState], frozen=True, kw_only=True, tag="container_close"):
    """Close a handle of a container.

    Attributes:
        handle: Which.
    """

    handle: str

    def run(self, state: PoolState) -> None:
        """Close it."""
        if self.handle not in state.container_handles:
            raise ClosedError("the container handle is closed or was evicted")
        state.revoke((), (self.handle,))


class ContainerCloseAll(Command[PoolState], frozen=True, kw_only=True, tag="container_close_all"):
    """Close handles of containers, those that are open yet: a client lets go of many, and tells of them together.

    Attributes:
        handles: Which; who has them drew their uuids.
    """

    handles: tuple[str, ...]

    def run(self, state: PoolState) -> None:
        """Close them."""
        there = [handle for handle in dict.fromkeys(self.handles) if handle in state.container_handles]
        if there:
            state.revoke((), there)


class ContainerEvict(Command[PoolState], frozen=True, kw_only=True, tag="container_evict"):
    """Close handles of a container; the answer comes when no engine serves them any more.

    Attributes:
        handle: Of the pool; empty for an administrator.
        container: Its label or uuid.
        everybody: Those of others too, which its owner may do.
    """

    handle: str = ""
    container: str
    everybody: bool = False

    def run(self, state: PoolState) -> Pending | Evicted:
        """Revoke them."""
        state.check_created()
        container = state.container_of(self.container)
        mine = None
        if self.handle:
            credential = state.handle_of(self.handle).credential
            if not state.visible(container, credential):
                raise no_container(self.container)
            if self.everybody and credential.user != container.owner:
                raise AccessError("only its owner may evict all handles of a container")
            mine = None if self.everybody else credential.user
        chosen = [
            each.uuid
            for each in state.handles_of(container.uuid)
            if mine in (None, state.handles[each.handle].credential.user)
        ]
        if not chosen:
            return Evicted(count=0)
        name = state.revoke((), chosen)
        return Pending(name) if state.map.in_use() else Evicted(count=len(chosen))
