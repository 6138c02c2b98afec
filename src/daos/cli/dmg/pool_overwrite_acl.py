"""`dmg pool overwrite-acl`."""

from __future__ import annotations

import click

from daos.cli._acl import entries_of
from daos.cli._output import Reply
from daos.cli.dmg._acl import acl_reply
from daos.cli.dmg._base import POOL
from daos.cli.dmg._base import command as make
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb


@make(
    "overwrite-acl",
    POOL,
    click.Option(["-a", "--acl-file"], metavar="FILE", required=True, help="Of entries, one a line."),
)
@click.pass_context
def command(context: click.Context, pool: str, acl_file: str) -> Reply:
    """Replace the access list of a pool."""
    request = pb.PoolOverwriteAclRequest(pool=pool, entries=entries_of(acl_file))
    done = f"Pool-overwrite-ACL command succeeded, ID: {pool}"
    return acl_reply(context, "Pool-overwrite-ACL command", methods.POOL_OVERWRITE_ACL, request, done)
