"""`daos container evict`."""

from __future__ import annotations

import click

from daos.cli._base import CONTAINER, POOL, open_pool
from daos.cli._base import command as make
from daos.cli._output import Reply


@make(
    "evict",
    POOL,
    CONTAINER,
    click.Option(["-a", "--all", "everybody"], is_flag=True, help="Those of others too, which its owner may do."),
)
@click.pass_context
def command(context: click.Context, pool: str, container: str, *, everybody: bool) -> Reply:
    """Close the handles that you have of CONTAINER in POOL: programs that use it get an error."""
    open_pool(context, pool).evict_container(container, everybody=everybody)
    return Reply()
