"""`daos pool list`."""

from __future__ import annotations

import click

from daos.cli._base import command as make
from daos.cli._base import open_system
from daos.cli._output import Reply, table
from daos.cli._pool_info import pool_info


@make("list")
@click.pass_context
def command(context: click.Context) -> Reply:
    """List the pools of a system."""
    system = open_system(context)
    pools = [system.pool(listed.uuid) for listed in system.pools()]
    lines = table(("Pool", "State"), [(pool.label, "Ready") for pool in pools])
    return Reply(
        [*lines, ""] if pools else ["No pools in system"],
        lambda: {"pools": [pool_info(pool) for pool in pools] or None},
    )
