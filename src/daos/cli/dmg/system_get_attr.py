"""`dmg system get-attr`."""

from __future__ import annotations

import click

from daos.cli._output import Reply, table
from daos.cli.dmg._attributes import NAMES, names_of
from daos.cli.dmg._base import asking
from daos.cli.dmg._base import command as make
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb


@make("get-attr", NAMES)
@click.pass_context
def command(context: click.Context, names: str | None) -> Reply:
    """Print attributes of the system, all where none is named."""
    told = asking(context, methods.SYSTEM_GET_ATTR, pb.SystemGetAttrRequest(names=names_of(names)))
    found = dict(sorted(told.attributes.items()))
    lines = table(("Name", "Value"), list(found.items())) if found else ["No system attributes found."]
    return Reply(lines, lambda: {"attributes": found})
