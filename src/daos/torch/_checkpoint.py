"""Checkpoints as files: what `torch.save` writes to, and `torch.load` reads from."""

from __future__ import annotations

import contextlib
import io
import os
import stat as stats
from collections import deque
from typing import TYPE_CHECKING, BinaryIO, cast

from daos.dfs._file import flat
from daos.dfs._source import OnSource, Source, address_of
from daos.dfs._temporary import temporary
from daos.errors import InvalidError

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import TracebackType

    from typing_extensions import Buffer

    from daos.dfs._dfs import DFS
    from daos.dfs._file import RawFile

__all__ = ["Checkpoint", "WriteBuffer"]

DEFAULT_CHUNK_SIZE = 64 << 20
DEFAULT_CHUNKS_LIMIT = 0
WORKERS = 4
PERMISSIONS = stats.S_IFREG | 0o644


class Checkpoint(OnSource):
    """Files of checkpoints in a directory.

    Args:
        pool: Label or uuid; or a URL `daos://POOL/CONTAINER[/PATH]` alone.
        cont: Label or uuid of a container of the type `POSIX`.
        prefix: The directory that names of files begin at.
        mode: Permissions of a file that is made.
        open_flags: `os.O_EXCL` refuses a name that is taken; what else can be given changes nothing.
        class_name: Object class of a file that is made, such as `OC_S1`; `OC_UNKNOWN` as its directory says.
        file_chunk_size: Bytes of a chunk of a file that is made; 0 as its directory says.
        transfer_chunk_size: Bytes that are written at a time; 0 keeps all in memory until the file is closed.
        chunks_limit: How many of these are in memory at most; 0 as many as `workers`, and one that is filled.
        workers: How many are written, or read, at the same time.

    Raises:
        InvalidError: `DER.INVAL`: no pool or container; a number below 0.
        NotFoundError: `DER.NONEXIST`: no such pool or container.
    """

    def __init__(
        self,
        pool: str | None = None,
        cont: str | None = None,
        prefix: str = "/",
        mode: int = PERMISSIONS,
        open_flags: int = os.O_CREAT | os.O_RDWR,
        class_name: str = "OC_UNKNOWN",
        file_chunk_size: int = 0,
        transfer_chunk_size: int = DEFAULT_CHUNK_SIZE,
        chunks_limit: int = DEFAULT_CHUNKS_LIMIT,
        workers: int = WORKERS,
    ) -> None:
        if min(file_chunk_size, transfer_chunk_size, chunks_limit) < 0 or workers < 1:
            raise InvalidError("sizes and limits are 0 or more, workers 1 or more")
        address = address_of(pool, cont, prefix)
        self._top = address.path
        self._mode = mode & 0o7777
        self._exclusive = bool(open_flags & os.O_EXCL)
        self._oclass = None if class_name == "OC_UNKNOWN" else class_name.removeprefix("OC_")
        self._file_chunk_size = file_chunk_size or None
        self._chunk_size = transfer_chunk_size
        self._chunks_max = max(2, chunks_limit or workers + 1)
        self._source = Source(address, read_only=False, threads=workers)

    def _path(self, file: str) -> str:
        names = [name for name in file.split("/") if name]
        if not names or ".." in names:
            raise InvalidError(f"a file cannot be called {file!r}")
        return f"{self._top.rstrip('/')}/{'/'.join(names)}"

    def reader(self, file: str, stream: io.IOBase | None = None) -> io.IOBase:
        """Return what a file has, from its beginning on: in memory, or written to a stream that is given.

        Raises:
            FileNotFoundError: There is none.
        """
        path = self._path(file)
        data = read_whole(self._source, path, self._chunk_size or DEFAULT_CHUNK_SIZE)
        if stream is None:
            return io.BytesIO(data)
        cast("BinaryIO", stream).write(data)
        stream.seek(0)
        return stream

    def writer(self, file: str, ensure_path: bool = True) -> WriteBuffer:  # noqa: FBT001, FBT002 -- DAOS's signature
        """Return what writes a file: it has its name, and is durable, when that is closed.

        Args:
            file: Its name.
            ensure_path: Make the directories above it that are missing.

        Raises:
            FileExistsError: It is there, and `O_EXCL` was given.
        """
        path = self._path(file)
        dfs = self._source.dfs
        if ensure_path:
            dfs.makedirs(path.rpartition("/")[0] or "/", 0o755, exist_ok=True)
        if self._exclusive and dfs.lexists(path):
            raise FileExistsError(17, os.strerror(17), path)
        return WriteBuffer(
            self._source,
            path,
            chunk_size=self._chunk_size,
            chunks_max=self._chunks_max,
            permissions=self._mode,
            file_chunk_size=self._file_chunk_size,
            oclass=self._oclass,
            replace=not self._exclusive,
        )


