"""`daos container get-prop`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.cli._properties import KEYS, PROPERTIES, Shown, get_reply, given
from daos.model.properties import CONTAINER_PROPERTIES, POSIX_PROPERTIES
from daos.model.sizes import format_binary

if TYPE_CHECKING:
    from daos import Container


def shown(container: Container) -> Iterator[Shown]:
    """Yield the properties of a container."""
    for name, word in (("label", container.label), ("layout_type", container.layout), ("status", "HEALTHY")):
        yield Shown(name, {"label": "Label", "layout_type": "Layout Type", "status": "Health"}[name], word, word)
    for name, value in container.properties.items():
        prop = CONTAINER_PROPERTIES.get(name) or POSIX_PROPERTIES[name]
        if prop.size and isinstance(value, int):
            yield Shown(name, prop.title, value, format_binary(value))
        else:
            yield Shown(name, prop.title, str(value), str(value))


@make("get-prop", POOL, CONTAINER, KEYS, PROPERTIES)
@click.pass_context
def command(context: click.Context, pool: str, container: str, keys: str | None, option: str | None) -> Reply:
    """Print the properties of CONTAINER in POOL, all unless some are named."""
    opened = open_container(context, pool, container)
    return get_reply(f"Properties for container {opened.label}", list(shown(opened)), given(keys, option))
