"""`daos fs fix-entry`."""

from __future__ import annotations

import click

from daos.cli._base import command as make
from daos.cli._fs import CHUNK_SIZE, WHERE, mounted
from daos.cli._output import Reply
from daos.errors import InvalidError
from daos.model.sizes import parse_size

TYPE = click.Option(["-t", "--type", "kind"], is_flag=True, help="Make it what its object is: file, directory or link.")


@make("fix-entry", *WHERE, CHUNK_SIZE, TYPE)
@click.pass_context
def command(
    context: click.Context,
    pool: str,
    container: str,
    dfs_path: str | None,
    dfs_prefix: str | None,
    chunk_size: str | None,
    *,
    kind: bool,
) -> Reply:
    """Repair an entry of a directory that cannot be used, and that a check would remove.

    Nobody else may have the file system mounted. A file's bytes are found by the size of its chunks: a wrong one hides
    them.
    """
    from daos.dfs._fix import check_unused

    if chunk_size is None and not kind:
        raise InvalidError("nothing to repair", hint="give --chunk-size, --type, or both")
    size = None if chunk_size is None else parse_size(chunk_size, "chunk_size")
    fs, path = mounted(context, pool, container, dfs_path, dfs_prefix, writes=True)
    check_unused(fs.container)
    found = fs.fix_entry(path, chunk_size=size, kind=kind)
    return Reply(
        [
            *((f"Adjusting chunk size of {path} to {size}",) if size is not None else ()),
            *((f"Type of {path} is {found}",) if kind else ()),
        ],
        lambda: {"path": path, "type": found, **({} if size is None else {"chunk_size": size})},
    )
