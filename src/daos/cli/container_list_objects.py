"""`daos container list-objects`."""

from __future__ import annotations

import click

from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.cli._snapshots import as_of

EPOCH = click.Option(["-e", "--epc", "--snap", "snap"], metavar="SNAPSHOT", help="As of a snapshot: name or epoch.")
UNMARKED = click.Option(["--unmarked"], is_flag=True, help="Only those without a mark, as programs put them.")
VERBOSE = click.Option(["-v", "--verbose"], is_flag=True, help="Print kind and name as well.")


@make("list-objects", POOL, CONTAINER, EPOCH, UNMARKED, VERBOSE)
@click.pass_context
def command(
    context: click.Context, pool: str, container: str, snap: str | None, *, unmarked: bool, verbose: bool
) -> Reply:
    """List the ids of all objects of CONTAINER, a line each, in their order: also of those without a name."""
    present = open_container(context, pool, container)
    opened = as_of(present, snap)
    oids = present.object_table(opened.as_of).unmarked() if unmarked else opened.objects()
    if not verbose:
        return Reply((str(oid) for oid in oids), lambda: [str(oid) for oid in oids])
    named = {found.oid: found for found in opened.names()}
    rows = ((oid, named.get(oid)) for oid in oids)
    return Reply(
        (str(oid) if found is None else f"{oid} {found.kind} {found.name}" for oid, found in rows),
        lambda: [
            {"oid": str(oid), **({} if found is None else {"kind": found.kind, "name": found.name})}
            for oid, found in rows
        ],
    )
