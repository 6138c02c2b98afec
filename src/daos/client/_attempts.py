"""Running a transaction again until it commits: how long to wait in between, and when to stop."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, TypeVar

from daos.errors import ConflictError, InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from daos.client.transaction import Transaction

T = TypeVar("T")

PAUSE_S_MIN = 0.001
"""The longest wait after a first conflict: a few times what a small transaction takes."""
PAUSE_S_MAX = 0.1
"""The longest wait ever: many conflicts in a row mean many writers, and those take turns by then."""


def pause(conflicts: int, luck: float) -> float:
    """Return how many seconds to wait after a number of conflicts in a row, at least 1; `luck` is from 0 to 1."""
    longest = min(PAUSE_S_MAX, PAUSE_S_MIN * 2.0 ** min(conflicts - 1, 10))
    # Full jitter: two that met once do not meet again for having waited equally long.
    return longest * luck


def check_deadline(deadline: float) -> None:
    """Refuse what is no number of seconds.

    Raises:
        InvalidError: `DER.INVAL`.
    """
    if isinstance(deadline, bool) or not isinstance(deadline, (int, float)) or not 0 <= deadline < float("inf"):
        raise InvalidError(f"the deadline cannot be {deadline!r}", hint="give seconds, such as 5.0; 0 tries once")


class Patience:
    """How long to wait after conflicts, until a deadline."""

    def __init__(self, deadline: float) -> None:
        self._end = time.monotonic() + deadline
        self._conflicts = 0

    def conflict(self) -> float | None:
        """Return how many seconds to wait after a conflict; None where the deadline would pass."""
        self._conflicts += 1
        wait = pause(self._conflicts, random.random())  # noqa: S311 -- only to spread them
        return None if time.monotonic() + wait >= self._end else wait


def attempts(begin: Callable[[], Transaction], deadline: float) -> Iterator[Transaction]:
    """Yield transactions until one commits, each after the one before conflicted."""
    patience = Patience(deadline)
    while True:
        tx = begin()
        try:
            yield tx
            if not tx.is_done:
                tx.commit()
        except ConflictError:
            if (wait := patience.conflict()) is None:
                raise
            time.sleep(wait)
        else:
            return
        finally:
            tx.give_up()


def run(begin: Callable[[], Transaction], function: Callable[[Transaction], T], deadline: float) -> T:
    """Call a function with transactions until one commits; return what that call returned."""
    patience = Patience(deadline)
    while True:
        tx = begin()
        try:
            result = function(tx)
            if not tx.is_done:
                tx.commit()
        except ConflictError:
            if (wait := patience.conflict()) is None:
                raise
            time.sleep(wait)
        else:
            return result
        finally:
            tx.give_up()
