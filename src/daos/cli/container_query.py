"""`daos container query`."""

from __future__ import annotations

import click

from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._container_info import container_info, container_rows, handle_rows, served_info
from daos.cli._output import Reply, rows
from daos.cli._snapshots import time_of


@make("query", POOL, CONTAINER)
@click.pass_context
def command(context: click.Context, pool: str, container: str) -> Reply:
    """Tell about CONTAINER in POOL."""
    opened = open_container(context, pool, container)
    snapshots, info = opened.snapshots(), served_info(opened)
    more = [
        ("Pool UUID", opened.pool.uuid),
        ("Container redundancy factor", str(opened.properties["rd_fac"])),
        *handle_rows(info),
        ("Number of snapshots", str(len(snapshots))),
        *(("Latest Persistent Snapshot", f"{last.epoch:#x} ({time_of(last)})") for last in snapshots[-1:]),
    ]
    lines = [*rows([*container_rows(opened), *more]), ""]
    return Reply(lines, lambda: container_info(opened, snapshots=snapshots, info=info))
