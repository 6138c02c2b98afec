"""A file system that is mounted in this process, with the calls of `os`."""

from __future__ import annotations

import contextlib
import errno
import os
import stat as stats
import weakref
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Literal, cast, overload

from daos import _core
from daos.client._posix import make_file_system
from daos.client.system import _DURABILITY
from daos.dfs._file import RawFile, wrapped
from daos.dfs._report import CheckReport, Mode, report_of
from daos.dfs.errors import FileClosedError
from daos.errors import DaosError, InvalidError
from daos.model.posix import Posix
from daos.model.sizes import parse_size

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from daos import Container
    from daos.client.system import Durability
    from daos.dfs._path import Path

__all__ = ["DFS", "DirEntry", "FileInfo", "StrPath"]

StrPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]
PAGE_ENTRIES = 1024
"""Entries that are asked for at once."""
UMASK = 0o022
NAME_MAX = 255
_SECOND_NS = 1_000_000_000
_BINARY = Literal["rb", "wb", "xb", "ab", "r+b", "rb+", "w+b", "wb+", "x+b", "xb+", "a+b", "ab+"]
_TEXT = Literal["r", "w", "x", "a", "rt", "wt", "xt", "at", "r+", "w+", "x+", "a+"]

if TYPE_CHECKING:
    Told = tuple[int, tuple[int, int], int, int, int, int, int, int, int, int, int, str | None]


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

    __slots__ = ("_dfs", "_told", "name", "path")

    def __init__(self, dfs: DFS, path: str, name: str, told: Told | None) -> None:
        self._dfs = dfs
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
        return self._dfs._stat_of(self._told)  # noqa: SLF001 -- one class in two

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


_mounted: weakref.WeakSet[DFS] = weakref.WeakSet()


def _at_fork() -> None:
    """Have a child mount anew what it uses: the ids of what it makes are not those of its parent."""
    for dfs in list(_mounted):
        dfs._forked()  # noqa: SLF001 -- one class in two


os.register_at_fork(after_in_child=_at_fork)


