"""Addresses and files, as fsspec has them."""

from __future__ import annotations

import io
import re
from typing import IO, TYPE_CHECKING, cast

from daos.dfs._mount import Address
from daos.dfs._temporary import temporary
from daos.errors import InvalidError
from daos.uns import find

if TYPE_CHECKING:
    from fsspec.callbacks import Callback

    from daos.dfs._file import RawFile
    from daos.dfs.fsspec import DaosFileSystem

    File = RawFile | IO[bytes] | io.FileIO

__all__ = ["SCHEME", "ReadFile", "WriteFile", "copied", "range_of", "split_url", "url_of"]

SCHEME = "daos://"
BLOCK = 4 << 20
"""Bytes that are copied at a time."""
_OPTIONS = re.compile(r"\?((?:snap|system)=[^&?/]*(?:&(?:snap|system)=[^&?/]*)*)$")


def split_url(url: str) -> Address:
    """Return what a URL names: a container by its names, or by a path of this host that stands for one.

    Raises:
        InvalidError: `DER.INVAL`: it names no container.
        DaosError: As `daos.uns.find`, of a path.
    """
    rest = url.removeprefix(SCHEME)
    options: dict[str, str] = {}
    found = _OPTIONS.search(rest)
    if found is not None:
        options = dict(option.split("=", 1) for option in found[1].split("&"))
        rest = rest[: found.start()]
    system = options.get("system", "")
    if rest.startswith("/"):
        where, slashes, names = rest.partition("//")
        if not slashes or not where:
            return _of_path(url, rest, options.get("snap"))
        system, rest = where, names
    pool, _, rest = rest.partition("/")
    container, _, path = rest.partition("/")
    if not pool or not container:
        raise InvalidError(f"URL {url!r} names no container", hint="daos://POOL/CONTAINER[/PATH]")
    return Address(pool, container, f"/{path}", system, options.get("snap"))


def _of_path(url: str, path: str, snapshot: str | None) -> Address:
    """Return what a path of this host stands for."""
    found = find(path)
    if found is None:
        raise InvalidError(
            f"invalid URL {url!r}: {path} stands for no container",
            hint="two slashes end the directory of a system: daos:///DIRECTORY//POOL/CONTAINER[/PATH]",
        )
    return Address(found.pool, found.container, found.path, found.system, snapshot)


def url_of(named: Address) -> str:
    """Return the URL of an address: names stand in it as they are."""
    where = f"{named.system}//" if named.embedded else ""
    options = [f"snap={named.snapshot}"] if named.snapshot is not None else []
    if named.system and not named.embedded:
        options.append(f"system={named.system}")
    query = f"?{'&'.join(options)}" if options else ""
    return f"{SCHEME}{where}{named.pool}/{named.container}{named.path if named.path != '/' else ''}{query}"


class ReadFile(io.BufferedReader):
    """A file that is read, with what fsspec's files tell of themselves."""

    def __init__(self, fs: DaosFileSystem, path: str, block_size: int) -> None:
        super().__init__(fs.raw(path, "rb"), block_size)
        self.fs = fs
        self.path = path
        self.blocksize = block_size

    @property
    def size(self) -> int:
        """How long it is."""
        return cast("RawFile", self.raw).stat().st_size

    @property
    def full_name(self) -> str:
        """Its URL."""
        return self.fs.unstrip_protocol(self.path)

    def info(self) -> dict[str, object]:
        """Return what is known of it."""
        return self.fs.info(self.path)

    def __reduce__(self) -> tuple[object, ...]:
        return _reopened, (self.fs, self.path, self.blocksize, self.tell())


class WriteFile(io.BufferedWriter):
    """A file that is written; in a transaction under another name, until that commits."""

    def __init__(self, fs: DaosFileSystem, path: str, mode: str, block_size: int, *, autocommit: bool) -> None:
        self.fs = fs
        self.path = path
        self.autocommit = autocommit
        self.blocksize = block_size
        self._exclusive = "x" in mode
        self.temporary = path if autocommit else temporary(path)
        super().__init__(fs.raw(self.temporary, mode if autocommit else "xb"), block_size)

    def commit(self) -> None:
        """Give it its name, in one step."""
        if self.autocommit:
            raise RuntimeError("Can only commit if not already set to autocommit")
        self.close()
        self.fs.dfs.rename(self.temporary, self.path, replace=not self._exclusive)

    def discard(self) -> None:
        """Remove what was written."""
        if self.autocommit:
            raise RuntimeError("Cannot discard if set to autocommit")
        self.close()
        self.fs.dfs.remove(self.temporary)


def range_of(file: RawFile, start: int | None, end: int | None) -> bytes:
    """Return bytes of a file from one place to another; places before 0 count from its end."""
    first, last = start or 0, end
    if first < 0 or last is None or last < 0:
        size = file.stat().st_size
        first = max(0, size + first) if first < 0 else first
        last = size if last is None else size + last if last < 0 else last
    return file.pread(max(0, last - first), first)


def copied(
    source: RawFile | IO[bytes] | io.FileIO, target: RawFile | IO[bytes] | io.FileIO, callback: Callback
) -> None:
    """Copy all that follows in a file to another."""
    room = memoryview(bytearray(BLOCK))
    while count := cast("io.RawIOBase", source).readinto(room):
        rest = room[:count]
        while rest:
            written = target.write(rest)
            rest = rest[written or 0 :]
        callback.relative_update(count)


def _reopened(fs: DaosFileSystem, path: str, block_size: int, at: int) -> ReadFile:
    file = ReadFile(fs, path, block_size)
    file.seek(at)
    return file
