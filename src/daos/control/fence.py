"""What a rank keeps of one service, so that an effect that comes late does nothing."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Fence(msgspec.Struct):
    """The fence of a rank against late effects of a service. It must be durable before an effect is carried out.

    Attributes:
        floor: No effect below it is wanted any more.
        last: Subject to the number of the last effect on it; those below the floor are forgotten.
    """

    floor: int = 0
    last: dict[str, int] = msgspec.field(default_factory=dict)

    def admit(self, subjects: Iterable[str], number: int, floor: int) -> bool:
        """Tell whether an effect may be carried out, and keep that it was.

        The same effect may be admitted again: carrying it out twice changes nothing.

        Args:
            subjects: The effect's.
            number: The effect's.
            floor: What the leader told with it.
        """
        named = tuple(subjects)
        if number < max((self.floor, *(self.last.get(subject, 0) for subject in named))):
            return False
        self.last.update(dict.fromkeys(named, number))
        if floor > self.floor:
            self.floor = floor
            self.last = {name: kept for name, kept in self.last.items() if kept >= floor}
        return True
