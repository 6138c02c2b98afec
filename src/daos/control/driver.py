"""What the leader of a service does of itself: carry out effects until they are confirmed, and mind the time."""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Generic, NamedTuple, TypeAlias

from daos.control.outbox import E, Effect, Rank
from daos.control.outcomes import SECOND
from daos.control.replicated import AnyCommand, Confirm, ConfirmAll, Confirmed, State
from daos.errors import DER

AGAIN_TICKS_MIN = SECOND // 5
AGAIN_TICKS_MAX = 5 * SECOND
PROPOSE_AGAIN_TICKS = SECOND
"""A proposal that is not seen committed by then is made again."""
DEATH_TICKS = SECOND // 2
"""For so long reports of dead ranks are gathered: a switch that fails takes many ranks at once."""

TRANSIENT = frozenset(
    {
        *(DER.AGAIN, DER.BUSY, DER.UNREACH, DER.TIMEDOUT, DER.SHUTDOWN, DER.NOTLEADER, DER.NOTREPLICA, DER.STALE),
        *(DER.OVERLOAD_RETRY, DER.CANCELED, DER.NOREPLY, DER.HG, DER.GRPVER, DER.NOMEM, DER.UNINIT),
    }
)
"""Failures of a rank after which the effect is carried out again."""


@dataclass(frozen=True)
class Reported:
    """What ranks told of an effect; an event by itself, or with others in `ReportedAll`.

    Attributes:
        work: The effect's number.
        done: Who has done it.
        failed: Who could not, and why.
    """

    work: int
    done: tuple[Rank, ...] = ()
    failed: dict[Rank, DER] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportedAll:
    """Event: ranks told how several effects went.

    Attributes:
        reports: One an effect.
    """

    reports: tuple[Reported, ...]


@dataclass(frozen=True)
class Died:
    """Event: membership calls an incarnation of a rank dead."""

    rank: Rank
    incarnation: int


@dataclass(frozen=True)
class Revived:
    """Event: membership has heard of a rank that it had called dead."""

    rank: Rank


@dataclass(frozen=True)
class Back:
    """Event: a rank was started again: what waits for it need not wait until it would be tried next.

    Attributes:
        rank: Which.
    """

    rank: Rank


Event: TypeAlias = Reported | ReportedAll | Died | Revived | Back | None
"""None: time has passed, or the state has changed."""


@dataclass(frozen=True)
class Carry:
    """Action: have ranks carry out an effect.

    Attributes:
        work: The effect's number.
        effect: What is to be done.
        ranks: By whom.
        floors: What each rank's fence is told.
    """

    work: int
    effect: Effect
    ranks: tuple[Rank, ...]
    floors: dict[Rank, int]


@dataclass(frozen=True)
class Propose:
    """Action: propose a command of the leader's own."""

    command: AnyCommand


Action: TypeAlias = Carry | Propose


class _Flight(NamedTuple):
    """When an effect is sent next, which, and how often it was; a heap has the earliest first."""

    at: int
    number: int
    attempts: int


