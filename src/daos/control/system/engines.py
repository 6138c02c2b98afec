"""Requests that stop, start and erase engines. What is decided here is done by the servers beside them."""

from __future__ import annotations

from daos.control.outbox import Rank
from daos.control.outcomes import Pending
from daos.control.replicated import Command
from daos.control.system.effects import ENGINE, EraseEngines, PrepareShutdown, StartEngines
from daos.control.system.members import member_of
from daos.control.system.state import (
    OPERATION_TICKS_MAX,
    EngineOperation,
    Member,
    RankResult,
    RankResults,
    SystemState,
)
from daos.errors import DER, BusyError, InvalidError, UnavailableError
from daos.model.members import MemberState

_STOPPABLE = (MemberState.JOINED, MemberState.READY, MemberState.STARTING, MemberState.UNRESPONSIVE)
_STARTABLE = (MemberState.STOPPED, MemberState.ERRORED, MemberState.EXCLUDED, MemberState.UNRESPONSIVE)


class StopRanks(Command[SystemState], frozen=True, kw_only=True, tag="stop_ranks"):
    """Stop engines: those that run; for others there is nothing to do.

    Attributes:
        ranks: Which; None for all.
        force: Without preparing them.
        ignore_excluded: Pass over ranks that an administrator excluded.
    """

    ranks: tuple[Rank, ...] | None = None
    force: bool = False
    ignore_excluded: bool = False

    def run(self, state: SystemState) -> Pending | RankResults:
        """Begin to stop them."""
        members = _chosen(state, self.ranks, ignore_excluded=self.ignore_excluded)
        running = [member for member in members if member.state in _STOPPABLE]
        if not running:
            return _nothing(members)
        name = _begin(state, "stop", members, running)
        for member in running:
            state.set_state(member, MemberState.STOPPING)
        if self.force:
            state.stop_engines(name, force=True)
        else:
            state.outbox.put(PrepareShutdown(subject=ENGINE, operation=name), [member.rank for member in running])
        return Pending(name)


class StartRanks(Command[SystemState], frozen=True, kw_only=True, tag="start_ranks"):
    """Start engines: those that do not run; for others there is nothing to do.

    Attributes:
        ranks: Which; None for all.
        ignore_excluded: Pass over ranks that an administrator excluded.
    """

    ranks: tuple[Rank, ...] | None = None
    ignore_excluded: bool = False

    def run(self, state: SystemState) -> Pending | RankResults:
        """Begin to start them."""
        members = _chosen(state, self.ranks, ignore_excluded=self.ignore_excluded)
        resting = [member for member in members if member.state in _STARTABLE]
        if not resting:
            return _nothing(members)
        name = _begin(state, "start", members, resting)
        for member in resting:
            state.set_state(member, MemberState.STARTING)
        state.outbox.put(StartEngines(subject=ENGINE, operation=name), [member.rank for member in resting])
        return Pending(name)


class EraseSystem(Command[SystemState], frozen=True, kw_only=True, tag="erase_system"):
    """Delete the storage of all ranks, and forget the system."""

    def run(self, state: SystemState) -> Pending:
        """Begin to erase."""
        members = list(state.members.values())
        if not members:
            raise InvalidError("the system has no ranks")
        running = [member.rank for member in members if member.state in (*_STOPPABLE, MemberState.STOPPING)]
        if running:
            raise BusyError(
                f"{len(running)} ranks are not stopped, the first is {running[0]}",
                hint="dmg system stop, then erase",
                context={"rank": running[0]},
            )
        name = _begin(state, "erase", members, members)
        state.engines[name].erase = True
        state.outbox.put(EraseEngines(subject=ENGINE, operation=name), state.members)
        return Pending(name)


def _chosen(state: SystemState, ranks: tuple[Rank, ...] | None, *, ignore_excluded: bool) -> list[Member]:
    members = [member_of(state, rank) for rank in (state.members if ranks is None else dict.fromkeys(ranks))]
    excluded = [member for member in members if member.state is MemberState.ADMIN_EXCLUDED]
    if excluded and not ignore_excluded:
        raise UnavailableError(
            f"rank {excluded[0].rank} was excluded by an administrator",
            code=DER.EXCLUDED,
            hint="--ignore-admin-excluded passes over it, dmg system clear-exclude lets it join again",
        )
    chosen = [member for member in members if member not in excluded]
    if not chosen:
        raise InvalidError("no ranks to stop or start")
    busy = {rank for operation in state.engines.values() for rank, code in operation.results.items() if code is None}
    taken = [member.rank for member in chosen if member.rank in busy]
    if taken:
        raise BusyError(f"rank {taken[0]} is being stopped or started", context={"rank": taken[0]})
    return chosen


def _begin(state: SystemState, word: str, members: list[Member], active: list[Member]) -> str:
    state.outbox.check_room()
    name = f"{word} {state.outbox.next}"
    results = {member.rank: None if member in active else 0 for member in members}
    state.engines[name] = EngineOperation(results=results, deadline=state.time + OPERATION_TICKS_MAX)
    return name


def _nothing(members: list[Member]) -> RankResults:
    return RankResults(results=tuple(RankResult(rank=member.rank, code=0) for member in members))
