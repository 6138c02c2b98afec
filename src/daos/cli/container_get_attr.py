"""`daos container get-attr`."""

from __future__ import annotations

import click

from daos.cli._attributes import ATTR, NAMES, get_reply, names_of
from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply


@make("get-attr", POOL, CONTAINER, NAMES, ATTR)
@click.pass_context
def command(context: click.Context, pool: str, container: str, names: str | None, attr: str | None) -> Reply:
    """Print attributes of CONTAINER in POOL.

    Without a name all are printed; in JSON values are base64.
    """
    opened = open_container(context, pool, container)
    return get_reply(opened.attributes, f"container {opened.label}", names_of(names, attr))
