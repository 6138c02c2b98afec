"""Our own embedded system, held by another process: what `benches.peers.embedded` filled, reached as its guest."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

import daos
from benches.peers.base import Durability, Store

if TYPE_CHECKING:
    from pathlib import Path

HOLDER = """
import sys, daos
with daos.open(sys.argv[1]):
    print("up", flush=True)
    sys.stdin.read()
"""


def version() -> str:
    """Return the version of the package."""
    return daos.build_info().version


def open_store(directory: Path, durability: Durability) -> Store:
    """Open the store of `daos` beside this directory, through a process that holds it."""
    path = directory.parent / "daos" / "store"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None  # noqa: S101 -- it is a pipe, as was asked
    holder.stdout.readline()
    pool = daos.open(path, durability="synced" if durability is Durability.SYNCED else "buffered")
    kv = pool.container("bench", create=True).kv("bench", create=True, keys="bytes")

    def close() -> None:
        pool.close()
        holder.communicate("")

    return Store(
        put=kv.put,
        put_many=kv.put_many,
        get=kv.get,
        view=lambda: nullcontext(kv.get),
        scan=lambda: nullcontext(kv.items()),
        close=close,
    )
