"""`daos.dfs.mount`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from daos.client.container import Container
from daos.client.served import connect
from daos.client.system import open as daos_open
from daos.dfs._dfs import DFS
from daos.dfs._mounted import UMASK
from daos.errors import InvalidError
from daos.model.urls import SCHEME, Address, parse_address
from daos.uns import resolve

if TYPE_CHECKING:
    from daos.client.pool import Pool
    from daos.client.system import Durability
    from daos.model.snapshots import Snapshot

__all__ = ["Address", "mount", "parse_address"]


def mount(
    source: Container | str | os.PathLike[str],
    *,
    read_only: bool = False,
    snapshot: str | int | Snapshot | None = None,
    durability: Durability = "buffered",
    umask: int = UMASK,
) -> DFS:
    """Mount the file system of a container in this process.

    Args:
        source: A container of the type `POSIX`; or its URL: `daos://POOL/CONTAINER`, or for an embedded system
            `daos:///DIRECTORY//POOL/CONTAINER`; or a path that stands for it, as `daos.uns` makes them. What is named
            so is opened, and closed when the file system goes.
        read_only: Change nothing, not even what a container lacks whose maker died.
        snapshot: As of a snapshot of the container, by name or epoch; then nothing can be changed.
        durability: What a call promises when it returns, as `daos.open`; in any case it survives the death of all
            processes.
        umask: Permissions that are taken from what is made.

    Raises:
        InvalidError: `DER.INVAL`: the container is of another type; a bad URL.
        NotFoundError: `DER.NONEXIST`: no such system, pool, container, snapshot or path; the path stands for nothing.
        OSError: `EOPNOTSUPP`: of a layout that is not known, or balanced on a pool over several engines.
    """
    if isinstance(source, Container):
        container = source if snapshot is None else source.at(snapshot)
        return DFS(container, read_only=read_only, durability=durability, umask=umask)
    named, pool = _opened(source, read_only=read_only)
    try:
        container = pool.container(named.container)
        seen = named.snapshot if snapshot is None else snapshot
        if seen is not None:
            container = container.at(seen)
        return DFS(container, read_only=read_only, durability=durability, umask=umask, owns_pool=True)
    except BaseException:
        pool.close()
        raise


def _opened(source: str | os.PathLike[str], *, read_only: bool) -> tuple[Address, Pool]:
    """Return what a URL or path names, and its pool, which closes what it was reached by."""
    if not isinstance(source, str | os.PathLike):
        raise InvalidError(
            f"a container, a URL or a path is mounted, not {type(source).__name__}", hint="daos://POOL/CONTAINER"
        )
    named = resolve(source)
    if named.path != "/":
        raise InvalidError(
            f"{os.fspath(source)!r} names a file, not a file system",
            hint="mount daos://POOL/CONTAINER" if named.where is None else f"mount {named.where}",
        )
    if named.embedded:
        return named, daos_open(named.system, pool=named.pool, create=False)
    query = f"?system={quote(named.system, safe='')}" if named.system else ""
    return named, connect(f"{SCHEME}{quote(named.pool, safe='')}{query}", mode="r" if read_only else "rw")
