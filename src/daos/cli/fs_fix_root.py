"""`daos fs fix-root`."""

from __future__ import annotations

import click

from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply


@make("fix-root", POOL, CONTAINER)
@click.pass_context
def command(context: click.Context, pool: str, container: str) -> Reply:
    """Have the superblock of a file system lead to its root directory again. Nobody may have it mounted."""
    from daos.dfs import fix_root

    fixed = fix_root(open_container(context, pool, container, writes=True))
    return Reply(
        ["Root object linked in SB" if fixed else "Root object already linked in SB"], lambda: {"relinked": fixed}
    )
