"""`dmg server set-logmasks`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.cli.dmg._base import HOSTS
from daos.cli.dmg._base import command as make
from daos.cli.dmg._hosts import hosts_reply, telling_hosts
from daos.errors import DER
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb


@make(
    "set-logmasks",
    HOSTS,
    click.Option(["-m", "--masks"], metavar="MASKS", help="Such as ERR,mgmt=DEBUG."),
    click.Option(["-d", "--streams"], metavar="STREAMS", help="Debug streams, such as mgmt,md."),
    click.Option(["-s", "--subsystems"], metavar="SUBSYSTEMS", help="Such as mgmt,net."),
)
@click.pass_context
def command(
    context: click.Context, host_list: str | None, masks: str | None, streams: str | None, subsystems: str | None
) -> Reply:
    """Change what engines log; what is not given becomes what the configuration says."""
    request = pb.SetLogMasksRequest(masks=masks or "", streams=streams or "", subsystems=subsystems or "")
    told = telling_hosts(context, host_list, methods.SET_LOG_MASKS, request)
    failures = [
        f"engine {result.engine} of {told.name([host])}: {result.message or DER.of(result.code)}"
        for host, answer in told.answers.items()
        for result in answer.results
        if result.code
    ]
    good = [host for host, answer in told.answers.items() if not any(result.code for result in answer.results)]
    lines = [f"Engine log-masks updated successfully on hosts: {told.name(good)}"] if good else []
    return hosts_reply(context, told, lines, dict, "; ".join(failures) or None)
