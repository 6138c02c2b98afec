"""`dmg system stop`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.cli.dmg._base import RANK_HOSTS, RANKS, settings_of, working
from daos.cli.dmg._base import command as make
from daos.cli.dmg._ranks import chosen, parsed, results_reply
from daos.mgmt import methods
from daos.mgmt.client import ManagementClient
from daos.mgmt.proto import daos_mgmt_pb2 as pb

IGNORE = click.Option(["--ignore-admin-excluded"], is_flag=True, help="Pass over ranks that were excluded.")


@make(
    "stop",
    RANKS,
    RANK_HOSTS,
    click.Option(["--force"], is_flag=True, help="At once, without preparing them."),
    IGNORE,
)
@click.pass_context
def command(
    context: click.Context, ranks: str | None, rank_hosts: str | None, *, force: bool, ignore_admin_excluded: bool
) -> Reply:
    """Stop engines: those of the options, or all."""
    numbers, hosts = parsed(ranks, rank_hosts, settings_of(context).port)

    async def work(client: ManagementClient) -> pb.RankResults:
        found = await chosen(client, numbers, hosts)
        request = pb.SystemStopRequest(ranks=found, force=force, ignore_admin_excluded=ignore_admin_excluded)
        return await client.ask(methods.SYSTEM_STOP, request)

    return results_reply(working(context, work), "stop")
