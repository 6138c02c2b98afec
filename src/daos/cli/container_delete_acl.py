"""`daos container delete-acl`."""

from __future__ import annotations

import click

from daos.cli._acl import acl_reply
from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply


@make(
    "delete-acl",
    POOL,
    CONTAINER,
    click.Option(
        ["-P", "--principal"],
        metavar="PRINCIPAL",
        required=True,
        help="Whose entry: u:NAME@, g:NAME@, OWNER@, GROUP@ or EVERYONE@.",
    ),
)
@click.pass_context
def command(context: click.Context, pool: str, container: str, principal: str) -> Reply:
    """Take an entry out of the access list of CONTAINER in POOL."""
    opened = open_container(context, pool, container, writes=True)
    opened.acl.delete(principal)
    return acl_reply(opened)
