"""`daos pool set-prop`."""

from __future__ import annotations

import click

from daos.cli._base import POOL, for_administrators, open_pool
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.cli._properties import PAIRS, PROPERTIES, to_set


@make("set-prop", POOL, PAIRS, PROPERTIES)
@click.pass_context
def command(context: click.Context, pool: str, pairs: str | None, option: str | None) -> Reply:
    """Change properties of POOL: its label, scrub, scrub_freq, scrub_thresh."""
    properties = to_set(pairs, option)
    changes = ",".join(f"{name}:{word}" for name, word in properties.items())
    for_administrators(context, "properties of pools are changed", f"dmg pool set-prop {pool} {changes}")
    open_pool(context, pool).set_properties(properties)
    return Reply(["pool set-prop succeeded"])
