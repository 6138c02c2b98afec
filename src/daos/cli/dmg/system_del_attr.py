"""`dmg system del-attr`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.cli.dmg._attributes import NAMES_NEEDED, names_of
from daos.cli.dmg._base import asking
from daos.cli.dmg._base import command as make
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb


@make("del-attr", NAMES_NEEDED)
@click.pass_context
def command(context: click.Context, names: str) -> Reply:
    """Remove attributes of the system."""
    asking(context, methods.SYSTEM_DEL_ATTR, pb.SystemDelAttrRequest(names=names_of(names)))
    return Reply(["system del-attr succeeded"])
