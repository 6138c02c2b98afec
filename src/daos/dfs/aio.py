"""File systems, to be awaited: `daos.dfs`, whose calls a thread of the event loop's queue makes.

As `daos.aio`, it has no executor of its own: calls go through the queue of the loop that runs, which is bounded, in the
order they were made, and its threads wait for the store without the lock of the interpreter. A cancelled await gives up
the answer; what has begun goes on.
"""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, TypeVar, cast

from daos.dfs import _dfs
from daos.dfs import _mount as sync_mount
from daos.dfs._dfs import PAGE_ENTRIES
from daos.dfs._mounted import UMASK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

    from daos import aio
    from daos.aio._queue import Home
    from daos.client.system import Durability
    from daos.dfs._entries import DirEntry, FileInfo, StrPath
    from daos.dfs._file import RawFile
    from daos.dfs._report import CheckReport, Mode
    from daos.model.snapshots import Snapshot

__all__ = ["DFS", "File", "mount"]

T = TypeVar("T")


async def mount(
    container: aio.Container,
    *,
    read_only: bool = False,
    snapshot: str | int | Snapshot | None = None,
    durability: Durability = "buffered",
    umask: int = UMASK,
) -> DFS:
    """Mount the file system of a container; arguments and errors are those of `daos.dfs.mount`."""
    home = container._home  # noqa: SLF001 -- one class in two
    sync = container._sync  # noqa: SLF001 -- one class in two

    def call() -> _dfs.DFS:
        return sync_mount.mount(sync, read_only=read_only, snapshot=snapshot, durability=durability, umask=umask)

    return DFS(await home.call(call), home)


