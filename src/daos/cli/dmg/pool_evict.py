"""`dmg pool evict`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.cli.dmg._base import POOL, asking, telling
from daos.cli.dmg._base import command as make
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb


@make("evict", POOL)
@click.pass_context
def command(context: click.Context, pool: str) -> Reply:
    """Close all handles of a pool."""
    with telling(context, "Pool-evict command"):
        asking(context, methods.POOL_EVICT, pb.PoolEvictRequest(pool=pool))
    return Reply(["Pool-evict command succeeded"])
