"""Requests that make and delete a container."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from daos.control.outcomes import Pending
from daos.control.pool.handles import check_new_handle
from daos.control.pool.state import (
    OPERATION_TICKS_MAX,
    Container,
    ContainerState,
    Opening,
    PoolState,
    no_container,
    shards_of,
)
from daos.control.replicated import Command
from daos.errors import DER, AccessError, BusyError, ExistsError, InvalidError, UnavailableError
from daos.model.acl import DEFAULT_CONTAINER_ACL, Access, Acl, Permission, check_principal, container_capabilities
from daos.model.labels import check_label, is_uuid
from daos.model.properties import ALIASES, ContainerProperties, container_properties

CONTAINERS_MAX = 65_536
"""Containers of a pool: a snapshot of its service stays some tens of megabytes."""
_DEFAULT_ACL = DEFAULT_CONTAINER_ACL.lines()
LAYOUTS = ("unknown", "POSIX", "HDF5", "PYTHON", "SPARK", "DATABASE", "ROOT", "SEISMIC", "METEO")


@lru_cache(maxsize=256)
def _checked(given: tuple[tuple[str, str | int], ...], domains: int) -> bytes:
    """Return the stored form of properties, which most containers have the same of.

    Raises:
        InvalidError: As `container_properties`.
    """
    return container_properties(dict(given), domains=domains, internal=True).encode()


class ContainerCreate(Command[PoolState], frozen=True, kw_only=True, tag="container_create"):
    """Make a container.

    Attributes:
        handle: Of the pool; empty for an administrator, who names an owner.
        uuid: The container's, drawn by the client.
        label: Its label, unique in the pool.
        layout: Who owns the objects in it.
        properties: Names with words or numbers; what is not given has its default, or is the pool's.
        acl: Its access list, an entry a line; None for the default.
        owner: `user@`; empty for the caller, and nobody else unless an administrator asks.
        group: `group@`; empty for the caller's, or another that he is in.
        opens: Uuid of a handle, drawn by the client, that it is opened by as soon as it is made; empty for none.
        access: How that is asked for.
    """

    handle: str = ""
    uuid: str
    label: str | None = None
    layout: str = "unknown"
    properties: dict[str, str | int] = {}
    acl: tuple[str, ...] | None = None
    owner: str = ""
    group: str = ""
    opens: str = ""
    access: Access = Access.READ_WRITE

    def run(self, state: PoolState) -> Pending:
        """Have its shards made, and its engines told of the handle at once."""
        state.check_created()
        state.require(self.handle, Permission.c, "create containers")
        owner, group = self._owner(state)
        if not is_uuid(self.uuid) or self.uuid != self.uuid.lower():
            raise InvalidError(f'"{self.uuid}" is no uuid of a container', hint="a uuid in lower case")
        if self.uuid in state.containers:
            raise ExistsError(f"there is a container {self.uuid}")
        if self.label is not None and check_label(self.label, "container") in state.labels:
            raise ExistsError(f'there is a container "{self.label}"', hint="open it, or choose another label")
        if self.layout not in LAYOUTS:
            raise InvalidError(f'invalid type "{self.layout}"', hint=f"one of: {', '.join(LAYOUTS)}")
        if len(state.containers) >= CONTAINERS_MAX:
            raise InvalidError(f"a pool has at most {CONTAINERS_MAX} containers", code=DER.OVERFLOW)
        given = {ALIASES.get(name, name) for name in self.properties}
        inherited = {name: state.properties[name] for name in ("rd_fac", "ec_cell_sz") if name not in given}
        properties = _checked(tuple({**self.properties, **inherited}.items()), state.map.domains())
        acl = _DEFAULT_ACL if self.acl is None else Acl.parse(self.acl).lines()
        state.outbox.check_room()
        ranks = state.map.in_use()
        if not ranks:
            raise UnavailableError("no rank of the pool is in use", code=DER.RF)
        container = Container(
            uuid=self.uuid,
            label=self.label,
            state=ContainerState.CREATING,
            properties=msgspec.structs.replace(ContainerProperties.decode(properties), layout=self.layout),
            acl=acl,
            owner=owner,
            group=group,
            created=state.time,
            deadline=state.time + OPERATION_TICKS_MAX,
        )
        if self.opens:
            container.opening = self._opening(state, container)
        state.add_container(container)
        state.outbox.put(shards_of(container), ranks)
        return Pending(f"create {self.uuid}")

    def _opening(self, state: PoolState, container: Container) -> Opening:
        """Return the handle that it is opened by: decided as by `ContainerOpen`, with the pool handle's credential."""
        credential = state.handle_of(self.handle).credential
        rights = state.rights(container, credential)
        capabilities = container_capabilities(rights, self.access, owner=credential.user == container.owner)
        check_new_handle(state, self.opens)
        return Opening(uuid=self.opens, handle=self.handle, capabilities=capabilities, access=self.access)

    def _owner(self, state: PoolState) -> tuple[str, str]:
        """Return whose it is to be."""
        if not self.handle:
            return check_principal(self.owner), check_principal(self.group)
        caller = state.handles[self.handle].credential
        owner, group = check_principal(self.owner or caller.user), check_principal(self.group or caller.group)
        if owner != caller.user or group not in (caller.group, *caller.groups):
            raise AccessError(
                f"{caller.user} cannot make a container of {owner} and {group}", hint="make it, then set its owner"
            )
        return owner, group


class ContainerDestroy(Command[PoolState], frozen=True, kw_only=True, tag="container_destroy"):
    """Delete a container.

    Attributes:
        handle: Of the pool; empty for an administrator.
        container: Its label or uuid.
        force: Also if others have it open.
    """

    handle: str = ""
    container: str
    force: bool = False

    def run(self, state: PoolState) -> Pending | None:
        """Close its handles and have its shards deleted.

        It takes `d` in the container's access list, or in the pool's.
        """
        state.check_created()
        container = state.container_of(self.container)
        if self.handle:
            handle = state.handle_of(self.handle)
            if not state.visible(container, handle.credential) and not handle.capabilities & Permission.d:
                raise no_container(self.container)
            rights = state.rights(container, handle.credential)
            if not (rights | handle.capabilities) & Permission.d or not handle.capabilities & Permission.w:
                raise AccessError(f'no permission to destroy the container "{self.container}"')
        handles = state.handles_of(container.uuid)
        # Who asks with a pool's handle knows what he has open through it: that is closed.
        others = [each for each in handles if not self.handle or each.handle != self.handle]
        if others and not self.force:
            raise BusyError(f"the container is open {len(others)} times", hint="with --force its handles are evicted")
        state.destroy_container(container)
        return Pending(f"destroy {container.uuid}") if container.uuid in state.containers else None