class File:
    """A file that is open, without a buffer: `daos.dfs.RawFile`, to be awaited. Made by `DFS.open`.

    Its position belongs to one task at a time; `pread` and `pwrite` have their own.
    """

    def __init__(self, sync: RawFile, home: Home) -> None:
        self._sync = sync
        self._home = home

    @property
    def name(self) -> str:
        """The path it was opened by."""
        return self._sync.name

    @property
    def mode(self) -> str:
        """How it was opened."""
        return self._sync.mode

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._sync.closed

    async def read(self, size: int = -1) -> bytes:
        """Return bytes from the position on; all that follow without a size."""
        return await self._home.call(lambda: self._sync.read(size))

    async def readinto(self, buffer: Buffer) -> int:
        """Read from the position on straight into a buffer, which must be left alone until this returns."""
        return await self._home.call(lambda: self._sync.readinto(buffer))

    async def write(self, data: Buffer) -> int:
        """Write at the position, or at the end of a file that is open to append; return how many bytes."""
        return await self._home.call(lambda: self._sync.write(data))

    async def pread(self, size: int, at: int) -> bytes:
        """Return bytes from a place on."""
        return await self._home.call(lambda: self._sync.pread(size, at))

    async def preadinto(self, buffer: Buffer, at: int) -> int:
        """Read from a place on straight into a buffer; return how many bytes."""
        return await self._home.call(lambda: self._sync.preadinto(buffer, at))

    async def pwrite(self, data: Buffer, at: int) -> int:
        """Write at a place."""
        return await self._home.call(lambda: self._sync.pwrite(data, at))

    async def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position; return it."""
        return await self._home.call(lambda: self._sync.seek(offset, whence))

    def tell(self) -> int:
        """Return the position."""
        return self._sync.tell()

    async def truncate(self, size: int | None = None) -> int:
        """Make it so long, by default up to the position; return how long."""
        return await self._home.call(lambda: self._sync.truncate(size))

    async def allocate(self, how: str, at: int, length: int) -> None:
        """Change a range; as `daos.dfs.RawFile.allocate`."""
        await self._home.call(lambda: self._sync.allocate(how, at, length))

    async def stat(self) -> os.stat_result:
        """Return what is known of it."""
        return await self._home.call(self._sync.stat)

    async def sync(self) -> None:
        """Make durable all that was written to it."""
        await self._home.call(self._sync.sync)

    async def close(self) -> None:
        """Close it; closing again is no error."""
        await self._home.call(self._sync.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return repr(self._sync).replace("daos.dfs.RawFile", "daos.dfs.aio.File", 1)


class DFS:
    """A file system that is mounted: `daos.dfs.DFS`, to be awaited. Made by `mount`.

    Arguments and errors of its methods are those of the methods of that class.
    """

    def __init__(self, sync: _dfs.DFS, home: Home) -> None:
        self._sync = sync
        self._home = home

    async def _call(self, function: Callable[[], T]) -> T:
        return await self._home.call(function)

    @property
    def read_only(self) -> bool:
        """Whether nothing can be changed."""
        return self._sync.read_only

    @property
    def closed(self) -> bool:
        """Whether it was unmounted."""
        return self._sync.closed

    async def close(self) -> None:
        """Unmount it; closing again is no error."""
        await self._home.call(self._sync.close, last=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __reduce__(self) -> tuple[object, ...]:
        return DFS, (self._sync, self._home)

    def __repr__(self) -> str:
        return repr(self._sync).replace("daos.dfs.", "daos.dfs.aio.", 1)

    async def sync(self) -> None:
        """Make durable all that this mount did."""
        await self._call(self._sync.sync)

    async def statvfs(self) -> os.statvfs_result:
        """Return how much room the pool has."""
        return await self._call(self._sync.statvfs)

    async def check(self, mode: Mode = "print", name: str | None = None) -> CheckReport:
        """Look at all of it for what crashes can leave."""
        return await self._call(lambda: self._sync.check(mode, name))

    async def open(
        self,
        path: StrPath,
        mode: str = "rb",
        *,
        permissions: int = 0o666,
        chunk_size: int | str | None = None,
        oclass: str | None = None,
    ) -> File:
        """Open a file, without a buffer; modes are binary, with `b` or without.

        Raises:
            ValueError: A mode of text, or none.
        """
        binary = mode if "b" in mode else f"{mode}b"
        open_it = self._sync.open
        opened = await self._call(
            lambda: open_it(path, binary, 0, permissions=permissions, chunk_size=chunk_size, oclass=oclass)
        )
        return File(cast("RawFile", opened), self._home)

    async def read_bytes(self, path: StrPath) -> bytes:
        """Return all of a file."""
        return await self._call(lambda: self._sync.read_bytes(path))

    async def write_bytes(self, path: StrPath, data: bytes | bytearray | memoryview) -> int:
        """Write a file anew; return how many bytes."""
        return await self._call(lambda: self._sync.write_bytes(path, data))

    async def stat(self, path: StrPath, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return what is known of something."""
        return await self._call(lambda: self._sync.stat(path, follow_symlinks=follow_symlinks))

    async def lstat(self, path: StrPath) -> os.stat_result:
        """Return the same; a last symbolic link is not followed."""
        return await self._call(lambda: self._sync.lstat(path))

    async def info(self, path: StrPath, *, follow_symlinks: bool = True) -> FileInfo:
        """Return what DAOS knows of a file or directory beside that."""
        return await self._call(lambda: self._sync.info(path, follow_symlinks=follow_symlinks))

    async def exists(self, path: StrPath) -> bool:
        """Tell whether a path leads to something."""
        return await self._call(lambda: self._sync.exists(path))

    async def isdir(self, path: StrPath) -> bool:
        """Tell whether a path leads to a directory."""
        return await self._call(lambda: self._sync.isdir(path))

    async def isfile(self, path: StrPath) -> bool:
        """Tell whether a path leads to a file."""
        return await self._call(lambda: self._sync.isfile(path))

    async def islink(self, path: StrPath) -> bool:
        """Tell whether something is a symbolic link."""
        return await self._call(lambda: self._sync.islink(path))

    async def access(self, path: StrPath, mode: int) -> bool:
        """Tell whether something is there and may be used so."""
        return await self._call(lambda: self._sync.access(path, mode))

    async def listdir(self, path: StrPath = "/") -> list[str]:
        """Return the names in a directory, in no order."""
        return await self._call(lambda: self._sync.listdir(path))

    async def scandir(self, path: StrPath = "/") -> AsyncIterator[DirEntry]:
        """Yield the entries of a directory, a page at a time. Where a link leads, they ask the store."""
        entries = await self._call(lambda: self._sync.scandir(path))
        while page := await self._call(lambda: list(islice(entries, PAGE_ENTRIES))):
            for entry in page:
                yield entry

    async def walk(self, top: StrPath = "/") -> AsyncIterator[tuple[str, list[str], list[str]]]:
        """Yield, for a directory and each below it, its path, names of directories, and other names."""
        walked = self._sync.walk(top)
        while (step := await self._call(lambda: next(walked, None))) is not None:
            yield step

    async def mkdir(self, path: StrPath, mode: int = 0o777) -> None:
        """Make a directory."""
        await self._call(lambda: self._sync.mkdir(path, mode))

    async def makedirs(self, path: StrPath, mode: int = 0o777, *, exist_ok: bool = False) -> None:
        """Make a directory and all above it that are missing."""
        await self._call(lambda: self._sync.makedirs(path, mode, exist_ok=exist_ok))

    async def rmdir(self, path: StrPath) -> None:
        """Remove an empty directory."""
        await self._call(lambda: self._sync.rmdir(path))

    async def rmtree(self, path: StrPath) -> None:
        """Remove something with all that is below it."""
        await self._call(lambda: self._sync.rmtree(path))

    async def remove(self, path: StrPath) -> None:
        """Remove the name of a file or symbolic link."""
        await self._call(lambda: self._sync.remove(path))

    async def rename(self, src: StrPath, dst: StrPath, *, replace: bool = True) -> None:
        """Give something another name, in one step."""
        await self._call(lambda: self._sync.rename(src, dst, replace=replace))

    async def exchange(self, path: StrPath, other: StrPath) -> None:
        """Exchange two names in one step."""
        await self._call(lambda: self._sync.exchange(path, other))

    async def link(self, src: StrPath, dst: StrPath, *, follow_symlinks: bool = False) -> None:
        """Give a file a further name."""
        await self._call(lambda: self._sync.link(src, dst, follow_symlinks=follow_symlinks))

    async def symlink(self, src: StrPath, dst: StrPath) -> None:
        """Make a symbolic link `dst` that leads to `src`."""
        await self._call(lambda: self._sync.symlink(src, dst))

    async def readlink(self, path: StrPath) -> str:
        """Return where a symbolic link leads."""
        return await self._call(lambda: self._sync.readlink(path))

    async def chmod(self, path: StrPath, mode: int) -> None:
        """Set the permissions of what a path leads to."""
        await self._call(lambda: self._sync.chmod(path, mode))

    async def chown(self, path: StrPath, uid: int, gid: int, *, follow_symlinks: bool = True) -> None:
        """Give something to another owner or group; -1 leaves one as it is."""
        await self._call(lambda: self._sync.chown(path, uid, gid, follow_symlinks=follow_symlinks))

    async def utime(
        self,
        path: StrPath,
        times: tuple[float, float] | None = None,
        *,
        ns: tuple[int, int] | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        """Set when something changed, the second of the times; now without times."""
        await self._call(lambda: self._sync.utime(path, times, ns=ns, follow_symlinks=follow_symlinks))

    async def truncate(self, path: StrPath, size: int) -> None:
        """Make a file exactly so long."""
        await self._call(lambda: self._sync.truncate(path, size))

    async def touch(self, path: StrPath, *, permissions: int = 0o666, exist_ok: bool = True) -> None:
        """Make an empty file, or set that it changed now."""
        await self._call(lambda: self._sync.touch(path, permissions=permissions, exist_ok=exist_ok))

    async def getxattr(self, path: StrPath, name: str, *, follow_symlinks: bool = True) -> bytes:
        """Return an extended attribute."""
        return await self._call(lambda: self._sync.getxattr(path, name, follow_symlinks=follow_symlinks))

    async def setxattr(
        self, path: StrPath, name: str, value: bytes, flags: int = 0, *, follow_symlinks: bool = True
    ) -> None:
        """Set an extended attribute."""
        await self._call(lambda: self._sync.setxattr(path, name, value, flags, follow_symlinks=follow_symlinks))

    async def listxattr(self, path: StrPath = "/", *, follow_symlinks: bool = True) -> list[str]:
        """Return the names of the extended attributes that one may know of."""
        return await self._call(lambda: self._sync.listxattr(path, follow_symlinks=follow_symlinks))

    async def removexattr(self, path: StrPath, name: str, *, follow_symlinks: bool = True) -> None:
        """Remove an extended attribute."""
        await self._call(lambda: self._sync.removexattr(path, name, follow_symlinks=follow_symlinks))
