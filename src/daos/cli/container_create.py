"""`daos container create`."""

from __future__ import annotations

import click

from daos.cli._base import POOL, open_pool
from daos.cli._base import command as make
from daos.cli._container_info import container_info, container_rows
from daos.cli._output import Reply, rows
from daos.errors import DER, InvalidError

PROPERTIES = click.Option(["--properties"], metavar="K:V[,K:V]", help="Properties, such as cksum:crc32c.")
TYPE = click.Option(
    ["-t", "--type", "layout"], metavar="TYPE", default="PYTHON", help="Who owns what is in it: PYTHON."
)


def parse(text: str | None) -> dict[str, object]:
    """Return the properties of a command line.

    Raises:
        InvalidError: `DER.INVAL`: not of the form, or one given twice.
    """
    properties: dict[str, object] = {}
    for pair in text.split(",") if text else ():
        name, _, value = pair.partition(":")
        if not name or not value:
            raise InvalidError(f'invalid property "{pair}" (must be key:val)', hint="such as cksum:crc32c,rd_fac:0")
        if name in properties:
            raise InvalidError(f'property "{name}" is given twice', hint="give it once")
        properties[name] = value
    return properties


@make("create", POOL, click.Argument(["label"], metavar="LABEL"), TYPE, PROPERTIES)
@click.pass_context
def command(context: click.Context, pool: str, label: str, layout: str, properties: str | None) -> Reply:
    """Create the container LABEL in POOL."""
    if layout.upper() != "PYTHON":
        raise InvalidError(
            f'container type "{layout}" is not supported by this release', code=DER.NOTSUPPORTED, hint="use PYTHON"
        )
    given = parse(properties)
    made = open_pool(context, pool).container(label, create="exclusive", properties=given)
    return Reply(
        [f"Successfully created container {made.uuid} type {made.layout}", *rows(container_rows(made)), ""],
        lambda: container_info(made),
    )
