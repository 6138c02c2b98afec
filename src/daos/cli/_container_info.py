"""What the tools tell about a container, in DAOS's form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daos.cli._snapshots import time_of

if TYPE_CHECKING:
    from daos import Container


def container_info(container: Container) -> dict[str, object]:
    """Return the JSON object of a container."""
    snapshots = container.snapshots()
    latest = {"latest_snapshot": time_of(snapshots[-1])} if snapshots else {}
    return {
        "pool_uuid": container.pool.uuid,
        "container_uuid": container.uuid,
        "container_label": container.label,
        **latest,
        "redundancy_factor": container.properties["rd_fac"],
        "num_snapshots": len(snapshots),
        "container_type": container.layout,
        "health": "HEALTHY",
    }


def container_rows(container: Container) -> list[tuple[str, str]]:
    """Return the rows that every text about a container has."""
    return [
        ("Container UUID", container.uuid),
        ("Container Label", container.label),
        ("Container Type", container.layout),
    ]
