"""Requests that change properties, attributes, access list and owner of a container.

Each has a handle of the container, or, from an administrator, the container's label or uuid.
"""

from __future__ import annotations

from daos.control.attributes import delete_attributes, set_attributes
from daos.control.pool.settings import AttributesDeleted
from daos.control.pool.state import Container, PoolState
from daos.control.replicated import Command
from daos.errors import ExistsError, InvalidError
from daos.model.acl import Acl, Permission, Principal, check_principal
from daos.model.changes import container_changes


class _ContainerCommand(Command[PoolState], frozen=True, kw_only=True):
    """A change of a container.

    Attributes:
        handle: Of the container; empty for an administrator, who gives
        container: its label or uuid.
    """

    handle: str = ""
    container: str = ""

    def opened(self, state: PoolState, need: Permission, what: str) -> Container:
        """Return the container, if the handle allows it."""
        state.check_created()
        return state.opened(self.handle, self.container, need, what)


class ContainerSetProperties(_ContainerCommand, frozen=True, kw_only=True, tag="container_set_properties"):
    """Change the label, or accept what was lost by the status `healthy`.

    Attributes:
        properties: Names with words.
    """

    properties: dict[str, str]

    def run(self, state: PoolState) -> None:
        """Change all of them."""
        container = self.opened(state, Permission.T, "set properties")
        changes = container_changes(self.properties)
        if changes.label is not None and state.labels.get(changes.label, container.uuid) != container.uuid:
            raise ExistsError(f'there is a container "{changes.label}"', hint="choose another label")
        if "status" in self.properties:
            container.healthy_at = state.map.version
        if changes.label is not None:
            if container.label is not None:
                del state.labels[container.label]
            container.label = changes.label
            state.labels[changes.label] = container.uuid


class ContainerSetAttributes(_ContainerCommand, frozen=True, kw_only=True, tag="container_set_attributes"):
    """Set attributes.

    Attributes:
        attributes: Name to value.
    """

    attributes: dict[str, bytes]

    def run(self, state: PoolState) -> None:
        """Set all of them."""
        set_attributes(self.opened(state, Permission.w, "set attributes").attributes, self.attributes)


class ContainerDeleteAttributes(_ContainerCommand, frozen=True, kw_only=True, tag="container_delete_attributes"):
    """Delete attributes.

    Attributes:
        names: Which; those that are not there are passed over.
    """

    names: tuple[str, ...]

    def run(self, state: PoolState) -> AttributesDeleted:
        """Delete all of them."""
        table = self.opened(state, Permission.w, "delete attributes").attributes
        return AttributesDeleted(count=delete_attributes(table, self.names))


class ContainerOverwriteAcl(_ContainerCommand, frozen=True, kw_only=True, tag="container_overwrite_acl"):
    """Replace the access list. Open handles that allow more than it does are revoked.

    Attributes:
        entries: An entry a line.
    """

    entries: tuple[str, ...]

    def run(self, state: PoolState) -> None:
        """Replace it."""
        container = self.opened(state, Permission.A, "set the ACL")
        container.acl = Acl.parse(self.entries).lines()
        state.recheck_container(container)


class ContainerUpdateAcl(_ContainerCommand, frozen=True, kw_only=True, tag="container_update_acl"):
    """Add or replace entries of the access list.

    Attributes:
        entries: An entry a line.
    """

    entries: tuple[str, ...]

    def run(self, state: PoolState) -> None:
        """Merge them in."""
        container = self.opened(state, Permission.A, "set the ACL")
        container.acl = Acl.parse(container.acl).merged(Acl.parse(self.entries)).lines()
        state.recheck_container(container)


class ContainerDeleteAclEntry(_ContainerCommand, frozen=True, kw_only=True, tag="container_delete_acl_entry"):
    """Take an entry out of the access list.

    Attributes:
        principal: Whose: `u:NAME@`, `g:NAME@`, or a special name.
    """

    principal: str

    def run(self, state: PoolState) -> None:
        """Take it out."""
        container = self.opened(state, Permission.A, "set the ACL")
        container.acl = Acl.parse(container.acl).without(Principal.parse(self.principal)).lines()
        state.recheck_container(container)


class ContainerSetOwner(_ContainerCommand, frozen=True, kw_only=True, tag="container_set_owner"):
    """Give a container away.

    Attributes:
        owner: The new owner; None for the same.
        group: The new group; None for the same.
    """

    owner: str | None = None
    group: str | None = None

    def run(self, state: PoolState) -> None:
        """Change owner and group."""
        container = self.opened(state, Permission.o, "set the owner")
        if self.owner is None and self.group is None:
            raise InvalidError("at least one of user or group must be supplied")
        owner = container.owner if self.owner is None else check_principal(self.owner)
        group = container.group if self.group is None else check_principal(self.group)
        container.owner, container.group = owner, group
        state.recheck_container(container)
