"""SQLite of the standard library: a table without row ids, write-ahead log."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING

from benches.peers.base import Durability, Pairs, Store

if TYPE_CHECKING:
    from pathlib import Path

CACHE_KIB = 512 << 10
PUT = "INSERT OR REPLACE INTO kv VALUES (?, ?)"


def version() -> str:
    """Return the version of the library."""
    return sqlite3.sqlite_version


def open_store(directory: Path, durability: Durability) -> Store:
    """Open it: FULL syncs the log at each commit, OFF never."""
    # Autocommit: a statement is a transaction. One connection under a lock beats one a thread, whose writers sleep
    # and retry when they meet.
    db = sqlite3.connect(directory / "store.sqlite", isolation_level=None, check_same_thread=False)
    lock = threading.Lock()
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=" + ("FULL" if durability is Durability.SYNCED else "OFF"))
    db.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    db.execute("CREATE TABLE IF NOT EXISTS kv (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")

    def put(key: bytes, value: bytes) -> None:
        with lock:
            db.execute(PUT, (key, value))

    def put_many(pairs: Pairs) -> None:
        with lock:
            db.execute("BEGIN")
            db.executemany(PUT, pairs)
            db.execute("COMMIT")

    def get(key: bytes) -> bytes | None:
        row: tuple[bytes] | None = db.execute("SELECT value FROM kv WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    return Store(
        put=put,
        put_many=put_many,
        get=get,
        view=lambda: nullcontext(get),
        scan=lambda: nullcontext(db.execute("SELECT key, value FROM kv ORDER BY key")),
        close=db.close,
    )
