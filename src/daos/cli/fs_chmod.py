"""`daos fs chmod`."""

from __future__ import annotations

import click

from daos.cli._base import command as make
from daos.cli._fs import WHERE, mounted
from daos.cli._output import Reply
from daos.errors import InvalidError

MODE = click.Option(["-m", "--mode"], metavar="MODE", required=True, help="Permissions, as octal digits: 0755.")
MODE_MAX = 0o7777


@make("chmod", *WHERE, MODE)
@click.pass_context
def command(
    context: click.Context,
    pool: str,
    container: str,
    dfs_path: str | None,
    dfs_prefix: str | None,
    mode: str,
) -> Reply:
    """Set the permissions of a file or directory."""
    if not mode.isascii() or not mode.isdecimal() or set(mode) & set("89") or int(mode, 8) > MODE_MAX:
        raise InvalidError(f'invalid mode "{mode}"', hint="octal digits up to 7777, such as 0755")
    fs, path = mounted(context, pool, container, dfs_path, dfs_prefix, writes=True)
    fs.chmod(path, int(mode, 8))
    return Reply([f"Mode of {path} set to {int(mode, 8):04o}"])
