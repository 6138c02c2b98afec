"""Changes that are sent without waiting for each of them: what is under way, and what failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, cast

from daos import _core
from daos.errors import DER, ClosedError, KeyNotFoundError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Concatenate

__all__ = ["Sending", "What"]

P = ParamSpec("P")
Start: TypeAlias = "Callable[Concatenate[_core.EventQueue, object, P], bool]"
"""What begins a change, and returns False where there is no room."""

WORKERS = 1
"""Of one thread, so that changes happen in the order they were given."""


@dataclass(frozen=True)
class What:
    """Which change it is: for what is told if it fails."""

    what: str
    level: str
    key: object
    of: str


class Sending:
    """The changes of one batch. Not awaited here and not waited for: whoever uses it does that by `queue`."""

    __slots__ = ("_failed", "_first", "_sent", "is_open", "queue")

    def __init__(self, operations_max: int, bytes_max: int) -> None:
        self.queue = _core.EventQueue(operations_max=operations_max, bytes_max=bytes_max, workers=WORKERS)
        self.is_open = False
        self._sent = 0
        self._failed = 0
        self._first: tuple[int, What, Exception] | None = None

    def begin(
        self,
        start: Start[P],
        what: What,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> bool:
        """Begin a change; return False where there is no room for it yet.

        Raises:
            ClosedError: `DER.NO_HDL`: not within the batch's block.
        """
        if not self.is_open:
            hint = "with cont.batch() as batch: ..."
            raise ClosedError("the batch has ended, or not begun", code=DER.NO_HDL, hint=hint)
        taken = start(self.queue, (self._sent, what), *args, **kwargs)
        self._sent += taken
        return taken

    def drain(self) -> None:
        """Take note of what failed among what is done."""
        done = cast("list[tuple[tuple[int, What], bool, object]]", self.queue.drain())
        for (number, what), succeeded, value in done:
            if succeeded:
                continue
            error = cast("Exception", value)
            if what.what == "del" and isinstance(error, NotFoundError):
                error = KeyNotFoundError(
                    f"no key {what.key!r} in {what.of!r}",
                    hint="remove() does not mind a key that is absent",
                    context={"key": what.key, "kv": what.of},
                )
            self._failed += 1
            # They are not always drained in the order in which they were sent.
            if self._first is None or number < self._first[0]:
                self._first = (number, what, error)

    def tell(self, error: BaseException | None) -> None:
        """Raise the first failure; where the block raised an error itself, add it to that as a note.

        Raises:
            DaosError: The first failure, with notes that say which change it was and how many failed.
        """
        if self._first is None:
            return
        _, what, first = self._first
        many = f"{self._failed} of {self._sent} changes of the batch failed; the others are done"
        if error is not None:
            error.add_note(f"{many}; the first with {first!r}")
            return
        first.add_note(f"{what.what} of {what.level} {what.key!r} in {what.of!r}; {many}")
        raise first