class DFS:
    """A file system that is mounted in this process. Made by `daos.dfs.mount`; threads may share it.

    Paths are `str`, `bytes` or path objects; relative ones begin at the root, and none leads out of it. Names may hold
    any bytes but `/` and NUL; those that are no UTF-8 are `str` as `os.fsdecode` makes them. What the process's user
    may not do is refused, as a kernel would.

    Calls raise `OSError`, with the number POSIX gives it, as those of `os` do; where the store is the reason, it is
    also the `daos.DaosError` that says what to do (`daos.dfs.errors`).

    A call returns when what it did survives the death of all processes; `sync` and `fsync` make it survive a power cut.
    What one mount did, all others see at once. In a forked child of a process with a running system, it is mounted anew
    by its first use; files that are open stay the parent's.
    """

    def __init__(
        self,
        container: Container,
        *,
        read_only: bool = False,
        durability: Durability = "buffered",
        umask: int = UMASK,
        owns_pool: bool = False,
    ) -> None:
        if container.layout != "POSIX":
            raise InvalidError(
                f"container {container.label} is of type {container.layout}: it holds no file system",
                hint='make one with type="POSIX"',
            )
        if durability not in _DURABILITY:
            raise InvalidError(f"durability cannot be {durability!r}", hint='one of "synced", "interval", "buffered"')
        self._container = container
        self._read_only = read_only
        self._durability = durability
        self._umask = umask & 0o777
        self._owns_pool = owns_pool
        self._closed = False
        self._old: list[_core.Dfs] = []
        self._device = int(container.uuid[:8], 16)
        self._core: _core.Dfs | None = self._mount()
        self._finish: weakref.finalize[[_core.Dfs], DFS] = weakref.finalize(self, _umount, self._core)
        _mounted.add(self)

    def _mount(self) -> _core.Dfs:
        container = cast("_core.Container", self._container._core)  # noqa: SLF001 -- one class in two
        system = cast("_core.Embedded", self._container.pool.system._core)  # noqa: SLF001 -- one class in two

        def mount() -> _core.Dfs:
            return _core.Dfs.mount(
                container,
                system=system,
                read_only=self._read_only,
                durability=_DURABILITY[self._durability],
                uid=os.geteuid(),
                gid=os.getegid(),
                groups=os.getgroups(),
            )

        try:
            return mount()
        except OSError as error:
            if error.errno != errno.EINVAL or isinstance(error, DaosError):
                raise
            if self._read_only or self._container.as_of is not None:
                error.add_note("whoever made the container died before its file system was there: mount it for writing")
                raise
        # Whoever made the container died in between. How it was to be made is kept with it.
        with contextlib.suppress(FileExistsError):
            make_file_system(self._container._core, Posix.decode(self._container.properties.get("dfs")))  # noqa: SLF001
        return mount()

    def _forked(self) -> None:
        if self._core is not None:
            # Kept: what its parent has open must not be closed here.
            self._old.append(self._core)
            self._finish.detach()
            self._core = None

    def _is_inherited(self, file: _core.DfsFile) -> bool:
        """Tell whether an open file is the parent's."""
        return bool(self._old) and file.pid != os.getpid()

    @property
    def _fs(self) -> _core.Dfs:
        core = self._core
        if core is not None:
            return core
        if self._closed:
            raise FileClosedError("the file system is unmounted", hint="mount it again").about(
                errno.ESHUTDOWN, None, None
            )
        core = self._core = self._mount()
        self._finish = weakref.finalize(self, _umount, core)
        return core

    # --- the mount

    @property
    def container(self) -> Container:
        """The container it is in."""
        return self._container

    @property
    def read_only(self) -> bool:
        """Whether nothing can be changed."""
        return self._fs.read_only

    @property
    def closed(self) -> bool:
        """Whether it was unmounted."""
        return self._closed

    @property
    def layout_version(self) -> int:
        """The version of its layout: 3, or 4 from the first hard link on."""
        return self._fs.layout_version

    def made_as(self) -> Posix:
        """Return how it was made; of whose its root directory is, ask `stat`."""
        chunk_size, oclass, dir_oclass, file_oclass, balanced, hints = self._fs.made_as()
        return Posix(
            chunk_size=chunk_size,
            oclass=oclass,
            dir_oclass=dir_oclass,
            file_oclass=file_oclass,
            mode="balanced" if balanced else "relaxed",
            hints=hints,
        )

    def close(self) -> None:
        """Unmount it: times that were in memory are stored, and all is durable; closing again is no error."""
        core, self._core, closed, self._closed = self._core, None, self._closed, True
        if core is not None and not closed:
            self._finish.detach()
            try:
                core.umount()
            finally:
                if self._owns_pool:
                    self._container.pool.close()

    umount = close

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickled, (self._container, self._read_only, self._durability, self._umask, self._owns_pool)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DFS):
            return NotImplemented
        mine, others = self._container, other._container
        return (mine.uuid, mine.as_of) == (others.uuid, others.as_of)

    def __hash__(self) -> int:
        return hash((self._container.uuid, self._container.as_of))

    def __repr__(self) -> str:
        state = " [unmounted]" if self._closed else ""
        return f"<daos.dfs.DFS of {self._container!r}{state}>"

    def path(self, *parts: StrPath) -> Path:
        """Return a path object of this file system; its root without parts."""
        from daos.dfs._path import Path

        return Path(self, *parts)

    def sync(self) -> None:
        """Make durable all that this mount did, and the times that it keeps in memory."""
        self._fs.sync()

    def statvfs(self) -> os.statvfs_result:
        """Return how much room the pool has, which all that is in it shares."""
        size, blocks, free, name_max = self._fs.statfs()
        flags = os.ST_RDONLY if self.read_only else 0
        return os.statvfs_result((size, size, blocks, free, free, 0, 0, 0, flags, name_max))

    def check(self, mode: Mode = "print", name: str | None = None) -> CheckReport:
        """Look at all of it for what crashes can leave.

        Args:
            mode: `print` tells what is wrong; `remove` repairs it, and removes what has no name; `relink` gives that a
                name under `/lost+found`. Nobody else may have it mounted for the last two.
            name: Of the directory there; by default after the time.

        Raises:
            InvalidError: `DER.INVAL`: no such mode.
            OSError: `EROFS`: a repair of what is mounted read-only.
        """
        modes = ("print", "remove", "relink")
        if mode not in modes:
            raise InvalidError(f"mode cannot be {mode!r}", hint=f"one of {', '.join(modes)}")
        return report_of(self._fs.check(modes.index(mode), name))

    # --- files

    @overload
    def open(
        self,
        path: StrPath,
        mode: _BINARY,
        buffering: int = ...,
        encoding: None = ...,
        errors: None = ...,
        newline: None = ...,
        *,
        permissions: int = ...,
        chunk_size: int | str | None = ...,
        oclass: str | None = ...,
    ) -> IO[bytes]: ...
    @overload
    def open(
        self,
        path: StrPath,
        mode: _TEXT = ...,
        buffering: int = ...,
        encoding: str | None = ...,
        errors: str | None = ...,
        newline: str | None = ...,
        *,
        permissions: int = ...,
        chunk_size: int | str | None = ...,
        oclass: str | None = ...,
    ) -> IO[str]: ...
    @overload
    def open(
        self,
        path: StrPath,
        mode: str,
        buffering: int = ...,
        encoding: str | None = ...,
        errors: str | None = ...,
        newline: str | None = ...,
        *,
        permissions: int = ...,
        chunk_size: int | str | None = ...,
        oclass: str | None = ...,
    ) -> IO[str] | IO[bytes]: ...
    def open(
        self,
        path: StrPath,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *,
        permissions: int = 0o666,
        chunk_size: int | str | None = None,
        oclass: str | None = None,
    ) -> IO[str] | IO[bytes]:
        """Open a file, as the function `open` does: the same modes, wrappers and errors.

        Args:
            path: Of the file.
            mode: As of `open`: `rb`, `w`, `a+`, `xb`, ...
            buffering: As of `open`; 0 gives the `RawFile`.
            encoding: As of `open`.
            errors: As of `open`.
            newline: As of `open`.
            permissions: Of a file that is made, less those of the mount's `umask`.
            chunk_size: Bytes of a chunk of a file that is made; by default as its directory says.
            oclass: The object class of a file that is made; by default as its directory says.

        Raises:
            OSError: `ENOENT`, `EEXIST`, `EISDIR`, `EACCES`, `EROFS`, ...
            ValueError: Arguments that do not go together.
        """
        where = _fspath(path)
        size = None if chunk_size is None else parse_size(chunk_size, "chunk_size")

        def raw(flags: int) -> RawFile:
            core = self._fs.open(where, flags, permissions & ~self._umask, size, oclass)
            return RawFile(core, self, where, flags, _raw_mode(flags))

        return wrapped(raw, mode, buffering, encoding, errors, newline)

    def read_bytes(self, path: StrPath) -> bytes:
        """Return all of a file: in fewer requests than to open it, and one copy."""
        return self._fs.read_file(_fspath(path))

    def write_bytes(self, path: StrPath, data: bytes | bytearray | memoryview) -> int:
        """Write a file anew; return how many bytes. Not one step: others may see a part of it."""
        with cast("RawFile", self.open(path, "wb", 0)) as file:
            rest = memoryview(data).cast("B")
            done = 0
            while done < len(rest):
                done += file.write(rest[done:])
        return done

    def fsync(self, file: IO[bytes] | IO[str] | io.IOBase) -> None:
        """Flush an open file's buffer and make durable all that was written to it, and its name.

        Raises:
            InvalidError: `DER.INVAL`: it is no file of a file system.
        """
        file.flush()
        raw: object = file
        while not isinstance(raw, RawFile):
            raw = getattr(raw, "buffer", None) or getattr(raw, "raw", None)
            if raw is None:
                raise InvalidError(f"{file!r} is no file of daos.dfs", hint="what DFS.open returned")
        raw.sync()

    def fsync_dir(self, path: StrPath = "/") -> None:
        """Make durable the entries of a directory, and when they changed."""
        self._fs.sync_dir(_fspath(path))

    # --- what is known

    def stat(self, path: StrPath, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return what is known of something. Its time of access is the later of the others; a directory has 0 bytes."""
        return self._stat_of(self._fs.stat(_fspath(path), follow_symlinks))

    def lstat(self, path: StrPath) -> os.stat_result:
        """Return the same; a last symbolic link is not followed."""
        return self.stat(path, follow_symlinks=False)

    def info(self, path: StrPath, *, follow_symlinks: bool = True) -> FileInfo:
        """Return what DAOS knows of a file or directory beside that: its object, class and bytes of a chunk."""
        told = self._fs.stat(_fspath(path), follow_symlinks)
        return FileInfo(oid=told[1], oclass=told[11], chunk_size=told[10], is_dir=stats.S_ISDIR(told[0]))

    def exists(self, path: StrPath) -> bool:
        """Tell whether a path leads to something."""
        return self._mode(path) != 0

    def lexists(self, path: StrPath) -> bool:
        """Tell whether there is something, even a link that leads nowhere."""
        return self._mode(path, follow_symlinks=False) != 0

    def isdir(self, path: StrPath) -> bool:
        """Tell whether a path leads to a directory."""
        return stats.S_ISDIR(self._mode(path))

    def isfile(self, path: StrPath) -> bool:
        """Tell whether a path leads to a file."""
        return stats.S_ISREG(self._mode(path))

    def islink(self, path: StrPath) -> bool:
        """Tell whether something is a symbolic link."""
        return stats.S_ISLNK(self._mode(path, follow_symlinks=False))

    def getsize(self, path: StrPath) -> int:
        """Return how long a file is."""
        return self.stat(path).st_size

    def access(self, path: StrPath, mode: int) -> bool:
        """Tell whether something is there and may be used as `os.R_OK`, `os.W_OK`, `os.X_OK` say."""
        try:
            self._fs.access(_fspath(path), mode)
        except OSError as error:
            if isinstance(error, DaosError):
                raise
            return False
        return True

    def samefile(self, path: StrPath, other: StrPath) -> bool:
        """Tell whether two paths lead to the same file or directory."""
        return self.info(path).oid == self.info(other).oid

    # --- directories

    def listdir(self, path: StrPath = "/") -> list[str]:
        """Return the names in a directory, in no order."""
        return self._fs.names(_fspath(path))

    def scandir(self, path: StrPath = "/") -> Scan:
        """Return the entries of a directory, in no order, with what is known of each; also for a `with` block.

        What is there all the while is told once; what comes or goes meanwhile, once or not at all.
        """
        where = _fspath(path)
        listing = self._fs.listing(where)
        prefix = where if where.endswith("/") else f"{where}/"

        def entries() -> Iterator[DirEntry]:
            while page := listing.page(PAGE_ENTRIES, True):  # noqa: FBT003 -- the seam has no keywords
                for name, told in page:
                    yield DirEntry(self, prefix + name, name, told)

        return Scan(entries())

    def walk(
        self,
        top: StrPath = "/",
        *,
        topdown: bool = True,
        onerror: Callable[[OSError], object] | None = None,
        followlinks: bool = False,
    ) -> Iterator[tuple[str, list[str], list[str]]]:
        """Yield, for a directory and each below it, its path, names of directories, and other names; as `os.walk`."""
        where = _fspath(top)
        dirs: list[str] = []
        files: list[str] = []
        links: set[str] = set()
        try:
            for entry in self.scandir(where):
                if entry.is_dir():
                    dirs.append(entry.name)
                    if entry.is_symlink():
                        links.add(entry.name)
                else:
                    files.append(entry.name)
        except OSError as error:
            if onerror is not None:
                onerror(error)
            return
        if topdown:
            yield where, dirs, files
        for name in dirs:
            if followlinks or name not in links:
                below = f"{where.rstrip('/')}/{name}"
                yield from self.walk(below, topdown=topdown, onerror=onerror, followlinks=followlinks)
        if not topdown:
            yield where, dirs, files

    def mkdir(self, path: StrPath, mode: int = 0o777) -> None:
        """Make a directory."""
        self._fs.mkdir(_fspath(path), mode & ~self._umask)

    def makedirs(self, path: StrPath, mode: int = 0o777, *, exist_ok: bool = False) -> None:
        """Make a directory and all above it that are missing.

        Raises:
            FileExistsError: It is there, and `exist_ok` is false; or something else is.
        """
        where = _fspath(path)
        if not exist_ok and self.lexists(where):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), where)
        self._fs.mkdir_all(where, mode & ~self._umask)

    def rmdir(self, path: StrPath) -> None:
        """Remove an empty directory."""
        self._fs.rmdir(_fspath(path))

    def rmtree(self, path: StrPath) -> None:
        """Remove something with all that is below it. Not one step: what fails leaves the rest."""
        self._fs.remove_all(_fspath(path))

    def remove(self, path: StrPath) -> None:
        """Remove the name of a file or symbolic link. Who has the file open in this mount can go on with it."""
        self._fs.unlink(_fspath(path))

    unlink = remove

    # --- names

    def rename(self, src: StrPath, dst: StrPath, *, replace: bool = True) -> None:
        """Give something another name, in one step; what had that name is replaced in the same step.

        Args:
            src: The old name.
            dst: The new one.
            replace: Else, `FileExistsError` if there is something.
        """
        self._fs.rename(_fspath(src), _fspath(dst), 0 if replace else 1)

    def replace(self, src: StrPath, dst: StrPath) -> None:
        """Give something another name, in one step; as `rename`."""
        self.rename(src, dst)

    def exchange(self, path: StrPath, other: StrPath) -> None:
        """Exchange two names in one step."""
        self._fs.rename(_fspath(path), _fspath(other), 2)

    def link(self, src: StrPath, dst: StrPath, *, follow_symlinks: bool = False) -> None:
        """Give a file a further name. The first such name makes the layout's version 4, which DAOS does not read."""
        self._fs.link(_fspath(src), _fspath(dst), follow_symlinks)

    def symlink(self, src: StrPath, dst: StrPath) -> None:
        """Make a symbolic link `dst` that leads to `src`."""
        self._fs.symlink(_fspath(src), _fspath(dst))

    def readlink(self, path: StrPath) -> str:
        """Return where a symbolic link leads."""
        return self._fs.readlink(_fspath(path))

    # --- what is changed

    def chmod(self, path: StrPath, mode: int) -> None:
        """Set the permissions of what a path leads to."""
        self._fs.chmod(_fspath(path), mode & 0o7777)

    def chown(self, path: StrPath, uid: int, gid: int, *, follow_symlinks: bool = True) -> None:
        """Give something to another owner or group; -1 leaves one as it is."""
        self._fs.chown(_fspath(path), None if uid == -1 else uid, None if gid == -1 else gid, follow_symlinks)

    def utime(
        self,
        path: StrPath,
        times: tuple[float, float] | None = None,
        *,
        ns: tuple[int, int] | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        """Set when something changed, the second of the times; that of access is not stored. Now without times.

        Raises:
            ValueError: Both kinds of times are given.
        """
        if times is not None and ns is not None:
            raise ValueError("utime: you may specify either 'times' or 'ns' but not both")
        changed = ns[1] if ns is not None else None if times is None else round(times[1] * _SECOND_NS)
        self._fs.set_mtime(_fspath(path), changed, follow_symlinks)

    def truncate(self, path: StrPath, size: int) -> None:
        """Make a file exactly so long."""
        if size < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), _fspath(path))
        self._fs.truncate(_fspath(path), size)

    def touch(self, path: StrPath, *, permissions: int = 0o666, exist_ok: bool = True) -> None:
        """Make an empty file, or set that it changed now.

        Raises:
            FileExistsError: It is there, and `exist_ok` is false.
        """
        where = _fspath(path)
        if exist_ok:
            try:
                self._fs.set_mtime(where, None, True)  # noqa: FBT003 -- the seam has no keywords
            except FileNotFoundError:
                pass
            else:
                return
        flags = os.O_WRONLY | os.O_CREAT | (0 if exist_ok else os.O_EXCL)
        self._fs.open(where, flags, permissions & ~self._umask).close()

    def set_defaults(self, path: StrPath, *, chunk_size: int | str | None = None, oclass: str | None = None) -> None:
        """Set, of a directory, what is given to all that is made in it from now on; None: what the file system has."""
        size = None if chunk_size is None else parse_size(chunk_size, "chunk_size")
        self._fs.set_defaults(_fspath(path), size, oclass)

    # --- extended attributes

    def getxattr(self, path: StrPath, name: str, *, follow_symlinks: bool = True) -> bytes:
        """Return an extended attribute.

        Raises:
            OSError: `ENODATA`: there is none of this name.
        """
        return self._fs.get_xattr(_fspath(path), name, follow_symlinks)

    def setxattr(self, path: StrPath, name: str, value: bytes, flags: int = 0, *, follow_symlinks: bool = True) -> None:
        """Set an extended attribute; `os.XATTR_CREATE`: only if it is not there, `os.XATTR_REPLACE`: only if it is."""
        how = 1 if flags & os.XATTR_CREATE else 2 if flags & os.XATTR_REPLACE else 0
        self._fs.set_xattr(_fspath(path), name, bytes(value), how, follow_symlinks)

    def listxattr(self, path: StrPath = "/", *, follow_symlinks: bool = True) -> list[str]:
        """Return the names of the extended attributes that one may know of."""
        return self._fs.list_xattrs(_fspath(path), follow_symlinks)

    def removexattr(self, path: StrPath, name: str, *, follow_symlinks: bool = True) -> None:
        """Remove an extended attribute."""
        self._fs.remove_xattr(_fspath(path), name, follow_symlinks)

    # --- helpers

    def _mode(self, path: StrPath, *, follow_symlinks: bool = True) -> int:
        """Return kind and permissions of what is there, 0 if nothing is."""
        try:
            return self._fs.stat(_fspath(path), follow_symlinks)[0]
        except (FileNotFoundError, NotADirectoryError):
            return 0
        except OSError as error:
            if error.errno == errno.ELOOP:
                return 0
            raise

    def _stat_of(self, told: Told) -> os.stat_result:
        mode, (hi, lo), links, uid, gid, size, blocks, atime, mtime, ctime, chunk_size, _ = told
        inode = (lo << 32 | hi & 0xFFFF_FFFF) & 0xFFFF_FFFF_FFFF_FFFF
        return os.stat_result(
            (
                mode,
                inode,
                self._device,
                links,
                uid,
                gid,
                size,
                atime // _SECOND_NS,
                mtime // _SECOND_NS,
                ctime // _SECOND_NS,
                atime / _SECOND_NS,
                mtime / _SECOND_NS,
                ctime / _SECOND_NS,
                atime,
                mtime,
                ctime,
                min(chunk_size, 1 << 30),
                blocks,
                0,
            )
        )


def _fspath(path: StrPath) -> str:
    return path if type(path) is str else os.fsdecode(path)


def _raw_mode(flags: int) -> str:
    """Return the mode that `io.FileIO` tells for flags."""
    access = flags & os.O_ACCMODE
    if flags & os.O_EXCL:
        return "xb" if access == os.O_WRONLY else "xb+"
    if flags & os.O_APPEND:
        return "ab" if access == os.O_WRONLY else "ab+"
    return {os.O_RDONLY: "rb", os.O_WRONLY: "wb"}.get(access, "rb+")


def _umount(core: _core.Dfs) -> None:
    """Unmount what nobody did; there is nobody to tell what failed."""
    with contextlib.suppress(Exception):
        core.umount()


def _unpickled(container: Container, read_only: bool, durability: Durability, umask: int, owns_pool: bool) -> DFS:  # noqa: FBT001 -- a pickle has no keywords
    return DFS(container, read_only=read_only, durability=durability, umask=umask, owns_pool=owns_pool)
