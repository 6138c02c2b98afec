"""The logs of a host, for `dmg support collect-log`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

from daos.errors import InvalidError
from daos.server.settings import ServerSettings

PIECE_BYTES_MAX = 1 << 20
"""Of a piece of a file."""
FILES_MAX = 1024
"""Of a further folder."""
KINDS = frozenset({"admin", "control", "server"})
"""What logs there are: `control` and `admin` are the server's own, `server` the engines'."""

_STAMP = re.compile(rb"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})(?:[.,]\d+)?(Z|[+-]\d{2}:?\d{2})?")


def files(settings: ServerSettings, *, kinds: frozenset[str], extra: Path | None = None) -> list[tuple[str, Path]]:
    """Return the logs of a host with their names in the collection.

    Args:
        settings: The server's.
        kinds: Some of `KINDS`; none for all.
        extra: A further folder, whose files come too; links are passed over.

    Raises:
        InvalidError: `DER.INVAL`: no such kind, or the folder is none.
    """
    unknown = sorted(kinds - KINDS)
    if unknown:
        raise InvalidError(f'there is no kind of log "{unknown[0]}"', hint=f"valid: {', '.join(sorted(KINDS))}")
    wanted = kinds or KINDS
    found = []
    if settings.log_file is not None and wanted & {"admin", "control"}:
        found.append((f"control/{settings.log_file.name}", settings.log_file))
    if "server" in wanted:
        found += [
            (f"engine{engine.index}/{engine.log_file.name}", engine.log_file)
            for engine in settings.engines
            if engine.log_file is not None
        ]
    if extra is not None:
        if not extra.is_absolute() or not extra.is_dir():
            raise InvalidError(f"{extra} is no folder of this host", hint="an absolute path")
        inside = (path for path in sorted(extra.rglob("*")) if path.is_file() and not path.is_symlink())
        for number, path in enumerate(inside):
            if number >= FILES_MAX:
                raise InvalidError(f"{extra} has more than {FILES_MAX} files", hint="give a smaller folder")
            found.append((f"extra/{path.relative_to(extra).as_posix()}", path))
    return found


async def pieces(path: Path, *, start: int | None = None, end: int | None = None) -> AsyncIterator[bytes]:
    """Yield a file in pieces; of lines with a time, those between two times. A line without one goes with its former.

    Args:
        path: Of the file.
        start: Seconds since 1970; None for from the beginning.
        end: As `start`; None for to the end.

    Raises:
        OSError: It cannot be read.
    """
    chosen = _Chosen(start, end)
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while True:
            lines = await asyncio.to_thread(file.readlines, PIECE_BYTES_MAX // 2)
            if not lines:
                return
            data = b"".join(line for line in lines if chosen.takes(line))
            for at in range(0, len(data), PIECE_BYTES_MAX):
                yield data[at : at + PIECE_BYTES_MAX]
    finally:
        file.close()


class _Chosen:
    """Which lines lie between two times."""

    def __init__(self, start: int | None, end: int | None) -> None:
        self._start, self._end = start, end
        self._inside = start is None

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
