"""`dmg system erase`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.cli.dmg._base import asking
from daos.cli.dmg._base import command as make
from daos.cli.dmg._ranks import results_reply
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb


@make("erase")
@click.pass_context
def command(context: click.Context) -> Reply:
    """Delete the storage of all ranks, which must be stopped, and forget the system."""
    return results_reply(asking(context, methods.SYSTEM_ERASE, pb.SystemEraseRequest()), "erase")
