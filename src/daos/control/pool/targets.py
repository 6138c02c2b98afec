"""Requests that change the pool map."""

from __future__ import annotations

from daos.control.outbox import Rank
from daos.control.outcomes import Pending
from daos.control.pool.effects import DiscardShards
from daos.control.pool.map import Target
from daos.control.pool.state import OPERATION_TICKS_MAX, MapChanged, PoolState, Returning
from daos.control.replicated import Command
from daos.errors import BusyError, InvalidError, UnavailableError


class _TargetsCommand(Command[PoolState], frozen=True, kw_only=True):
    """A change of targets.

    Attributes:
        ranks: Which, with the indexes of their targets; None for all.
    """

    ranks: dict[Rank, tuple[int, ...] | None]

    def chosen(self, state: PoolState) -> list[Target]:
        """Return the targets."""
        state.check_created()
        if not self.ranks:
            raise InvalidError("no ranks given", hint="such as --ranks=1,2")
        return [target for rank, indexes in self.ranks.items() for target in state.map.chosen(rank, indexes)]


class ExcludeTargets(_TargetsCommand, frozen=True, kw_only=True, tag="exclude_targets"):
    """An administrator takes targets out of the pool at once.

    Attributes:
        force: Also against the redundancy factor.
    """

    force: bool = False

    def run(self, state: PoolState) -> MapChanged:
        """Take them out."""
        factor = int(state.properties["rd_fac"])
        if state.map.exclude(self.chosen(state), rd_fac=factor, force=self.force):
            state.tell_map()
        return MapChanged(version=state.map.version)


class DrainTargets(_TargetsCommand, frozen=True, kw_only=True, tag="drain_targets"):
    """An administrator has targets emptied, to take them out afterwards."""

    def run(self, state: PoolState) -> MapChanged:
        """Begin to drain them."""
        if state.map.drain(self.chosen(state)):
            state.tell_map()
        return MapChanged(version=state.map.version)


class ReintegrateTargets(_TargetsCommand, frozen=True, kw_only=True, tag="reintegrate_targets"):
    """An administrator brings targets back; what they have of the pool is deleted first."""

    def run(self, state: PoolState) -> Pending | MapChanged:
        """Have them discard what they have."""
        back = state.map.check_reintegrate(self.chosen(state))
        if not back:
            return MapChanged(version=state.map.version)
        state.outbox.check_room()
        busy = {rank for returning in state.returning.values() for rank in returning.targets}
        if busy & set(self.ranks):
            raise BusyError(f"rank {min(busy & set(self.ranks))} is being brought back")
        targets = {
            rank: tuple(
                index
                for index, target in enumerate(state.map.ranks[rank].targets)
                if any(target is each for each in back)
            )
            for rank in self.ranks
        }
        targets = {rank: indexes for rank, indexes in targets.items() if indexes}
        name = f"reintegrate {state.outbox.next}"
        state.returning[name] = Returning(targets=targets, deadline=state.time + OPERATION_TICKS_MAX)
        for rank in targets:
            state.gone.pop(rank, None)
        state.outbox.put(DiscardShards(subject=name, targets=targets, epoch=state.time), targets)
        return Pending(name)


class TargetsMoved(_TargetsCommand, frozen=True, kw_only=True, tag="targets_moved"):
    """Data has been moved off targets that were going, or onto those that came."""

    def run(self, state: PoolState) -> MapChanged:
        """Bring them into the state that they were on the way to."""
        if state.map.moved(self.chosen(state)):
            state.tell_map()
        return MapChanged(version=state.map.version)


class MarkDead(Command[PoolState], frozen=True, kw_only=True, tag="mark_dead"):
    """Membership has found ranks dead.

    Attributes:
        ranks: Rank to the incarnation that is dead.
    """

    ranks: dict[Rank, int]

    def run(self, state: PoolState) -> None:
        """Exclude them, unless `self_heal` has no `exclude` or the redundancy does not bear it: they may come back."""
        dead = {
            rank: incarnation
            for rank, incarnation in self.ranks.items()
            if rank in state.map.ranks and incarnation >= state.alive.get(rank, 0)
        }
        state.gone.update(dead)
        if state.frozen or "exclude" not in str(state.properties["self_heal"]).split(";"):
            return
        changed = False
        for rank in dead:
            try:
                changed |= state.map.exclude(
                    state.map.ranks[rank].targets, rd_fac=int(state.properties["rd_fac"]), force=False
                )
            except UnavailableError:
                continue
            del state.gone[rank]
        if changed:
            state.tell_map()


class MarkAlive(Command[PoolState], frozen=True, kw_only=True, tag="mark_alive"):
    """A rank has joined the system.

    Attributes:
        rank: Which.
        incarnation: Of its process; deaths of earlier ones are no news from now on.
    """

    rank: Rank
    incarnation: int

    def run(self, state: PoolState) -> None:
        """Take note of it. A rank that was excluded stays so until it is reintegrated."""
        if self.rank in state.map.ranks and self.incarnation > state.alive.get(self.rank, 0):
            state.alive[self.rank] = self.incarnation
            if state.gone.get(self.rank, self.incarnation) < self.incarnation:
                del state.gone[self.rank]
