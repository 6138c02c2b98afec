"""`dmg system get-prop`."""

from __future__ import annotations

import click

from daos.cli._output import Reply, table
from daos.cli.dmg._attributes import NAMES, names_of
from daos.cli.dmg._base import asking
from daos.cli.dmg._base import command as make
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb

TITLES = {
    "daos_version": "DAOS version",
    "pool_scrub_mode": "Pool scrubbing mode",
    "pool_scrub_thresh": "Pool scrubbing threshold",
    "self_heal": "Self-healing policy",
    "daos_system": "DAOS system",
}
"""In DAOS's order."""


@make("get-prop", NAMES)
@click.pass_context
def command(context: click.Context, names: str | None) -> Reply:
    """Print properties of the system, all where none is named."""
    told = asking(context, methods.SYSTEM_GET_PROP, pb.SystemGetPropRequest(names=names_of(names)))
    order = [name for name in TITLES if name in told.properties]
    order += sorted(set(told.properties) - set(order))
    shown = [(name, TITLES.get(name, name), told.properties[name]) for name in order]
    return Reply(
        table(("Name", "Value"), [(f"{title} ({name})", value) for name, title, value in shown]),
        lambda: [{"key": name, "value": value, "description": title} for name, title, value in shown],
    )
