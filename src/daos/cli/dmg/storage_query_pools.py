"""`dmg storage query list-pools`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.cli.dmg._base import HOSTS
from daos.cli.dmg._base import command as make
from daos.cli.dmg._hosts import groups, headed, hosts_reply, storage_json, telling_hosts
from daos.cli.dmg.storage_query_devices import RANK, rank_of
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.model.sizes import format_size


@make(
    "list-pools",
    HOSTS,
    RANK,
    click.Option(["-u", "--uuid"], metavar="UUID", help="This pool only."),
    click.Option(["-v", "--verbose"], is_flag=True, help="With its bytes on each tier."),
)
@click.pass_context
def command(
    context: click.Context, host_list: str | None, rank: str | None, uuid: str | None, *, verbose: bool
) -> Reply:
    """List the pools on devices of engines."""
    request = pb.StorageQueryPoolsRequest(rank=rank_of(rank), uuid=(uuid or "").lower())
    told = telling_hosts(context, host_list, methods.STORAGE_QUERY_POOLS, request)
    found = groups(told.answers)
    lines = []
    for hosts, answer in found:
        lines += headed(told.name(hosts))
        for one in answer.ranks:
            lines.append(f"  Rank:{one.rank}")
            for pool in one.pools:
                lines += [f"    UUID:{pool.uuid}", f"      Targets:[{' '.join(map(str, pool.targets))}]"]
                if verbose:
                    lines.append(f"      Bytes:[{' '.join(map(format_size, pool.tiers))}]")
        if not any(one.pools for one in answer.ranks):
            lines.append("  No pools found")
    sets = [(hosts, {"smd_info": {"pools": _json(answer)}}) for hosts, answer in found]
    return hosts_reply(context, told, lines, lambda: {"HostStorage": storage_json(sets)})


def _json(answer: pb.StorageQueryPoolsResponse) -> dict[str, object]:
    pools: dict[str, list[dict[str, object]]] = {}
    for rank in answer.ranks:
        for pool in rank.pools:
            told = {"uuid": pool.uuid, "rank": rank.rank, "tgt_ids": list(pool.targets), "bytes": list(pool.tiers)}
            pools.setdefault(pool.uuid, []).append(told)
    return dict(pools)
