"""A store for zarr: a key is a file below a directory of a file system.

`DaosStore` is a `zarr.abc.store.Store`. What it has over `zarr.open("daos://...")`, which takes the way of fsspec: a
value is there whole or not at all, `set_if_not_exists` is one step, ranges of a value are read through one open file,
sizes are told without reading, and calls that need not be awaited take no way round by the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat as stats
from itertools import islice
from typing import TYPE_CHECKING, cast

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.core.buffer.core import default_buffer_prototype

from daos.aio._queue import Home
from daos.dfs._dfs import DFS
from daos.dfs._fsspec_files import split_url
from daos.dfs._mount import Address
from daos.dfs._mounted import UMASK
from daos.dfs._path import Path
from daos.dfs._shared import SharedMount, shared
from daos.dfs._temporary import is_temporary, temporary
from daos.errors import InvalidError

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
    from typing import TypeVar

    from typing_extensions import Buffer as BytesLike

    from daos.client.system import Durability
    from daos.dfs._file import RawFile

    T = TypeVar("T")

__all__ = ["DaosStore"]

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
"""How what `temporary` names is opened: a value that is being written, or whose writer died."""
_NO_KEY = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


class DaosStore(Store):
    """The store of a zarr hierarchy in a directory of a file system.

    It may be pickled, and used in forked children and by several event loops. What `set` wrote survives the death of
    all processes when it returns; `durability="synced"` makes it survive a power cut, and so does `close`.

    Args:
        root: `daos://POOL/CONTAINER/PATH`, or `daos:///DIRECTORY//POOL/CONTAINER/PATH` for an embedded system; a file
            system that is mounted, or a path in it. What a URL names is mounted, once a process.
        read_only: Whether nothing can be changed.
        durability: As of `daos.dfs.mount`; of what a URL names only.
        umask: As there.

    Raises:
        InvalidError: `DER.INVAL`: the root is none of these.
        NotFoundError: `DER.NONEXIST`: no such system, pool, container or snapshot.
    """

    supports_writes = True
    supports_deletes = True
    supports_listing = True

    def __init__(
        self,
        root: str | DFS | Path,
        *,
        read_only: bool = False,
        durability: Durability = "buffered",
        umask: int = UMASK,
    ) -> None:
        super().__init__(read_only=read_only)
        self._durability: Durability = durability
        self._umask = umask
        self._home = Home()
        self._url: str | None = None
        self._shown: str
        if isinstance(root, str):
            named = split_url(root)
            self._url = Address(named.pool, named.container, "/", named.system, named.snapshot).url()
            self._mount: SharedMount | DFS | None = self._mounted()
            path, self._shown = named.path, root.rstrip("/")
            self._read_only = read_only or named.snapshot is not None
        elif isinstance(root, DFS):
            self._mount, path, self._shown = root, "/", repr(root)
        elif isinstance(root, Path):
            self._mount, path, self._shown = root.dfs, str(root), repr(root)
        else:
            raise InvalidError(
                f"the root of a store cannot be {type(root).__name__}",
                hint="a URL daos://POOL/CONTAINER[/PATH], what daos.dfs.mount returned, or a path of it",
            )
        names = [name for name in path.split("/") if name]
        if ".." in names:
            raise InvalidError(f"the root of a store cannot be {path!r}", hint="a path without '..'")
        self._root = "".join(f"/{name}" for name in names if name != ".")
        container = self.dfs.container
        self._is = (container.uuid, container.as_of, self._root)

    def _mounted(self, *, keep: bool = False) -> SharedMount:
        # For reading and writing, since a mount is shared by stores that may and may not write. What a user may only
        # read is mounted for that.
        url = cast("str", self._url)
        try:
            return shared(url, durability=self._durability, umask=self._umask, keep=keep)
        except PermissionError:
            if not self._read_only:
                raise
        return shared(url, read_only=True, durability=self._durability, umask=self._umask, keep=keep)

    # --- itself

    @property
    def dfs(self) -> DFS:
        """The file system it is in."""
        mounted = self._mount
        if mounted is None:
            # It was closed; zarr opens a store again when it needs it.
            mounted = self._mount = self._mounted()
        return mounted if isinstance(mounted, DFS) else mounted.dfs

    @property
    def path(self) -> str:
        """The directory it is in."""
        return self._root or "/"

    def with_read_only(self, read_only: bool = False) -> DaosStore:  # noqa: FBT001, FBT002 -- zarr's signature
        """Return another store of the same place, which may write or not."""
        made = DaosStore.__new__(DaosStore)
        made.__dict__.update(self.__dict__, _read_only=read_only, _is_open=False)
        return made

    def close(self) -> None:
        """Make durable what was written, and let the mount go; a store that is used again mounts again."""
        if self._url is not None and self._mount is not None:
            if not self._read_only and not self.dfs.read_only:
                self.dfs.sync()
            self._mount = None
        super().close()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DaosStore) and self._is == other._is

    def __hash__(self) -> int:
        return hash(self._is)

    def __str__(self) -> str:
        return self._shown

    def __repr__(self) -> str:
        return f"DaosStore({self._shown!r})"

    def __getstate__(self) -> dict[str, object]:
        mounted = None if self._url is not None else self._mount
        return {**self.__dict__, "_mount": mounted, "_is_open": False}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        if self._url is not None:
            self._mount = self._mounted(keep=True)

    async def _call(self, function: Callable[[], T]) -> T:
        """Have a thread of the loop's queue call a function."""
        if not self._is_open:
            await self._open()
        return await self._home.call(function)

    def _file(self, key: str) -> str:
        """Return the path of a key's file.

        Raises:
            ValueError: It can be none: an empty name, `.` or `..`, or a name of values that are being written.
        """
        if not isinstance(key, str):
            raise TypeError(f"a key is str, not {type(key).__name__}")
        names = key.split("/")
        if "" in names or "." in names or ".." in names or is_temporary(names[-1]):
            raise ValueError(f"invalid key {key!r}")
        return f"{self._root}/{key}"

    def _directory(self, prefix: str) -> str:
        """Return the path of a directory that has a key's names.

        Raises:
            ValueError: As `_file`.
        """
        names = [name for name in prefix.split("/") if name]
        if "." in names or ".." in names:
            raise ValueError(f"invalid prefix {prefix!r}")
        return self._root + "".join(f"/{name}" for name in names)

    # --- values

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return a value or a range of it; None if there is none."""
        path = self._file(key)
        made = (prototype or default_buffer_prototype()).buffer
        try:
            if byte_range is None:
                return made.from_bytes(self.dfs.read_bytes(path))
            with self._opened(path) as file:
                return made.from_bytes(_range_of(file, byte_range))
        except _NO_KEY:
            return None

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return a value or a range of it; None if there is none."""
        return await self._call(lambda: self.get_sync(key, prototype=prototype, byte_range=byte_range))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return ranges of values, in the order they are asked for: of each key through one open file."""
        wanted: dict[str, list[tuple[int, ByteRequest | None]]] = {}
        for at, (key, byte_range) in enumerate(key_ranges):
            wanted.setdefault(key, []).append((at, byte_range))

        def ranges(key: str) -> list[tuple[int, Buffer | None]]:
            path, asked = self._file(key), wanted[key]
            if len(asked) == 1:
                at, only = asked[0]
                return [(at, self.get_sync(key, prototype=prototype, byte_range=only))]
            try:
                with self._opened(path) as file:
                    return [(at, prototype.buffer.from_bytes(_range_of(file, one))) for at, one in asked]
            except _NO_KEY:
                return [(at, None) for at, _ in asked]

        found: dict[int, Buffer | None] = {}
        for told in await asyncio.gather(*(self._call(lambda key=key: ranges(key)) for key in wanted)):  # type: ignore[misc]
            found.update(told)
        return [found[at] for at in range(len(found))]

    async def _get_many(
        self, requests: Iterable[tuple[str, BufferPrototype, ByteRequest | None]]
    ) -> AsyncGenerator[tuple[str, Buffer | None], None]:
        asked = list(requests)
        values = await asyncio.gather(*(self.get(*request) for request in asked))
        for (key, _, _), value in zip(asked, values, strict=True):
            yield key, value

    def _opened(self, path: str) -> RawFile:
        return cast("RawFile", self.dfs.open(path, "rb", 0))

    def set_sync(self, key: str, value: Buffer) -> None:
        """Set a value: others see the old one or the new one, whole."""
        self._set(key, value, replace=True)

    async def set(self, key: str, value: Buffer) -> None:
        """Set a value: others see the old one or the new one, whole."""
        await self._call(lambda: self._set(key, value, replace=True))

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Set a value that is not there, in one step: of several that try at the same time, one does."""
        # Most keys are there, and a value need not be written to see that.
        if await self.exists(key):
            self._check_writable()
            return
        with contextlib.suppress(FileExistsError):
            await self._call(lambda: self._set(key, value, replace=False))

    def _set(self, key: str, value: Buffer, *, replace: bool) -> None:
        self._check_writable()
        path = self._file(key)
        if not isinstance(value, Buffer):
            raise TypeError(f"DaosStore.set(): `value` must be a Buffer instance. Got an instance of {type(value)}.")
        # An array of no bytes has no address.
        data = memoryview(cast("BytesLike", value.as_numpy_array())).cast("B") if len(value) else b""
        above = path.rpartition("/")[0] or "/"
        for last in (False,) * _TRIES + (True,):
            other = temporary(path)
            try:
                self.dfs._write_all(other, data, _NEW)  # noqa: SLF001 -- one class in two
                self.dfs.rename(other, path, replace=replace)
            except FileNotFoundError:
                # The directory is not there yet, or was removed meanwhile.
                if last:
                    raise
            except BaseException:
                with contextlib.suppress(OSError):
                    self.dfs.remove(other)
                raise
            else:
                return
            with contextlib.suppress(FileNotFoundError):
                self.dfs.makedirs(above, exist_ok=True)

    # --- what is there

    async def exists(self, key: str) -> bool:
        """Tell whether there is a value."""
        path = self._file(key)
        return await self._call(lambda: self.dfs.isfile(path))

    async def getsize(self, key: str) -> int:
        """Return the bytes of a value, without reading it.

        Raises:
            FileNotFoundError: There is none.
        """
        path = self._file(key)

        def size() -> int:
            known = self.dfs.stat(path)
            if not stats.S_ISREG(known.st_mode):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            return known.st_size

        return await self._call(size)

    async def getsize_prefix(self, prefix: str) -> int:
        """Return the bytes of all values below a prefix, from listings alone."""
        where = self._directory(prefix)
        return await self._call(lambda: sum(size for _, size in self._walked(where)))

    def list(self) -> AsyncIterator[str]:
        """Return all keys."""
        return self.list_prefix("")

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Return all keys that begin with a prefix, whatever that ends with."""
        above, _, begun = prefix.rpartition("/")
        top = self._directory(above)
        walked = self._walked(top, begun)
        skip = len(self._root) + 1
        while page := await self._call(lambda: _page(walked)):
            for path, _size in page:
                yield path[skip:]

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Return the names below a prefix, of values and of what has values below it."""
        where = self._directory(prefix)
        for name in await self._call(lambda: self._names(where)):
            yield name

    def _names(self, where: str) -> builtins.list[str]:
        """Return the names in a directory, but for those of directories without a value below them."""
        try:
            return [
                entry.name
                for entry in self.dfs.scandir(where or "/")
                if not is_temporary(entry.name)
                and (
                    any(True for _ in self._walked(f"{where}/{entry.name}"))
                    if entry.is_dir(follow_symlinks=False)
                    else entry.is_file()
                )
            ]
        except _NO_KEY:
            return []

    def _walked(self, top: str, begun: str = "") -> Iterator[tuple[str, int]]:
        """Yield path and size of all files below a directory; right below it, of names that begin so."""
        left = [top]
        while left:
            where = left.pop()
            beginning = begun if where is top else ""
            try:
                for entry in self.dfs.scandir(where or "/"):
                    if not entry.name.startswith(beginning):
                        continue
                    path = f"{where}/{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        left.append(path)
                    elif not is_temporary(entry.name) and entry.is_file():
                        yield path, entry.stat().st_size
            except _NO_KEY:
                # It went meanwhile, or never was.
                continue

    # --- what goes

    def delete_sync(self, key: str) -> None:
        """Remove a value; none is no error."""
        self._check_writable()
        path = self._file(key)
        # Its directory stays: who sets another value there at the same time has it under his feet.
        with contextlib.suppress(*_NO_KEY):
            self.dfs.remove(path)

    async def delete(self, key: str) -> None:
        """Remove a value; none is no error."""
        await self._call(lambda: self.delete_sync(key))

    async def delete_dir(self, prefix: str) -> None:
        """Remove all values below a prefix."""
        self._check_writable()
        where = self._directory(prefix)
        await self._call(lambda: self._cleared(where))

    def _cleared(self, where: str) -> None:
        dfs = self.dfs
        if where == self._root:
            for name in self._names_in(where):
                dfs.rmtree(f"{where}/{name}")
            return
        if dfs.isdir(where):
            with contextlib.suppress(FileNotFoundError):
                dfs.rmtree(where)

    def _names_in(self, where: str) -> Iterable[str]:
        try:
            return self.dfs.listdir(where or "/")
        except FileNotFoundError:
            return ()


_TRIES = 8
"""How often a directory is made again that others remove."""
_PAGE = 1024


def _page(walked: Iterator[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return what comes next, at most a page."""
    return list(islice(walked, _PAGE))


def _range_of(file: RawFile, asked: ByteRequest | None) -> bytes:
    """Return a range of a file.

    Raises:
        TypeError: It is none of zarr's.
    """
    if asked is None:
        return file.readall()
    if isinstance(asked, RangeByteRequest):
        return file.pread(max(0, asked.end - asked.start), asked.start)
    if isinstance(asked, OffsetByteRequest):
        return file.pread(max(0, file.stat().st_size - asked.offset), asked.offset)
    if isinstance(asked, SuffixByteRequest):
        size = file.stat().st_size
        first = max(0, size - asked.suffix)
        return file.pread(size - first, first)
    raise TypeError(f"Unexpected byte_range, got {asked}.")
