"""Logs that are collected: which lines of a file, and how the logs of this host come into a folder.

Used by `support collect-log` of all tools.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from daos.errors import AccessError, InvalidError
from daos.model.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PIECE_BYTES_MAX = 1 << 20
"""Of a piece of a file."""
FILES_MAX = 1024
"""Of a further folder."""
KINDS = ("admin", "control", "server")
"""What logs there are on a server's host: `control` and `admin` are the server's own, `server` the engines'."""
SERVER_FOLDER = "/tmp/daos_support_server_logs"  # noqa: S108 -- DAOS's default
CLIENT_FOLDER = "/tmp/daos_support_client_logs"  # noqa: S108 -- DAOS's default
TARGET_FOLDER_HELP = "Where  [{}]."
TEXTS = {
    "archive": "As an archive beside it, DIR.tar.gz.",
    "extra_logs_dir": "A further folder, whose files come too.",
    "start_date": "Lines from this day on.",
    "end_date": "Lines up to this day.",
    "log_start_time": "Of that day  [00:00:00].",
    "log_end_time": "Of that day  [23:59:59].",
    "stop_on_error": "End with the first file that cannot be read.",
    "log_type": "Some of admin,control,server.",
}
"""What the options are for, in the words of all tools."""

_STAMP = re.compile(rb"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})(?:[.,]\d+)?(Z|[+-]\d{2}:?\d{2})?")


@dataclass(frozen=True)
class Span:
    """From when to when lines are wanted, both included.

    Attributes:
        start: Seconds since 1970; None for from the beginning.
        end: As `start`; None for to the end.
    """

    start: int | None = None
    end: int | None = None

    @classmethod
    def of(
        cls, start_date: str | None, end_date: str | None, start_time: str | None = None, end_time: str | None = None
    ) -> Span:
        """Return what options say: days as YYYY-MM-DD, times as HH:MM:SS, in UTC.

        Raises:
            InvalidError: `DER.INVAL`: no such day or time, a time without its day, or a start behind the end.
        """
        start = _seconds(start_date, start_time, "00:00:00", "start")
        end = _seconds(end_date, end_time, "23:59:59", "end")
        if start is not None and end is not None and start > end:
            raise InvalidError("the start is behind the end", hint="--start-date, --end-date")
        return cls(start, end)


