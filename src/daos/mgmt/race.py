"""Questions to several servers at once, of which the first good answer counts: who is away is not waited for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from daos.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Hashable, Iterator
    from types import TracebackType

STAGGER_S = 0.25
"""After so long without an answer the next is asked as well: several times what one takes that is there."""

K = TypeVar("K", bound="Hashable")
T = TypeVar("T")


class Race(Generic[K, T]):
    """What is asked of some at once, one question each. As a context manager, what is under way at the end is ended."""

    def __init__(self) -> None:
        self._asked: dict[K, asyncio.Task[T]] = {}

    def __contains__(self, whom: object) -> bool:
        return whom in self._asked

    def __iter__(self) -> Iterator[K]:
        return iter(list(self._asked))

    def __len__(self) -> int:
        return len(self._asked)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        tasks, self._asked = list(self._asked.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def ask(self, whom: K, question: Coroutine[object, object, T]) -> None:
        """Ask somebody who is not asked at the moment.

        Raises:
            InternalError: He is.
        """
        if whom in self._asked:
            question.close()
            raise InternalError(f"{whom} is asked already")
        self._asked[whom] = asyncio.create_task(question)

    async def next(self, timeout_s: float) -> tuple[K, asyncio.Task[T]] | None:
        """Return the next who has answered, and with what; None if nobody does in time."""
        timeout_s = max(0.0, timeout_s)
        if not self._asked:
            await asyncio.sleep(timeout_s)
            return None
        await asyncio.wait(self._asked.values(), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for whom, task in self._asked.items():
            if task.done():
                del self._asked[whom]
                return whom, task
        return None
