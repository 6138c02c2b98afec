"""`daos kv get`."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import cast

import click

from daos.cli._base import CONTAINER, POOL, hinting, open_container
from daos.cli._base import command as make
from daos.cli._kv import KEY, NAME, key_of, store_of
from daos.cli._output import Reply
from daos.cli._snapshots import SNAP, as_of

OUTPUT = click.Option(["-o", "--output"], metavar="FILE", help="Write the value to FILE, not to standard output.")


@make("get", POOL, CONTAINER, NAME, KEY, OUTPUT, SNAP)
@click.pass_context
def command(
    context: click.Context, pool: str, container: str, name: str, key: str, output: str | None, snap: str | None
) -> Reply:
    """Print the value of KEY in the store NAME, byte for byte; in JSON it is base64."""
    opened = as_of(open_container(context, pool, container), snap)
    kv = store_of(opened, name)
    stored = cast("str", key_of(kv, key))
    with hinting("daos kv list lists the keys"):
        value = kv[stored]
    if output is not None:
        Path(output).write_bytes(value)
        return Reply(response=lambda: {"key": key, "size": len(value)})
    return Reply(raw=[value], response=lambda: {"key": key, "value": base64.b64encode(value).decode()})
