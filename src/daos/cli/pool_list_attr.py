"""`daos pool list-attr`."""

from __future__ import annotations

import click

from daos.cli._attributes import VERBOSE, list_reply
from daos.cli._base import POOL, open_pool
from daos.cli._base import command as make
from daos.cli._output import Reply


@make("list-attr", POOL, VERBOSE)
@click.pass_context
def command(context: click.Context, pool: str, *, verbose: bool) -> Reply:
    """List the attributes of POOL."""
    opened = open_pool(context, pool)
    return list_reply(opened.attributes, f"pool {opened.label}", verbose=verbose)
