"""`daos fs set-attr`."""

from __future__ import annotations

import click

from daos.cli._base import command as make
from daos.cli._fs import CHUNK_SIZE, OCLASS, WHERE, mounted, upper
from daos.cli._output import Reply
from daos.errors import DER, InvalidError


@make("set-attr", *WHERE, CHUNK_SIZE, OCLASS)
@click.pass_context
def command(
    context: click.Context,
    pool: str,
    container: str,
    dfs_path: str | None,
    dfs_prefix: str | None,
    chunk_size: str | None,
    oclass: str | None,
) -> Reply:
    """Set the class and the size of chunks that a directory gives to what is made in it from now on.

    Where nothing is, an empty file is made that has them. Those of a file that is there do not change.
    """
    if chunk_size is None and oclass is None:
        raise InvalidError("nothing to set", hint="give --chunk-size, --oclass, or both")
    fs, path = mounted(context, pool, container, dfs_path, dfs_prefix, writes=True)
    if not fs.lexists(path):
        fs.open(path, "xb", 0, chunk_size=chunk_size, oclass=upper(oclass)).close()
        return Reply([f"Created file {path} with these attributes"])
    found = fs.info(path)
    if not found.is_dir:
        raise InvalidError(
            f"{path} is a file: its chunks and class do not change",
            code=DER.NOTSUPPORTED,
            hint="set those of its directory, and copy it",
        )
    size = found.chunk_size if chunk_size is None else chunk_size
    fs.set_defaults(path, chunk_size=size, oclass=upper(oclass) or found.oclass)
    return Reply([f"Attributes successfully set on {path}"])
