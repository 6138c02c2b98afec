"""`daos pool get-prop`."""

from __future__ import annotations

import click

from daos.cli._base import POOL, open_pool
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.cli._properties import KEYS, PROPERTIES, Shown, get_reply, given
from daos.model.scrub import SCRUB_PROPERTIES


@make("get-prop", POOL, KEYS, PROPERTIES)
@click.pass_context
def command(context: click.Context, pool: str, keys: str | None, option: str | None) -> Reply:
    """Print the properties of POOL: its label, and how it is scrubbed."""
    opened = open_pool(context, pool)
    title = {"label": "Pool label", **{name: prop.title for name, prop in SCRUB_PROPERTIES.items()}}
    shown = [Shown(name, title[name], value, str(value)) for name, value in opened.properties.items()]
    return get_reply(f"Pool {opened.label} properties:", shown, given(keys, option))
