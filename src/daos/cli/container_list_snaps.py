"""`daos container list-snaps`."""

from __future__ import annotations

import click

from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply, table
from daos.cli._snapshots import snapshot_info, time_of


@make("list-snaps", POOL, CONTAINER)
@click.pass_context
def command(context: click.Context, pool: str, container: str) -> Reply:
    """List the snapshots of CONTAINER in POOL, oldest first."""
    found = open_container(context, pool, container).snapshots()
    lines = [(time_of(snapshot), hex(snapshot.epoch), snapshot.name or "") for snapshot in found]
    return Reply(
        table(("Timestamp", "Epoch", "Name"), lines) if found else ["No snapshots."],
        lambda: [snapshot_info(snapshot) for snapshot in found],
    )
