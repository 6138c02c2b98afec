"""Effects on their way to ranks: those for one rank travel together, and a rank that is slow holds up its own only."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeAlias

from daos.control.outbox import E, Rank
from daos.errors import DER, DaosError, UncertainError

CARRIES_PER_RANK_MAX = 16
"""Requests with effects on their way to one rank at once: a rank that is slow holds up its own only."""
EFFECTS_PER_REQUEST = 64
"""For so many effects a request counts, where it may have more: a rank has no more than 1024 in all."""
CARRIES_MAX = 16_384
"""Effects that wait for a rank or are on their way at once: what a process has of them is bounded."""
BEHIND_S_MAX = 0.05
"""For so long effects wait for the request before them to be answered; then they go beside it, as it may be slow."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Carried(Generic[E]):
    """An effect for a rank.

    Attributes:
        number: The effect's.
        effect: What is to be done.
        floor: What the rank's fence is told.
    """

    number: int
    effect: E
    floor: int


CarryOne: TypeAlias = Callable[[int, E, Rank, int], Awaitable[None]]
"""Has a rank carry out an effect: number, effect, rank, floor; raises a `DaosError` where it is not done."""


@dataclass(frozen=True)
class Together(Generic[E]):
    """How a rank is asked for several effects at once.

    Attributes:
        carry: Has a rank carry them out, and returns of each why it is not done, None where it is; raises a
            `DaosError` that is said of all.
        most: Effects of one request.
    """

    carry: Callable[[Rank, Sequence[Carried[E]]], Awaitable[Sequence[DER | None]]]
    most: int


def one_by_one(carry: CarryOne[E]) -> Together[E]:
    """Return how a rank is asked for one effect at a time."""

    async def carry_one(rank: Rank, effects: Sequence[Carried[E]]) -> list[DER | None]:
        for each in effects:
            await carry(each.number, each.effect, rank, each.floor)
        return [None] * len(effects)

    return Together(carry_one, 1)


@dataclass
class _Lane(Generic[E]):
    """What waits for a rank, and what is on its way to it."""

    waiting: deque[Carried[E]] = field(default_factory=deque)
    under_way: int = 0
    effects: int = 0  # of both
    timer: asyncio.TimerHandle | None = None


class Carriers(Generic[E]):
    """Brings effects to ranks. What comes while a request is under way goes with the next.

    Args:
        together: How a rank is asked.
        told: Is called with a rank and, of each effect of a request, its number and why it is not done, if it is not.
        seconds_max: How long a request may take.
    """

    def __init__(
        self,
        together: Together[E],
        told: Callable[[Rank, list[tuple[int, DER | None]]], None],
        *,
        seconds_max: float,
    ) -> None:
        self._together, self._told, self._seconds_max = together, told, seconds_max
        self._known: set[tuple[int, Rank]] = set()
        self._lanes: dict[Rank, _Lane[E]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, rank: Rank, carried: Carried[E]) -> None:
        """Have an effect brought to a rank; `go` sends what was added. One that finds no room is left out."""
        key = (carried.number, rank)
        if key in self._known or len(self._known) >= CARRIES_MAX:
            return
        lane = self._lanes.setdefault(rank, _Lane())
        if lane.effects >= CARRIES_PER_RANK_MAX * min(self._together.most, EFFECTS_PER_REQUEST):
            return
        self._known.add(key)
        lane.effects += 1
        lane.waiting.append(carried)

    def go(self) -> None:
        """Send what was added."""
        for rank, lane in list(self._lanes.items()):
            self._go(rank, lane)

    def _go(self, rank: Rank, lane: _Lane[E], *, late: bool = False) -> None:
        most = self._together.most
        while lane.waiting and lane.under_way < CARRIES_PER_RANK_MAX:
            if lane.under_way and not late and len(lane.waiting) < most:
                if lane.timer is None:
                    lane.timer = asyncio.get_running_loop().call_later(BEHIND_S_MAX, self._late, rank, lane)
                return
            some = [lane.waiting.popleft() for _ in range(min(most, len(lane.waiting)))]
            lane.under_way += 1
            task = asyncio.get_running_loop().create_task(self._carry(rank, some), name=f"carry to rank {rank}")
            self._tasks.add(task)
            task.add_done_callback(lambda task, some=some: self._finished(task, rank, some))  # type: ignore[misc]
        if not lane.waiting and lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None

    def _late(self, rank: Rank, lane: _Lane[E]) -> None:
        lane.timer = None
        self._go(rank, lane, late=True)

    def _finished(self, task: asyncio.Task[None], rank: Rank, some: list[Carried[E]]) -> None:
        self._tasks.discard(task)
        self._known.difference_update((each.number, rank) for each in some)
        lane = self._lanes.get(rank)
        if lane is None:  # it ends
            return
        lane.under_way -= 1
        lane.effects -= len(some)
        if lane.waiting:
            self._go(rank, lane)
        elif not lane.under_way:
            del self._lanes[rank]

    async def _carry(self, rank: Rank, some: list[Carried[E]]) -> None:
        failed: DER
        try:
            async with asyncio.timeout(self._seconds_max):
                codes = await self._together.carry(rank, some)
        except TimeoutError:
            failed = DER.TIMEDOUT
        except UncertainError:
            failed = DER.NOREPLY  # it is carried out again, which changes nothing if it was done
        except DaosError as error:
            failed = error.code
            _log.debug("effects %s on rank %s: %s", [each.number for each in some], rank, error)
        except Exception:  # noqa: BLE001 -- logged; the effects are not lost by it
            # A defect here says nothing of the rank.
            _log.exception("effects %s could not be brought to rank %s", [each.number for each in some], rank)
            failed = DER.AGAIN
        else:
            self._told(rank, [(each.number, code) for each, code in zip(some, codes, strict=True)])
            return
        self._told(rank, [(each.number, failed) for each in some])

    def cancel(self) -> None:
        """Forget what waits, and cancel what is under way."""
        for rank, lane in self._lanes.items():
            self._known.difference_update((each.number, rank) for each in lane.waiting)
            lane.effects -= len(lane.waiting)
            lane.waiting.clear()
            if lane.timer is not None:
                lane.timer.cancel()
                lane.timer = None
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """End what is under way."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
