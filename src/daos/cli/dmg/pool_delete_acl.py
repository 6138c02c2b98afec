"""`dmg pool delete-acl`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.cli.dmg._acl import acl_reply
from daos.cli.dmg._base import POOL
from daos.cli.dmg._base import command as make
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb


@make(
    "delete-acl",
    POOL,
    click.Option(["-p", "--principal"], metavar="PRINCIPAL", required=True, help="u:NAME@, g:NAME@, OWNER@ ..."),
)
@click.pass_context
def command(context: click.Context, pool: str, principal: str) -> Reply:
    """Take the entry for a principal out of the access list of a pool."""
    request = pb.PoolDeleteAclRequest(pool=pool, principal=principal)
    done = f"Pool-delete-ACL command succeeded, ID: {pool}"
    return acl_reply(context, "Pool-delete-ACL command", methods.POOL_DELETE_ACL, request, done)
