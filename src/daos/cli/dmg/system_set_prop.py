"""`dmg system set-prop`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.cli.dmg._attributes import PAIRS, pairs_of
from daos.cli.dmg._base import asking
from daos.cli.dmg._base import command as make
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb


@make("set-prop", PAIRS)
@click.pass_context
def command(context: click.Context, pairs: str) -> Reply:
    """Change properties of the system: self_heal, pool_scrub_mode, pool_scrub_thresh."""
    asking(context, methods.SYSTEM_SET_PROP, pb.SystemSetPropRequest(properties=pairs_of(pairs, "system property")))
    return Reply(["system set-prop succeeded"])