class Driver(Generic[E]):
    """The leader-only part of a service, made by each new leader.

    Args:
        state: The replica's, which is read and never changed.
    """

    def __init__(self, state: State[E]) -> None:
        self._state = state
        self._flights: list[_Flight] = []
        self._known = 0  # the largest number of an effect that has a flight
        self._proposed: dict[str, int] = {}
        self._deaths: dict[Rank, tuple[int, int]] = {}

    def on(self, now: int, event: Event = None) -> list[Action]:
        """Return what is to be done.

        Args:
            now: A stamp of the leader's hybrid logical clock.
            event: What happened; None when the state has changed or time has passed.
        """
        actions: list[Action] = []
        if isinstance(event, Reported):
            actions += self._reported((event,))
        elif isinstance(event, ReportedAll):
            actions += self._reported(event.reports)
        elif isinstance(event, Died):
            known = self._deaths.get(event.rank)
            if known is None or known[0] < event.incarnation:
                self._deaths[event.rank] = (event.incarnation, now + DEATH_TICKS)
        elif isinstance(event, Revived):
            self._deaths.pop(event.rank, None)
        elif isinstance(event, Back):
            self._hurry(now, event.rank)
        actions += self._timed(now)
        actions += self._carry(now)
        return actions

    def wake_at(self) -> int | None:
        """Return when to call `on` next if nothing happens before; None for not at all.

        What only the state knows to be due is found by calling once a second besides.
        """
        works, flights = self._state.outbox.works, self._flights
        while flights and flights[0].number not in works:
            heappop(flights)
        times = [flights[0].at] if flights else []
        times += [at for _, at in self._deaths.values()]
        return min(times, default=None)

    def _reported(self, reports: tuple[Reported, ...]) -> list[Action]:
        told = []
        for report in reports:
            work = self._state.outbox.works.get(report.work)
            if work is None:
                continue
            passing = TRANSIENT - work.effect.final
            final = {rank: int(code) for rank, code in report.failed.items() if code not in passing}
            if work.effect.stubborn:
                final = {}
            if report.done or final:
                told.append(Confirmed(report.work, report.done, final))
        if not told:
            return []
        if len(told) == 1:
            return [Propose(Confirm(work=told[0].work, done=told[0].done, failed=told[0].failed))]
        return [Propose(ConfirmAll(works=tuple(told)))]

    def _hurry(self, now: int, rank: Rank) -> None:
        """Have all that waits for a rank carried out at once, and again as soon as if it were new."""
        works = self._state.outbox.works

        def waits(flight: _Flight) -> bool:
            work = works.get(flight.number)
            return work is not None and rank in work.ranks

        self._flights = [_Flight(now, each.number, 0) if waits(each) else each for each in self._flights]
        heapify(self._flights)

    def _carry(self, now: int) -> list[Action]:
        outbox, flights = self._state.outbox, self._flights
        # Effects come with growing numbers: only those that are new are looked at, however many there are.
        for number in outbox.since(self._known + 1):
            heappush(flights, _Flight(now, number, 0))
        self._known = outbox.next - 1
        due = []
        while flights and flights[0].at <= now:
            flight = heappop(flights)
            work = outbox.works.get(flight.number)
            if work is None:
                continue
            ranks = tuple(rank for rank in work.ranks if self._state.may_reach(work.effect, rank))
            if not ranks:
                # Nobody to send to: when one is back, it is tried at once, not after the longest wait.
                heappush(flights, _Flight(now + AGAIN_TICKS_MIN, flight.number, 0))
                continue
            again = now + min(AGAIN_TICKS_MIN << min(flight.attempts, 8), AGAIN_TICKS_MAX)
            heappush(flights, _Flight(again, flight.number, flight.attempts + 1))
            due.append((flight.number, work.effect, ranks))
        floors = outbox.floors({rank for _, _, ranks in due for rank in ranks})
        # In the order of their numbers, as they were decided.
        due.sort(key=lambda each: each[0])
        return [Carry(number, effect, ranks, {rank: floors[rank] for rank in ranks}) for number, effect, ranks in due]

    def _timed(self, now: int) -> list[Action]:
        due = dict(self._state.due(now))
        self._proposed = {name: at for name, at in self._proposed.items() if name in due}
        actions: list[Action] = []
        for name, command in due.items():
            if now >= self._proposed.get(name, now):
                self._proposed[name] = now + PROPOSE_AGAIN_TICKS
                actions.append(Propose(command))
        ripe = {rank: incarnation for rank, (incarnation, at) in self._deaths.items() if now >= at}
        if not ripe:
            return actions
        verdict = self._state.dead(ripe)
        for rank, incarnation in ripe.items():
            self._deaths.pop(rank)
            if verdict is not None:
                self._deaths[rank] = (incarnation, now + PROPOSE_AGAIN_TICKS)
        return [*actions, *([] if verdict is None else [Propose(verdict)])]
