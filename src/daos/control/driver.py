"""What the leader of a service does of itself: carry out effects until they are confirmed, and mind the time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeAlias

from daos.control.outbox import E, Effect, Rank
from daos.control.outcomes import SECOND
from daos.control.replicated import AnyCommand, Confirm, State
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
    """Event: ranks told how an effect went.

    Attributes:
        work: The effect's number.
        done: Who has done it.
        failed: Who could not, and why.
    """

    work: int
    done: tuple[Rank, ...] = ()
    failed: dict[Rank, DER] = field(default_factory=dict)


@dataclass(frozen=True)
class Died:
    """Event: membership calls an incarnation of a rank dead."""

    rank: Rank
    incarnation: int


@dataclass(frozen=True)
class Revived:
    """Event: membership has heard of a rank that it had called dead."""

    rank: Rank


Event: TypeAlias = Reported | Died | Revived | None
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


@dataclass
class _Flight:
    """An effect that was sent: how often, when again."""

    attempts: int
    at: int


class Driver(Generic[E]):
    """The leader-only part of a service, made by each new leader.

    Args:
        state: The replica's, which is read and never changed.
    """

    def __init__(self, state: State[E]) -> None:
        self._state = state
        self._flights: dict[int, _Flight] = {}
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
            actions += self._reported(event)
        elif isinstance(event, Died):
            known = self._deaths.get(event.rank)
            if known is None or known[0] < event.incarnation:
                self._deaths[event.rank] = (event.incarnation, now + DEATH_TICKS)
        elif isinstance(event, Revived):
            self._deaths.pop(event.rank, None)
        actions += self._timed(now)
        actions += self._carry(now)
        return actions

    def wake_at(self) -> int | None:
        """Return when to call `on` next if nothing happens before; None for not at all.

        What only the state knows to be due is found by calling once a second besides.
        """
        times = [flight.at for flight in self._flights.values()]
        times += [at for _, at in self._deaths.values()]
        return min(times, default=None)

    def _reported(self, event: Reported) -> list[Action]:
        work = self._state.outbox.works.get(event.work)
        if work is None:
            return []
        passing = TRANSIENT - work.effect.final
        final = {rank: int(code) for rank, code in event.failed.items() if code not in passing}
        if work.effect.stubborn:
            final = {}
        return [Propose(Confirm(work=event.work, done=event.done, failed=final))] if event.done or final else []

    def _carry(self, now: int) -> list[Action]:
        works = self._state.outbox.works
        for number in [number for number in self._flights if number not in works]:
            del self._flights[number]
        actions: list[Action] = []
        floors: dict[Rank, int] = {}
        for number, work in works.items():
            flight = self._flights.setdefault(number, _Flight(0, now))
            if now < flight.at:
                continue
            ranks = tuple(rank for rank in work.ranks if self._state.may_reach(work.effect, rank))
            if not ranks:
                # Nobody to send to: when one is back, it is tried at once, not after the longest wait.
                flight.attempts, flight.at = 0, now + AGAIN_TICKS_MIN
                continue
            flight.at = now + min(AGAIN_TICKS_MIN << min(flight.attempts, 8), AGAIN_TICKS_MAX)
            flight.attempts += 1
            floors = floors or self._state.outbox.floors()
            actions.append(Carry(number, work.effect, ranks, {rank: floors[rank] for rank in ranks}))
        return actions

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
