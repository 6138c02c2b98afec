"""`daos pool query`."""

from __future__ import annotations

import click

from daos.cli._base import POOL, open_pool
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.cli._pool_info import pool_lines, pool_query


@make("query", POOL)
@click.pass_context
def command(context: click.Context, pool: str) -> Reply:
    """Tell about POOL: its state, and what scrubbing found."""
    opened = open_pool(context, pool)
    return Reply(pool_lines(opened), lambda: pool_query(opened))
