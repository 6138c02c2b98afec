"""`daos container set-attr`."""

from __future__ import annotations

import click

from daos.cli._attributes import ATTR, PAIRS, VALUE, set_reply, to_set
from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply


@make("set-attr", POOL, CONTAINER, PAIRS, ATTR, VALUE)
@click.pass_context
def command(
    context: click.Context, pool: str, container: str, pairs: str | None, attr: str | None, value: str | None
) -> Reply:
    """Set attributes of CONTAINER in POOL.

    All or none of them are set.
    """
    opened = open_container(context, pool, container, writes=True)
    return set_reply(opened.attributes, f'container "{opened.label}"', to_set(pairs, attr, value))
