"""The calls of a file system, which are those of `os`."""

from __future__ import annotations

import errno
import os
import stat as stats
from typing import IO, TYPE_CHECKING, Literal, overload

from daos.dfs._entries import SECOND_NS, DirEntry, FileInfo, Scan, StrPath, fspath, stat_of
from daos.dfs._file import RawFile, flat, wrapped
from daos.dfs._mounted import Mounted
from daos.errors import DaosError, InvalidError
from daos.model.sizes import parse_size

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator

    from daos.dfs._entries import Told

__all__ = ["DFS"]

PAGE_ENTRIES = 1024
"""Entries that are asked for at once."""
_BINARY = Literal["rb", "wb", "xb", "ab", "r+b", "rb+", "w+b", "wb+", "x+b", "xb+", "a+b", "ab+"]
_TEXT = Literal["r", "w", "x", "a", "rt", "wt", "xt", "at", "r+", "w+", "x+", "a+"]


class DFS(Mounted):
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
        where = fspath(path)
        size = None if chunk_size is None else parse_size(chunk_size, "chunk_size")

        def raw(flags: int) -> RawFile:
            core = self._fs.open(where, flags, permissions & ~self._umask, size, oclass)
            return RawFile(core, self, where, flags, _raw_mode(flags))

        return wrapped(raw, mode, buffering, encoding, errors, newline)

    def read_bytes(self, path: StrPath) -> bytes:
        """Return all of a file: in fewer requests than to open it, and one copy."""
        return self._fs.read_file(fspath(path))

    def write_bytes(self, path: StrPath, data: bytes | bytearray | memoryview) -> int:
        """Write a file anew; return how many bytes. Not one step: others may see a part of it."""
        return self._write_all(path, data, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def _write_all(self, path: StrPath, data: bytes | bytearray | memoryview, flags: int) -> int:
        """Write a file from its beginning on."""
        return self._fs.write_file(fspath(path), flat(data), flags, 0o666 & ~self._umask)

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
        self._fs.sync_dir(fspath(path))

    # --- what is known

    def stat(self, path: StrPath, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return what is known of something. Its time of access is the later of the others; a directory has 0 bytes."""
        return self._stat_of(self._fs.stat(fspath(path), follow_symlinks))

    def lstat(self, path: StrPath) -> os.stat_result:
        """Return the same; a last symbolic link is not followed."""
        return self.stat(path, follow_symlinks=False)

    def info(self, path: StrPath, *, follow_symlinks: bool = True) -> FileInfo:
        """Return what DAOS knows of a file or directory beside that: its object, class and bytes of a chunk."""
        told = self._fs.stat(fspath(path), follow_symlinks)
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
            self._fs.access(fspath(path), mode)
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
        return self._fs.names(fspath(path))

    def scandir(self, path: StrPath = "/") -> Scan:
        """Return the entries of a directory, in no order, with what is known of each; also for a `with` block.

        What is there all the while is told once; what comes or goes meanwhile, once or not at all.
        """
        where = fspath(path)
        listing = self._fs.listing(where)
        prefix = where if where.endswith("/") else f"{where}/"

        def entries() -> Iterator[DirEntry]:
            while page := listing.page(PAGE_ENTRIES, True):  # noqa: FBT003 -- the seam has no keywords
                for name, told in page:
                    yield DirEntry(self, prefix + name, name, told, self._device)

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
        # Not by recursion: a path may lead through two thousand directories.
        left: list[str | tuple[str, list[str], list[str]]] = [fspath(top)]
        while left:
            where = left.pop()
            if isinstance(where, tuple):
                yield where
                continue
            dirs: list[str] = []
            files: list[str] = []
            links: set[str] = set()
            try:
                for entry in self.scandir(where):
                    if not entry.is_dir():
                        files.append(entry.name)
                        continue
                    dirs.append(entry.name)
                    if entry.is_symlink():
                        links.add(entry.name)
            except OSError as error:
                if onerror is not None:
                    onerror(error)
                continue
            if topdown:
                yield where, dirs, files
            else:
                left.append((where, dirs, files))
            below = [f"{where.rstrip('/')}/{name}" for name in dirs if followlinks or name not in links]
            left.extend(reversed(below))

    def mkdir(self, path: StrPath, mode: int = 0o777) -> None:
        """Make a directory."""
        self._fs.mkdir(fspath(path), mode & ~self._umask)

    def makedirs(self, path: StrPath, mode: int = 0o777, *, exist_ok: bool = False) -> None:
        """Make a directory and all above it that are missing.

        Raises:
            FileExistsError: It is there, and `exist_ok` is false; or something else is.
        """
        where = fspath(path)
        if not exist_ok and self.lexists(where):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), where)
        self._fs.mkdir_all(where, mode & ~self._umask)

    def rmdir(self, path: StrPath) -> None:
        """Remove an empty directory."""
        self._fs.rmdir(fspath(path))

    def rmtree(self, path: StrPath) -> None:
        """Remove something with all that is below it. Not one step: what fails leaves the rest."""
        self._fs.remove_all(fspath(path))

    def remove(self, path: StrPath) -> None:
        """Remove the name of a file or symbolic link. Who has the file open in this mount can go on with it."""
        self._fs.unlink(fspath(path))

    unlink = remove

    # --- names

    def rename(self, src: StrPath, dst: StrPath, *, replace: bool = True) -> None:
        """Give something another name, in one step; what had that name is replaced in the same step.

        Args:
            src: The old name.
            dst: The new one.
            replace: Else, `FileExistsError` if there is something.
        """
        self._fs.rename(fspath(src), fspath(dst), 0 if replace else 1)

    def replace(self, src: StrPath, dst: StrPath) -> None:
        """Give something another name, in one step; as `rename`."""
        self.rename(src, dst)

    def exchange(self, path: StrPath, other: StrPath) -> None:
        """Exchange two names in one step."""
        self._fs.rename(fspath(path), fspath(other), 2)

    def link(self, src: StrPath, dst: StrPath, *, follow_symlinks: bool = False) -> None:
        """Give a file a further name. The first such name makes the layout's version 4, which DAOS does not read."""
        self._fs.link(fspath(src), fspath(dst), follow_symlinks)

    def symlink(self, src: StrPath, dst: StrPath) -> None:
        """Make a symbolic link `dst` that leads to `src`."""
        self._fs.symlink(fspath(src), fspath(dst))

    def readlink(self, path: StrPath) -> str:
        """Return where a symbolic link leads."""
        return self._fs.readlink(fspath(path))

    # --- what is changed

    def chmod(self, path: StrPath, mode: int) -> None:
        """Set the permissions of what a path leads to."""
        self._fs.chmod(fspath(path), mode & 0o7777)

    def chown(self, path: StrPath, uid: int, gid: int, *, follow_symlinks: bool = True) -> None:
        """Give something to another owner or group; -1 leaves one as it is."""
        self._fs.chown(fspath(path), None if uid == -1 else uid, None if gid == -1 else gid, follow_symlinks)

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
        changed = ns[1] if ns is not None else None if times is None else round(times[1] * SECOND_NS)
        self._fs.set_mtime(fspath(path), changed, follow_symlinks)

    def truncate(self, path: StrPath, size: int) -> None:
        """Make a file exactly so long."""
        if size < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), fspath(path))
        self._fs.truncate(fspath(path), size)

    def touch(self, path: StrPath, *, permissions: int = 0o666, exist_ok: bool = True) -> None:
        """Make an empty file, or set that it changed now.

        Raises:
            FileExistsError: It is there, and `exist_ok` is false.
        """
        where = fspath(path)
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
        self._fs.set_defaults(fspath(path), size, oclass)

    # --- extended attributes

    def getxattr(self, path: StrPath, name: str, *, follow_symlinks: bool = True) -> bytes:
        """Return an extended attribute.

        Raises:
            OSError: `ENODATA`: there is none of this name.
        """
        return self._fs.get_xattr(fspath(path), name, follow_symlinks)

    def setxattr(self, path: StrPath, name: str, value: bytes, flags: int = 0, *, follow_symlinks: bool = True) -> None:
        """Set an extended attribute; `os.XATTR_CREATE`: only if it is not there, `os.XATTR_REPLACE`: only if it is."""
        how = 1 if flags & os.XATTR_CREATE else 2 if flags & os.XATTR_REPLACE else 0
        self._fs.set_xattr(fspath(path), name, bytes(value), how, follow_symlinks)

    def listxattr(self, path: StrPath = "/", *, follow_symlinks: bool = True) -> list[str]:
        """Return the names of the extended attributes that one may know of."""
        return self._fs.list_xattrs(fspath(path), follow_symlinks)

    def removexattr(self, path: StrPath, name: str, *, follow_symlinks: bool = True) -> None:
        """Remove an extended attribute."""
        self._fs.remove_xattr(fspath(path), name, follow_symlinks)

    # --- helpers

    def _mode(self, path: StrPath, *, follow_symlinks: bool = True) -> int:
        """Return kind and permissions of what is there, 0 if nothing is."""
        try:
            return self._fs.stat(fspath(path), follow_symlinks)[0]
        except (FileNotFoundError, NotADirectoryError):
            return 0
        except OSError as error:
            if error.errno == errno.ELOOP:
                return 0
            raise

    def _stat_of(self, told: Told) -> os.stat_result:
        return stat_of(told, self._device)


def _raw_mode(flags: int) -> str:
    """Return the mode that `io.FileIO` tells for flags."""
    access = flags & os.O_ACCMODE
    if flags & os.O_EXCL:
        return "xb" if access == os.O_WRONLY else "xb+"
    if flags & os.O_APPEND:
        return "ab" if access == os.O_WRONLY else "ab+"
    return {os.O_RDONLY: "rb", os.O_WRONLY: "wb"}.get(access, "rb+")
