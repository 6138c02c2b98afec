"""As `raw`, but the file grows with each put, as a program's own log would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benches.peers.raw import file_store, version

if TYPE_CHECKING:
    from pathlib import Path

    from benches.peers.base import Durability, Store

__all__ = ["open_store", "version"]


def open_store(directory: Path, durability: Durability) -> Store:
    """Open an empty file."""
    return file_store(directory, durability, prepared_bytes=0)
