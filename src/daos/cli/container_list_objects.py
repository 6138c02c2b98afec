"""`daos container list-objects`."""

from __future__ import annotations

import click

from daos.cli._base import CONTAINER, POOL, open_pool
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.cli._snapshots import as_of

EPOCH = click.Option(["-e", "--epc", "--snap", "snap"], metavar="SNAPSHOT", help="As of a snapshot: name or epoch.")
VERBOSE = click.Option(["-v", "--verbose"], is_flag=True, help="Print kind and name as well.")


@make("list-objects", POOL, CONTAINER, EPOCH, VERBOSE)
@click.pass_context
def command(context: click.Context, pool: str, container: str, snap: str | None, *, verbose: bool) -> Reply:
    """List the ids of the objects of CONTAINER that have names, a line each, in the order of the names.

    Objects that were only ever opened by their ids are not among them.
    """
    named = as_of(open_pool(context, pool).container(container), snap).names()
    return Reply(
        (f"{found.oid} {found.kind} {found.name}" if verbose else str(found.oid) for found in named),
        lambda: [{"oid": str(found.oid), "kind": found.kind, "name": found.name} for found in named],
    )
