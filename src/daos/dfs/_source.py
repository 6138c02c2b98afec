"""The file system that samples and checkpoints are in: found in each process by its address."""

from __future__ import annotations

import os
import stat as stats
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self, TypeVar

from daos.dfs._fsspec_files import SCHEME, split_url
from daos.dfs._mount import Address
from daos.dfs._shared import SharedMount, shared
from daos.errors import ClosedError, InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from daos.dfs._dfs import DFS

__all__ = ["EMBEDDED_THREADS", "READ_THREADS", "OnSource", "Source", "address_of", "files_below"]

READ_THREADS = 4
"""Files that a process has under way at a running system: it waits for answers, not for work."""
EMBEDDED_THREADS = 1
"""The same of an embedded system, where there is nothing to wait for: threads would only take turns."""

T = TypeVar("T")
U = TypeVar("U")


def address_of(pool: str | None, cont: str | None, path: str | None) -> Address:
    """Return what names a directory.

    Args:
        pool: Label or uuid, or in the place of all three a URL `daos://POOL/CONTAINER[/PATH]`.
        cont: Label or uuid of the container.
        path: A directory in it; its root by default.

    `DAOS_SYSTEM` in the environment names the directory of an embedded system, where no URL does.

    Raises:
        InvalidError: `DER.INVAL`: there is no pool or container.
    """
    if pool is not None and pool.startswith(SCHEME):
        if cont is not None:
            raise InvalidError("a URL names the container, too", hint="give the one or the other")
        named = split_url(pool)
        below = f"{named.path.rstrip('/')}/{(path or '').strip('/')}".rstrip("/") or "/"
        return Address(named.pool, named.container, below, named.system, named.snapshot)
    if not pool or not cont:
        raise InvalidError("pool and container are missing", hint="or a URL daos://POOL/CONTAINER[/PATH]")
    system = os.environ.get("DAOS_SYSTEM") or ""
    # A name, no path to walk.
    where = os.path.abspath(system) if system else ""  # noqa: PTH100
    return Address(pool, cont, f"/{(path or '').strip('/')}", where)


class Source:
    """A file system by its address: it is mounted once a process, whoever was forked or spawned."""

    def __init__(self, address: Address, *, read_only: bool, threads: int) -> None:
        self.address = address
        self._read_only = read_only
        self._threads = threads
        self._mount: SharedMount | None = None
        self._pool: tuple[int, ThreadPoolExecutor] | None = None
        self._closed = False
        self._mount = self._shared()

    def _shared(self, *, keep: bool = False) -> SharedMount:
        top = Address(self.address.pool, self.address.container, "/", self.address.system, self.address.snapshot)
        return shared(top.url(), read_only=self._read_only, keep=keep)

    @property
    def dfs(self) -> DFS:
        """The file system.

        Raises:
            ClosedError: It was closed.
        """
        if self._mount is None:
            raise ClosedError(f"{self.address.url()} was closed", hint="make another")
        return self._mount.dfs

    def each(self, function: Callable[[T], U], items: Iterable[T]) -> list[U]:
        """Return what a function returns for each of several, called by threads at the same time."""
        wanted = list(items)
        if self._threads < 2 or len(wanted) < 2:  # noqa: PLR2004 -- nothing to do at the same time
            return list(map(function, wanted))
        # A thread has a stretch of them: handing over costs more than reading a small file.
        size = -(-len(wanted) // min(self._threads, len(wanted)))
        parts = [wanted[at : at + size] for at in range(0, len(wanted), size)]
        return [one for part in self.threads().map(lambda part: list(map(function, part)), parts) for one in part]

    def threads(self) -> ThreadPoolExecutor:
        """Return the threads of this process."""
        pool = self._pool
        if pool is None or pool[0] != os.getpid():
            # Those of a parent are not there.
            pool = self._pool = os.getpid(), ThreadPoolExecutor(self._threads, "daos-source")
        return pool[1]

    def close(self) -> None:
        """Let it go; closing again is no error."""
        pool, self._pool, self._mount = self._pool, None, None
        if pool is not None and pool[0] == os.getpid():
            pool[1].shutdown()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_mount": self._mount is not None, "_pool": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._mount = self._shared(keep=True) if state["_mount"] else None


class OnSource:
    """What is made on a file system of its own, and lets it go; also at the end of a `with`."""

    _source: Source

    def close(self) -> None:
        """Let the file system go; closing again is no error."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def files_below(source: Source, top: str) -> list[tuple[str, int]]:
    """Return paths and sizes of all files below a directory, in the order of the paths; links are left out.

    Raises:
        FileNotFoundError: There is no such directory.
        NotADirectoryError: It is none.
    """
    dfs = source.dfs

    def scan(where: str) -> tuple[list[tuple[str, int]], list[str]]:
        files, dirs = [], []
        try:
            for entry in dfs.scandir(where):
                told = entry.stat(follow_symlinks=False)
                if stats.S_ISREG(told.st_mode):
                    files.append((entry.path, told.st_size))
                elif stats.S_ISDIR(told.st_mode):
                    dirs.append(entry.path)
        except FileNotFoundError:
            if where == top:
                raise
        return files, dirs

    found: list[tuple[str, int]] = []
    left = [top]
    while left:
        level = source.each(scan, left)
        left = [one for _, dirs in level for one in dirs]
        found += (one for files, _ in level for one in files)
    return sorted(found)