class WriteBuffer(io.BufferedIOBase):
    """A file that is written, by several threads, under another name; `close` makes it durable and gives it its own.

    So the name leads to a whole checkpoint at any time, the old one or the new one. What is not closed, or is left by
    an exception out of a `with` block, is discarded. Errors of writing are raised by the next `write`, or by `close`.
    """

    def __init__(
        self,
        source: Source,
        path: str,
        *,
        chunk_size: int,
        chunks_max: int,
        permissions: int = 0o644,
        file_chunk_size: int | None = None,
        oclass: str | None = None,
        replace: bool = True,
    ) -> None:
        super().__init__()
        self._source = source
        self._path = path
        self._replace = replace
        self._chunk_size = chunk_size
        self._chunks_max = chunks_max
        self._under_way: deque[Future[None]] = deque()
        self._filled = bytearray()
        self._at = 0
        self._temporary = temporary(path)
        self._dfs: DFS = source.dfs
        self._file = cast(
            "RawFile",
            self._dfs.open(
                self._temporary, "xb", 0, permissions=permissions, chunk_size=file_chunk_size, oclass=oclass
            ),
        )
        self._done = False

    @property
    def name(self) -> str:
        """The path that it gets."""
        return self._path

    def writable(self) -> bool:
        """Tell that it can be written."""
        return True

    def tell(self) -> int:
        """Return how many bytes were written."""
        self._check()
        return self._at + len(self._filled)

    def write(self, data: Buffer, /) -> int:
        """Take bytes; they are written in chunks, while others are taken."""
        self._check()
        view = memoryview(flat(data))
        size = self._chunk_size
        left = view
        while size and len(self._filled) + len(left) >= size:
            taken = left[: size - len(self._filled)]
            # Its own memory: the caller may change his when this returns.
            self._filled += taken
            self._send()
            left = left[len(taken) :]
        self._filled += left
        return len(view)

    def _send(self) -> None:
        """Have a thread write what is filled; wait for an earlier one if too many are under way."""
        data, at = self._filled, self._at
        self._filled = bytearray()
        self._at += len(data)
        while len(self._under_way) >= self._chunks_max - 1:
            self._under_way.popleft().result()
        file = self._file

        def write() -> None:
            done = 0
            while done < len(data):
                done += file.pwrite(memoryview(data)[done:], at + done)

        self._under_way.append(self._source.threads().submit(write))

    def flush(self) -> None:
        """Do nothing: only a file that is closed is a checkpoint."""

    def close(self) -> None:
        """Write what is left, make all of it durable, and give it its name; closing again is no error."""
        if self._done:
            return
        try:
            if self._filled:
                self._send()
            while self._under_way:
                self._under_way.popleft().result()
            self._file.sync()
            self._file.close()
            self._dfs.rename(self._temporary, self._path, replace=self._replace)
        except BaseException:
            self.discard()
            raise
        self._done = True
        super().close()
        self._dfs.fsync_dir(self._path.rpartition("/")[0] or "/")

    def discard(self) -> None:
        """Write no more, and leave nothing of it; of what was closed, nothing is taken back."""
        if self._done:
            return
        self._done = True
        self._filled = bytearray()
        while self._under_way:
            # What fails is of no interest any more.
            self._under_way.popleft().exception()
        super().close()
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._dfs.remove(self._temporary)

    def _check(self) -> None:
        if self._done:
            raise ValueError("I/O operation on closed file.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        # Collected without being closed: it is no checkpoint.
        if not self.__dict__.get("_done", True):
            self.discard()


def read_whole(source: Source, path: str, chunk_size: int) -> bytearray:
    """Return all bytes of a file, whose chunks are read at the same time."""
    with cast("RawFile", source.dfs.open(path, "rb", 0)) as file:
        data = bytearray(file.stat().st_size)
        whole = memoryview(data)

        def fill(at: int) -> int:
            return file.preadinto(whole[at : at + chunk_size], at)

        found = sum(source.each(fill, range(0, len(data), chunk_size)))
        if found < len(data):
            # It was cut off meanwhile.
            whole.release()
            del data[found:]
    return data
