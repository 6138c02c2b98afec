"""Paths of a file system as objects, in the manner of `pathlib`."""

from __future__ import annotations

import errno
import os
import re
from fnmatch import translate
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from daos.dfs._dfs import DFS
    from daos.dfs._entries import StrPath

__all__ = ["Path"]

_MAGIC = re.compile(r"[*?[]")


class Path:
    """A path in a file system: what `pathlib.Path` is for local files, with the same names. Made by `DFS.path`.

    It is no `os.PathLike`, on purpose: `open(path)` would open the local file of that name.
    """

    __slots__ = ("_dfs", "_pure")

    def __init__(self, dfs: DFS, *parts: StrPath | Path) -> None:
        self._dfs = dfs
        # What is relative begins at the root.
        self._pure = PurePosixPath("/", *(str(part) if isinstance(part, Path) else os.fsdecode(part) for part in parts))

    def _with(self, pure: PurePosixPath) -> Self:
        return type(self)(self._dfs, pure)

    # --- of the path itself

    @property
    def dfs(self) -> DFS:
        """The file system it is in."""
        return self._dfs

    @property
    def parts(self) -> tuple[str, ...]:
        """Its names, after the root."""
        return self._pure.parts

    @property
    def name(self) -> str:
        """Its last name; empty for the root."""
        return self._pure.name

    @property
    def stem(self) -> str:
        """Its last name without the suffix."""
        return self._pure.stem

    @property
    def suffix(self) -> str:
        """The suffix of its last name, with the dot."""
        return self._pure.suffix

    @property
    def suffixes(self) -> list[str]:
        """All suffixes of its last name."""
        return self._pure.suffixes

    @property
    def parent(self) -> Self:
        """What is above it; of the root, the root."""
        return self._with(self._pure.parent)

    @property
    def parents(self) -> tuple[Self, ...]:
        """All that is above it, the nearest first."""
        return tuple(self._with(parent) for parent in self._pure.parents)

    def joinpath(self, *parts: StrPath | Path) -> Self:
        """Return a path below it."""
        return type(self)(self._dfs, self._pure, *parts)

    def __truediv__(self, part: StrPath | Path) -> Self:
        return self.joinpath(part)

    def relative_to(self, other: StrPath | Path) -> PurePosixPath:
        """Return what leads here from another path.

        Raises:
            ValueError: It is not below that.
        """
        return self._pure.relative_to(_pure(other))

    def is_relative_to(self, other: StrPath | Path) -> bool:
        """Tell whether it is below another path, or that."""
        return self._pure.is_relative_to(_pure(other))

    def with_name(self, name: str) -> Self:
        """Return the path with another last name."""
        return self._with(self._pure.with_name(name))

    def with_stem(self, stem: str) -> Self:
        """Return the path with another stem."""
        return self._with(self._pure.with_stem(stem))

    def with_suffix(self, suffix: str) -> Self:
        """Return the path with another suffix."""
        return self._with(self._pure.with_suffix(suffix))

    def match(self, pattern: str) -> bool:
        """Tell whether it fits a pattern, from its end on."""
        return self._pure.match(pattern)

    def as_posix(self) -> str:
        """Return it as text."""
        return str(self._pure)

    def __str__(self) -> str:
        return str(self._pure)

    def __bytes__(self) -> bytes:
        return os.fsencode(self._pure)

    def __repr__(self) -> str:
        return f"<daos.dfs.Path {str(self._pure)!r} in {self._dfs.container.label}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Path):
            return NotImplemented
        return (self._pure, self._dfs) == (other._pure, other._dfs)

    def __lt__(self, other: Path) -> bool:
        return self._pure < other._pure

    def __hash__(self) -> int:
        return hash((self._pure, self._dfs))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._dfs, str(self._pure))

    # --- of what is there

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return what is known of it."""
        return self._dfs.stat(str(self), follow_symlinks=follow_symlinks)

    def lstat(self) -> os.stat_result:
        """Return the same; a last symbolic link is not followed."""
        return self._dfs.lstat(str(self))

    def exists(self) -> bool:
        """Tell whether it leads to something."""
        return self._dfs.exists(str(self))

    def is_dir(self) -> bool:
        """Tell whether it leads to a directory."""
        return self._dfs.isdir(str(self))

    def is_file(self) -> bool:
        """Tell whether it leads to a file."""
        return self._dfs.isfile(str(self))

    def is_symlink(self) -> bool:
        """Tell whether it is a symbolic link."""
        return self._dfs.islink(str(self))

    def samefile(self, other: StrPath | Path) -> bool:
        """Tell whether another path leads to the same."""
        return self._dfs.samefile(str(self), str(_pure(other)))

    def open(
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[str] | IO[bytes]:
        """Open it; as `DFS.open`."""
        return self._dfs.open(str(self), mode, buffering, encoding, errors, newline)

    def read_bytes(self) -> bytes:
        """Return all of the file."""
        return self._dfs.read_bytes(str(self))

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        """Return all of the file as text."""
        with self._dfs.open(str(self), "r", encoding=encoding, errors=errors) as file:
            return file.read()

    def write_bytes(self, data: bytes | bytearray | memoryview) -> int:
        """Write the file anew; return how many bytes."""
        return self._dfs.write_bytes(str(self), data)

    def write_text(
        self, data: str, encoding: str | None = None, errors: str | None = None, newline: str | None = None
    ) -> int:
        """Write the file anew; return how many characters."""
        with self._dfs.open(str(self), "w", encoding=encoding, errors=errors, newline=newline) as file:
            return file.write(data)

    def iterdir(self) -> Iterator[Self]:
        """Yield what is in the directory, in no order."""
        for name in self._dfs.listdir(str(self)):
            yield self.joinpath(name)

    def glob(self, pattern: str) -> Iterator[Self]:
        """Yield what is below and fits a pattern: `*.csv`, `**/*.py`; `**` stands for any directories, none as well.

        Raises:
            ValueError: No pattern, or one that begins at the root.
        """
        if not pattern:
            raise ValueError(f"Unacceptable pattern: {pattern!r}")
        if pattern.startswith("/"):
            raise ValueError("Non-relative patterns are unsupported")
        seen: set[str] = set()
        for found in _glob(self._dfs, str(self), tuple(part for part in pattern.split("/") if part not in {"", "."})):
            if found not in seen:
                seen.add(found)
                yield self._with(PurePosixPath(found))

    def rglob(self, pattern: str) -> Iterator[Self]:
        """Yield what fits a pattern in any directory below."""
        return self.glob(f"**/{pattern}")

    def walk(self) -> Iterator[tuple[Self, list[str], list[str]]]:
        """Yield this directory and each below it, with its directories and its other names."""
        for path, dirs, files in self._dfs.walk(str(self)):
            yield self._with(PurePosixPath(path)), dirs, files

    def resolve(self) -> Self:
        """Return where it leads, without symbolic links and `..`; what is not there stays as it is.

        Raises:
            OSError: `ELOOP`: more than 40 links.
        """
        left = list(reversed(self._pure.parts[1:]))
        at = PurePosixPath("/")
        followed = 0
        while left:
            name = left.pop()
            if name == "..":
                at = at.parent
                continue
            below = at / name
            if not self._dfs.islink(str(below)):
                at = below
                continue
            followed += 1
            if followed > 40:  # noqa: PLR2004 -- as many as the core follows
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(self))
            target = PurePosixPath(self._dfs.readlink(str(below)))
            if target.is_absolute():
                at = PurePosixPath("/")
            left.extend(part for part in reversed(target.parts) if part != "/")
        return self._with(at)

    # --- of what is changed

    def mkdir(self, mode: int = 0o777, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Make it as a directory."""
        if parents:
            self._dfs.makedirs(str(self), mode, exist_ok=exist_ok)
            return
        try:
            self._dfs.mkdir(str(self), mode)
        except FileExistsError:
            if not exist_ok or not self.is_dir():
                raise

    def rmdir(self) -> None:
        """Remove the empty directory."""
        self._dfs.rmdir(str(self))

    def rmtree(self) -> None:
        """Remove it with all that is below."""
        self._dfs.rmtree(str(self))

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove the name of the file or symbolic link."""
        try:
            self._dfs.remove(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def touch(self, mode: int = 0o666, *, exist_ok: bool = True) -> None:
        """Make an empty file, or set that it changed now."""
        self._dfs.touch(str(self), permissions=mode, exist_ok=exist_ok)

    def rename(self, target: StrPath | Path) -> Self:
        """Give it another name in one step; return the new path."""
        new = self._with(_pure(target))
        self._dfs.rename(str(self), str(new))
        return new

    replace = rename

    def symlink_to(self, target: StrPath | Path) -> None:
        """Make it a symbolic link that leads to another path."""
        self._dfs.symlink(str(target) if isinstance(target, Path) else target, str(self))

    def hardlink_to(self, target: StrPath | Path) -> None:
        """Make it a further name of another file."""
        self._dfs.link(str(_pure(target)), str(self))

    def readlink(self) -> PurePosixPath:
        """Return where the symbolic link leads."""
        return PurePosixPath(self._dfs.readlink(str(self)))

    def chmod(self, mode: int) -> None:
        """Set its permissions."""
        self._dfs.chmod(str(self), mode)


def _pure(path: StrPath | Path) -> PurePosixPath:
    return PurePosixPath("/", str(path) if isinstance(path, Path) else os.fsdecode(path))


def _glob(dfs: DFS, where: str, parts: Sequence[str]) -> Iterator[str]:
    """Yield the paths below a directory that fit the parts of a pattern."""
    if not parts:
        yield where
        return
    part, rest = parts[0], parts[1:]
    prefix = where.rstrip("/") + "/"
    if not _MAGIC.search(part):
        found = prefix + part
        if (dfs.isdir(found) if rest else dfs.lexists(found)) or part == "..":
            yield from _glob(dfs, found, rest)
        return
    try:
        entries = list(dfs.scandir(where))
    except NotADirectoryError:
        return
    if part == "**":
        yield from _glob(dfs, where, rest)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _glob(dfs, entry.path, parts)
        return
    fits = re.compile(translate(part)).match
    for entry in entries:
        if fits(entry.name) and (not rest or entry.is_dir()):
            yield from _glob(dfs, entry.path, rest)
