"""`daos pool list`."""

from __future__ import annotations

import click

from daos.cli._base import command as make
from daos.cli._base import open_system
from daos.cli._output import Reply, table
from daos.cli._pool_info import pool_info
from daos.model.sizes import format_size


@make("list")
@click.pass_context
def command(context: click.Context) -> Reply:
    """List the pools of a system."""
    system = open_system(context)
    pools = [system.pool(listed.uuid) for listed in system.pools()]
    heads = ("Pool", "Size", "State", "Used", "Imbalance", "Disabled")
    lines = []
    for pool in pools:
        space = pool.space()
        used = f"{100 * space.used // space.total if space.total else 0}%"
        lines.append((pool.label, format_size(space.total), "Ready", used, "0%", f"0/{system.targets}"))
    return Reply(
        [*table(heads, lines), ""] if lines else ["No pools in system"],
        lambda: {"pools": [pool_info(pool) for pool in pools] or None},
    )
