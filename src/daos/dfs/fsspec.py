"""File systems for fsspec: `fsspec.open("daos://tank/home/x.csv")`, and all that is built on it.

A URL is `daos://POOL/CONTAINER/PATH`, or `daos:///DIRECTORY//POOL/CONTAINER/PATH` for an embedded system, whose
directory ends with the first empty name. Names stand in it as they are, without escapes. `?snap=NAME` at its end is a
snapshot, `?system=NAME` another running system than the agent's.

Synchronous calls go straight to the store; those to be awaited through the queue of the loop that runs (`daos.aio`),
not through threads of fsspec. What is written by `pipe` or `put` is there whole or not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import os
import re
import stat as stats
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, Literal, cast

from fsspec.asyn import AsyncFileSystem, get_loop
from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.utils import isfilelike, stringify_path

from daos.aio._queue import Home
from daos.dfs._file import BUFFER_SIZE, RawFile
from daos.dfs._fsspec_files import SCHEME, ReadFile, WriteFile, copied, range_of, split_url, url_of
from daos.dfs._mount import Address, mount
from daos.dfs._temporary import temporary
from daos.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from daos.client.system import Durability
    from daos.dfs._dfs import DFS

    T = TypeVar("T")
    Bounds = Iterable[int | None] | int | None
    P = TypeVar("P", str, list[str])

__all__ = ["DaosFileSystem"]

PROTOCOL = "daos"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_MAGIC = re.compile(r"[*?\[]")


class DaosFileSystem(AsyncFileSystem):
    """The file system of a container, for fsspec.

    Args:
        pool: Label or uuid of the pool.
        container: Label or uuid of the container, of the type `POSIX`.
        system: Directory of an embedded system, or name of a running one; the agent's by default.
        snapshot: Name of a snapshot, to be read; None for now.
        read_only: Change nothing.
        auto_mkdir: Make the directories that are missing above what is written.
        durability: What a call promises when it returns, as `daos.dfs.mount`.
        umask: Permissions that are taken from what is made.
        storage_options: As of `AsyncFileSystem`.
    """

    protocol: ClassVar[str] = PROTOCOL
    root_marker: ClassVar[str] = "/"
    async_impl = True

    def __init__(
        self,
        pool: str | None = None,
        container: str | None = None,
        *,
        system: str | os.PathLike[str] | None = None,
        snapshot: str | None = None,
        read_only: bool = False,
        auto_mkdir: bool = True,
        durability: Durability = "buffered",
        umask: int = 0o022,
        **storage_options: object,
    ) -> None:
        super().__init__(**storage_options)
        if not pool or not container:
            raise InvalidError(
                "a file system is that of a container: pool and container are missing",
                hint='fsspec.filesystem("daos", pool=..., container=...), or a URL daos://POOL/CONTAINER/PATH',
            )
        self.address = Address(pool, container, "/", "" if system is None else os.fspath(system), snapshot)
        self.auto_mkdir = auto_mkdir
        self._home = Home()
        self._made_by = os.getpid()
        url = self.address.url()
        self.dfs: DFS = mount(url, read_only=read_only, durability=durability, umask=umask)

    # --- addresses

    @classmethod
    def _strip_protocol(cls, path: P) -> P:
        if isinstance(path, list):
            return cast("P", [cls._strip_protocol(one) for one in path])
        text = stringify_path(path)
        if text.startswith(SCHEME):
            text = split_url(text).path
        return cast("P", "/" + text.strip("/"))

    @staticmethod
    def _get_kwargs_from_urls(url: str) -> dict[str, str]:
        if not url.startswith(SCHEME):
            return {}
        named = split_url(url)
        given = {"pool": named.pool, "container": named.container}
        if named.system:
            given["system"] = named.system
        if named.snapshot is not None:
            given["snapshot"] = named.snapshot
        return given

    def unstrip_protocol(self, name: str) -> str:
        """Return the URL of a path."""
        return url_of(replace(self.address, path=self._strip_protocol(name)))

    @property
    def fsid(self) -> str:
        """What is the same for all that have this file system."""
        return f"{PROTOCOL}:{self.dfs.container.uuid}"

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that synchronous calls of awaited methods use; a forked child has its own."""
        if self._made_by != os.getpid():
            self._made_by = os.getpid()
            self._loop = None if self.asynchronous else get_loop()
            self._home = Home()
        return cast("asyncio.AbstractEventLoop", self._loop)

    async def _call(self, function: Callable[[], T]) -> T:
        """Have a thread of the loop's queue call a function."""
        return await self._home.call(function)

    # --- what is known

    def info(self, path: str, **_: object) -> dict[str, object]:
        """Return what is known of a file or directory; a symbolic link is followed.

        `created` is when its record changed last, as it is not stored when it was made.
        """
        where = self._strip_protocol(path)
        known = self.dfs.lstat(where)
        return self._told(where, known)

    async def _info(self, path: str, **_: object) -> dict[str, object]:
        return await self._call(lambda: self.info(path))

    def _told(self, path: str, known: os.stat_result) -> dict[str, object]:
        linked = stats.S_ISLNK(known.st_mode)
        destination = {}
        if linked:
            destination = {"destination": self.dfs.readlink(path)}
            with contextlib.suppress(OSError):
                known = self.dfs.stat(path)
        mode = known.st_mode
        return {
            "name": path,
            "size": known.st_size,
            "type": "directory" if stats.S_ISDIR(mode) else "file" if stats.S_ISREG(mode) else "other",
            "created": known.st_ctime,
            "mtime": known.st_mtime,
            "mtime_ns": known.st_mtime_ns,
            "mode": mode,
            "uid": known.st_uid,
            "gid": known.st_gid,
            "ino": known.st_ino,
            "nlink": known.st_nlink,
            "islink": linked,
            **destination,
        }

    def ls(self, path: str, detail: bool = True, **_: object) -> list[Any]:  # noqa: FBT001, FBT002 -- fsspec's signature
        """Return what is in a directory, or the file, with what is known of each or by name; in the order of names."""
        where = self._strip_protocol(path)
        try:
            if not detail:
                prefix = where.rstrip("/") + "/"
                return [prefix + name for name in sorted(self.dfs.listdir(where))]
            return sorted(self._entries(where), key=lambda told: cast("str", told["name"]))
        except NotADirectoryError:
            told = self.info(where)
            return [told if detail else told["name"]]

    def _entries(self, where: str) -> Iterator[dict[str, object]]:
        for entry in self.dfs.scandir(where):
            with contextlib.suppress(FileNotFoundError):
                yield self._told(entry.path, entry.stat(follow_symlinks=False))

    async def _ls(self, path: str, detail: bool = True, **_: object) -> list[Any]:  # noqa: FBT001, FBT002 -- fsspec's signature
        return await self._call(lambda: self.ls(path, detail))

    def exists(self, path: str, **_: object) -> bool:
        """Tell whether a path leads to something."""
        return self.dfs.exists(self._strip_protocol(path))

    async def _exists(self, path: str, **_: object) -> bool:
        return await self._call(lambda: self.exists(path))

    def lexists(self, path: str, **_: object) -> bool:
        """Tell whether there is something, even a link that leads nowhere."""
        return self.dfs.lexists(self._strip_protocol(path))

    def isfile(self, path: str) -> bool:
        """Tell whether a path leads to a file."""
        return self.dfs.isfile(self._strip_protocol(path))

    async def _isfile(self, path: str) -> bool:
        return await self._call(lambda: self.isfile(path))

    def isdir(self, path: str) -> bool:
        """Tell whether a path leads to a directory."""
        return self.dfs.isdir(self._strip_protocol(path))

    async def _isdir(self, path: str) -> bool:
        return await self._call(lambda: self.isdir(path))

    def islink(self, path: str) -> bool:
        """Tell whether something is a symbolic link."""
        return self.dfs.islink(self._strip_protocol(path))

    def created(self, path: str) -> datetime:
        """Return when the record of something changed last."""
        return datetime.fromtimestamp(cast("float", self.info(path)["created"]), tz=UTC)

    def modified(self, path: str) -> datetime:
        """Return when the content of something changed last."""
        return datetime.fromtimestamp(cast("float", self.info(path)["mtime"]), tz=UTC)

    # --- files

    def raw(self, path: str, mode: str) -> RawFile:
        """Open a file without a buffer; what is missing above one that is made is made, too."""
        if "r" in mode:
            return cast("RawFile", self.dfs.open(path, mode, 0))
        return self._below(path, lambda: cast("RawFile", self.dfs.open(path, mode, 0)))

    def _below(self, path: str, make: Callable[[], T]) -> T:
        """Make something; if a directory above it is missing, again with that."""
        try:
            return make()
        except FileNotFoundError:
            if not self.auto_mkdir:
                raise
            # Another thread may make it at the same time.
            self.dfs.makedirs(self._parent(path), exist_ok=True)
        return make()

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,  # noqa: FBT001, FBT002 -- fsspec's signature
        cache_options: dict[str, object] | None = None,  # noqa: ARG002 -- a buffer is all that is needed
        **_: object,
    ) -> IO[bytes]:
        where = self._strip_protocol(path)
        size = block_size if block_size and block_size > 0 else BUFFER_SIZE
        if "r" in mode and "+" not in mode:
            return ReadFile(self, where, size)
        if "+" in mode:
            return io.BufferedRandom(self.raw(where, mode), size)
        return WriteFile(self, where, mode, size, autocommit=autocommit)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: object) -> bytes:
        """Return a file's bytes, or those from one place to another; places before 0 count from its end."""
        where = self._strip_protocol(path)
        if start is None and end is None:
            return self.dfs.read_bytes(where)
        with self.raw(where, "rb") as file:
            return range_of(file, start, end)

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: object) -> bytes:
        return await self._call(lambda: self.cat_file(path, start, end))

    async def _cat_ranges(
        self,
        paths: list[str],
        starts: Bounds,
        ends: Bounds,
        max_gap: int | None = None,  # noqa: ARG002 -- nothing is gained by reading what lies between
        batch_size: int | None = None,  # noqa: ARG002 -- the queue is bounded
        on_error: str = "return",
        **_: object,
    ) -> list[bytes | BaseException]:
        """Return ranges of files: each file is opened once, and all are read at the same time."""
        first, last = _as_many(paths, starts), _as_many(paths, ends)
        wanted: dict[str, list[int]] = {}
        for at, path in enumerate(paths):
            wanted.setdefault(self._strip_protocol(path), []).append(at)
        found: dict[int, bytes | BaseException] = {}
        of_files = (self._ranges(path, [(at, first[at], last[at]) for at in places]) for path, places in wanted.items())
        for told in await asyncio.gather(*of_files):
            found.update(told)
        results = [found[at] for at in range(len(paths))]
        wrong = next((told for told in results if isinstance(told, BaseException)), None)
        if on_error == "raise" and wrong is not None:
            raise wrong
        return results

    async def _ranges(
        self, path: str, ranges: list[tuple[int, int | None, int | None]]
    ) -> dict[int, bytes | BaseException]:
        """Return ranges of a file, or what went wrong, each by its number."""
        try:
            file = await self._call(lambda: self.raw(path, "rb"))
        except Exception as error:  # noqa: BLE001 -- whoever asked for the range is told
            return dict.fromkeys((at for at, _, _ in ranges), error)
        try:
            reads = (self._call(partial(range_of, file, start, end)) for _, start, end in ranges)
            told = await asyncio.gather(*reads, return_exceptions=True)
        finally:
            await self._call(file.close)
        return {at: result for (at, _, _), result in zip(ranges, told, strict=True)}

    def pipe_file(
        self,
        path: str,
        value: bytes | bytearray | memoryview,
        mode: Literal["overwrite", "create"] = "overwrite",
        **_: object,
    ) -> None:
        """Write a file in one step: others see it as it was before, or whole.

        Raises:
            FileExistsError: It is there, and the mode is `create`.
        """
        where = self._strip_protocol(path)
        if self._intrans:
            with self.open(where, "xb" if mode == "create" else "wb") as file:
                file.write(value)
            return

        def write(other: str) -> None:
            self._below(other, lambda: self.dfs._write_all(other, value, _NEW))  # noqa: SLF001 -- one class in two

        self._whole(where, write, replace=mode != "create")

    def _filled(self, fill: Callable[[RawFile], None]) -> Callable[[str], None]:
        """Return what writes a file by a function of it."""

        def write(other: str) -> None:
            with self.raw(other, "xb") as file:
                fill(file)

        return write

    def _whole(self, path: str, write: Callable[[str], None], *, replace: bool = True) -> None:
        """Write a file under another name, then give it its own."""
        if not replace and self.dfs.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        if self.dfs.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        other = temporary(path)
        try:
            write(other)
            self.dfs.rename(other, path, replace=replace)
        except BaseException:
            with contextlib.suppress(OSError):
                self.dfs.remove(other)
            raise

    async def _pipe_file(
        self,
        path: str,
        value: bytes | bytearray | memoryview,
        mode: Literal["overwrite", "create"] = "overwrite",
        **_: object,
    ) -> None:
        await self._call(lambda: self.pipe_file(path, value, mode))

    def put_file(
        self,
        lpath: str,
        rpath: str,
        callback: Callback = DEFAULT_CALLBACK,
        mode: Literal["overwrite", "create"] = "overwrite",
        **_: object,
    ) -> None:
        """Copy a local file here, in one step; of a directory, only itself is made."""
        where = self._strip_protocol(rpath)
        if Path(lpath).is_dir():
            self.makedirs(where, exist_ok=True)
            return
        with Path(lpath).open("rb", 0) as local:
            callback.set_size(os.fstat(local.fileno()).st_size)
            self._whole(where, self._filled(lambda file: copied(local, file, callback)), replace=mode != "create")

    async def _put_file(
        self,
        lpath: str,
        rpath: str,
        mode: Literal["overwrite", "create"] = "overwrite",
        callback: Callback = DEFAULT_CALLBACK,
        **_: object,
    ) -> None:
        await self._call(lambda: self.put_file(lpath, rpath, callback, mode))

    def get_file(self, rpath: str, lpath: str | IO[bytes], callback: Callback = DEFAULT_CALLBACK, **_: object) -> None:
        """Copy a file to a local one, or into an open one; of a directory, only itself is made."""
        where = self._strip_protocol(rpath)
        target = cast("IO[bytes]", lpath) if isfilelike(lpath) else Path(cast("str", lpath))
        if isinstance(target, Path) and self.dfs.isdir(where):
            target.mkdir(parents=True, exist_ok=True)
            return
        with self.raw(where, "rb") as file:
            callback.set_size(file.stat().st_size)
            if not isinstance(target, Path):
                copied(file, target, callback)
                return
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb", 0) as local:
                copied(file, local, callback)

    async def _get_file(
        self, rpath: str, lpath: str | IO[bytes], callback: Callback = DEFAULT_CALLBACK, **_: object
    ) -> None:
        await self._call(lambda: self.get_file(rpath, lpath, callback))

    def cp_file(self, path1: str, path2: str, **_: object) -> None:
        """Copy a file, in one step; of a directory, only itself is made."""
        where, to = self._strip_protocol(path1), self._strip_protocol(path2)
        if self.dfs.isdir(where):
            self.makedirs(to, exist_ok=True)
            return
        with self.raw(where, "rb") as file:
            self._whole(to, self._filled(lambda copy: copied(file, copy, DEFAULT_CALLBACK)))

    async def _cp_file(self, path1: str, path2: str, **_: object) -> None:
        await self._call(lambda: self.cp_file(path1, path2))

    def touch(self, path: str, truncate: bool = True, **_: object) -> None:  # noqa: FBT001, FBT002 -- fsspec's signature
        """Make an empty file; one that is there becomes empty, or is set to have changed now."""
        where = self._strip_protocol(path)
        self._below(where, lambda: self.dfs.touch(where))
        if truncate and self.dfs.getsize(where):
            self.dfs.truncate(where, 0)

    # --- names

    def mkdir(self, path: str, create_parents: bool = True, **_: object) -> None:  # noqa: FBT001, FBT002 -- fsspec's signature
        """Make a directory.

        Raises:
            FileExistsError: Something is there.
        """
        where = self._strip_protocol(path)
        if create_parents:
            self.dfs.makedirs(where)
        else:
            self.dfs.mkdir(where)

    async def _mkdir(self, path: str, create_parents: bool = True, **_: object) -> None:  # noqa: FBT001, FBT002 -- fsspec's signature
        await self._call(lambda: self.mkdir(path, create_parents))

    def makedirs(self, path: str, exist_ok: bool = False) -> None:  # noqa: FBT001, FBT002 -- fsspec's signature
        """Make a directory and all above it that are missing."""
        self.dfs.makedirs(self._strip_protocol(path), exist_ok=exist_ok)

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:  # noqa: FBT001, FBT002 -- fsspec's signature
        await self._call(lambda: self.makedirs(path, exist_ok))

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        self.dfs.rmdir(self._strip_protocol(path))

    async def _rmdir(self, path: str) -> None:
        await self._call(lambda: self.rmdir(path))

    def rm_file(self, path: str, **_: object) -> None:
        """Remove a file, a symbolic link or an empty directory."""
        where = self._strip_protocol(path)
        try:
            self.dfs.remove(where)
        except IsADirectoryError:
            self.dfs.rmdir(where)

    async def _rm_file(self, path: str, **_: object) -> None:
        await self._call(lambda: self.rm_file(path))

    async def _rm(
        self,
        path: str | list[str],
        recursive: bool = False,  # noqa: FBT001, FBT002 -- fsspec's signature
        batch_size: int | None = None,
        maxdepth: int | None = None,
        **kwargs: object,
    ) -> None:
        """Remove files, and with `recursive` directories with all that is in them."""
        paths = [path] if isinstance(path, str) else list(path)
        if maxdepth is not None or any(_MAGIC.search(one) for one in paths):
            await super()._rm(path, recursive=recursive, batch_size=batch_size, maxdepth=maxdepth, **kwargs)
            return
        for one in self._strip_protocol(paths):
            await self._call(lambda one=one: self._remove(one) if recursive else self.dfs.remove(one))  # type: ignore[misc]

    def _remove(self, path: str) -> None:
        """Remove something with all that is in it; of the root, what is in it."""
        if path != "/":
            self.dfs.rmtree(path)
            return
        for name in self.dfs.listdir("/"):
            self.dfs.rmtree(f"/{name}")

    def mv(
        self,
        path1: str | list[str],
        path2: str | list[str],
        recursive: bool = False,  # noqa: FBT001, FBT002 -- fsspec's signature
        maxdepth: int | None = None,
        **kwargs: object,
    ) -> None:
        """Give a file or directory another name in one step; what a pattern or a list names, one after the other."""
        if isinstance(path1, list) or isinstance(path2, list) or _MAGIC.search(path1) or maxdepth is not None:
            super().mv(path1, path2, recursive=recursive, maxdepth=maxdepth, **kwargs)
            return
        self._move(path1, path2)

    def _move(self, path1: str, path2: str) -> None:
        where, to = self._strip_protocol(path1), self._strip_protocol(path2)
        if stringify_path(path2).endswith("/") or self.dfs.isdir(to):
            to = f"{to.rstrip('/')}/{where.rpartition('/')[2]}"
        if not self.dfs.lexists(where):
            # Before directories are made for it.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), where)
        self._below(to, lambda: self.dfs.rename(where, to))

    async def _mv_file(self, path1: str, path2: str) -> None:
        await self._call(lambda: self._move(path1, path2))

    def link(self, src: str, dst: str, **_: object) -> None:
        """Give a file a further name."""
        self.dfs.link(self._strip_protocol(src), self._strip_protocol(dst))

    def symlink(self, src: str, dst: str, **_: object) -> None:
        """Make a symbolic link `dst` that leads to `src`."""
        self.dfs.symlink(self._strip_protocol(src), self._strip_protocol(dst))

    def chmod(self, path: str, mode: int) -> None:
        """Set permissions."""
        self.dfs.chmod(self._strip_protocol(path), mode)


def _as_many(paths: list[str], given: Bounds) -> list[int | None]:
    """Return a bound for each path.

    Raises:
        ValueError: There are more or fewer.
    """
    bounds = list(given) if isinstance(given, Iterable) else [given] * len(paths)
    if len(bounds) != len(paths):
        raise ValueError("as many starts and ends as paths")
    return bounds
