"""`dmg system leader-query`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.cli.dmg._base import asking
from daos.cli.dmg._base import command as make
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb


@make("leader-query", click.Option(["-N", "--down-replicas"], is_flag=True, help="Tell only who does not answer."))
@click.pass_context
def command(context: click.Context, *, down_replicas: bool) -> Reply:
    """Tell which server leads, and which others may."""
    told = asking(context, methods.LEADER_QUERY, pb.LeaderQueryRequest())
    down = f"  Unresponsive Replicas: {', '.join(told.down_replicas)}"
    lines = [f"Current Leader: {told.current_leader}", f"   Replica Set: {', '.join(told.replicas)}", down]
    return Reply(
        [down.strip()] if down_replicas else lines,
        lambda: {
            "current_leader": told.current_leader,
            "replicas": list(told.replicas),
            "down_replicas": list(told.down_replicas) or None,
        },
    )
