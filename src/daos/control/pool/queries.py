"""What a pool's service tells. Functions of a state; the host confirms that it leads before it calls them.

A request has a handle, or none from an administrator, who may see all.
"""

from __future__ import annotations

from collections.abc import Collection

from daos.control.outbox import Rank
from daos.control.pool.state import Container, ContainerHandle, ContainerState, Handle, PoolState, SnapshotEntry
from daos.errors import NotFoundError
from daos.model.acl import Acl, Permission


def containers(state: PoolState, handle: str = "") -> list[Container]:
    """Return the containers that the caller may know of, by label, those without one last.

    Raises:
        ClosedError: `DER.NO_HDL`.
    """
    credential = state.handle_of(handle).credential if handle else None
    found = [
        container
        for container in state.containers.values()
        if container.state is ContainerState.READY and (credential is None or state.visible(container, credential))
    ]
    return sorted(found, key=lambda container: (container.label is None, container.label or container.uuid))


def ranks(state: PoolState) -> tuple[list[Rank], list[Rank], list[Rank]]:
    """Return the ranks that are enabled, disabled, and dead though not disabled."""
    enabled = sorted(state.map.in_use())
    disabled = sorted(set(state.map.ranks) - set(enabled))
    return enabled, disabled, sorted(state.gone)


def degraded(state: PoolState) -> bool:
    """Tell whether data of targets that are down is not restored yet."""
    return state.map.down_domains() > 0


def handle(state: PoolState, uuid: str) -> Handle | ContainerHandle:
    """Return an open handle of the pool or of a container, for an engine that does not know it.

    Raises:
        ClosedError: `DER.NO_HDL`.
    """
    found = state.container_handles.get(uuid)
    return state.handle_of(uuid) if found is None else found


def attributes(table: dict[str, bytes], names: Collection[str] | None = None) -> dict[str, bytes]:
    """Return attributes of the pool or a container, by name.

    Raises:
        NotFoundError: `DER.NONEXIST`.
    """
    for name in names or ():
        if name not in table:
            raise NotFoundError(f"there is no attribute {name!r}", hint="list the attributes")
    return {name: table[name] for name in sorted(table) if names is None or name in names}


def container(state: PoolState, handle: str = "", container: str = "") -> Container:
    """Return a container: properties, attributes, snapshots, times.

    Args:
        state: The pool's.
        handle: Of the container, which must allow to read; empty for an administrator.
        container: Label or uuid, from an administrator.

    Raises:
        ClosedError: `DER.NO_HDL`.
        AccessError: `DER.NO_PERM`.
        NotFoundError: `DER.NONEXIST`.
    """
    return state.opened(handle, container, Permission.r | Permission.t, "query it")


def container_acl(state: PoolState, handle: str = "", container: str = "") -> tuple[Acl, str, str]:
    """Return the access list, owner and group of a container.

    Raises:
        DaosError: As `container`.
    """
    found = state.opened(handle, container, Permission.a, "get the ACL")
    return Acl.parse(found.acl), found.owner, found.group


def snapshots(state: PoolState, handle: str = "", container: str = "") -> list[SnapshotEntry]:
    """Return the snapshots of a container, oldest first.

    Raises:
        DaosError: As `container`.
    """
    return list(state.opened(handle, container, Permission.r, "list snapshots").snapshots)


def open_handles(state: PoolState, container: Container) -> int:
    """Return how often a container is open."""
    return len(state.handles_of(container.uuid))
