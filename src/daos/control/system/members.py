"""Requests about who is in the system: join, reports of servers, deaths, exclusion by an administrator."""

from __future__ import annotations

import msgspec

from daos.control.outbox import Rank
from daos.control.replicated import Command
from daos.control.system.state import Member, RankResult, RankResults, SystemState
from daos.errors import DER, ExistsError, InvalidError, NotFoundError, StaleError, UnavailableError
from daos.model.labels import is_uuid
from daos.model.members import MemberState

RANKS_MAX = 65_536
"""Ranks of a system: what its map is made for."""
DOMAIN_DEPTH_MAX = 8
_GONE = (MemberState.STOPPED, MemberState.EXCLUDED, MemberState.ERRORED, MemberState.UNRESPONSIVE)


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """The result of joining.

    Attributes:
        rank: The engine's rank.
        state: In which it is now.
        version: Of the system map that has it.
    """

    rank: Rank
    state: MemberState
    version: int


class Join(Command[SystemState], frozen=True, kw_only=True, tag="join"):
    """An engine has started.

    Attributes:
        uuid: Of its storage.
        rank: That it had, or wants; None for one that has none.
        address: Of the server beside it, `host:port`.
        uri: Where it serves.
        domain: Its fault domain, from the top down.
        incarnation: Stamp of its start.
        targets: How many it has.
        capacity: Bytes of tier 0 and tier 1.
        replace: Whether it takes the place of a member at this address whose storage is gone.
    """

    uuid: str
    rank: Rank | None = None
    address: str
    uri: str
    domain: tuple[str, ...]
    incarnation: int
    targets: int
    capacity: tuple[int, int]
    replace: bool = False

    def run(self, state: SystemState) -> Joined:
        """Give it a rank, or the one it had."""
        self._check(state)
        known = next((member for member in state.members.values() if member.uuid == self.uuid), None)
        rank = self._new_rank(state) if known is None else self._old_rank(known)
        if known is None:
            # Storage that had this rank before is gone, and all that was to be done on it.
            state.outbox.forget(rank)
        state.next_rank = max(state.next_rank, rank + 1)
        before = state.members.get(rank)
        if known is None and before is not None:
            state.retired[before.uuid] = rank
        member = Member(
            rank=rank,
            uuid=self.uuid,
            address=self.address,
            uri=self.uri,
            domain=self.domain,
            incarnation=self.incarnation,
            targets=self.targets,
            capacity=self.capacity,
        )
        if before is not None and before.joined and before.incarnation != self.incarnation:
            # Its process ended and nobody had noticed: what needed that process ends first.
            state.set_state(before, MemberState.ERRORED, "restarted")
        # The same process may join again: then it has been there since it first did.
        member.state, member.changed = (
            (MemberState.STARTING, 0) if before is None else (before.state, before.changed or state.time)
        )
        state.members[rank] = member
        state.set_state(member, MemberState.JOINED)
        return Joined(rank=rank, state=member.state, version=state.version)

    def _check(self, state: SystemState) -> None:
        if not is_uuid(self.uuid) or self.uuid != self.uuid.lower():
            raise InvalidError(f'"{self.uuid}" is no uuid of an engine', hint="a uuid in lower case")
        if not 1 <= len(self.domain) <= DOMAIN_DEPTH_MAX or not all(self.domain):
            raise InvalidError(
                f"invalid fault domain {'/' + '/'.join(self.domain)}", hint=f"1 to {DOMAIN_DEPTH_MAX} names"
            )
        if self.uuid in state.retired:
            raise UnavailableError(
                f"rank {state.retired[self.uuid]} was given to other storage than {self.uuid}",
                code=DER.EXCLUDED,
                hint="what it holds is out of date: format it",
            )
        others = [member.domain for member in state.members.values() if member.uuid != self.uuid]
        if others and len(others[0]) != len(self.domain):
            raise InvalidError(
                f"fault domain /{'/'.join(self.domain)} has {len(self.domain)} levels, others have {len(others[0])}",
                hint="give all servers a fault_path of the same depth",
            )
        if self.targets < 1 or min(self.capacity) < 0:
            raise InvalidError("an engine has at least one target, and no negative capacity")
        if self.rank is not None and not 0 <= self.rank < RANKS_MAX:
            raise InvalidError(f"rank {self.rank} is out of range", hint=f"from 0 to {RANKS_MAX - 1}")

    def _old_rank(self, known: Member) -> Rank:
        if self.rank not in (None, known.rank):
            raise ExistsError(f"the engine {self.uuid} has rank {known.rank}, not {self.rank}")
        if self.incarnation < known.incarnation:
            raise StaleError(f"rank {known.rank} was started again since", context={"incarnation": known.incarnation})
        _check_not_excluded(known)
        return known.rank

    def _new_rank(self, state: SystemState) -> Rank:
        if self.replace:
            return self._replaced(state)
        if self.rank is not None:
            if self.rank in state.members:
                raise ExistsError(
                    f"rank {self.rank} has other storage: {state.members[self.rank].uuid}",
                    hint="format with --replace if that storage is gone",
                )
            return self.rank
        if state.next_rank >= RANKS_MAX:
            raise InvalidError(f"a system has at most {RANKS_MAX} ranks", code=DER.OVERFLOW)
        return state.next_rank

    def _replaced(self, state: SystemState) -> Rank:
        same = [
            member
            for member in state.members.values()
            if member.address == self.address and member.domain == self.domain and self.rank in (None, member.rank)
        ]
        for member in same:
            _check_not_excluded(member)
        gone = [member.rank for member in same if member.state in _GONE]
        if not gone:
            raise NotFoundError(
                f"no member at {self.address} is there to be replaced",
                hint="it must be stopped, excluded or failed, and at the same fault domain",
            )
        if len(gone) > 1:
            raise InvalidError(f"{len(gone)} members at {self.address} might be replaced", hint="give the rank")
        return gone[0]


