"""File systems for tests: on an embedded system, and on one that an engine of this process serves."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

import daos
from daos import _core
from daos.client._within import within
from daos.client.system import System
from daos.dfs import _shared
from daos.dfs.fsspec import DaosFileSystem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from daos import Pool

KINDS = ("embedded", "served")


@contextlib.contextmanager
def pool_of(kind: str, directory: Path, *, targets: int = 2) -> Iterator[Pool]:
    """Give a pool `tank` of a system of a kind."""
    path = str(directory / "s.daos")
    if kind == "embedded":
        with daos.open(path, pool="tank", targets=targets) as pool:
            yield pool
        return
    engine = _core.Engine.start(
        path, create=True, targets=targets, durability=0, listen="127.0.0.1:0", system="test", rank=0, incarnation=1
    )
    try:
        core = _core.Embedded.connect(engine.address, system="test", durability=0, timeout_s=30)
        with System(core, "test") as system:
            yield system.create_pool("tank")
    finally:
        engine.close()


def forget_file_systems() -> None:
    """Close what is kept of file systems by URL: a later test may have another system under the same one."""
    for fs in list(DaosFileSystem._cache.values()):
        # Its system may be gone by now.
        with contextlib.suppress(OSError, daos.DaosError), within(1.0):
            fs.dfs.close()
    DaosFileSystem.clear_instance_cache()
    _shared._kept.clear()
    _shared._mounts.clear()


def fails(call: Callable[[], object], number: int, path: str | None, kind: type[OSError] = OSError) -> OSError:
    """Return what a call raises, which must be of a number and about a path."""
    with pytest.raises(kind) as caught:
        call()
    assert (caught.value.errno, caught.value.filename) == (number, path)
    return caught.value
