"""States of a target in a pool map.

Source: DAOS's public administration guide, on pool operations.
"""

from __future__ import annotations

from enum import IntEnum


class TargetState(IntEnum):
    """What a target is good for. Numbers are DAOS's."""

    UNKNOWN = 0
    NEW = 1
    UP = 2
    UPIN = 4
    DOWN = 8
    DOWNOUT = 16
    DRAIN = 32

    @property
    def in_use(self) -> bool:
        """Whether it serves, or is being filled."""
        return self in (TargetState.UP, TargetState.UPIN, TargetState.DRAIN)

    @property
    def readable(self) -> bool:
        """Whether what it has is complete."""
        return self in (TargetState.UPIN, TargetState.DRAIN)
