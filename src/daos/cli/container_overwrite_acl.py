"""`daos container overwrite-acl`."""

from __future__ import annotations

import click

from daos.cli._acl import acl_reply, entries_of
from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.errors import InvalidError


@make(
    "overwrite-acl",
    POOL,
    CONTAINER,
    click.Option(["-f", "--acl-file"], metavar="FILE", help="Of entries, one a line."),
)
@click.pass_context
def command(context: click.Context, pool: str, container: str, acl_file: str | None) -> Reply:
    """Replace the access list of CONTAINER in POOL."""
    if acl_file is None:
        raise InvalidError("the required flag `--acl-file' was not specified", hint="name a file of entries")
    entries = entries_of(acl_file)
    opened = open_container(context, pool, container, writes=True)
    opened.acl.overwrite(entries)
    return acl_reply(opened)
