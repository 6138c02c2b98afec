"""`daos pool del-attr`."""

from __future__ import annotations

import click

from daos.cli._attributes import ATTR, NAMES, del_reply, names_of
from daos.cli._base import POOL, open_pool
from daos.cli._base import command as make
from daos.cli._output import Reply


@make("del-attr", POOL, NAMES, ATTR)
@click.pass_context
def command(context: click.Context, pool: str, names: str | None, attr: str | None) -> Reply:
    """Remove attributes of POOL.

    One that is absent is no error.
    """
    opened = open_pool(context, pool, writes=True)
    return del_reply(opened.attributes, f'pool "{opened.label}"', names_of(names, attr))
