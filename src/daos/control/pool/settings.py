"""Requests that change properties, attributes and the access list of the pool."""

from __future__ import annotations

import msgspec

from daos.control.attributes import delete_attributes, set_attributes
from daos.control.pool import effects
from daos.control.pool.state import PoolState
from daos.control.replicated import Command
from daos.model.acl import Acl, Permission, Principal
from daos.model.pool_properties import pool_property_changes
from daos.model.scrub import SCRUB_PROPERTIES


class SetProperties(Command[PoolState], frozen=True, kw_only=True, tag="set_properties"):
    """An administrator changes properties. The label is the system service's.

    Attributes:
        properties: Names with words or numbers.
    """

    properties: dict[str, str | int]

    def run(self, state: PoolState) -> None:
        """Change all of them."""
        state.check_created()
        changes = pool_property_changes(self.properties)
        state.properties.update(changes)
        if not SCRUB_PROPERTIES.keys().isdisjoint(changes):
            state.outbox.cancel(effects.SCRUB)
            state.outbox.put(effects.InstallScrub.of(state.properties), state.map.in_use())


class SetLabel(Command[PoolState], frozen=True, kw_only=True, tag="set_label"):
    """The system service has given the pool another label.

    Attributes:
        work: The number of its effect; an earlier one than the newest that was seen comes late.
        label: The new one.
    """

    work: int
    label: str

    def run(self, state: PoolState) -> None:
        """Take note of it."""
        if self.work >= state.labelled:
            state.labelled, state.label = self.work, self.label


class SetAttributes(Command[PoolState], frozen=True, kw_only=True, tag="set_attributes"):
    """Set attributes of the pool.

    Attributes:
        handle: Of the pool; empty for an administrator.
        attributes: Name to value.
    """

    handle: str = ""
    attributes: dict[str, bytes]

    def run(self, state: PoolState) -> None:
        """Set all of them."""
        state.check_created()
        state.require(self.handle, Permission.w, "set attributes")
        set_attributes(state.attributes, self.attributes)


class AttributesDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request to delete attributes, of the pool or a container.

    Attributes:
        count: How many were there.
    """

    count: int


class DeleteAttributes(Command[PoolState], frozen=True, kw_only=True, tag="delete_attributes"):
    """Delete attributes of the pool.

    Attributes:
        handle: Of the pool; empty for an administrator.
        names: Which; those that are not there are passed over.
    """

    handle: str = ""
    names: tuple[str, ...]

    def run(self, state: PoolState) -> AttributesDeleted:
        """Delete all of them."""
        state.check_created()
        state.require(self.handle, Permission.w, "delete attributes")
        return AttributesDeleted(count=delete_attributes(state.attributes, self.names))


class OverwriteAcl(Command[PoolState], frozen=True, kw_only=True, tag="overwrite_acl"):
    """An administrator replaces the access list. Open handles that allow more than it does are revoked.

    Attributes:
        entries: An entry a line; none lets nobody connect.
    """

    entries: tuple[str, ...]

    def run(self, state: PoolState) -> None:
        """Replace it."""
        state.check_created()
        state.acl = Acl.parse(self.entries).lines()
        state.recheck()


class UpdateAcl(Command[PoolState], frozen=True, kw_only=True, tag="update_acl"):
    """An administrator adds or replaces entries of the access list.

    Attributes:
        entries: An entry a line.
    """

    entries: tuple[str, ...]

    def run(self, state: PoolState) -> None:
        """Merge them in."""
        state.check_created()
        state.acl = Acl.parse(state.acl).merged(Acl.parse(self.entries)).lines()
        state.recheck()


class DeleteAclEntry(Command[PoolState], frozen=True, kw_only=True, tag="delete_acl_entry"):
    """An administrator takes an entry out of the access list.

    Attributes:
        principal: Whose: `u:NAME@`, `g:NAME@`, or a special name.
    """

    principal: str

    def run(self, state: PoolState) -> None:
        """Take it out."""
        state.check_created()
        state.acl = Acl.parse(state.acl).without(Principal.parse(self.principal)).lines()
        state.recheck()
