"""`daos container update-acl`."""

from __future__ import annotations

import click

from daos.cli._acl import FILE, acl_reply, entries_of
from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.errors import InvalidError


@make(
    "update-acl",
    POOL,
    CONTAINER,
    click.Option(["-e", "--entry"], metavar="ENTRY", help="An entry, such as A::alice@:rw."),
    FILE,
)
@click.pass_context
def command(context: click.Context, pool: str, container: str, entry: str | None, acl_file: str | None) -> Reply:
    """Add entries to the access list of CONTAINER in POOL, or replace those for the same users and groups."""
    if (entry is None) == (acl_file is None):
        both = "only one of --entry and --acl-file may be supplied"
        raise InvalidError(
            "one of --entry or --acl-file must be supplied" if entry is None else both, hint="such as -e A::alice@:rw"
        )
    entries = [entry] if entry is not None else entries_of(acl_file or "")
    opened = open_container(context, pool, container, writes=True)
    opened.acl.update(entries)
    return acl_reply(opened)
