"""`daos fs evict`."""

from __future__ import annotations

from dataclasses import asdict

import click

from daos.cli._base import command as make
from daos.cli._dfuse import evict, usage
from daos.cli._output import Reply


@make("evict", click.Argument(["path"]))
def command(*, path: str) -> Reply:
    """Have the kernel forget what it keeps of a PATH in a mount by dfuse; what is to be written is written first."""
    has = usage(path)
    inode, known = evict(path)
    return Reply(
        [f"Evicted inode: {inode}", f"Inode {inode} {'resident: it is in use' if known else 'not resident'}"],
        lambda: asdict(has) | {"inode": inode, "resident": known},
    )
