"""`daos kv put`."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from daos.cli._base import CONTAINER, POOL, making, open_container
from daos.cli._base import command as make
from daos.cli._input import standard_input
from daos.cli._kv import KEY, NAME, key_of, store_of
from daos.cli._output import Reply
from daos.errors import InvalidError

VALUE = click.Argument(["value"], metavar="[VALUE]", required=False)
INPUT = click.Option(["-i", "--input", "source"], metavar="FILE", help="Store what is in FILE; - is standard input.")
CREATE = click.Option(["-c", "--create"], is_flag=True, help="Make the store if it is not there.")


@make("put", POOL, CONTAINER, NAME, KEY, VALUE, INPUT, CREATE)
@click.pass_context
def command(
    context: click.Context,
    pool: str,
    container: str,
    name: str,
    key: str,
    value: str | None,
    source: str | None,
    *,
    create: bool,
) -> Reply:
    """Store VALUE, or what a file holds, under KEY in the store NAME."""
    if (value is None) == (source is None):
        raise InvalidError("give either a value or a file", hint="a word after the key, or --input FILE")
    if value is not None:
        data = value.encode(errors="surrogateescape")
    else:
        data = standard_input().read() if source == "-" else Path(source or "").read_bytes()
    opened = open_container(context, pool, container, writes=True)
    with making(opened, name, create=create):
        kv = store_of(opened, name, create=create)
        kv[cast("str", key_of(kv, key))] = data
    return Reply()
