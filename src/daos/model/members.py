"""States of a rank in its system.

Source: DAOS's public administration guide, on system membership.
"""

from __future__ import annotations

from enum import IntEnum


class MemberState(IntEnum):
    """Where a rank is in its life. Numbers are DAOS's."""

    AWAIT_FORMAT = 1
    STARTING = 2
    READY = 4
    JOINED = 8
    STOPPING = 16
    STOPPED = 32
    EXCLUDED = 64
    ERRORED = 128
    UNRESPONSIVE = 256
    ADMIN_EXCLUDED = 512
    CHECKER_STARTED = 1024

    @property
    def word(self) -> str:
        """How tools print it: `Joined`, `AdminExcluded`."""
        return "".join(part.capitalize() for part in self.name.split("_"))
