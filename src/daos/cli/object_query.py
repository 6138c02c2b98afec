"""`daos object query`."""

from __future__ import annotations

import click

from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._object import OBJECT, object_of
from daos.cli._output import Reply

VERSION = 1
"""Of the pool map: an embedded system has one."""


@make("query", POOL, CONTAINER, OBJECT)
@click.pass_context
def command(context: click.Context, pool: str, container: str, which: str) -> Reply:
    """Tell id, class and type of OBJECT, a name or an id, and on which targets it lies."""
    found = object_of(open_container(context, pool, container), which)
    lines = [
        f"oid: {found.oid} ver {VERSION} grp_nr: {len(found.layout)}",
        f"class: {found.oid.oclass} type: {found.type}",
    ]
    for group, target in enumerate(found.layout):
        lines += [f"grp: {group}", f"replica 0 0:{target}"]
    return Reply(
        lines,
        lambda: {
            "oid": str(found.oid),
            "version": VERSION,
            "class": found.oid.oclass,
            "type": found.type,
            "shards": [{"replicas": [{"rank": 0, "target": target}]} for target in found.layout],
        },
    )
