"""`daos fs get-attr`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from daos.cli._base import command as make
from daos.cli._fs import WHERE, mounted
from daos.cli._output import Reply
from daos.client import ObjectId

if TYPE_CHECKING:
    from daos.model.posix import Posix


@make("get-attr", *WHERE)
@click.pass_context
def command(
    context: click.Context,
    pool: str,
    container: str,
    dfs_path: str | None,
    dfs_prefix: str | None,
) -> Reply:
    """Print the object, the class and the size of chunks of a file, or what a directory gives to what is made in it."""
    fs, path = mounted(context, pool, container, dfs_path, dfs_prefix)
    found = fs.info(path)
    oid = f"{found.oid[0]}.{found.oid[1]}"
    if not found.is_dir:
        oclass = found.oclass or "UNKNOWN"
        return Reply(
            [f"OID = {oid}", f"Object Class = {oclass}", f"Object Chunk Size = {found.chunk_size}"],
            lambda: {"oid": oid, "oclass": oclass, "chunk_size": found.chunk_size},
        )
    made = fs.made_as()
    own = ObjectId(*found.oid).oclass
    dirs, files = _given(found.oclass, made, "dir"), _given(found.oclass, made, "file")
    return Reply(
        [
            f"OID = {oid}",
            f"Object Class = {own}",
            f"Directory Creation Object Class = {dirs}",
            f"File Creation Object Class = {files}",
            f"File Creation Chunk Size = {found.chunk_size}",
        ],
        lambda: {
            "oid": oid,
            "oclass": own,
            "dir_oclass": dirs,
            "file_oclass": files,
            "chunk_size": found.chunk_size,
        },
    )


def _given(oclass: str | None, made: Posix, kind: str) -> str:
    """Return the class of a directory or file that is made: what is nearest says which."""
    nearest = oclass or (made.dir_oclass if kind == "dir" else made.file_oclass) or made.oclass
    if nearest is not None:
        return nearest
    hints = dict(hint.split(":") for hint in made.hints.replace("directory:", "dir:").split(",") if hint)
    spread = hints.get(kind, "single" if kind == "dir" else "max")
    return "S1" if spread == "single" else "SX"
