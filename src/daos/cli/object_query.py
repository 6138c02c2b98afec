"""`daos object query`."""

from __future__ import annotations

import click

from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._object import OBJECT, object_of
from daos.cli._output import Reply


@make("query", POOL, CONTAINER, OBJECT)
@click.pass_context
def command(context: click.Context, pool: str, container: str, which: str) -> Reply:
    """Tell id, class and type of OBJECT, a name or an id, and on which targets it lies."""
    opened = open_container(context, pool, container)
    found = object_of(opened, which)
    places, version = opened.pool.places(), opened.pool.info(space=False).version
    shards = [places[target] for target in found.layout]
    lines = [
        f"oid: {found.oid} ver {version} grp_nr: {len(found.layout)}",
        f"class: {found.oid.oclass} type: {found.type}",
    ]
    for group, (rank, target) in enumerate(shards):
        lines += [f"grp: {group}", f"replica 0 {rank}:{target}"]
    return Reply(
        lines,
        lambda: {
            "oid": str(found.oid),
            "version": version,
            "class": found.oid.oclass,
            "type": found.type,
            "shards": [{"replicas": [{"rank": rank, "target": target}]} for rank, target in shards],
        },
    )
