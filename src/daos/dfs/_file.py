"""Files that are open, as the standard library has them: a raw file, and what `open` wraps around it."""

from __future__ import annotations

import io
import os
from functools import lru_cache
from typing import IO, TYPE_CHECKING, cast

from daos.errors import ClosedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from daos import _core
    from daos.dfs._dfs import DFS

__all__ = ["RawFile", "flags_of", "flat", "wrapped"]

BUFFER_SIZE = 64 << 10
"""Bytes of a file's buffer, unless it is told otherwise: what allocators take from the heap, not page by page."""
_BYTES = (bytes, bytearray)
_HOW = {"grow": 0, "keep": 1, "punch": 2, "zero": 3, "zero_keep": 4}


class RawFile(io.RawIOBase):
    """A file of a file system, without a buffer. Made by `DFS.open`.

    What lies in one chunk is written as a whole or not at all; what is appended is in one piece, up to 16 MiB. Each
    call goes to the store, so what it wrote is there for all others when it returns; only the time of change is stored
    by `close`. Threads may share it, but not its position: `pread` and `pwrite` have their own.
    """

    def __init__(self, core: _core.DfsFile, dfs: DFS, path: str, flags: int, mode: str) -> None:
        super().__init__()
        self._core = core
        # Held, so that what is mounted is not unmounted by collection.
        self._dfs = dfs
        self._at = 0
        access = flags & os.O_ACCMODE
        self._reads = access != os.O_WRONLY
        self._writes = access != os.O_RDONLY
        self._appends = bool(flags & os.O_APPEND)
        self.name = path
        self.mode = mode
        if self._appends:
            self._at = core.size()

    @property
    def dfs(self) -> DFS:
        """The file system it is in."""
        return self._dfs

    @property
    def chunk_size(self) -> int:
        """Bytes that lie together: what is in one chunk is read and written at once."""
        return self._core.chunk_size

    def readable(self) -> bool:
        """Tell whether it is open for reading."""
        self._check()
        return self._reads

    def writable(self) -> bool:
        """Tell whether it is open for writing."""
        self._check()
        return self._writes

    def seekable(self) -> bool:
        """Tell that its position can be set."""
        self._check()
        return True

    def fileno(self) -> int:
        """Refuse: the file is none of the kernel's, and has no descriptor.

        Raises:
            io.UnsupportedOperation: Always.
        """
        self._check()
        raise io.UnsupportedOperation(
            f"{self.name}: a file of daos.dfs has no descriptor; a mount of the file system has (daos fs, dfuse)"
        )

    def readinto(self, buffer: Buffer, /) -> int:
        """Read from the position on until a buffer is full or the file ends; return how many bytes."""
        self._check_reads()
        read = self._core.read_into(self._at, flat(buffer))
        self._at += read
        return read

    def read(self, size: int | None = -1, /) -> bytes:
        """Return bytes from the position on; all that follow without a size. Less only at the end of the file."""
        self._check_reads()
        if size is None or size < 0:
            return self.readall()
        data = self._core.read(self._at, size)
        self._at += len(data)
        return data

    def readall(self) -> bytes:
        """Return all from the position on."""
        self._check_reads()
        data = self._core.read(self._at, max(0, self._core.size() - self._at))
        self._at += len(data)
        return data

    def write(self, data: Buffer, /) -> int:
        """Write at the position, or at the end of a file that is open to append; return how many bytes were written."""
        self._check_writes()
        if self._appends:
            self._at, written = self._core.append(flat(data))
        else:
            written = self._core.write(self._at, flat(data))
        self._at += written
        return written

    def pread(self, size: int, at: int) -> bytes:
        """Return bytes from a place on; the position stays. Less only at the end of the file."""
        self._check_reads()
        return self._core.read(at, size)

    def preadinto(self, buffer: Buffer, at: int) -> int:
        """Read from a place on straight into a buffer; the position stays. Return how many bytes."""
        self._check_reads()
        return self._core.read_into(at, flat(buffer))

    def pwrite(self, data: Buffer, at: int) -> int:
        """Write at a place, which may be behind the end; the position stays."""
        self._check_writes()
        return self._core.write(at, flat(data))

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Set the position, also to the next data or hole (`os.SEEK_DATA`, `os.SEEK_HOLE`); return it.

        Raises:
            OSError: `EINVAL`: before the file; `ENXIO`: no data follows.
        """
        self._check()
        if whence == os.SEEK_SET:
            at = offset
        elif whence == os.SEEK_CUR:
            at = self._at + offset
        elif whence == os.SEEK_END:
            at = self._core.size() + offset
        elif whence == os.SEEK_DATA:
            at = self._core.seek_data(_place(offset))
        elif whence == os.SEEK_HOLE:
            at = self._core.seek_hole(_place(offset))
        else:
            raise ValueError(f"invalid whence ({whence}, should be one of SEEK_SET, CUR, END, DATA, HOLE)")
        self._at = _place(at)
        return self._at

    def tell(self) -> int:
        """Return the position."""
        self._check()
        return self._at

    def truncate(self, size: int | None = None, /) -> int:
        """Make it so long, by default up to the position; return how long."""
        self._check_writes()
        wanted = self._at if size is None else _place(size)
        self._core.truncate(wanted)
        return wanted

    def allocate(self, how: str, at: int, length: int) -> None:
        """Change a range as `fallocate` does.

        Args:
            how: `grow`: the file is at least so long; `keep`: nothing, as nothing is overwritten in place; `punch`: a
                hole, its length stays; `zero`: zeros; `zero_keep`: zeros, its length stays.
            at: The first byte.
            length: How many.
        """
        self._check_writes()
        if how not in _HOW:
            raise ValueError(f"how cannot be {how!r}; one of {', '.join(_HOW)}")
        self._core.allocate(_HOW[how], at, length)

    def stat(self) -> os.stat_result:
        """Return what is known of it, whatever its name leads to by now."""
        self._check()
        return self._dfs._stat_of(self._core.stat())  # noqa: SLF001 -- one class in two

    def sync(self) -> None:
        """Make durable all that was written to it, by whoever; a buffer above it is flushed first by `DFS.fsync`."""
        self._check()
        self._core.sync()

    def close(self) -> None:
        """Close it, and store when it was written to; closing again is no error."""
        if not self.closed:
            try:
                super().close()
            finally:
                if not self._dfs._is_inherited(self._core):  # noqa: SLF001 -- one class in two
                    self._close_core()

    def _close_core(self) -> None:
        try:
            self._core.close()
        except ClosedError:
            # The system or the mount went first: what was written is stored, and nothing is left to close.
            if self._writes and not self._dfs.closed:
                raise

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError(f"an open file cannot be pickled: {self.name}; pickle its path, and open it there")

    def __repr__(self) -> str:
        state = " [closed]" if self.closed else ""
        return f"<daos.dfs.RawFile {self.name!r} mode={self.mode!r}{state}>"

    def _check(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")

    def _check_reads(self) -> None:
        self._check()
        if not self._reads:
            raise io.UnsupportedOperation("File not open for reading")

    def _check_writes(self) -> None:
        self._check()
        if not self._writes:
            raise io.UnsupportedOperation("File not open for writing")


@lru_cache(maxsize=64)
def flags_of(mode: str) -> int:
    """Return the flags of `open(2)` for a mode of `open`.

    Raises:
        ValueError: It is none.
    """
    letters = set(mode)
    if len(letters) != len(mode) or letters - set("rwxabt+") or len(letters & set("rwxa")) != 1:
        raise ValueError(f"invalid mode: {mode!r}")
    if {"t", "b"} <= letters:
        raise ValueError("can't have text and binary mode at once")
    flags = {
        "r": 0,
        "w": os.O_CREAT | os.O_TRUNC,
        "x": os.O_CREAT | os.O_EXCL,
        "a": os.O_CREAT | os.O_APPEND,
    }[next(iter(letters & set("rwxa")))]
    return flags | (os.O_RDWR if "+" in letters else os.O_RDONLY if "r" in letters else os.O_WRONLY)


def wrapped(
    raw: Callable[[int], RawFile],
    mode: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
) -> IO[str] | IO[bytes]:
    """Return a file as `open` does: with a buffer unless that is 0, as text unless the mode is binary.

    Args:
        raw: Opens it, with flags; called when all that could be wrong with the rest was looked at.
        mode: As of `open`.
        buffering: As of `open`; -1 is a buffer of 64 KiB.
        encoding: As of `open`.
        errors: As of `open`.
        newline: As of `open`.

    Raises:
        ValueError: Arguments that do not go together.
    """
    flags = flags_of(mode)
    binary = "b" in mode
    if binary and (encoding is not None or errors is not None or newline is not None):
        given = "encoding" if encoding is not None else "errors" if errors is not None else "newline"
        raise ValueError(f"binary mode doesn't take {'an ' if given != 'newline' else 'a '}{given} argument")
    if buffering == 0 and not binary:
        raise ValueError("can't have unbuffered text I/O")
    if not binary and newline not in {None, "", "\n", "\r", "\r\n"}:
        raise ValueError(f"illegal newline value: {newline!r}")
    file = raw(flags)
    try:
        if buffering == 0:
            return cast("IO[bytes]", file)
        size = buffering if buffering > 1 else BUFFER_SIZE
        buffered: io.BufferedRandom | io.BufferedWriter | io.BufferedReader
        if "+" in mode:
            buffered = io.BufferedRandom(file, size)
        elif flags & os.O_ACCMODE == os.O_WRONLY:
            buffered = io.BufferedWriter(file, size)
        else:
            buffered = io.BufferedReader(file, size)
        if binary:
            return buffered
        text = io.TextIOWrapper(buffered, io.text_encoding(encoding), errors, newline, line_buffering=buffering == 1)
        text.mode = mode  # type: ignore[misc]
    except BaseException:
        file.close()
        raise
    return text


def flat(data: Buffer) -> Buffer:
    """Return a buffer whose elements are bytes."""
    if isinstance(data, _BYTES):
        return data  # the most common, and the quickest
    view = memoryview(data)
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")


def _place(at: int) -> int:
    """Return a place in a file.

    Raises:
        OSError: `EINVAL`: before the file.
    """
    if at < 0:
        raise OSError(22, os.strerror(22))
    return at
