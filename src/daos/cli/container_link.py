"""`daos container link`."""

from __future__ import annotations

import click

from daos import uns
from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply

PATH = click.Option(["-p", "--path"], metavar="PATH", required=True, help="The path to make; nothing may be there.")


@make("link", POOL, CONTAINER, PATH)
@click.pass_context
def command(context: click.Context, pool: str, container: str, path: str) -> Reply:
    """Make a path that stands for CONTAINER in POOL; it may have several."""
    uns.link(path, open_container(context, pool, container))
    return Reply([f"Successfully linked container {container} to {path}"])
