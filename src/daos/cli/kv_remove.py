"""`daos kv remove`."""

from __future__ import annotations

from typing import cast

import click

from daos.cli._base import CONTAINER, POOL, open_pool
from daos.cli._base import command as make
from daos.cli._kv import KEY, NAME, key_of
from daos.cli._output import Reply

FORCE = click.Option(["-f", "--force"], is_flag=True, help="A key that is absent is no error.")


@make("remove", POOL, CONTAINER, NAME, KEY, FORCE)
@click.pass_context
def command(context: click.Context, pool: str, container: str, name: str, key: str, *, force: bool) -> Reply:
    """Remove KEY from the store NAME."""
    kv = open_pool(context, pool).container(container).kv(name)
    stored = cast("str", key_of(kv, key))
    if force:
        kv.remove(stored)
    else:
        del kv[stored]
    return Reply()
