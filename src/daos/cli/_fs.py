"""What the commands about file systems share: which one a line names, and which place in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from daos.cli._base import CONTAINER, POOL, named_by_path, open_container
from daos.errors import InvalidError

if TYPE_CHECKING:
    from daos.dfs import DFS

DFS_PATH = click.Option(["-H", "--dfs-path"], metavar="PATH", help="The place in the file system; its root by default.")
DFS_PREFIX = click.Option(["-I", "--dfs-prefix"], metavar="PREFIX", help="What to take off the beginning of that PATH.")
WHERE = (POOL, CONTAINER, DFS_PATH, DFS_PREFIX)
CHUNK_SIZE = click.Option(["-z", "--chunk-size"], metavar="SIZE", help="Bytes of a chunk of files, such as 4MiB.")
OCLASS = click.Option(["-o", "--oclass"], metavar="CLASS", help="The object class, such as S1 or SX.")


def mounted(
    context: click.Context,
    pool: str,
    container: str,
    dfs_path: str | None = None,
    dfs_prefix: str | None = None,
    *,
    writes: bool = False,
) -> tuple[DFS, str]:
    """Return the file system that a line names, unmounted when the command ends, and the place in it.

    Raises:
        InvalidError: `DER.INVAL`: the place does not begin with the prefix.
        DaosError: As `daos.dfs.mount`.
    """
    from daos.dfs import mount

    place = _place(dfs_path, dfs_prefix)
    opened = open_container(context, pool, container, writes=writes)
    fs = context.with_resource(mount(opened, read_only=not writes))
    named = named_by_path(context)
    return fs, place if named is None else f"{named.path.rstrip('/')}{place}".rstrip("/") or "/"


def _place(path: str | None, prefix: str | None) -> str:
    """Return a place in a file system, without the prefix of a local mount.

    Raises:
        InvalidError: `DER.INVAL`: it does not begin with that.
    """
    place = "/" + (path or "").strip("/")
    if prefix is None:
        return place
    start = "/" + prefix.strip("/")
    if place != start and not place.startswith(f"{start.rstrip('/')}/"):
        raise InvalidError(f'path "{place}" does not begin with "{start}"', hint="--dfs-prefix is taken off --dfs-path")
    return "/" + place.removeprefix(start).strip("/")


def upper(oclass: str | None) -> str | None:
    """Return an object class as it is written."""
    return None if oclass is None else oclass.upper()
