"""`daos kv list`."""

from __future__ import annotations

import click

from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._kv import store_of, word_of
from daos.cli._output import Reply
from daos.cli._snapshots import SNAP, as_of

NAME = click.Argument(["name"], metavar="[NAME]", required=False)


@make("list", POOL, CONTAINER, NAME, SNAP)
@click.pass_context
def command(context: click.Context, pool: str, container: str, name: str | None, snap: str | None) -> Reply:
    """List the keys of the store NAME, a line each; without a name, the stores of CONTAINER."""
    opened = as_of(open_container(context, pool, container), snap)
    if name is None:
        words = (entry.name for entry in opened.names() if entry.kind == "kv")
    else:
        words = (word_of(key) for key in store_of(opened, name))
    return Reply(words, lambda: list(words))
