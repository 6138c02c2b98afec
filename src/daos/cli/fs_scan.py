"""`daos fs scan`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from daos.cli._base import CONTAINER, POOL
from daos.cli._base import command as make
from daos.cli._fs import mounted
from daos.cli._output import Reply, rows
from daos.model.sizes import format_binary

if TYPE_CHECKING:
    from daos.dfs import DFS


@dataclass
class Scanned:
    """What is in a file system.

    Attributes:
        files: How many files.
        directories: How many directories, with the root.
        symlinks: How many symbolic links.
        bytes: Of all files.
        largest_file: Bytes of the largest.
        largest_directory: Entries of the largest.
        depth: Names of the longest path.
    """

    files: int = 0
    directories: int = 1
    symlinks: int = 0
    bytes: int = 0
    largest_file: int = 0
    largest_directory: int = 0
    depth: int = 0


@make("scan", POOL, CONTAINER)
@click.pass_context
def command(context: click.Context, pool: str, container: str) -> Reply:
    """Count what is in a file system."""
    fs, _ = mounted(context, pool, container)
    found = _scan(fs)
    return Reply(
        [
            f"File system of container {fs.container.label}:",
            *rows(
                [
                    ("Files", str(found.files)),
                    ("Directories", str(found.directories)),
                    ("Symbolic links", str(found.symlinks)),
                    ("Bytes of files", f"{found.bytes} ({format_binary(found.bytes)})"),
                    ("Largest file", f"{found.largest_file} bytes"),
                    ("Largest directory", f"{found.largest_directory} entries"),
                    ("Depth", str(found.depth)),
                ]
            ),
        ],
        lambda: asdict(found),
    )


def _scan(fs: DFS) -> Scanned:
    """Return what is in a file system; directories that wait are remembered, nothing else is."""
    found = Scanned()
    left = [("/", 0)]
    while left:
        where, depth = left.pop()
        entries = 0
        for entry in fs.scandir(where):
            entries += 1
            found.depth = max(found.depth, depth + 1)
            if entry.is_symlink():
                found.symlinks += 1
            elif entry.is_dir():
                found.directories += 1
                left.append((entry.path, depth + 1))
            else:
                size = entry.stat().st_size
                found.files += 1
                found.bytes += size
                found.largest_file = max(found.largest_file, size)
        found.largest_directory = max(found.largest_directory, entries)
    return found
