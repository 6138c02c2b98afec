"""Effects that are to be carried out on ranks, kept in the state until each rank has confirmed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Generic, TypeAlias, TypeVar

import msgspec

from daos.errors import DER, BusyError

WORKS_MAX = 16_384
"""Effects that are under way at once; more are refused, so that a snapshot stays some megabytes."""

Rank: TypeAlias = int


class Effect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """Something to be done on ranks; doing it again changes nothing.

    Attributes:
        subject: Uuid of the pool, container or handle that it changes: later effects on it replace earlier ones.
        stubborn: Whether no failure is final: it is carried out again until it is done.
        final: Failures that are final for this effect, though for others they pass.
    """

    stubborn: ClassVar[bool] = False
    final: ClassVar[frozenset[DER]] = frozenset()
    subject: str

    @property
    def subjects(self) -> tuple[str, ...]:
        """All that it changes: a rank does not carry it out behind a later effect on one of them."""
        return (self.subject,)


E = TypeVar("E", bound=Effect)


class Work(msgspec.Struct, Generic[E], kw_only=True):
    """An effect and how far it is.

    Attributes:
        effect: What is to be done.
        asked: By whom.
        ranks: By whom still.
        failed: Who could not, with the number of the `DER`.
        anyone: Whether one of the ranks is enough.
    """

    effect: E
    asked: tuple[Rank, ...]
    ranks: list[Rank]
    failed: dict[Rank, int] = msgspec.field(default_factory=dict)
    anyone: bool = False


class Outbox(msgspec.Struct, Generic[E]):
    """The effects of a service, by their numbers.

    Attributes:
        next: The number of the next effect.
        works: Those that are not confirmed by all.
    """

    next: int = 1
    works: dict[int, Work[E]] = msgspec.field(default_factory=dict)

    def check_room(self) -> None:
        """Return if another operation may begin.

        Raises:
            BusyError: `DER.BUSY`.
        """
        if len(self.works) >= WORKS_MAX:
            raise BusyError(
                f"{len(self.works)} effects are under way, the most there may be",
                hint="try again when ranks that do not answer are back, or excluded",
            )

    def put(self, effect: E, ranks: Iterable[Rank], *, anyone: bool = False) -> int:
        """Add an effect and return its number. An effect for no rank is none."""
        number, wanted = self.next, list(ranks)
        self.next += 1
        if wanted:
            self.works[number] = Work(effect=effect, asked=tuple(wanted), ranks=wanted, anyone=anyone)
        return number

    def cancel(self, subject: str) -> None:
        """Take off all effects on a subject; what was sent already is refused by the ranks' fences."""
        for number in [number for number, work in self.works.items() if work.effect.subject == subject]:
            del self.works[number]

    def confirm(self, number: int, done: Iterable[Rank], failed: dict[Rank, int]) -> Work[E] | None:
        """Take ranks off an effect and return its work, None if they were off before."""
        work = self.works.get(number)
        if work is None:
            return None
        left = dict.fromkeys(work.ranks)
        off = [rank for rank in done if rank in left]
        wrong = {rank: code for rank, code in failed.items() if rank in left}
        if not off and not wrong:
            return None
        work.failed.update(wrong)
        work.ranks = [] if work.anyone else [rank for rank in work.ranks if rank not in off and rank not in wrong]
        if not work.ranks:
            del self.works[number]
        return work

    def forget(self, rank: Rank) -> None:
        """Take a rank off all effects: its storage is gone."""
        for number, work in list(self.works.items()):
            if rank in work.ranks:
                work.ranks.remove(rank)
                if not work.ranks:
                    del self.works[number]

    def floors(self) -> dict[Rank, int]:
        """Return, for each rank that has something to do, the number below which nothing is left for it."""
        floors: dict[Rank, int] = {}
        # Numbers grow, and dicts keep the order: the first that names a rank is its lowest.
        for number, work in self.works.items():
            for rank in work.ranks:
                floors.setdefault(rank, number)
        return floors
