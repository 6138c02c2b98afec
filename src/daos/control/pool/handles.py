"""Requests that open and close the pool."""

from __future__ import annotations

import msgspec

from daos.control.outcomes import Pending
from daos.control.pool.effects import InstallHandles
from daos.control.pool.state import HANDLES_MAX, Evicted, Handle, PoolState
from daos.control.replicated import Command
from daos.errors import BusyError, ExistsError, InvalidError, NotFoundError
from daos.model.acl import Access, Acl, Credential, Permission, pool_capabilities
from daos.model.labels import is_uuid


class Connected(msgspec.Struct, frozen=True, kw_only=True):
    """The result of connecting.

    Attributes:
        capabilities: What the handle allows, as bits of `daos.model.acl.Permission`.
        version: Of the pool map.
    """

    capabilities: Permission
    version: int


class Connect(Command[PoolState], frozen=True, kw_only=True, tag="connect"):
    """Open the pool.

    Attributes:
        handle: The handle's uuid, drawn by the client.
        credential: Who asks; the host has verified it.
        access: How it is asked for.
    """

    handle: str
    credential: Credential
    access: Access

    def run(self, state: PoolState) -> Connected:
        """Decide what the handle allows.

        A caller without any right is answered as if there were no such pool.
        """
        if not state.uuid:
            raise NotFoundError("the pool is being created", hint="try again in a moment")
        acl = Acl.parse(state.acl)
        rights = acl.permissions(self.credential, owner=state.owner, group=state.group)
        if not rights:
            raise NotFoundError(f'unable to find pool service with uuid "{state.uuid}"', hint="list the pools")
        state.check_created()
        capabilities = pool_capabilities(rights, self.access)
        check_exclusive(self.access, [handle.access for handle in state.handles.values()])
        check_new_handle(state, self.handle)
        state.handles[self.handle] = Handle(
            uuid=self.handle,
            credential=self.credential,
            capabilities=capabilities,
            access=self.access,
            opened=state.time,
        )
        effect = InstallHandles(subject=self.handle, container=None, capabilities=int(capabilities))
        state.outbox.put(effect, state.map.in_use())
        return Connected(capabilities=capabilities, version=state.map.version)


class Disconnect(Command[PoolState], frozen=True, kw_only=True, tag="disconnect"):
    """Close a handle of the pool.

    Attributes:
        handle: Which.
    """

    handle: str

    def run(self, state: PoolState) -> None:
        """Close it, if none of its containers is open."""
        state.handle_of(self.handle)
        if state.handles_by(self.handle):
            raise BusyError("containers are open through this pool handle", hint="close them first")
        state.revoke((self.handle,), ())


class Evict(Command[PoolState], frozen=True, kw_only=True, tag="evict"):
    """An administrator closes handles of the pool; the answer comes when no engine serves them any more.

    Attributes:
        handles: Which; None for all, or all
        machine: of a machine.
    """

    handles: tuple[str, ...] | None = None
    machine: str | None = None

    def run(self, state: PoolState) -> Pending | Evicted:
        """Revoke them. Those that are closed already are passed over."""
        chosen = [
            handle.uuid
            for handle in state.handles.values()
            if (self.handles is None or handle.uuid in self.handles)
            and self.machine in (None, handle.credential.machine)
        ]
        if not chosen:
            return Evicted(count=0)
        before = len(state.handles) + len(state.container_handles)
        name = state.revoke(chosen, ())
        if not state.map.in_use():
            return Evicted(count=before - len(state.handles) - len(state.container_handles))
        return Pending(name)


def check_exclusive(access: Access, others: list[Access]) -> None:
    """Return if a handle may be opened beside others.

    Raises:
        BusyError: `DER.BUSY`: it or one of them is exclusive.
    """
    if others and (access is Access.EXCLUSIVE or Access.EXCLUSIVE in others):
        raise BusyError(
            "another handle is exclusive" if Access.EXCLUSIVE in others else f"{len(others)} other handles are open",
            hint="try again when they are closed",
        )


def check_new_handle(state: PoolState, uuid: str) -> None:
    """Return if there may be another handle, of this uuid.

    Raises:
        InvalidError: `DER.INVAL`: it is no uuid.
        ExistsError: `DER.EXIST`: it is open.
        BusyError: `DER.BUSY`: it is being revoked, or there are too many.
    """
    if not is_uuid(uuid):
        raise InvalidError(f'"{uuid}" is no uuid of a handle')
    if uuid in state.handles or uuid in state.container_handles:
        raise ExistsError("a handle with this uuid is open", hint="draw another")
    if state.outbox.touches(uuid):
        raise BusyError("a handle with this uuid is being revoked", hint="draw another")
    state.outbox.check_room()
    if len(state.handles) + len(state.container_handles) >= HANDLES_MAX:
        raise BusyError(f"{HANDLES_MAX} handles are open, the most there may be", hint="evict those of dead clients")
