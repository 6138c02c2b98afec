"""`daos container del-attr`."""

from __future__ import annotations

import click

from daos.cli._attributes import ATTR, NAMES, del_reply, names_of
from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply


@make("del-attr", POOL, CONTAINER, NAMES, ATTR)
@click.pass_context
def command(context: click.Context, pool: str, container: str, names: str | None, attr: str | None) -> Reply:
    """Remove attributes of CONTAINER in POOL.

    One that is absent is no error.
    """
    opened = open_container(context, pool, container, writes=True)
    return del_reply(opened.attributes, f'container "{opened.label}"', names_of(names, attr))
