"""Ids of requests."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from daos.mgmt.proto import daos_mgmt_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

EPOCH_NS = 1_609_459_200 * 1_000_000_000
"""2021-01-01 UTC, where stamps begin."""
TICKS_PER_NS = 16


class RequestIds:
    """Draws ids: one client, and a stamp that grows.

    Args:
        clock: Nanoseconds since 1970.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._client = str(uuid.uuid4())
        self._last = 0

    def next(self, floor: int = 0) -> pb.RequestId:
        """Return the id of a new request.

        Args:
            floor: What its stamp must exceed, beside all that were drawn.
        """
        now = (self._clock() - EPOCH_NS) * TICKS_PER_NS
        self._last = max(now, self._last + 1, floor + 1)
        return pb.RequestId(client=self._client, stamp=self._last)


def stamp_ns(stamp: int) -> int:
    """Return the nanoseconds since 1970 of a stamp."""
    return stamp // TICKS_PER_NS + EPOCH_NS
