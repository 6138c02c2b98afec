"""`daos fs query`."""

from __future__ import annotations

from dataclasses import asdict

import click

from daos.cli._base import command as make
from daos.cli._dfuse import resident, statistics, usage
from daos.cli._output import Reply, rows


@make(
    "query",
    click.Argument(["path"]),
    click.Option(["-i", "--inode"], type=click.IntRange(min=1), metavar="N", help="Whether the kernel knows it."),
)
def command(*, path: str, inode: int | None) -> Reply:
    """Tell what a mount by dfuse has, by a PATH in it; as JSON, what it was asked, too."""
    found = usage(path)
    known = None if inode is None else resident(path, inode)
    lines = [
        "DFuse descriptor usage.",
        *rows(
            [
                ("Pools", str(found.pools)),
                ("Containers", str(found.containers)),
                ("Inodes", str(found.inodes)),
                ("Open files", str(found.open_files)),
            ]
        ),
    ]
    if known is not None:
        lines.append(f"Inode {inode} {'resident' if known else 'not resident'}")
    asked = statistics(path)
    told = asdict(found) | {"statistics": asked}
    return Reply(lines, lambda: told | ({} if known is None else {"resident": known}))
