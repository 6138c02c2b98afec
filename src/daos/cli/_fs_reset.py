"""What the three commands share that take back what a directory gives to what is made in it."""

from __future__ import annotations

import click

from daos.cli._base import Command
from daos.cli._base import command as make
from daos.cli._fs import WHERE, mounted
from daos.cli._output import Reply
from daos.errors import DER, InvalidError


def reset(name: str, text: str, *, chunk_size: bool, oclass: bool) -> Command:
    """Return a command.

    Args:
        name: Of it.
        text: Its help.
        chunk_size: Whether it takes back the size of chunks.
        oclass: Whether it takes back the class.
    """

    @click.pass_context
    def run(
        context: click.Context,
        pool: str,
        container: str,
        dfs_path: str | None,
        dfs_prefix: str | None,
    ) -> Reply:
        fs, path = mounted(context, pool, container, dfs_path, dfs_prefix, writes=True)
        found = fs.info(path)
        if not found.is_dir:
            raise InvalidError(
                f"{path} is no directory", code=DER.NOTSUPPORTED, hint="only directories give chunks and classes"
            )
        fs.set_defaults(
            path,
            chunk_size=None if chunk_size else found.chunk_size,
            oclass=None if oclass else found.oclass,
        )
        return Reply([f"Attributes successfully reset on {path}"])

    run.__doc__ = text
    return make(name, *WHERE)(run)
