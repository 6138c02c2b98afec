"""`daos fs fix-sb`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._fs import CHUNK_SIZE, OCLASS, upper
from daos.cli._output import Reply

if TYPE_CHECKING:
    from daos.model.posix import Consistency

MODE = click.Option(["-M", "--mode"], metavar="MODE", help="relaxed or balanced.")
DIR_OCLASS = click.Option(["-D", "--dir-oclass"], metavar="CLASS", help="The object class of directories.")
FILE_OCLASS = click.Option(["-F", "--file-oclass"], metavar="CLASS", help="The object class of files.")
HINTS = click.Option(["-H", "--hints"], metavar="HINTS", help="file:single|max,dir:single|max.")


@make("fix-sb", POOL, CONTAINER, MODE, CHUNK_SIZE, OCLASS, DIR_OCLASS, FILE_OCLASS, HINTS)
@click.pass_context
def command(
    context: click.Context,
    pool: str,
    container: str,
    mode: str | None,
    chunk_size: str | None,
    oclass: str | None,
    dir_oclass: str | None,
    file_oclass: str | None,
    hints: str | None,
) -> Reply:
    """Write the superblock of a file system anew that has lost it, or whose superblock cannot be read.

    What is not said is as the container was made. Nobody may have the file system mounted.
    """
    from daos.dfs import Posix, fix_superblock

    opened = open_container(context, pool, container, writes=True)
    made = Posix.decode(opened.properties.get("dfs"))
    said = fix_superblock(
        opened,
        Posix(
            mode=made.mode if mode is None else cast("Consistency", mode.lower()),
            chunk_size=made.chunk_size if chunk_size is None else chunk_size,
            oclass=upper(oclass) or made.oclass,
            dir_oclass=upper(dir_oclass) or made.dir_oclass,
            file_oclass=upper(file_oclass) or made.file_oclass,
            hints=made.hints if hints is None else hints,
        ),
    )
    return Reply(
        [f"Superblock of container {opened.label} written"],
        lambda: {
            "mode": said.mode,
            "chunk_size": said.chunk_size,
            "oclass": said.oclass,
            "dir_oclass": said.dir_oclass,
            "file_oclass": said.file_oclass,
            "hints": said.hints,
        },
    )
