"""What the commands about file systems share: which one a line names, and which place in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from daos.cli._base import open_container
from daos.errors import InvalidError

if TYPE_CHECKING:
    from daos.dfs import DFS

POOL = click.Argument(["pool"], metavar="[POOL", required=False)
CONTAINER = click.Argument(["container"], metavar="CONTAINER]", required=False)
URL = click.Option(["--path", "url"], metavar="URL", help="daos://POOL/CONTAINER[/PATH], instead of POOL CONTAINER.")
DFS_PATH = click.Option(["-H", "--dfs-path"], metavar="PATH", help="The place in the file system; its root by default.")
DFS_PREFIX = click.Option(["-I", "--dfs-prefix"], metavar="PREFIX", help="What to take off the beginning of that PATH.")
WHERE = (POOL, CONTAINER, URL, DFS_PATH, DFS_PREFIX)
CHUNK_SIZE = click.Option(["-z", "--chunk-size"], metavar="SIZE", help="Bytes of a chunk of files, such as 4MiB.")
OCLASS = click.Option(["-o", "--oclass"], metavar="CLASS", help="The object class, such as S1 or SX.")


def mounted(
    context: click.Context,
    pool: str | None,
    container: str | None,
    url: str | None,
    dfs_path: str | None = None,
    dfs_prefix: str | None = None,
    *,
    writes: bool = False,
) -> tuple[DFS, str]:
    """Return the file system that a line names, unmounted when the command ends, and the place in it.

    Raises:
        InvalidError: `DER.INVAL`: it is named not at all, or twice; the place does not begin with the prefix.
        DaosError: As `daos.dfs.mount`.
    """
    from daos.dfs import mount
    from daos.dfs._mount import parse_address

    if (url is None) == (pool is None) or (url is None and container is None):
        raise InvalidError("no file system given", hint="give POOL CONTAINER, or --path daos://POOL/CONTAINER[/PATH]")
    place = _place(dfs_path, dfs_prefix)
    if url is not None:
        address = parse_address(url)
        fs = context.with_resource(mount(replace(address, path="/").url(), read_only=not writes))
        return fs, f"{address.path.rstrip('/')}{place}" or "/"
    opened = open_container(context, pool or "", container or "", writes=writes)
    return context.with_resource(mount(opened, read_only=not writes)), place


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
