"""What the tools tell about a container, in DAOS's form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daos.cli._snapshots import time_of
from daos.model.snapshots import Snapshot

if TYPE_CHECKING:
    from daos import Container, ContainerInfo


def container_info(
    container: Container, *, snapshots: list[Snapshot] | None = None, info: ContainerInfo | None = None
) -> dict[str, object]:
    """Return the JSON object of a container.

    Args:
        container: Which.
        snapshots: Its snapshots; it is asked for them where they are not given.
        info: What its service tells, likewise.
    """
    if snapshots is None:
        snapshots = container.snapshots()
    if info is None:
        info = served_info(container)
    latest = {"latest_snapshot": time_of(snapshots[-1])} if snapshots else {}
    return {
        "pool_uuid": container.pool.uuid,
        "container_uuid": container.uuid,
        "container_label": container.label,
        **latest,
        "redundancy_factor": container.properties["rd_fac"],
        **({} if info is None else {"num_handles": info.handles}),
        "num_snapshots": len(snapshots),
        **({} if info is None or not info.opened else {"open_time": _time(info.opened)}),
        "container_type": container.layout,
        "health": "HEALTHY" if info is None or info.healthy else "UNCLEAN",
    }


def served_info(container: Container) -> ContainerInfo | None:
    """Return what the service of its pool tells; None in an embedded system, which nobody serves."""
    return container.info() if container.pool.system.served else None


def container_rows(container: Container) -> list[tuple[str, str]]:
    """Return the rows that every text about a container has."""
    return [
        ("Container UUID", container.uuid),
        ("Container Label", container.label),
        ("Container Type", container.layout),
    ]


def handle_rows(info: ContainerInfo | None) -> list[tuple[str, str]]:
    """Return the rows about handles; none for an embedded system, where a container is open or not."""
    if info is None:
        return []
    return [
        ("Owner", info.owner),
        ("Owner Group", info.group),
        ("Number of open handles", str(info.handles)),
        ("Latest open time", f"{_time(info.opened)} ({info.opened:#x})"),
    ]


def _time(epoch: int) -> str:
    return time_of(Snapshot(epoch, None))
