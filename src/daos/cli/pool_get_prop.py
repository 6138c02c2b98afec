"""`daos pool get-prop`."""

from __future__ import annotations

import click

from daos.cli._base import POOL, open_pool
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.cli._properties import KEYS, PROPERTIES, Shown, get_reply, given


@make("get-prop", POOL, KEYS, PROPERTIES)
@click.pass_context
def command(context: click.Context, pool: str, keys: str | None, option: str | None) -> Reply:
    """Print the properties of POOL; of those that DAOS has, an embedded system has the label."""
    label = open_pool(context, pool).label
    return get_reply(f"Pool {label} properties:", [Shown("label", "Pool label", label, label)], given(keys, option))
