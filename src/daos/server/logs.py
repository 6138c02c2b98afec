"""The logs of a server's host, for `support collect-log`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from daos.errors import InvalidError
from daos.mgmt import logs
from daos.mgmt.logs import KINDS, Span
from daos.server.settings import ServerSettings


def files(settings: ServerSettings, *, kinds: frozenset[str], extra: Path | None = None) -> list[tuple[str, Path]]:
    """Return the logs of a host with their names in the collection.

    Args:
        settings: The server's.
        kinds: Some of `KINDS`; none for all.
        extra: A further folder, whose files come too; links are passed over.

    Raises:
        InvalidError: `DER.INVAL`: no such kind, or the folder is none.
    """
    unknown = sorted(kinds.difference(KINDS))
    if unknown:
        raise InvalidError(f'there is no kind of log "{unknown[0]}"', hint=f"valid: {', '.join(KINDS)}")
    wanted = kinds or frozenset(KINDS)
    found = []
    if settings.log_file is not None and wanted & {"admin", "control"}:
        found.append((f"control/{settings.log_file.name}", settings.log_file))
    if "server" in wanted:
        found += [
            (f"engine{engine.index}/{engine.log_file.name}", engine.log_file)
            for engine in settings.engines
            if engine.log_file is not None
        ]
    return found if extra is None else found + logs.files_in(extra)


async def pieces(path: Path, span: Span) -> AsyncIterator[bytes]:
    """Yield a file in pieces, as `daos.mgmt.logs.pieces`, read by threads.

    Raises:
        OSError: It cannot be read.
    """
    reader = logs.pieces(path, span)
    while (piece := await asyncio.to_thread(next, reader, None)) is not None:
        yield piece
