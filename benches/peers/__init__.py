"""One module a system: each opens its store as a `benches.peers.base.Store`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benches.peers.base import Durability, Store

OURS = "daos"
STORES = (OURS, "sqlite", "lmdb", "rocksdb")
"""Systems that can do all workloads."""
GUEST = "guest"
"""Ours again, through another process that holds the store of `OURS`."""
RAW = ("raw", "raw_append")
"""Bare files: they can only put."""
_MODULES = {
    "daos": "benches.peers.embedded",
    "guest": "benches.peers.guest",
    "sqlite": "benches.peers.sqlite",
    "lmdb": "benches.peers.lightning",
    "rocksdb": "benches.peers.rocks",
    "raw": "benches.peers.raw",
    "raw_append": "benches.peers.raw_append",
}


def open_store(system: str, directory: Path, durability: Durability) -> Store:
    """Open a system's store in a directory, which is made if it is not there."""
    directory.mkdir(parents=True, exist_ok=True)
    # By name, so that a system whose library is not installed costs nothing until it is asked for.
    module = import_module(_MODULES[system])
    opener = cast("Callable[[Path, Durability], Store]", module.open_store)
    return opener(directory, durability)


def version(system: str) -> str:
    """Return what a system says its version is."""
    return cast("Callable[[], str]", import_module(_MODULES[system]).version)()
