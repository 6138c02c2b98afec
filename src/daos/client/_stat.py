"""Counting what a container holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daos.client._seam import ContainerCore

BUDGET = 65536
"""Entries of one call of the core."""


@dataclass(frozen=True)
class ContainerStat:
    """What a container holds, every version of it. Returned by `Container.stat`.

    All are exact if nobody changes the container meanwhile.

    Attributes:
        objects: Objects that hold anything, on each target by itself; the one that holds the names is among them.
        dkeys: Their dkeys, also those that only snapshots or older versions show.
        values: Versions of single values.
        extents: Extents of arrays.
        removals: Versions that say that something is not there any more.
        bytes: Of values and extents, as they were written.
        stored_bytes: What these take: whole blocks of 4 KiB for those of 4 KiB and more. Keys and the index's own pages
            are not in it: they belong to all containers of a pool.
        first_epoch: Of the oldest version that is left; None if there is none.
        last_epoch: Of the newest: when the container was last changed. Reading is not noted.
    """

    objects: int
    dkeys: int
    values: int
    extents: int
    removals: int
    bytes: int
    stored_bytes: int
    first_epoch: int | None
    last_epoch: int | None


def stat(core: ContainerCore, targets: int) -> ContainerStat:
    """Count all that a container holds, target after target."""
    totals = [0] * 7
    epochs: list[int] = []
    for target in range(targets):
        anchor: bytes | None = None
        while True:
            counts, some, anchor = core.count(target, anchor, BUDGET)
            totals = [total + count for total, count in zip(totals, counts, strict=True)]
            epochs += some or ()
            if anchor is None:
                break
    objects, dkeys, values, extents, removals, size, stored = totals
    return ContainerStat(
        objects, dkeys, values, extents, removals, size, stored, min(epochs, default=None), max(epochs, default=None)
    )
