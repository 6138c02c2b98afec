"""`dmg system set-attr`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.cli.dmg._attributes import PAIRS, pairs_of
from daos.cli.dmg._base import asking
from daos.cli.dmg._base import command as make
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb


@make("set-attr", PAIRS)
@click.pass_context
def command(context: click.Context, pairs: str) -> Reply:
    """Set attributes of the system."""
    asking(context, methods.SYSTEM_SET_ATTR, pb.SystemSetAttrRequest(attributes=pairs_of(pairs, "system attribute")))
    return Reply(["system set-attr succeeded"])
