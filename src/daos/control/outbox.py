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


class Outbox(msgspec.Struct, Generic[E], dict=True):
    """The effects of a service, by their numbers.

    What is looked for by subject is found without going through all: a rank that is away for long leaves thousands.

    Attributes:
        next: The number of the next effect.
        works: Those that are not confirmed by all; to be read here, and changed by the methods alone.
    """

    next: int = 1
    works: dict[int, Work[E]] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Find the subjects again, which are stored with the effects only."""
        self._of: dict[str, dict[int, None]] = {}
        for number, work in self.works.items():
            self._index(number, work)

    def _index(self, number: int, work: Work[E]) -> None:
        for subject in {work.effect.subject, *work.effect.subjects}:
            self._of.setdefault(subject, {})[number] = None

    def _remove(self, number: int) -> Work[E]:
        work = self.works.pop(number)
        for subject in {work.effect.subject, *work.effect.subjects}:
            numbers = self._of[subject]
            del numbers[number]
            if not numbers:
                del self._of[subject]
        return work

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
            work = Work(effect=effect, asked=tuple(wanted), ranks=wanted, anyone=anyone)
            self.works[number] = work
            self._index(number, work)
        return number

    def of(self, subject: str) -> list[Work[E]]:
        """Return the effects named by a subject, in their order; a handle may be one of several in an effect."""
        works = [self.works[number] for number in self._of.get(subject, ())]
        return [work for work in works if work.effect.subject == subject]

    def touches(self, subject: str) -> bool:
        """Tell whether an effect changes a subject, among others or alone."""
        return subject in self._of

    def since(self, number: int) -> list[int]:
        """Return the numbers from this one on, in their order."""
        found = []
        # Numbers grow, and dicts keep the order: what is newer is at the end.
        for newer in reversed(self.works):
            if newer < number:
                break
            found.append(newer)
        return found[::-1]

    def cancel(self, subject: str) -> None:
        """Take off all effects on a subject; what was sent already is refused by the ranks' fences."""
        numbers = self._of.get(subject, {})
        for number in [number for number in numbers if self.works[number].effect.subject == subject]:
            self._remove(number)

    def remove(self, number: int) -> None:
        """Take an effect off, done or not."""
        self._remove(number)

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
            self._remove(number)
        return work

    def forget(self, rank: Rank) -> None:
        """Take a rank off all effects: its storage is gone."""
        for number, work in list(self.works.items()):
            if rank in work.ranks:
                work.ranks.remove(rank)
                if not work.ranks:
                    self._remove(number)

    def floor(self, rank: Rank) -> int:
        """Return the number below which nothing is left for a rank; 0 where it has nothing to do."""
        return self.floors((rank,)).get(rank, 0)

    def floors(self, ranks: Iterable[Rank]) -> dict[Rank, int]:
        """Return, for each of the ranks that has something to do, the number below which nothing is left for it."""
        floors: dict[Rank, int] = {}
        wanted = set(ranks)
        # Numbers grow, and dicts keep the order: the first that names a rank is its lowest.
        for number, work in self.works.items():
            if not wanted:
                break
            for rank in work.ranks:
                if rank in wanted:
                    floors[rank] = number
                    wanted.discard(rank)
        return floors

    def check(self) -> None:
        """Compare the effects with their subjects; tests call it.

        Raises:
            AssertionError: They contradict each other.
        """
        of: dict[str, dict[int, None]] = {}
        for number, work in self.works.items():
            for subject in {work.effect.subject, *work.effect.subjects}:
                of.setdefault(subject, {})[number] = None
        if of != self._of or any(list(of[subject]) != list(self._of[subject]) for subject in of):
            raise AssertionError(f"subjects {self._of} of effects {of}")
