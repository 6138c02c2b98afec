"""`daos pool query`."""

from __future__ import annotations

import click

from daos.cli._base import POOL, open_pool
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.cli._pool_info import pool_lines, pool_query, space_lines, with_space

HEALTH = click.Option(["-t", "--health-only"], is_flag=True, help="Leave out space.")


@make("query", POOL, HEALTH)
@click.pass_context
def command(context: click.Context, pool: str, *, health_only: bool) -> Reply:
    """Tell about POOL: its state, what scrubbing found, and the space of its system, which all its pools share."""
    opened = open_pool(context, pool)
    if health_only:
        return Reply(pool_lines(opened), lambda: pool_query(opened))
    return Reply(
        [*pool_lines(opened), *space_lines(opened)],
        lambda: with_space(opened, pool_query(opened)),
    )
