"""Our own embedded system, through its public Python face."""

from __future__ import annotations

from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Literal

import daos
import daos.aio
from benches.peers.base import Durability, Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
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


@asynccontextmanager
async def open_events(directory: Path, durability: Durability) -> AsyncIterator[daos.aio.KV[bytes]]:
    """Open the same store for an event loop."""
    promised: Literal["synced", "buffered"] = "synced" if durability is Durability.SYNCED else "buffered"
    async with daos.aio.open(directory / "store", durability=promised) as pool:
        container = await pool.container("bench", create=True)
        yield await container.kv("bench", create=True, keys="bytes")
