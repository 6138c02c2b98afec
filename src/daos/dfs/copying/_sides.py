"""The two kinds of file systems that are copied between: each file or directory below a directory that is held.

A local directory is held by its descriptor, and no symbolic link below it is followed: what somebody puts there
meanwhile leads nowhere. One of a container is a path, as no link leads out of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat as stats
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from daos import _core
    from daos.dfs._dfs import DFS

__all__ = ["Directory", "LocalDirectory", "MountedDirectory", "Node", "Reader", "Writer"]

PERMISSIONS = 0o777
"""The bits of a mode that are copied: with another owner, the others mean something else."""
MARK = "user.daos.copying"
"""The extended attribute of the directory that a copy is made of, until it is whole."""
USER = "user."
"""Extended attributes that are copied: others belong to the host."""
_KEEPS_NONE = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSPC, errno.E2BIG, errno.ERANGE, errno.EPERM})
"""Why an extended attribute is not kept where the file system could not."""


@dataclass(frozen=True, slots=True)
class Node:
    """What is known of a file, directory or link.

    Attributes:
        name: In its directory.
        mode: Kind and permissions.
        size: Bytes.
        mtime_ns: When its content changed.
    """

    name: str
    mode: int
    size: int
    mtime_ns: int

    @property
    def permissions(self) -> int:
        """What is copied of its mode."""
        return self.mode & PERMISSIONS

    @property
    def special_bits(self) -> bool:
        """Whether its mode has bits that are not copied: set-user-ID, set-group-ID, sticky."""
        return bool(stats.S_IMODE(self.mode) & ~PERMISSIONS)


class Reader(Protocol):
    """A file that is read, by threads at the same time."""

    def read_into(self, at: int, data: memoryview) -> int:
        """Read from a place on; return how many bytes, less only at the end."""

    def extent(self, at: int, size: int) -> tuple[int, int]:
        """Return where data from a place on begins and ends; twice `size` where none follows."""

    def xattrs(self) -> dict[str, bytes]:
        """Return its extended attributes that are copied."""

    def close(self) -> None:
        """Close it."""


class Writer(Protocol):
    """A file that is written under a name for the time being, by threads at the same time."""

    def write(self, at: int, data: memoryview) -> None:
        """Write at a place, all of it."""

    def truncate(self, size: int) -> None:
        """Make it so long."""

    def finish(self, node: Node, xattrs: Mapping[str, bytes]) -> int:
        """Close it, with the permissions and the time of its source; return how many attributes were not kept."""

    def abandon(self) -> None:
        """Close it; it will be removed."""


class Directory(Protocol):
    """A directory that is copied from, or to."""

    @property
    def path(self) -> str:
        """Its path, for people."""

    def nodes(self) -> Iterator[Node]:
        """Yield what is in it."""

    def stat(self, name: str) -> Node | None:
        """Return what is known of an entry; None if there is none."""

    def enter(self, name: str) -> Directory:
        """Return a directory in it."""

    def make(self, name: str) -> tuple[Directory, bool]:
        """Return a directory in it, and whether it was made."""

    def finish(self, node: Node, xattrs: Mapping[str, bytes]) -> int:
        """Give it the permissions and the time of its source; return how many attributes were not kept."""

    def xattrs(self) -> dict[str, bytes]:
        """Return its extended attributes that are copied."""

    def mark(self) -> None:
        """Say that a copy is under way here, if its file system can keep that."""

    def unmark(self) -> None:
        """Say that it is whole."""

    def marked(self) -> bool:
        """Tell whether a copy is, or was, under way here."""

    def readlink(self, name: str) -> str:
        """Return where a link leads."""

    def symlink(self, name: str, value: str, mtime_ns: int) -> None:
        """Make a link."""

    def read(self, name: str) -> Reader:
        """Open a file."""

    def read_small(self, node: Node) -> tuple[bytes, dict[str, bytes]]:
        """Return all of a file, and its extended attributes."""

    def write(self, name: str, node: Node) -> Writer:
        """Make a file."""

    def write_small(self, name: str, node: Node, data: bytes, xattrs: Mapping[str, bytes]) -> int:
        """Make a whole file; return how many attributes were not kept."""

    def rename(self, name: str, to: str) -> None:
        """Give an entry another name, in one step; what has that is replaced."""

    def remove(self, name: str, *, directory: bool) -> None:
        """Remove a file or link, or an empty directory."""


@contextlib.contextmanager
def _about(path: str) -> Iterator[None]:
    """Have errors of the kernel tell the whole path."""
    try:
        yield
    except OSError as error:
        error.filename = path
        raise


class LocalDirectory:
    """A directory of the host."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._fd = descriptor
        # Who is done with it lets go of it; no more are open than are in use.
        weakref.finalize(self, os.close, descriptor)

    @classmethod
    def open(cls, path: str) -> LocalDirectory:
        """Return a directory; symbolic links are followed."""
        return cls(path, os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def _at(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name}"

    def nodes(self) -> Iterator[Node]:
        with _about(self.path), os.scandir(self._fd) as entries:
            for entry in entries:
                try:
                    node = _node(entry.name, entry.stat(follow_symlinks=False))
                except FileNotFoundError:
                    # It went after it was listed.
                    continue
                yield node

    def stat(self, name: str) -> Node | None:
        try:
            return _node(name, os.stat(name, dir_fd=self._fd, follow_symlinks=False))
        except FileNotFoundError:
            return None
        except OSError as error:
            error.filename = self._at(name)
            raise

    def enter(self, name: str) -> LocalDirectory:
        path = self._at(name)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        with _about(path):
            return LocalDirectory(path, os.open(name, flags, dir_fd=self._fd))

    def make(self, name: str) -> tuple[LocalDirectory, bool]:
        with _about(self._at(name)):
            try:
                os.mkdir(name, 0o700, dir_fd=self._fd)
            except FileExistsError:
                return self.enter(name), False
        return self.enter(name), True

    def finish(self, node: Node, xattrs: Mapping[str, bytes]) -> int:
        with _about(self.path):
            return _finish(self._fd, node, xattrs)

    def xattrs(self) -> dict[str, bytes]:
        with _about(self.path):
            return _xattrs(self._fd)

    def mark(self) -> None:
        with contextlib.suppress(OSError):
            os.setxattr(self._fd, MARK, b"")

    def unmark(self) -> None:
        with contextlib.suppress(OSError):
            os.removexattr(self._fd, MARK)

    def marked(self) -> bool:
        try:
            os.getxattr(self._fd, MARK)
        except OSError:
            return False
        return True

    def readlink(self, name: str) -> str:
        with _about(self._at(name)):
            return os.readlink(name, dir_fd=self._fd)

    def symlink(self, name: str, value: str, mtime_ns: int) -> None:
        with _about(self._at(name)):
            os.symlink(value, name, dir_fd=self._fd)
            os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=self._fd, follow_symlinks=False)

    def _read(self, name: str) -> int:
        # Not a pipe that somebody put in its place, which would be waited for.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(name, flags, dir_fd=self._fd)

    def read(self, name: str) -> LocalReader:
        path = self._at(name)
        with _about(path):
            return LocalReader(self._read(name), path)

    def read_small(self, node: Node) -> tuple[bytes, dict[str, bytes]]:
        with _about(self._at(node.name)):
            descriptor = self._read(node.name)
            try:
                data = os.read(descriptor, node.size)
                # What was written behind its end meanwhile is another time's.
                while len(data) < node.size and (more := os.read(descriptor, node.size - len(data))):
                    data += more
                return data, _xattrs(descriptor)
            finally:
                os.close(descriptor)

    def write(self, name: str, node: Node) -> LocalWriter:
        del node
        path = self._at(name)
        with _about(path):
            return LocalWriter(self._create(name), path)

    def _create(self, name: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, 0o600, dir_fd=self._fd)

    def write_small(self, name: str, node: Node, data: bytes, xattrs: Mapping[str, bytes]) -> int:
        with _about(self._at(name)):
            descriptor = self._create(name)
            try:
                _write(descriptor, 0, memoryview(data))
                return _finish(descriptor, node, xattrs)
            finally:
                os.close(descriptor)

    def rename(self, name: str, to: str) -> None:
        with _about(self._at(to)):
            os.rename(name, to, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def remove(self, name: str, *, directory: bool) -> None:
        with _about(self._at(name)):
            if directory:
                os.rmdir(name, dir_fd=self._fd)
            else:
                os.unlink(name, dir_fd=self._fd)


class LocalReader:
    """A file of the host that is read."""

    def __init__(self, descriptor: int, path: str) -> None:
        self._fd = descriptor
        self._path = path

    def read_into(self, at: int, data: memoryview) -> int:
        done = 0
        with _about(self._path):
            while done < len(data):
                read = os.preadv(self._fd, [data[done:]], at + done)
                if not read:
                    break
                done += read
        return done

    def extent(self, at: int, size: int) -> tuple[int, int]:
        with _about(self._path):
            try:
                begin = os.lseek(self._fd, at, os.SEEK_DATA)
                return begin, min(size, os.lseek(self._fd, begin, os.SEEK_HOLE))
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return size, size
                if error.errno == errno.EINVAL:
                    # A file system that knows no holes.
                    return at, size
                raise

    def xattrs(self) -> dict[str, bytes]:
        with _about(self._path):
            return _xattrs(self._fd)

    def close(self) -> None:
        os.close(self._fd)


class LocalWriter:
    """A file of the host that is written."""

    def __init__(self, descriptor: int, path: str) -> None:
        self._fd = descriptor
        self._path = path

    def write(self, at: int, data: memoryview) -> None:
        with _about(self._path):
            _write(self._fd, at, data)

    def truncate(self, size: int) -> None:
        with _about(self._path):
            os.ftruncate(self._fd, size)

    def finish(self, node: Node, xattrs: Mapping[str, bytes]) -> int:
        with _about(self._path):
            try:
                return _finish(self._fd, node, xattrs)
            finally:
                os.close(self._fd)

    def abandon(self) -> None:
        os.close(self._fd)


def _is_copied(xattr: str) -> bool:
    return xattr.startswith(USER) and xattr != MARK


def _node(name: str, told: os.stat_result) -> Node:
    return Node(name, told.st_mode, told.st_size, told.st_mtime_ns)


def _write(descriptor: int, at: int, data: memoryview) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, data[done:], at + done)


