"""Checking that a container is as it was stored."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daos.client._names import ObjectId
from daos.errors import CorruptionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from daos.client._seam import ContainerCore

BUDGET = 65536
"""Entries of one call of the core."""
PAGE_BYTES = 4096
"""Of a page of an index."""


@dataclass(frozen=True)
class Damage:
    """Something that is not as it was stored.

    Attributes:
        oid: The object; None where it is not known.
        what: Where and what, for people.
    """

    oid: ObjectId | None
    what: str


@dataclass(frozen=True)
class CheckReport:
    """What a check of a container found. Returned by `Container.check`.

    Attributes:
        objects: Objects that were looked at, on each target by itself.
        entries: Versions of keys and extents of arrays that were read.
        index_pages: Pages of the targets' indexes that were read from the device.
        data_bytes: Bytes of values that were read from the device beside them.
        seconds: It took.
        damaged: What is wrong; empty where nothing is.
    """

    objects: int
    entries: int
    index_pages: int
    data_bytes: int
    seconds: float
    damaged: tuple[Damage, ...]


def check(core: ContainerCore, targets: int, told: Callable[[int], None] | None = None) -> CheckReport:
    """Check all that a container holds, target after target; tell how many bytes were read so far."""
    started = time.monotonic()
    objects = entries = pages = data_bytes = 0
    damaged: list[Damage] = []
    for target in range(targets):
        anchor: bytes | None = None
        while True:
            try:
                counts, found, anchor = core.check(target, anchor, BUDGET)
            except CorruptionError as error:
                # What lies behind it is not found any more. The page was told with the index already.
                if not any(known.oid is None and known.what in error.message for known in damaged):
                    damaged.append(Damage(None, error.message))
                break
            objects += counts[0]
            entries += counts[1]
            pages += counts[2]
            data_bytes += counts[3]
            damaged += [Damage(None if oid is None else ObjectId(*oid), what) for oid, what in found]
            if told is not None:
                told(pages * PAGE_BYTES + data_bytes)
            if anchor is None:
                break
    return CheckReport(objects, entries, pages, data_bytes, time.monotonic() - started, tuple(damaged))
