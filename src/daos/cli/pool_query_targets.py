"""`daos pool query-targets`."""

from __future__ import annotations

import click

from daos.cli._base import POOL, open_pool
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.cli._pool_info import every_tier, target_json
from daos.cli._tiers import tier_lines
from daos.errors import InvalidError
from daos.mgmt.sets import parse_ranks

RANK_MAX = (1 << 32) - 1


@make(
    "query-targets",
    POOL,
    click.Option(["--rank"], type=click.IntRange(0, RANK_MAX), metavar="RANK", required=True, help="Of this rank."),
    click.Option(["--target-idx"], metavar="INDEXES", help="These targets only, such as 0,2-5."),
)
@click.pass_context
def command(context: click.Context, pool: str, rank: int, target_idx: str | None) -> Reply:
    """Tell about the targets of POOL on a rank."""
    try:
        indexes = [] if target_idx is None else parse_ranks(target_idx)
    except InvalidError:
        raise InvalidError(f'invalid argument for flag `--target-idx\': "{target_idx}"', hint="such as 0,2-5") from None
    found = open_pool(context, pool).targets_of(rank, indexes)
    lines = []
    for target in found:
        lines += [f"Target: state {target.state}", *tier_lines(every_tier(target.tiers), each=False)]
    return Reply(lines, lambda: [target_json(target) for target in found])
