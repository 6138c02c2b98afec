"""`dmg pool query`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.cli._tiers import tier_lines
from daos.cli.dmg._base import POOL, working
from daos.cli.dmg._base import command as make
from daos.cli.dmg._pools import health_lines, pool_json, tiers_of
from daos.mgmt import methods
from daos.mgmt.client import ManagementClient
from daos.mgmt.proto import daos_mgmt_pb2 as pb

POLICIES = {"exclude": "pool_exclude", "rebuild": "pool_rebuild"}
"""What a pool does of itself, with the word by which the system lets it."""


@make(
    "query",
    POOL,
    click.Option(["-t", "--health-only"], is_flag=True, help="Leave out space."),
    click.Option(["-e", "--show-enabled"], is_flag=True, help="List the ranks that are enabled."),
    click.Option(["--no-self-heal-check"], is_flag=True, help="Do not look what the system heals of itself."),
)
@click.pass_context
def command(
    context: click.Context, pool: str, *, health_only: bool, show_enabled: bool, no_self_heal_check: bool
) -> Reply:
    """Tell about a pool: its state, its health, its space."""

    async def work(client: ManagementClient) -> tuple[pb.PoolInfo, str | None]:
        info = await client.ask(methods.POOL_QUERY, pb.PoolQueryRequest(pool=pool, health_only=health_only))
        if no_self_heal_check:
            return info, None
        found = await client.ask(methods.SYSTEM_GET_PROP, pb.SystemGetPropRequest(names=["self_heal"]))
        return info, found.properties["self_heal"]

    info, system = working(context, work)
    mask = ["disabled_engines", "rebuild", "self_heal_policy", "dead_engines" if health_only else "space"]
    if show_enabled:
        mask.append("enabled_engines")
    lines = health_lines(info, enabled=show_enabled)
    if system is not None:
        lines += policy_lines(info.self_heal, system)
    if not health_only:
        lines += [
            "Pool space info:",
            f"- Target count:{info.total_targets}",
            *tier_lines(tiers_of(info.tiers), each=True),
        ]
    return Reply(lines, lambda: pool_json(info, mask, label=False))


def policy_lines(pool: str, system: str) -> list[str]:
    """Return what the pool does not do of itself, and whose property says so.

    Args:
        pool: Its property `self_heal`.
        system: The system's property `self_heal`.
    """
    lines = []
    for word, system_word in POLICIES.items():
        if not {word, f"delay_{word}"} & set(pool.split(";")):
            lines.append(f"- {word} disabled on pool due to policy")
        elif system_word not in system.split(";"):
            lines.append(f"- {word} disabled on pool due to system policy")
    return lines
