"""`dmg pool list`, `dmg system list-pools`."""

from __future__ import annotations

import asyncio

import click

from daos.cli._output import Reply
from daos.cli.dmg._base import command as make
from daos.cli.dmg._base import working
from daos.cli.dmg._pools import list_reply
from daos.errors import DaosError
from daos.mgmt import methods
from daos.mgmt.client import ManagementClient
from daos.mgmt.proto import daos_mgmt_pb2 as pb

QUERIES_MAX = 16
"""Pools that are asked at once."""
SERVES = ("Ready", "TargetsExcluded")
"""States of a pool whose service can be asked: that of one that is being made or destroyed has nothing to tell."""


@make(
    "list",
    click.Option(["-v", "--verbose"], is_flag=True, help="More of each."),
    click.Option(["-n", "--no-query"], is_flag=True, help="Without asking each pool."),
    click.Option(["-r", "--rebuild-only"], is_flag=True, help="Those only that are being rebuilt."),
)
@click.pass_context
def command(context: click.Context, *, verbose: bool, no_query: bool, rebuild_only: bool) -> Reply:
    """List the pools of the system."""

    async def work(client: ManagementClient) -> Reply:
        entries = await _entries(client)
        if no_query:
            return list_reply(entries, None, verbose=verbose, rebuilding=rebuild_only)
        asked = await _ask_all(client, [entry.uuid for entry in entries if entry.state in SERVES])
        if any(isinstance(told, DaosError) for told in asked.values()):
            # Those that have gone meanwhile, or are going, are no failure.
            entries = await _entries(client)
            serving = {entry.uuid for entry in entries if entry.state in SERVES}
            asked = {uuid: told for uuid, told in asked.items() if uuid in serving or not isinstance(told, DaosError)}
        return list_reply(entries, asked, verbose=verbose, rebuilding=rebuild_only)

    return working(context, work)


async def _entries(client: ManagementClient) -> list[pb.PoolEntry]:
    return list((await client.ask(methods.POOL_LIST, pb.PoolListRequest())).pools)


async def _ask_all(client: ManagementClient, uuids: list[str]) -> dict[str, pb.PoolInfo | DaosError]:
    at_once = asyncio.Semaphore(QUERIES_MAX)

    async def one(uuid: str) -> pb.PoolInfo | DaosError:
        async with at_once:
            try:
                return await client.ask(methods.POOL_QUERY, pb.PoolQueryRequest(pool=uuid))
            except DaosError as error:
                return error

    async with asyncio.TaskGroup() as group:
        tasks = {uuid: group.create_task(one(uuid)) for uuid in uuids}
    return {uuid: task.result() for uuid, task in tasks.items()}
