"""File systems for Arrow: `pq.read_table("tables/x.parquet", filesystem=daos.arrow.filesystem("daos://tank/home"))`.

A `pyarrow.fs.PyFileSystem` straight over `daos.dfs`. Arrow takes our files of fsspec, too; this way a listing is one
pass that brings sizes and times along, and what Arrow has collected to read is one request, without a buffer between.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat as stats
from typing import TYPE_CHECKING, cast

from pyarrow import PythonFile
from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileSystemHandler, FileType, PyFileSystem, SubTreeFileSystem

from daos.dfs._dfs import DFS
from daos.dfs._fsspec_files import BLOCK, split_url
from daos.dfs._mount import Address
from daos.dfs._mounted import UMASK
from daos.dfs._shared import SharedMount, shared
from daos.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daos.client.system import Durability
    from daos.dfs._file import RawFile

__all__ = ["filesystem", "resolve"]

WRITE_BUFFER = 1 << 20
"""Bytes of the buffer of a file that is written: Arrow writes pages and headers one by one."""


def filesystem(
    source: str | DFS, *, read_only: bool = False, durability: Durability = "buffered", umask: int = UMASK
) -> FileSystem:
    """Return a file system of Arrow's.

    Args:
        source: `daos://POOL/CONTAINER`, or `daos:///DIRECTORY//POOL/CONTAINER` for an embedded system; with a path the
            directory there, as a `SubTreeFileSystem`. Or a file system that is mounted, which then cannot be pickled
            where its system cannot be.
        read_only: Change nothing.
        durability: As of `daos.dfs.mount`; of what a URL names only.
        umask: As there.

    Raises:
        InvalidError: `DER.INVAL`: the source is neither.
        NotFoundError: `DER.NONEXIST`: no such system, pool, container or snapshot.
    """
    if isinstance(source, DFS):
        return PyFileSystem(Handler(source))
    made, path = _resolved(source, read_only=read_only, durability=durability, umask=umask)
    return SubTreeFileSystem(path, made) if path else made


def resolve(
    url: str, *, read_only: bool = False, durability: Durability = "buffered", umask: int = UMASK
) -> tuple[FileSystem, str]:
    """Return a file system of Arrow's and a path in it, as `pyarrow.fs.FileSystem.from_uri` does for its own.

    Args:
        url: As of `filesystem`, of a file or directory.
        read_only: Change nothing.
        durability: As of `daos.dfs.mount`.
        umask: As there.
    """
    return _resolved(url, read_only=read_only, durability=durability, umask=umask)


def _resolved(url: str, *, read_only: bool, durability: Durability, umask: int) -> tuple[FileSystem, str]:
    if not isinstance(url, str):
        raise InvalidError(f"a URL or a mounted file system is wanted, not {type(url).__name__}")
    named = split_url(url)
    top = Address(named.pool, named.container, "/", named.system, named.snapshot).url()
    share = shared(top, read_only=read_only, durability=durability, umask=umask)
    return PyFileSystem(Handler(share, (top, read_only, durability, umask))), named.path.strip("/")


class Handler(FileSystemHandler):
    """What a `PyFileSystem` asks. Made by `filesystem`; threads may share it."""

    def __init__(self, mounted: SharedMount | DFS, key: tuple[str, bool, Durability, int] | None = None) -> None:
        self._mounted = mounted
        self._key = key

    @property
    def dfs(self) -> DFS:
        """The file system."""
        return self._mounted if isinstance(self._mounted, DFS) else self._mounted.dfs

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Handler):
            return NotImplemented
        return self.dfs == other.dfs

    def __ne__(self, other: object) -> bool:
        # Arrow asks for it by itself.
        if not isinstance(other, Handler):
            return NotImplemented
        return self.dfs != other.dfs

    def __hash__(self) -> int:
        return hash(self.dfs)

    def __reduce__(self) -> tuple[object, ...]:
        return _handler, (None if self._key is not None else self._mounted, self._key)

    def get_type_name(self) -> str:
        """Return what its kind is called."""
        return "daos"

    def normalize_path(self, path: str) -> str:
        """Return a path without what stands twice in it."""
        names = [name for name in path.split("/") if name not in {"", "."}]
        return ("/" if path.startswith("/") else "") + "/".join(names)

    # --- what is known

    def get_file_info(self, paths: list[str]) -> list[FileInfo]:
        """Return what is known of paths; that nothing is there is no error."""
        return [self._info(path) for path in paths]

    def _info(self, path: str) -> FileInfo:
        try:
            return _told(path, self.dfs.stat(path))
        except (FileNotFoundError, NotADirectoryError):
            return FileInfo(path, FileType.NotFound)

    def get_file_info_selector(self, selector: FileSelector) -> list[FileInfo]:
        """Return what is known of all in a directory, and in those below it if that is asked for."""
        found: list[FileInfo] = []
        base = selector.base_dir.rstrip("/")
        left = [base if base or not selector.base_dir else "/"]
        top = left[0]
        while left:
            where = left.pop()
            prefix = f"{where.rstrip('/')}/" if where else ""
            try:
                for entry in self.dfs.scandir(where or "/"):
                    path = prefix + entry.name
                    known = self._info(path) if entry.is_symlink() else _told(path, entry.stat())
                    found.append(known)
                    if selector.recursive and entry.is_dir(follow_symlinks=False):
                        left.append(path)
            except FileNotFoundError:
                # One below went meanwhile.
                if where == top and not selector.allow_not_found:
                    raise
        return found

    # --- what changes

    def create_dir(self, path: str, recursive: bool) -> None:  # noqa: FBT001 -- Arrow's signature
        """Make a directory; that it is there is no error."""
        if recursive:
            self.dfs.makedirs(path, exist_ok=True)
            return
        try:
            self.dfs.mkdir(path)
        except FileExistsError:
            if not self.dfs.isdir(path):
                raise

    def delete_dir(self, path: str) -> None:
        """Remove a directory with all that is in it."""
        self._check_dir(path)
        self.dfs.rmtree(path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:  # noqa: FBT001, FBT002 -- Arrow's signature
        """Remove all that is in a directory.

        Raises:
            ValueError: It is the root.
        """
        if not path.strip("/"):
            raise ValueError("delete_dir_contents is not for the root: delete_root_dir_contents is")
        self._clear(path, missing_dir_ok=missing_dir_ok)

    def delete_root_dir_contents(self) -> None:
        """Remove all there is."""
        self._clear("/", missing_dir_ok=False)

    def _clear(self, path: str, *, missing_dir_ok: bool) -> None:
        try:
            names = self.dfs.listdir(path)
        except FileNotFoundError:
            if missing_dir_ok:
                return
            raise
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                self.dfs.rmtree(f"{path.rstrip('/')}/{name}")

    def _check_dir(self, path: str) -> None:
        if not stats.S_ISDIR(self.dfs.lstat(path).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)

    def delete_file(self, path: str) -> None:
        """Remove a file."""
        self.dfs.remove(path)

    def move(self, src: str, dest: str) -> None:
        """Give a file or directory another name, in one step; a file there, or an empty directory, is replaced."""
        self.dfs.rename(src, dest)

    def copy_file(self, src: str, dest: str) -> None:
        """Copy a file, over one that is there."""
        with self._open(src) as source, cast("RawFile", self.dfs.open(dest, "wb", 0)) as target:
            while data := source.read(BLOCK):
                target.write(data)

    # --- files

    def _open(self, path: str) -> RawFile:
        return cast("RawFile", self.dfs.open(path, "rb", 0))

    def open_input_stream(self, path: str) -> PythonFile:
        """Open a file to be read from its beginning."""
        return PythonFile(self._open(path), mode="r")

    def open_input_file(self, path: str) -> PythonFile:
        """Open a file to be read anywhere."""
        return PythonFile(self._open(path), mode="r")

    def open_output_stream(self, path: str, metadata: Mapping[str, str] | None) -> PythonFile:  # noqa: ARG002 -- files have none
        """Open a file to be written anew."""
        return PythonFile(io.BufferedWriter(cast("RawFile", self.dfs.open(path, "wb", 0)), WRITE_BUFFER), mode="w")

    def open_append_stream(self, path: str, metadata: Mapping[str, str] | None) -> PythonFile:  # noqa: ARG002 -- as above
        """Open a file to be written at its end."""
        return PythonFile(io.BufferedWriter(cast("RawFile", self.dfs.open(path, "ab", 0)), WRITE_BUFFER), mode="w")


def _told(path: str, known: os.stat_result) -> FileInfo:
    """Return what is known of something as Arrow has it."""
    if stats.S_ISREG(known.st_mode):
        return FileInfo(path, FileType.File, size=known.st_size, mtime_ns=known.st_mtime_ns)
    kind = FileType.Directory if stats.S_ISDIR(known.st_mode) else FileType.Unknown
    return FileInfo(path, kind, mtime_ns=known.st_mtime_ns)


def _handler(dfs: DFS | None, key: tuple[str, bool, Durability, int] | None) -> Handler:
    if key is None:
        return Handler(cast("DFS", dfs))
    url, read_only, durability, umask = key
    return Handler(shared(url, read_only=read_only, durability=durability, umask=umask, keep=True), key)
