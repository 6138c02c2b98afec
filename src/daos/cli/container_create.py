"""`daos container create`."""

from __future__ import annotations

import click

from daos.cli._base import POOL, open_pool
from daos.cli._base import command as make
from daos.cli._container_info import container_info, container_rows
from daos.cli._output import Reply, rows
from daos.cli._pairs import parse_pairs
from daos.errors import DER, InvalidError

PROPERTIES = click.Option(["--properties"], metavar="K:V[,K:V]", help="Properties, such as cksum:crc64.")
TYPE = click.Option(
    ["-t", "--type", "layout"], metavar="TYPE", default="PYTHON", help="Who owns what is in it: PYTHON."
)


@make("create", POOL, click.Argument(["label"], metavar="LABEL"), TYPE, PROPERTIES)
@click.pass_context
def command(context: click.Context, pool: str, label: str, layout: str, properties: str | None) -> Reply:
    """Create the container LABEL in POOL."""
    if layout.upper() != "PYTHON":
        raise InvalidError(
            f'container type "{layout}" is not supported by this release', code=DER.NOTSUPPORTED, hint="use PYTHON"
        )
    given: dict[str, object] = dict(parse_pairs(properties, "property"))
    made = open_pool(context, pool, writes=True).container(label, create="exclusive", properties=given)
    return Reply(
        [f"Successfully created container {made.uuid} type {made.layout}", *rows(container_rows(made)), ""],
        lambda: container_info(made),
    )
