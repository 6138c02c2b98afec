"""Logs of hosts, written under a folder."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from daos.mgmt.proto import daos_mgmt_pb2 as pb

NAME_LEN_MAX = 255
"""Of a part of a path."""


def safe_path(folder: Path, name: str) -> Path | None:
    """Return where a file that a host names is written: inside the folder, or nowhere."""
    parts = [part for part in name.split("/") if part]
    if not parts or any(part in (".", "..") or "\0" in part or len(part.encode()) > NAME_LEN_MAX for part in parts):
        return None
    return folder.joinpath(*parts)


def folder_of(host: str) -> str:
    """Return the name of a host's folder."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", host.rpartition(":")[0]) or "host"


async def write_pieces(folder: Path, pieces: AsyncIterator[pb.CollectLogPiece]) -> tuple[int, int, list[str]]:
    """Write the files of a host.

    Returns:
        How many files, how many bytes, and what is missing.
    """
    count, size, problems = 0, 0, []
    name: str | None = None
    file: BinaryIO | None = None
    try:
        async for piece in pieces:
            if piece.error:
                problems.append(f"{piece.name}: {piece.error}")
            path = safe_path(folder, piece.name)
            if path is None:
                problems.append(f"{piece.name!r}: no name of a file")
                continue
            if not piece.data:
                continue
            if piece.name != name or file is None:
                if file is not None:
                    file.close()
                path.parent.mkdir(parents=True, exist_ok=True)
                file = path.open("wb")
                name = piece.name
                count += 1
            file.write(piece.data)
            size += len(piece.data)
    finally:
        if file is not None:
            file.close()
    return count, size, problems
