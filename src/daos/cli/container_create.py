"""`daos container create`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from daos import uns
from daos.cli._acl import entries_of
from daos.cli._base import POOL, open_pool
from daos.cli._base import command as make
from daos.cli._container_info import container_info, container_rows
from daos.cli._output import Reply, rows
from daos.cli._pairs import parse_pairs
from daos.errors import DER, InvalidError
from daos.model.acl import Acl, check_principal
from daos.model.posix import Posix

if TYPE_CHECKING:
    from daos import Container, Pool
    from daos.model.posix import Consistency

PROPERTIES = click.Option(["--properties"], metavar="K:V[,K:V]", help="Properties, such as cksum:crc64.")
TYPE = click.Option(
    ["-t", "--type", "layout"],
    metavar="TYPE",
    default="PYTHON",
    help="Who owns what is in it: PYTHON, or POSIX for a file system.",
)
CHUNK_SIZE = click.Option(["-z", "--chunk-size"], metavar="SIZE", help="POSIX: bytes of a chunk of files, 1MiB.")
OCLASS = click.Option(["-o", "--oclass"], metavar="CLASS", help="POSIX: the object class of all in it, such as SX.")
DIR_OCLASS = click.Option(["-d", "--dir-oclass"], metavar="CLASS", help="POSIX: the object class of directories.")
FILE_OCLASS = click.Option(["-f", "--file-oclass"], metavar="CLASS", help="POSIX: the object class of files.")
HINTS = click.Option(["-H", "--hints"], metavar="HINTS", help="POSIX: file:single|max,dir:single|max.")
MODE = click.Option(["-M", "--mode"], metavar="MODE", help="POSIX: how mounts meet, relaxed (default) or balanced.")
POSIX_OPTIONS = (CHUNK_SIZE, OCLASS, DIR_OCLASS, FILE_OCLASS, HINTS, MODE)
ACL = click.Option(["-A", "--acl-file"], metavar="FILE", help="Its access list: entries, one a line.")
GROUP = click.Option(["-g", "--group"], metavar="NAME", help="Whose group it is.")
LABEL = click.Argument(["label"], metavar="[LABEL]", required=False)
PATH = click.Option(
    ["-p", "--path"],
    metavar="PATH",
    help="A path to make that stands for it; without LABEL, it has a label of its name.",
)
ATTRS = click.Option(["-a", "--attrs"], metavar="NAME:VALUE[,...]", help="Attributes to set.")


@make("create", POOL, LABEL, PATH, TYPE, *POSIX_OPTIONS, PROPERTIES, ACL, GROUP, ATTRS)
@click.pass_context
def command(
    context: click.Context,
    pool: str,
    label: str | None,
    path: str | None,
    layout: str,
    properties: str | None,
    acl_file: str | None,
    group: str | None,
    attrs: str | None,
    chunk_size: str | None,
    oclass: str | None,
    dir_oclass: str | None,
    file_oclass: str | None,
    hints: str | None,
    mode: str | None,
) -> Reply:
    """Create the container LABEL in POOL, and, if it is asked for, a path that stands for it."""
    if label is None and path is None:
        raise click.MissingParameter(ctx=context, param=LABEL)
    given_posix = (chunk_size, oclass, dir_oclass, file_oclass, hints, mode)
    kind = _type(layout, given_posix)
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
    made = _made(opened, label, path, given, kind)
    try:
        _give(made, attributes, entries, owners)
    except BaseException:
        # Nobody but its owner could open it so far.
        if path is None:
            opened.destroy_container(made.uuid, force=True)
        else:
            uns.destroy(path, pool=opened, force=True)
        raise
    done = [f'Attributes successfully set on container "{made.label}"'] if attributes else []
    return Reply(
        [*done, f"Successfully created container {made.uuid} type {made.layout}", *rows(container_rows(made)), ""],
        lambda: container_info(made),
    )


def _made(
    pool: Pool, label: str | None, path: str | None, properties: dict[str, object], kind: str | Posix
) -> Container:
    if path is not None:
        return uns.create(path, pool, label, properties=properties, type=kind)
    return pool.container(label or "", create="exclusive", properties=properties, type=kind)


def _type(layout: str, given: tuple[str | None, ...]) -> str | Posix:
    """Return the type of a container, as `Pool.container` takes it.

    Args:
        layout: As it was typed.
        given: What options of file systems say.

    Raises:
        InvalidError: `DER.INVAL`: options of a file system for something else.
    """
    word = layout.upper()
    chunk_size, oclass, dir_oclass, file_oclass, hints, mode = given
    if word != "POSIX":
        if any(value is not None for value in given):
            raise InvalidError(
                f"a container of type {word} has no file system", hint="options of one need --type POSIX"
            )
        return word
    return Posix(
        chunk_size=chunk_size,
        oclass=oclass and oclass.upper(),
        dir_oclass=dir_oclass and dir_oclass.upper(),
        file_oclass=file_oclass and file_oclass.upper(),
        hints=hints or "",
        mode=cast("Consistency", (mode or "relaxed").lower()),
    )


def _give(made: Container, attributes: dict[str, bytes], entries: tuple[str, ...] | None, group: str | None) -> None:
    """Give a new container what it is not made with; the access list last, as it may take rights away."""
    if attributes:
        made.attributes.update(attributes)
    if group is not None:
        made.set_owner(group=group)
    if entries is not None:
        made.acl.overwrite(entries)
