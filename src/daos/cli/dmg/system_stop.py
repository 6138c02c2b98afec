"""`dmg system stop`."""

from __future__ import annotations

from collections.abc import Mapping

import click

from daos.cli._output import Reply
from daos.cli.dmg._base import RANK_HOSTS, RANKS, settings_of, working
from daos.cli.dmg._base import command as make
from daos.cli.dmg._ranks import chosen, parsed, results_reply
from daos.errors import InvalidError
from daos.mgmt import methods
from daos.mgmt.client import ManagementClient
from daos.mgmt.proto import daos_mgmt_pb2 as pb

IGNORE = click.Option(["--ignore-admin-excluded"], is_flag=True, help="Pass over ranks that were excluded.")


@make(
    "stop",
    RANKS,
    RANK_HOSTS,
    click.Option(["--force"], is_flag=True, help="At once, without preparing them."),
    click.Option(["--full"], is_flag=True, help="The whole system, each rank prepared before it ends."),
    IGNORE,
)
@click.pass_context
def command(
    context: click.Context,
    ranks: str | None,
    rank_hosts: str | None,
    *,
    force: bool,
    full: bool,
    ignore_admin_excluded: bool,
) -> Reply:
    """Stop engines: those of the options, or all. Without --force, all are prepared first, then they end."""
    if full:
        _check_full({"--force": force, "--ranks": ranks is not None, "--rank-hosts": rank_hosts is not None})
    numbers, hosts = parsed(ranks, rank_hosts, settings_of(context).port)

    async def work(client: ManagementClient) -> pb.RankResults:
        found = await chosen(client, numbers, hosts)
        request = pb.SystemStopRequest(ranks=found, force=force, ignore_admin_excluded=ignore_admin_excluded)
        return await client.ask(methods.SYSTEM_STOP, request)

    return results_reply(working(context, work), "stop")


def _check_full(given: Mapping[str, bool]) -> None:
    """Return if no option is given that contradicts --full."""
    for name, there in given.items():
        if there:
            raise InvalidError(f"--full may not be mixed with {name}", hint="it stops all ranks in order")
