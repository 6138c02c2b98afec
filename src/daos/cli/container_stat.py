"""`daos container stat`."""

from __future__ import annotations

from dataclasses import asdict

import click

from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply, rows
from daos.model.sizes import format_size


@make("stat", POOL, CONTAINER)
@click.pass_context
def command(context: click.Context, pool: str, container: str) -> Reply:
    """Count what CONTAINER in POOL holds, every version of it, and what that takes."""
    stat = open_container(context, pool, container).stat()
    told = {
        "Objects": stat.objects,
        "Dkeys": stat.dkeys,
        "Versions of values": stat.values,
        "Extents of arrays": stat.extents,
        "Removals": stat.removals,
        "Bytes written": f"{stat.bytes} ({format_size(stat.bytes)})",
        "Bytes taken": f"{stat.stored_bytes} ({format_size(stat.stored_bytes)})",
        "Oldest epoch": "none" if stat.first_epoch is None else f"{stat.first_epoch:#x}",
        "Newest epoch": "none" if stat.last_epoch is None else f"{stat.last_epoch:#x}",
    }
    return Reply([*rows([(name, str(value)) for name, value in told.items()]), ""], lambda: asdict(stat))
