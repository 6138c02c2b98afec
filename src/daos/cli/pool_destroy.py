"""`daos pool destroy`."""

from __future__ import annotations

import click

from daos.cli._base import POOL, for_administrators, open_system
from daos.cli._base import command as make
from daos.cli._output import Reply


@make("destroy", POOL)
@click.pass_context
def command(context: click.Context, pool: str) -> Reply:
    """Destroy POOL and all in it."""
    for_administrators(context, "pools are destroyed", f"dmg pool destroy {pool}")
    open_system(context).destroy_pool(pool)
    return Reply(["Pool-destroy command succeeded"])
