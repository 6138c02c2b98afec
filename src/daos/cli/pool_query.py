"""`daos pool query`."""

from __future__ import annotations

import click

from daos.cli._base import POOL, open_pool
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.cli._pool_info import pool_lines, pool_query, space_lines

HEALTH = click.Option(["-t", "--health-only"], is_flag=True, help="Leave out space.")
ENABLED = click.Option(["-e", "--show-enabled"], is_flag=True, help="List the ranks that are enabled.")


@make("query", POOL, HEALTH, ENABLED)
@click.pass_context
def command(context: click.Context, pool: str, *, health_only: bool, show_enabled: bool) -> Reply:
    """Tell about POOL: its state, what scrubbing found, and its space.

    Pools of an embedded system share the space of the system.
    """
    opened = open_pool(context, pool)
    info = opened.info(space=not health_only)
    lines = pool_lines(opened, info, enabled=show_enabled)
    return Reply(
        lines if health_only else [*lines, *space_lines(info)],
        lambda: pool_query(opened, info, enabled=show_enabled),
    )
