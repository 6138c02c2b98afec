"""`daos container create`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from daos.cli._acl import entries_of
from daos.cli._base import POOL, open_pool
from daos.cli._base import command as make
from daos.cli._container_info import container_info, container_rows
from daos.cli._output import Reply, rows
from daos.cli._pairs import parse_pairs
from daos.errors import DER, InvalidError
from daos.model.acl import Acl, check_principal

if TYPE_CHECKING:
    from daos import Container

PROPERTIES = click.Option(["--properties"], metavar="K:V[,K:V]", help="Properties, such as cksum:crc64.")
TYPE = click.Option(
    ["-t", "--type", "layout"], metavar="TYPE", default="PYTHON", help="Who owns what is in it: PYTHON."
)
ACL = click.Option(["-A", "--acl-file"], metavar="FILE", help="Its access list: entries, one a line.")
GROUP = click.Option(["-g", "--group"], metavar="NAME", help="Whose group it is.")
ATTRS = click.Option(["-a", "--attrs"], metavar="NAME:VALUE[,...]", help="Attributes to set.")


@make("create", POOL, click.Argument(["label"], metavar="LABEL"), TYPE, PROPERTIES, ACL, GROUP, ATTRS)
@click.pass_context
def command(
    context: click.Context,
    pool: str,
    label: str,
    layout: str,
    properties: str | None,
    acl_file: str | None,
    group: str | None,
    attrs: str | None,
) -> Reply:
    """Create the container LABEL in POOL."""
    if layout.upper() != "PYTHON":
        raise InvalidError(
            f'container type "{layout}" is not supported by this release', code=DER.NOTSUPPORTED, hint="use PYTHON"
        )
    given: dict[str, object] = dict(parse_pairs(properties, "property"))
    attributes = {
        name: value.encode(errors="surrogateescape") for name, value in parse_pairs(attrs, "attribute").items()
    }
    entries = None if acl_file is None else Acl.parse(entries_of(acl_file)).lines()
    owners = None if group is None else check_principal(group)
    opened = open_pool(context, pool, writes=True)
    if not opened.system.served and (entries is not None or owners is not None):
        raise InvalidError(
            "containers of an embedded system have no owner and no access list",
            code=DER.NOTSUPPORTED,
            hint="the modes of its files decide who may open it",
        )
    made = opened.container(label, create="exclusive", properties=given)
    try:
        _give(made, attributes, entries, owners)
    except BaseException:
        # Nobody but its owner could open it so far.
        opened.destroy_container(made.uuid, force=True)
        raise
    done = [f'Attributes successfully set on container "{label}"'] if attributes else []
    return Reply(
        [*done, f"Successfully created container {made.uuid} type {made.layout}", *rows(container_rows(made)), ""],
        lambda: container_info(made),
    )


def _give(made: Container, attributes: dict[str, bytes], entries: tuple[str, ...] | None, group: str | None) -> None:
    """Give a new container what it is not made with; the access list last, as it may take rights away."""
    if attributes:
        made.attributes.update(attributes)
    if group is not None:
        made.set_owner(group=group)
    if entries is not None:
        made.acl.overwrite(entries)
