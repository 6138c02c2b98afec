"""`daos container create-snap`."""

from __future__ import annotations

import click

from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.cli._snapshots import snapshot_info, time_of

NAME = click.Option(["-s", "--snap", "name"], metavar="NAME", help="A name for it, unique in the container.")


@make("create-snap", POOL, CONTAINER, NAME)
@click.pass_context
def command(context: click.Context, pool: str, container: str, name: str | None) -> Reply:
    """Take a snapshot of CONTAINER in POOL."""
    made = open_container(context, pool, container, writes=True).snapshot(name)
    return Reply(
        [f"snapshot/epoch {made.epoch:#x} has been created (timestamp: {time_of(made)})"],
        lambda: snapshot_info(made),
    )
