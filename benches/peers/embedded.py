"""Our own embedded system, through its public Python face."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import daos
from benches.peers.base import Durability, Store

if TYPE_CHECKING:
    from pathlib import Path


def version() -> str:
    """Return the version of the package."""
    return daos.build_info().version


def open_store(directory: Path, durability: Durability) -> Store:
    """Open it with everything at its defaults: checksums on, merges at the default limits."""
    pool = daos.open(directory / "store", durability="synced" if durability is Durability.SYNCED else "buffered")
    kv = pool.container("bench", create=True).kv("bench", create=True, keys="bytes")
    return Store(
        put=kv.put,
        put_many=kv.put_many,
        get=kv.get,
        view=lambda: nullcontext(kv.get),
        scan=lambda: nullcontext(kv.items()),
        close=pool.close,
    )
