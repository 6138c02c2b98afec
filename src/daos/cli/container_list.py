"""`daos container list`."""

from __future__ import annotations

from dataclasses import asdict

import click

from daos.cli._base import POOL, open_pool
from daos.cli._base import command as make
from daos.cli._output import Reply, table


@click.pass_context
def listing(context: click.Context, pool: str) -> Reply:
    """List the containers of POOL."""
    opened = open_pool(context, pool)
    found = opened.containers()
    lines = table(("Label", "UUID"), [(listed.label, listed.uuid) for listed in found], indent="  ")
    none = ["No containers."]
    if opened.system.served:
        none.append("Those that you may not know of are left out.")
    return Reply(
        [f"Containers in pool {opened.label}:", *lines] if found else none,
        lambda: [asdict(listed) for listed in found],
    )


command = make("list", POOL)(listing)