def _seconds(date: str | None, clock: str | None, default: str, what: str) -> int | None:
    if date is None:
        if clock is not None:
            raise InvalidError(f"a {what} time needs a {what} date", hint="YYYY-MM-DD")
        return None
    try:
        parsed = datetime.strptime(f"{date} {clock or default}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidError(f'invalid {what} "{date} {clock or default}"', hint="YYYY-MM-DD, HH:MM:SS") from None
    return int(parsed.timestamp())


def check_kinds(text: str | None) -> frozenset[str]:
    """Return the kinds of logs that an option names, with commas between them; all without one.

    Raises:
        InvalidError: `DER.INVAL`: there is no such kind.
    """
    kinds = [] if text is None else text.split(",")
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise InvalidError(f'invalid log type "{unknown[0]}"', hint=f"some of {','.join(KINDS)}")
    return frozenset(kinds or KINDS)


def files_in(extra: Path) -> list[tuple[str, Path]]:
    """Return the files of a further folder with their names in the collection; links are passed over.

    Raises:
        InvalidError: `DER.INVAL`: it is none, or has too many.
    """
    if not extra.is_absolute() or not extra.is_dir():
        raise InvalidError(f"{extra} is no folder of this host", hint="an absolute path")
    found = []
    inside = (path for path in sorted(extra.rglob("*")) if path.is_file() and not path.is_symlink())
    for number, path in enumerate(inside):
        if number >= FILES_MAX:
            raise InvalidError(f"{extra} has more than {FILES_MAX} files", hint="give a smaller folder")
        found.append((f"extra/{path.relative_to(extra).as_posix()}", path))
    return found


def pieces(path: Path, span: Span) -> Iterator[bytes]:
    """Yield a file in pieces; of lines with a time, those of a span. A line without one goes with its former.

    Raises:
        OSError: It cannot be read.
    """
    chosen = _Chosen(span)
    with path.open("rb") as file:
        while lines := file.readlines(PIECE_BYTES_MAX // 2):
            data = b"".join(line for line in lines if chosen.takes(line))
            for at in range(0, len(data), PIECE_BYTES_MAX):
                yield data[at : at + PIECE_BYTES_MAX]


class _Chosen:
    """Which lines lie in a span."""

    def __init__(self, span: Span) -> None:
        self._start, self._end = span.start, span.end
        self._inside = span.start is None

    def takes(self, line: bytes) -> bool:
        """Tell whether a line belongs to it."""
        if self._start is None and self._end is None:
            return True
        match = _STAMP.search(line[:64])
        if match is not None:
            zone = (match[3] or b"").decode().replace("Z", "+00:00")
            at = datetime.fromisoformat(f"{match[1].decode()}T{match[2].decode()}{zone}").timestamp()
            self._inside = (self._start is None or at >= self._start) and (self._end is None or at <= self._end)
        return self._inside


def folder_for(given: str | None, default: str) -> Path:
    """Return the folder that logs are collected in, made if need be.

    In a place where everybody may write, a folder that somebody else has put there is not taken.

    Raises:
        AccessError: `DER.NO_PERM`: the default one is somebody else's.
        OSError: It cannot be made.
    """
    folder = Path(given or default)
    if given is None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise AccessError(f"{folder} is somebody else's", hint="name another with --target-folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def packed(folder: Path) -> Path:
    """Put a folder into an archive beside it; return that."""
    where = folder.with_name(f"{folder.name}.tar.gz")
    with tarfile.open(where, "w:gz") as tar:
        tar.add(folder, arcname=folder.name)
    return where


@dataclass(frozen=True)
class Collected:
    """The logs of this host, in a folder.

    Attributes:
        host: Its name, and that of its folder.
        where: The folder of all, or the archive.
        files: How many there are.
        size: Their bytes.
        missing: What is not there, or not all of it, and why.
    """

    host: str
    where: Path
    files: int
    size: int
    missing: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return it as text."""
        head, row = ("Host", "Files", "Size"), (self.host, str(self.files), format_size(self.size))
        widths = [max(len(above), len(below)) for above, below in zip(head, row, strict=True)]
        rule = tuple("-" * len(cell) for cell in head)
        rows = [
            "".join(f"{cell:{width}} " for cell, width in zip(cells, widths, strict=True))
            for cells in (head, rule, row)
        ]
        return [*rows, "", f"Logs are in {self.where}"]

    def facts(self) -> dict[str, object]:
        """Return it as JSON has it."""
        told = {"files": self.files, "bytes": self.size, "missing": list(self.missing)}
        return {"folder": str(self.where), "hosts": {self.host: told}}

    def error(self) -> str | None:
        """Return what is wrong with it; None where nothing is."""
        if not self.missing:
            return None
        return f"support collect-log failed: {'; '.join(f'{self.host}: {one}' for one in self.missing)}"


def collect(
    files: Iterable[tuple[str, Path]], folder: Path, span: Span, *, archive: bool = False, stop_on_error: bool = False
) -> Collected:
    """Copy logs of this host into its folder inside of a folder.

    Args:
        files: The logs, with their names in the collection.
        folder: Where; it is there.
        span: Which lines.
        archive: Put the folder into an archive.
        stop_on_error: End with the first file that cannot be read, rather than pass over it.

    Raises:
        OSError: The folder cannot be written to.
    """
    host = socket.gethostname().split(".", maxsplit=1)[0]
    count, size, missing = 0, 0, []
    for name, path in files:
        copied = 0
        try:
            for data in pieces(path, span):
                _append(folder / host / name, data, first=not copied)
                copied += len(data)
        except OSError as error:
            if error.filename != str(path):
                raise
            missing.append(f"{name}: {error.strerror}")
            if stop_on_error:
                break
        count, size = count + bool(copied), size + copied
    return Collected(host, packed(folder) if archive else folder, count, size, tuple(missing))


def _append(path: Path, data: bytes, *, first: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb" if first else "ab") as file:
        file.write(data)
