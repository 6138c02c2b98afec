"""`daos container query`."""

from __future__ import annotations

import click

from daos.cli._base import CONTAINER, POOL, open_pool
from daos.cli._base import command as make
from daos.cli._container_info import container_info, container_rows
from daos.cli._output import Reply, rows


@make("query", POOL, CONTAINER)
@click.pass_context
def command(context: click.Context, pool: str, container: str) -> Reply:
    """Tell about CONTAINER in POOL."""
    opened = open_pool(context, pool).container(container)
    more = [
        ("Pool UUID", opened.pool.uuid),
        ("Container redundancy factor", str(opened.properties["rd_fac"])),
    ]
    return Reply([*rows([*container_rows(opened), *more]), ""], lambda: container_info(opened))
