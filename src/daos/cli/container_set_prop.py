"""`daos container set-prop`."""

from __future__ import annotations

import click

from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.cli._properties import PAIRS, PROPERTIES, to_set


@make("set-prop", POOL, CONTAINER, PAIRS, PROPERTIES)
@click.pass_context
def command(context: click.Context, pool: str, container: str, pairs: str | None, option: str | None) -> Reply:
    """Change properties of CONTAINER in POOL: its label, or its status to healthy."""
    properties = to_set(pairs, option)
    open_container(context, pool, container, writes=True).set_properties(properties)
    return Reply(["Properties were successfully set"])
