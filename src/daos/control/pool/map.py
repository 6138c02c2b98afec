"""The pool map: targets of ranks of fault domains, and how their states change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from daos.control.outbox import Rank
from daos.errors import DER, BusyError, InvalidError, NotFoundError, UnavailableError
from daos.model.targets import TargetState

_GONE = (TargetState.DOWN, TargetState.DOWNOUT)
_MOVING = (TargetState.UP, TargetState.DRAIN)


class Target(msgspec.Struct, kw_only=True):
    """A target.

    Attributes:
        state: What it is good for.
        version: Of the map in which it came into this state.
    """

    state: TargetState = TargetState.UPIN
    version: int = 1


class MapRank(msgspec.Struct, kw_only=True):
    """A rank of a pool.

    Attributes:
        rank: Its number.
        domain: Its fault domain, from the top down.
        targets: Its targets.
    """

    rank: Rank
    domain: tuple[str, ...]
    targets: list[Target]

    @property
    def in_use(self) -> bool:
        """Whether a target of it is."""
        return any(target.state.in_use for target in self.targets)


class PoolMap(msgspec.Struct, kw_only=True):
    """The map of a pool.

    Attributes:
        version: Counts changes; 0 before there is a pool.
        ranks: The ranks.
    """

    version: int = 0
    ranks: dict[Rank, MapRank] = msgspec.field(default_factory=dict)

    def in_use(self) -> list[Rank]:
        """Return the ranks that serve."""
        return [rank.rank for rank in self.ranks.values() if rank.in_use]

    def domains(self) -> int:
        """Return how many fault domains there are."""
        return len({rank.domain for rank in self.ranks.values()})

    def down_domains(self, since: int = 0) -> int:
        """Return how many fault domains have targets whose data is not restored yet, that went after a version."""
        return len(
            {
                rank.domain
                for rank in self.ranks.values()
                for target in rank.targets
                if target.state is TargetState.DOWN and target.version > since
            }
        )

    def chosen(self, rank: Rank, indexes: Iterable[int] | None) -> list[Target]:
        """Return targets of a rank: some, or all.

        Raises:
            NotFoundError: `DER.NONEXIST`: the pool has no such rank or target.
        """
        found = self.ranks.get(rank)
        if found is None:
            raise NotFoundError(f"rank {rank} is not in the pool", hint="dmg pool query lists its ranks")
        if indexes is None:
            return list(found.targets)
        wanted = list(dict.fromkeys(indexes))
        absent = [index for index in wanted if not 0 <= index < len(found.targets)]
        if absent or not wanted:
            raise NotFoundError(f"rank {rank} has targets 0 to {len(found.targets) - 1}, not {absent or 'none'}")
        return [found.targets[index] for index in wanted]

    def exclude(self, targets: Iterable[Target], *, rd_fac: int, force: bool) -> bool:
        """Take targets out; those that are out, or being drained, are passed over. Return whether there was one.

        Raises:
            UnavailableError: `DER.RF`: more domains would be down than the redundancy factor allows.
        """
        leaving = [target for target in targets if target.state in (TargetState.UPIN, TargetState.UP)]
        before = [target.state for target in leaving]
        self._set(leaving, TargetState.DOWN)
        down = self.down_domains()
        if leaving and down > rd_fac and not force:
            for target, state in zip(leaving, before, strict=True):
                target.state = state
            raise UnavailableError(
                f"{down} fault domains would be down, the redundancy factor is {rd_fac}",
                code=DER.RF,
                hint="bring ranks back first; with force it is done, and data may be lost",
            )
        return self._changed(leaving)

    def drain(self, targets: Iterable[Target]) -> bool:
        """Have targets emptied; those that are out or being drained are passed over. Return whether there was one.

        Raises:
            BusyError: `DER.BUSY`: targets are being filled or drained.
        """
        wanted = list(targets)
        if any(target.state in _MOVING for target in self._all()):
            raise BusyError("targets of the pool are being filled or drained", hint="wait until that has ended")
        leaving = [target for target in wanted if target.state is TargetState.UPIN]
        self._set(leaving, TargetState.DRAIN)
        return self._changed(leaving)

    def check_reintegrate(self, targets: Iterable[Target]) -> list[Target]:
        """Return those of some targets that are out.

        Raises:
            BusyError: `DER.BUSY`: some are being drained, or new.
        """
        wanted = list(targets)
        if any(target.state in (TargetState.DRAIN, TargetState.NEW) for target in wanted):
            raise BusyError("targets are being drained or are new", hint="wait until that has ended")
        return [target for target in wanted if target.state in _GONE]

    def reintegrate(self, targets: Iterable[Target]) -> bool:
        """Have targets that are out be filled again. Return whether there was one."""
        back = [target for target in targets if target.state in _GONE]
        self._set(back, TargetState.UP)
        return self._changed(back)

    def moved(self, targets: Iterable[Target]) -> bool:
        """Take note that data has moved off targets that are going, and onto those that come. Return whether any did.

        Raises:
            InvalidError: `DER.INVAL`: a target was not on the move.
        """
        wanted = list(targets)
        then = {
            TargetState.DOWN: TargetState.DOWNOUT,
            TargetState.DRAIN: TargetState.DOWNOUT,
            TargetState.UP: TargetState.UPIN,
        }
        still = [target.state for target in wanted if target.state not in then]
        if still:
            raise InvalidError(f"nothing moves on or off a target that is {still[0].name}")
        for target in wanted:
            self._set([target], then[target.state])
        return self._changed(wanted)

    def _all(self) -> Iterator[Target]:
        for rank in self.ranks.values():
            yield from rank.targets

    def _set(self, targets: Iterable[Target], state: TargetState) -> None:
        for target in targets:
            target.state = state

    def _changed(self, targets: list[Target]) -> bool:
        if targets:
            self.version += 1
        for target in targets:
            target.version = self.version
        return bool(targets)
