"""Which pool handles processes have, so that those of dead ones are evicted; and how much each user may ask.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

from daos.errors import BusyError, InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from daos.agent.messages import Handle

HANDLES_OF_CONNECTION_MAX = 1024
HANDLES_MAX = 65_536
EVICTIONS_MAX = 65_536
"""Handles that wait to be evicted; above it those that wait longest are given up, and told."""
BATCH_MAX = 512
"""Handles of a request to evict."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class HandleTable:
    """Handles by the connections that told of them.

    A handle that several connections told of, as processes do that share one, is evicted when the last of them ends.
    """

    def __init__(self) -> None:
        self._of: dict[int, set[Handle]] = {}
        self._holders: dict[Handle, int] = {}

    def __len__(self) -> int:
        return len(self._holders)

    def opened(self, connection: int, handle: Handle) -> None:
        """Take note of a handle.

        Raises:
            InvalidError: `DER.INVAL`: it is none.
            BusyError: `DER.BUSY`: there are too many.
        """
        if not (_UUID.fullmatch(handle.pool) and _UUID.fullmatch(handle.handle)):
            raise InvalidError("a handle is named by the uuids of its pool and its own", hint="in lower case")
        mine = self._of.setdefault(connection, set())
        if handle in mine:
            return
        if len(mine) >= HANDLES_OF_CONNECTION_MAX or (handle not in self._holders and len(self) >= HANDLES_MAX):
            raise BusyError(f"{len(mine)} handles of this process, {len(self)} in all", hint="close some")
        mine.add(handle)
        self._holders[handle] = self._holders.get(handle, 0) + 1

    def closed(self, connection: int, handle: Handle) -> None:
        """Forget a handle that was closed: it is gone for all who have it."""
        if handle in self._of.get(connection, ()):
            for mine in self._of.values():
                mine.discard(handle)
            self._holders.pop(handle, None)

    def ended(self, connection: int) -> list[Handle]:
        """Forget a connection; return the handles that nobody has any more."""
        gone = []
        for handle in self._of.pop(connection, ()):
            self._holders[handle] -= 1
            if not self._holders[handle]:
                del self._holders[handle]
                gone.append(handle)
        return sorted(gone, key=lambda one: (one.pool, one.handle))


class Evictions:
    """Handles that wait to be evicted, each once, the oldest first."""

    def __init__(self) -> None:
        self._waiting: dict[Handle, None] = {}
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, handles: Iterable[Handle]) -> int:
        """Add some; return how many had to be given up for them."""
        self._waiting.update(dict.fromkeys(handles))
        given_up = max(0, len(self._waiting) - EVICTIONS_MAX)
        for handle in list(self._waiting)[:given_up]:
            del self._waiting[handle]
        self.dropped += given_up
        return given_up

    def batch(self) -> tuple[str, tuple[Handle, ...]] | None:
        """Return a pool, and the next handles of it to be evicted; None where there are none."""
        first = next(iter(self._waiting), None)
        if first is None:
            return None
        chosen: deque[Handle] = deque(maxlen=BATCH_MAX)
        for handle in self._waiting:
            if handle.pool == first.pool:
                chosen.append(handle)
                if len(chosen) == BATCH_MAX:
                    break
        return first.pool, tuple(chosen)

    def done(self, handles: Iterable[Handle]) -> None:
        """Forget some that were evicted."""
        for handle in handles:
            self._waiting.pop(handle, None)

    def later(self, handles: Iterable[Handle]) -> None:
        """Put some behind the others: it is tried again when those had their turn."""
        for handle in handles:
            if handle in self._waiting:
                del self._waiting[handle]
                self._waiting[handle] = None


class Allowance:
    """How many credentials a user may have: a number at once, and so many a second.

    A verifier remembers the credentials of a host up to a bound; without this one user could use up his host's. With it
    he has half of that, while they live, and a job may still begin with as many processes as an agent takes connections
    of a user.
    """

    AT_ONCE = 2048
    A_SECOND = 16.0
    USERS_MAX = 65_536

    def __init__(self) -> None:
        self._left: dict[int, tuple[float, float]] = {}

    def take(self, uid: int, now: float) -> None:
        """Take one.

        Raises:
            BusyError: `DER.BUSY`: the user has had too many.
        """
        left, since = self._left.pop(uid, (float(self.AT_ONCE), now))
        left = min(self.AT_ONCE, left + (now - since) * self.A_SECOND)
        if len(self._left) >= self.USERS_MAX:
            del self._left[next(iter(self._left))]
        if left < 1:
            self._left[uid] = (left, now)
            raise BusyError(
                f"the user {uid} asks for more than {self.A_SECOND:.0f} credentials a second",
                hint="keep connections open instead of making new ones",
            )
        self._left[uid] = (left - 1, now)
