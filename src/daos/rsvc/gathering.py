"""How long a command waits for others, so that they are proposed together. Pure: the time is given."""

from __future__ import annotations

WAIT_S_EACH = 0.00075
"""A command waits no longer than so long for each that was under way lately."""
WAIT_S_MAX = 0.012
LATELY_S = 0.2
"""For so long it is remembered how many were under way at once."""


class Gathering:
    """Decides when commands are handed to the log.

    Whatever is proposed together is one write of the log, one message to each replica and one wake-up there, and what
    it leads to is carried out and confirmed together as well: all of that costs much the same for one command as for
    ten. So where many are under way, a command waits until half of them are there, or a few milliseconds; one that is
    alone does not wait.
    """

    def __init__(self) -> None:
        self._most = 0
        self._at = 0.0

    def came(self, now: float, under_way: int) -> None:
        """Take note of how many requests are under way, when one has come.

        Args:
            now: In seconds, of a clock that does not go back.
            under_way: That one included.
        """
        if under_way >= self._most or now - self._at > LATELY_S:
            self._most, self._at = under_way, now

    def enough(self, gathered: int) -> bool:
        """Tell whether so many commands go at once."""
        return 2 * gathered >= self._most

    def wait_s(self) -> float:
        """Return after how many seconds fewer go as well."""
        return min(WAIT_S_EACH * self._most, WAIT_S_MAX)