def _finish(descriptor: int, node: Node, xattrs: Mapping[str, bytes]) -> int:
    lost = 0
    for name, value in xattrs.items():
        try:
            os.setxattr(descriptor, name, value)
        except OSError as error:
            if error.errno not in _KEEPS_NONE:
                raise
            lost += 1
    os.fchmod(descriptor, node.permissions)
    os.utime(descriptor, ns=(node.mtime_ns, node.mtime_ns))
    return lost


def _xattrs(descriptor: int) -> dict[str, bytes]:
    found = {}
    try:
        names = os.listxattr(descriptor)
    except OSError as error:
        if error.errno in _KEEPS_NONE:
            return {}
        raise
    for name in names:
        if not _is_copied(name):
            continue
        try:
            found[name] = os.getxattr(descriptor, name)
        except OSError as error:
            # It went after it was listed.
            if error.errno != errno.ENODATA:
                raise
    return found


class MountedDirectory:
    """A directory of a container's file system."""

    def __init__(self, dfs: DFS, path: str) -> None:
        self._dfs = dfs
        self.path = path

    @property
    def _fs(self) -> _core.Dfs:
        return self._dfs._fs  # noqa: SLF001 -- one package

    def _at(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name}"

    def nodes(self) -> Iterator[Node]:
        for entry in self._dfs.scandir(self.path):
            yield _node(entry.name, entry.stat(follow_symlinks=False))

    def stat(self, name: str) -> Node | None:
        try:
            return _node(name, self._dfs.lstat(self._at(name)))
        except FileNotFoundError:
            return None

    def enter(self, name: str) -> MountedDirectory:
        return MountedDirectory(self._dfs, self._at(name))

    def make(self, name: str) -> tuple[MountedDirectory, bool]:
        path = self._at(name)
        try:
            self._fs.mkdir(path, 0o700)
        except FileExistsError:
            found = self.stat(name)
            if found is None or not stats.S_ISDIR(found.mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from None
            return self.enter(name), False
        return self.enter(name), True

    def finish(self, node: Node, xattrs: Mapping[str, bytes]) -> int:
        lost = self._set_xattrs(self.path, xattrs)
        self._fs.chmod(self.path, node.permissions)
        self._fs.set_mtime(self.path, node.mtime_ns, False)  # noqa: FBT003 -- the seam has no keywords
        return lost

    def xattrs(self) -> dict[str, bytes]:
        return self._xattrs(self.path)

    def _xattrs(self, path: str) -> dict[str, bytes]:
        names = self._fs.list_xattrs(path, False)  # noqa: FBT003 -- the seam has no keywords
        return {
            name: self._fs.get_xattr(path, name, False)  # noqa: FBT003
            for name in names
            if _is_copied(name)
        }

    def _set_xattrs(self, path: str, xattrs: Mapping[str, bytes]) -> int:
        for name, value in xattrs.items():
            self._fs.set_xattr(path, name, value, 0, False)  # noqa: FBT003 -- the seam has no keywords
        return 0

    def mark(self) -> None:
        self._set_xattrs(self.path, {MARK: b""})

    def unmark(self) -> None:
        if self.marked():
            self._fs.remove_xattr(self.path, MARK, False)  # noqa: FBT003 -- the seam has no keywords

    def marked(self) -> bool:
        return MARK in self._fs.list_xattrs(self.path, True)  # noqa: FBT003 -- the seam has no keywords

    def readlink(self, name: str) -> str:
        return self._fs.readlink(self._at(name))

    def symlink(self, name: str, value: str, mtime_ns: int) -> None:
        path = self._at(name)
        self._fs.symlink(value, path)
        self._fs.set_mtime(path, mtime_ns, False)  # noqa: FBT003 -- the seam has no keywords

    def read(self, name: str) -> MountedReader:
        path = self._at(name)
        core = self._fs.open(path, os.O_RDONLY | os.O_NOFOLLOW, 0)
        return MountedReader(core, lambda: self._xattrs(path))

    def read_small(self, node: Node) -> tuple[bytes, dict[str, bytes]]:
        path = self._at(node.name)
        return self._fs.read_file(path), self._xattrs(path)

    def write(self, name: str, node: Node) -> MountedWriter:
        path = self._at(name)
        core = self._fs.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, node.permissions)

        def finish(node: Node, xattrs: Mapping[str, bytes]) -> int:
            lost = self._set_xattrs(path, xattrs)
            self._fs.set_mtime(path, node.mtime_ns, False)  # noqa: FBT003 -- the seam has no keywords
            return lost

        return MountedWriter(core, finish)

    def write_small(self, name: str, node: Node, data: bytes, xattrs: Mapping[str, bytes]) -> int:
        path = self._at(name)
        self._fs.write_file(path, data, os.O_WRONLY | os.O_CREAT | os.O_EXCL, node.permissions)
        lost = self._set_xattrs(path, xattrs)
        self._fs.set_mtime(path, node.mtime_ns, False)  # noqa: FBT003 -- the seam has no keywords
        return lost

    def rename(self, name: str, to: str) -> None:
        self._fs.rename(self._at(name), self._at(to), 0)

    def remove(self, name: str, *, directory: bool) -> None:
        if directory:
            self._fs.rmdir(self._at(name))
        else:
            self._fs.unlink(self._at(name))


class MountedReader:
    """A file of a container that is read."""

    def __init__(self, core: _core.DfsFile, xattrs: Callable[[], dict[str, bytes]]) -> None:
        self._core = core
        self.xattrs = xattrs

    def read_into(self, at: int, data: memoryview) -> int:
        return self._core.read_into(at, data)

    def extent(self, at: int, size: int) -> tuple[int, int]:
        try:
            begin = self._core.seek_data(at)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return size, size
            raise
        return begin, min(size, self._core.seek_hole(begin))

    def close(self) -> None:
        self._core.close()


class MountedWriter:
    """A file of a container that is written."""

    def __init__(self, core: _core.DfsFile, finish: Callable[[Node, Mapping[str, bytes]], int]) -> None:
        self._core = core
        self._finish = finish

    def write(self, at: int, data: memoryview) -> None:
        done = 0
        while done < len(data):
            done += self._core.write(at + done, data[done:])

    def truncate(self, size: int) -> None:
        self._core.truncate(size)

    def finish(self, node: Node, xattrs: Mapping[str, bytes]) -> int:
        # The time of the last write is stored here; that of the source comes after it.
        self._core.close()
        return self._finish(node, xattrs)

    def abandon(self) -> None:
        self._core.close()
