"""`dmg pool set-prop`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.cli.dmg._attributes import PAIRS, pairs_of
from daos.cli.dmg._base import POOL, asking
from daos.cli.dmg._base import command as make
from daos.cli.dmg._properties import values
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb


@make("set-prop", POOL, PAIRS)
@click.pass_context
def command(context: click.Context, pool: str, pairs: str) -> Reply:
    """Change properties of a pool."""
    properties = values(pairs_of(pairs, "property"))
    asking(context, methods.POOL_SET_PROP, pb.PoolSetPropRequest(pool=pool, properties=properties))
    return Reply(["pool set-prop succeeded"])
