"""What is told of files and directories."""

from __future__ import annotations

import errno
import os
import stat as stats
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from daos.dfs._dfs import DFS

    Told = tuple[int, tuple[int, int], int, int, int, int, int, int, int, int, int, str | None]

__all__ = ["DirEntry", "FileInfo", "Scan", "StrPath", "fspath", "stat_of"]

StrPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]
SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class FileInfo:
    """What DAOS knows of a file or directory beside its `stat`.

    Attributes:
        oid: Its object id, as halves; zeros for a symbolic link.
        oclass: The object class: of a file its own, of a directory that of what is made in it, if it says so.
        chunk_size: Bytes of a chunk: of a file its own, of a directory those of files that are made in it.
        is_dir: Whether it is a directory.
    """

    oid: tuple[int, int]
    oclass: str | None
    chunk_size: int
    is_dir: bool


class DirEntry:
    """What a directory's listing tells of an entry; as `os.DirEntry`."""

    __slots__ = ("_device", "_dfs", "_told", "name", "path")

    def __init__(self, dfs: DFS, path: str, name: str, told: Told | None, device: int) -> None:
        self._dfs = dfs
        self._device = device
        self._told = told
        self.name = name
        self.path = path

    def _mode(self, *, follow_symlinks: bool) -> int:
        """Return kind and permissions; 0 for a link that leads nowhere."""
        if self._told is None:
            return 0
        mode = self._told[0]
        if follow_symlinks and stats.S_ISLNK(mode):
            try:
                return self._dfs.stat(self.path).st_mode
            except FileNotFoundError:
                return 0
        return mode

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Tell whether it is a directory."""
        return stats.S_ISDIR(self._mode(follow_symlinks=follow_symlinks))

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Tell whether it is a file."""
        return stats.S_ISREG(self._mode(follow_symlinks=follow_symlinks))

    def is_symlink(self) -> bool:
        """Tell whether it is a symbolic link."""
        return stats.S_ISLNK(self._mode(follow_symlinks=False))

    def inode(self) -> int:
        """Return the number that `stat` gives it."""
        return self.stat(follow_symlinks=False).st_ino

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return what was known of it when it was listed; of a link that is followed, what is known now.

        Raises:
            OSError: `EIO`: its record is damaged.
        """
        if self._told is None:
            raise OSError(errno.EIO, "the record of the entry is damaged", self.path)
        if follow_symlinks and stats.S_ISLNK(self._told[0]):
            return self._dfs.stat(self.path)
        return stat_of(self._told, self._device)

    def __repr__(self) -> str:
        return f"<daos.dfs.DirEntry {self.name!r}>"


class Scan:
    """The entries of a directory, a page at a time; as what `os.scandir` returns."""

    def __init__(self, entries: Iterator[DirEntry]) -> None:
        self._entries = entries

    def __iter__(self) -> Iterator[DirEntry]:
        return self._entries

    def __next__(self) -> DirEntry:
        return next(self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ask for nothing more."""
        self._entries = iter(())


def stat_of(told: Told, device: int) -> os.stat_result:
    """Return what the core tells of something as `os.stat` does."""
    mode, (hi, lo), links, uid, gid, size, blocks, atime, mtime, ctime, chunk_size, _ = told
    inode = (lo << 32 | hi & 0xFFFF_FFFF) & 0xFFFF_FFFF_FFFF_FFFF
    return os.stat_result(
        (
            mode,
            inode,
            device,
            links,
            uid,
            gid,
            size,
            atime // SECOND_NS,
            mtime // SECOND_NS,
            ctime // SECOND_NS,
            atime / SECOND_NS,
            mtime / SECOND_NS,
            ctime / SECOND_NS,
            atime,
            mtime,
            ctime,
            min(chunk_size, 1 << 30),
            blocks,
            0,
        )
    )


def fspath(path: StrPath) -> str:
    """Return a path as text; names that are no UTF-8 as `os.fsdecode` makes them."""
    return path if type(path) is str else os.fsdecode(path)
