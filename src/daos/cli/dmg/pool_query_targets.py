"""`dmg pool query-targets`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.cli._tiers import tier_json, tier_lines
from daos.cli.dmg._base import POOL, asking
from daos.cli.dmg._base import command as make
from daos.cli.dmg._pools import tiers_of
from daos.errors import InvalidError
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.sets import parse_ranks


@make(
    "query-targets",
    POOL,
    click.Option(["--rank"], metavar="RANK", required=True, help="Of this rank."),
    click.Option(["--target-idx"], metavar="INDEXES", help="These targets only, such as 0,2-5."),
)
@click.pass_context
def command(context: click.Context, pool: str, rank: str, target_idx: str | None) -> Reply:
    """Tell about targets of a pool on a rank."""
    if not rank.isascii() or not rank.isdecimal() or int(rank) >= 1 << 32:
        raise InvalidError(f'invalid argument for flag `--rank\': invalid rank "{rank}"', hint="a number, such as 0")
    try:
        indexes = [] if target_idx is None else parse_ranks(target_idx)
    except InvalidError:
        raise InvalidError(f'invalid argument for flag `--target-idx\': "{target_idx}"', hint="such as 0,2-5") from None
    told = asking(
        context, methods.POOL_QUERY_TARGETS, pb.PoolQueryTargetsRequest(pool=pool, rank=int(rank), targets=indexes)
    )
    lines = []
    for target in told.targets:
        lines += [f"Target: state {target.state}", *tier_lines(tiers_of(target.tiers), each=False)]
    return Reply(lines, lambda: {"status": 0, "Infos": [target_json(target) for target in told.targets]})


def target_json(target: pb.TargetInfo) -> dict[str, object]:
    """Return a target as JSON has it."""
    return {
        "target_state": target.state,
        "space": [tier_json(tier) for _, tier in tiers_of(target.tiers)],
        "mem_file_bytes": target.tiers[0].total if target.tiers else 0,
        "md_on_ssd_active": False,
    }
