"""`dmg system exclude`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.cli.dmg._base import RANK_HOSTS, RANKS, settings_of, working
from daos.cli.dmg._base import command as make
from daos.cli.dmg._ranks import chosen, parsed, results_json
from daos.errors import InvalidError
from daos.mgmt import methods
from daos.mgmt.client import ManagementClient
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.sets import format_ranks


@make("exclude", RANKS, RANK_HOSTS)
@click.pass_context
def command(context: click.Context, ranks: str | None, rank_hosts: str | None) -> Reply:
    """Keep ranks out of the system until clear-exclude."""
    return exclude(context, ranks, rank_hosts, clear=False)


def exclude(context: click.Context, ranks: str | None, rank_hosts: str | None, *, clear: bool) -> Reply:
    """Keep ranks out, or let them in again.

    Raises:
        InvalidError: `DER.INVAL`: the command line names no ranks.
    """
    numbers, hosts = parsed(ranks, rank_hosts, settings_of(context).port)
    if numbers is None and hosts is None:
        raise InvalidError("no ranks or hosts specified", hint="--ranks 0,2-5, or --rank-hosts node[1-3]")

    async def work(client: ManagementClient) -> pb.RankResults:
        found = await chosen(client, numbers, hosts)
        return await client.ask(methods.SYSTEM_EXCLUDE, pb.SystemExcludeRequest(ranks=found, clear=clear))

    told = working(context, work)
    action = "clear-exclude" if clear else "exclude"
    done = format_ranks(result.rank for result in told.results if not result.code).strip("[]")
    bad = format_ranks(result.rank for result in told.results if result.code)
    return Reply(
        [f"updated ranks: {done}"],
        lambda: {"Results": results_json(told, action)},
        error=f"system {action} failed on ranks {bad}" if bad else None,
    )
