"""The system map, as the server tells it: where other engines are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from daos.errors import DER, TimedOutError, UnavailableError
from daos.local import MemberEntry, Members


class SystemMap:
    """Keeps the newest map."""

    def __init__(self) -> None:
        self._version = -1
        self._members: dict[int, MemberEntry] = {}
        self._changed = asyncio.Event()
        self._told: list[Callable[[], None]] = []
        self._told_back: list[Callable[[int], None]] = []

    def put(self, members: Members) -> None:
        """Take a map over, if it is newer."""
        if members.version < self._version:
            return
        self._version = members.version
        before, self._members = self._members, {member.rank: member for member in members.members}
        self._changed.set()
        self._changed = asyncio.Event()
        for tell in self._told:
            tell()
        for rank, member in self._members.items():
            if rank in before and before[rank].incarnation < member.incarnation:
                for tell_back in self._told_back:
                    tell_back(rank)

    def when_changed(self, tell: Callable[[], None]) -> None:
        """Have a function called when the map changes."""
        self._told.append(tell)

    def when_back(self, tell: Callable[[int], None]) -> None:
        """Have a function called with each rank that was started again."""
        self._told_back.append(tell)

    @property
    def ranks(self) -> dict[int, MemberEntry]:
        """All members, by rank."""
        return self._members

    def uri(self, rank: int) -> str:
        """Return the control address of a rank.

        Raises:
            UnavailableError: `DER.UNREACH`: it is not known.
        """
        member = self._members.get(rank)
        if member is None or not member.uri:
            raise UnavailableError(f"nobody has told where rank {rank} is", code=DER.UNREACH)
        return member.uri

    async def known(self, ranks: set[int], *, timeout_s: float) -> None:
        """Wait until it is known where some ranks are.

        Raises:
            TimedOutError: It is not in time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not ranks <= self._members.keys():
                    await self._changed.wait()
        except TimeoutError:
            missing = sorted(ranks - self._members.keys())
            raise TimedOutError(f"nobody has told where ranks {missing} are") from None
