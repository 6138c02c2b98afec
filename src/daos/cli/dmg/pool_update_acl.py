"""`dmg pool update-acl`."""

from __future__ import annotations

import click

from daos.cli._acl import entries_of
from daos.cli._output import Reply
from daos.cli.dmg._acl import FILE, acl_reply
from daos.cli.dmg._base import POOL
from daos.cli.dmg._base import command as make
from daos.errors import InvalidError
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb


@make(
    "update-acl",
    POOL,
    FILE,
    click.Option(["-e", "--entry"], metavar="ENTRY", help="A single entry, such as A::alice@:rw."),
)
@click.pass_context
def command(context: click.Context, pool: str, acl_file: str | None, entry: str | None) -> Reply:
    """Add entries to the access list of a pool, in the place of those for the same principals."""
    if (acl_file is None) == (entry is None):
        needed = "is required" if entry is None else "is required, not both"
        raise InvalidError(f"either ACL file or entry parameter {needed}", hint="--acl-file FILE, or --entry ENTRY")
    entries = entries_of(acl_file) if acl_file is not None else [entry or ""]
    request = pb.PoolUpdateAclRequest(pool=pool, entries=entries)
    done = f"Pool-update-ACL command succeeded, ID: {pool}"
    return acl_reply(context, "Pool-update-ACL command", methods.POOL_UPDATE_ACL, request, done)
