"""`dmg pool get-prop`."""

from __future__ import annotations

import click

from daos.cli._output import Reply, table
from daos.cli.dmg._attributes import NAMES, names_of
from daos.cli.dmg._base import POOL, asking
from daos.cli.dmg._base import command as make
from daos.cli.dmg._properties import TITLES, plain, shown
from daos.errors import InvalidError
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb


@make("get-prop", POOL, NAMES)
@click.pass_context
def command(context: click.Context, pool: str, names: str | None) -> Reply:
    """Print properties of a pool, all where none is named."""
    wanted = names_of(names)
    for name in wanted:
        if name not in TITLES:
            raise InvalidError(f'"{name}" is not a gettable property (valid: {", ".join(sorted(TITLES))})')
    told = asking(context, methods.POOL_GET_PROP, pb.PoolGetPropRequest(pool=pool, names=wanted))
    found = {name: plain(value) for name, value in sorted(told.properties.items()) if name in TITLES}
    rows = [(f"{TITLES[name]} ({name})", shown(name, value)) for name, value in found.items()]
    return Reply(
        [f"Pool {pool} properties:", *table(("Name", "Value"), rows)],
        lambda: [{"name": name, "description": TITLES[name], "value": value} for name, value in found.items()],
    )
