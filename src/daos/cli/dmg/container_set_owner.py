"""`dmg container set-owner`."""

from __future__ import annotations

import click

from daos.cli._output import Reply, echo, error_text
from daos.cli.dmg._base import POOL, admin_of, asking
from daos.cli.dmg._base import command as make
from daos.errors import DaosError, InvalidError
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.model.acl import check_principal


@make(
    "set-owner",
    POOL,
    click.Argument(["container"], metavar="CONTAINER LABEL OR UUID"),
    click.Option(["-u", "--user"], metavar="USER", help="The new owner."),
    click.Option(["-g", "--group"], metavar="GROUP", help="The new owner group."),
)
@click.pass_context
def command(context: click.Context, pool: str, container: str, user: str | None, group: str | None) -> Reply:
    """Give a container another owner; whether there is such a user is not looked at."""
    if user is None and group is None:
        raise InvalidError("at least one of user or group must be supplied", hint="--user, --group")
    request = pb.ContainerSetOwnerRequest(
        pool=pool,
        container=container,
        owner="" if user is None else check_principal(user),
        group="" if group is None else check_principal(group),
    )
    try:
        asking(context, methods.CONTAINER_SET_OWNER, request)
    except DaosError as error:
        if not admin_of(context).json:
            echo(f"Container-set-owner command FAILED: {error_text(error)[0]}")
        raise
    return Reply(["Container-set-owner command SUCCEEDED"])
