"""`dmg storage query usage`."""

from __future__ import annotations

import click

from daos.cli._output import Reply, table
from daos.cli.dmg._base import HOSTS
from daos.cli.dmg._base import command as make
from daos.cli.dmg._hosts import groups, hosts_reply, storage_json, telling_hosts
from daos.cli.dmg._storage import NVME, SCM
from daos.errors import DER, InvalidError
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.model.sizes import format_size


@make(
    "usage",
    HOSTS,
    click.Option(["-u", "--show-usable"], is_flag=True, help="What a new pool could have, for each rank."),
    click.Option(["--mem-ratio"], hidden=True),
)
@click.pass_context
def command(context: click.Context, host_list: str | None, mem_ratio: str | None, *, show_usable: bool) -> Reply:
    """Tell how full the storage of hosts is."""
    if mem_ratio is not None and not show_usable:
        raise InvalidError("--mem-ratio is only supported with --show-usable", hint="give both")
    if mem_ratio is not None:
        raise InvalidError(
            "--mem-ratio is for metadata on SSD, which this release does not have", code=DER.NOTSUPPORTED
        )
    told = telling_hosts(context, host_list, methods.STORAGE_QUERY_USAGE, pb.StorageQueryUsageRequest())
    found = groups(told.answers)
    if show_usable:
        heads: tuple[str, ...] = ("Rank", "SCM-Total", "SCM-Usable", "NVMe-Total", "NVMe-Usable")
        ranks = sorted((rank for _, answer in found for rank in answer.ranks), key=lambda rank: rank.rank)
        rows = [_usable(rank) for rank in ranks]
    else:
        heads = ("Hosts", "SCM-Size", "SCM-Free", "SCM-Used", "NVMe-Size", "NVMe-Free", "NVMe-Used")
        rows = [_used(told.name(hosts), answer) for hosts, answer in found]
    return hosts_reply(
        context,
        told,
        [*table(heads, rows), ""] if rows else [],
        lambda: {"HostStorage": storage_json([(hosts, _json(answer)) for hosts, answer in found])},
    )


def _tiers(ranks: list[pb.RankUsage], media: str) -> tuple[int, int, int]:
    tiers = [tier for rank in ranks for tier in rank.tiers if tier.media == media]
    return sum(tier.total for tier in tiers), sum(tier.free for tier in tiers), sum(tier.usable for tier in tiers)


def _used(name: str, answer: pb.StorageQueryUsageResponse) -> list[str]:
    cells = [name]
    for media in (SCM, NVME):
        total, free, _ = _tiers(list(answer.ranks), media)
        used = f"{round(100 * (total - free) / total)} %" if total else "N/A"
        cells += [format_size(total), format_size(free), used]
    return cells


def _usable(rank: pb.RankUsage) -> list[str]:
    cells = [str(rank.rank)]
    for media in (SCM, NVME):
        total, _, usable = _tiers([rank], media)
        cells += [format_size(total), format_size(usable)]
    return cells


def _json(answer: pb.StorageQueryUsageResponse) -> dict[str, object]:
    return {
        "ranks": [
            {
                "rank": rank.rank,
                "tiers": [
                    {"media_type": tier.media, "total": tier.total, "free": tier.free, "usable": tier.usable}
                    for tier in rank.tiers
                ],
            }
            for rank in answer.ranks
        ]
    }