def _check_not_excluded(member: Member) -> None:
    if member.state is MemberState.ADMIN_EXCLUDED:
        raise UnavailableError(
            f"rank {member.rank} was excluded by an administrator",
            code=DER.EXCLUDED,
            hint="dmg system clear-exclude lets it join again",
        )


class ReportMember(Command[SystemState], frozen=True, kw_only=True, tag="report_member"):
    """A server tells what became of its engine.

    Attributes:
        rank: The engine's.
        incarnation: Of the process that this is about; an older one than is known is ignored.
        state: Stopped, errored, or starting.
        reason: For people.
    """

    rank: Rank
    incarnation: int
    state: MemberState
    reason: str = ""

    def run(self, state: SystemState) -> None:
        """Take note of it."""
        if self.state not in (MemberState.STOPPED, MemberState.ERRORED, MemberState.STARTING):
            raise InvalidError(f"a server cannot report a rank {self.state.word}", hint="Stopped, Errored or Starting")
        member = member_of(state, self.rank)
        if self.incarnation < member.incarnation or member.state is MemberState.ADMIN_EXCLUDED:
            return
        state.set_state(member, self.state, self.reason)


class MarkDead(Command[SystemState], frozen=True, kw_only=True, tag="mark_dead"):
    """Membership has found ranks dead.

    Attributes:
        ranks: Rank to the incarnation that is dead.
    """

    ranks: dict[Rank, int]

    def run(self, state: SystemState) -> None:
        """Exclude those that have not joined again since, unless the system's `self_heal` has no `exclude`."""
        to = MemberState.EXCLUDED if state.self_heal("exclude") else MemberState.UNRESPONSIVE
        for rank, incarnation in self.ranks.items():
            member = state.members.get(rank)
            if member is not None and member.joined and member.incarnation <= incarnation:
                state.set_state(member, to, "does not answer")


class ExcludeRanks(Command[SystemState], frozen=True, kw_only=True, tag="exclude_ranks"):
    """An administrator keeps ranks out until `ClearExclude`.

    Attributes:
        ranks: Which.
    """

    ranks: tuple[Rank, ...]

    def run(self, state: SystemState) -> RankResults:
        """Exclude them."""
        return _for_each(state, self.ranks, MemberState.ADMIN_EXCLUDED, None)


class ClearExclude(Command[SystemState], frozen=True, kw_only=True, tag="clear_exclude"):
    """An administrator lets ranks join again.

    Attributes:
        ranks: Which; others than excluded ones stay as they are.
    """

    ranks: tuple[Rank, ...]

    def run(self, state: SystemState) -> RankResults:
        """Let them be excluded only until they join."""
        return _for_each(state, self.ranks, MemberState.EXCLUDED, MemberState.ADMIN_EXCLUDED)


def _for_each(state: SystemState, ranks: tuple[Rank, ...], to: MemberState, only: MemberState | None) -> RankResults:
    members = [member_of(state, rank) for rank in dict.fromkeys(ranks)]
    if not members:
        raise InvalidError("no ranks given", hint="such as 0,2-4")
    for member in members:
        if only in (None, member.state):
            state.set_state(member, to, "by an administrator" if only is None else "")
    return RankResults(results=tuple(RankResult(rank=member.rank, code=0) for member in members))


def member_of(state: SystemState, rank: Rank) -> Member:
    """Return a member.

    Raises:
        NotFoundError: `DER.NONEXIST`.
    """
    member = state.members.get(rank)
    if member is None:
        raise NotFoundError(f"no rank {rank} in the system", hint="dmg system query lists the ranks")
    return member
