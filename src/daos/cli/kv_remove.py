"""`daos kv remove`."""

from __future__ import annotations

from typing import cast

import click

from daos.cli._base import CONTAINER, POOL, hinting, open_container
from daos.cli._base import command as make
from daos.cli._kv import KEY, NAME, key_of, store_of
from daos.cli._output import Reply

FORCE = click.Option(["-f", "--force"], is_flag=True, help="A key that is absent is no error.")


@make("remove", POOL, CONTAINER, NAME, KEY, FORCE)
@click.pass_context
def command(context: click.Context, pool: str, container: str, name: str, key: str, *, force: bool) -> Reply:
    """Remove KEY from the store NAME."""
    kv = store_of(open_container(context, pool, container, writes=True), name)
    stored = cast("str", key_of(kv, key))
    if force:
        kv.remove(stored)
    else:
        with hinting("--force takes a key that is absent; daos kv list lists the keys"):
            del kv[stored]
    return Reply()
