"""What clients ask to be changed, as commands of the service of their pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daos.control.pool import container_settings
from daos.engine import asks

if TYPE_CHECKING:
    from daos.control.replicated import AnyCommand

__all__ = ["container_change"]


def container_change(
    handle: str,
    ask: asks.ContainerOverwriteAcl | asks.ContainerUpdateAcl | asks.ContainerDeleteAcl | asks.ContainerSetOwner,
) -> AnyCommand:
    """Return the command of a change of the container that a handle is of."""
    match ask:
        case asks.ContainerOverwriteAcl():
            return container_settings.ContainerOverwriteAcl(handle=handle, entries=tuple(ask.entries))
        case asks.ContainerUpdateAcl():
            return container_settings.ContainerUpdateAcl(handle=handle, entries=tuple(ask.entries))
        case asks.ContainerDeleteAcl():
            return container_settings.ContainerDeleteAclEntry(handle=handle, principal=ask.principal)
        case asks.ContainerSetOwner():
            return container_settings.ContainerSetOwner(handle=handle, owner=ask.owner, group=ask.group)
