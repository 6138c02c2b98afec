"""`daos container destroy`."""

from __future__ import annotations

import click

from daos.cli._base import CONTAINER, POOL, open_pool
from daos.cli._base import command as make
from daos.cli._output import Reply

FORCE = click.Option(
    ["-f", "--force"], is_flag=True, help="Also if others have it open: whoever uses it gets an error."
)


@make("destroy", POOL, CONTAINER, FORCE)
@click.pass_context
def command(context: click.Context, pool: str, container: str, *, force: bool) -> Reply:
    """Destroy CONTAINER in POOL, and all in it."""
    open_pool(context, pool, writes=True).destroy_container(container, force=force)
    return Reply([f"Successfully destroyed container {container}"])
