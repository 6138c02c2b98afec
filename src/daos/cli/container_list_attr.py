"""`daos container list-attr`."""

from __future__ import annotations

import click

from daos.cli._attributes import VERBOSE, list_reply
from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply


@make("list-attr", POOL, CONTAINER, VERBOSE)
@click.pass_context
def command(context: click.Context, pool: str, container: str, *, verbose: bool) -> Reply:
    """List the attributes of CONTAINER in POOL."""
    opened = open_container(context, pool, container)
    return list_reply(opened.attributes, f"container {opened.label}", verbose=verbose)
