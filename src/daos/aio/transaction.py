"""Transactions, awaitable."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Self, TypeVar, cast

from daos import _core
from daos.aio.container import Container
from daos.client._attempts import Patience
from daos.errors import ConflictError, DaosError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from types import TracebackType

    from daos import client
    from daos.aio._queue import Home
    from daos.aio.batch import Batch
    from daos.aio.pool import Pool

__all__ = ["Transaction"]

T = TypeVar("T")


class Transaction(Container):
    """A container as one transaction sees and changes it: `daos.Transaction`, to be awaited.

    Made by `Container.transaction`, `run` and `attempts`. Operations of one transaction that are under way at once go
    one after the other, in any order; await them before it commits. Commits that are under way at once share their
    sync. A `commit` whose await is cancelled is an unknown outcome, of all or nothing.
    """

    __slots__ = ("_tx",)

    def __init__(self, sync: client.Transaction, pool: Pool, home: Home) -> None:
        super().__init__(sync, pool, home)
        self._tx = _core.AsyncTransaction(cast("_core.Transaction", sync._tx))  # noqa: SLF001 -- one class in two

    @property
    def is_done(self) -> bool:
        """Whether it takes no more operations: it has committed, was aborted, or failed to commit."""
        return self._transaction.is_done

    async def commit(self) -> None:
        """Make all its changes happen, as one; errors are those of `daos.Transaction.commit`."""
        sync = self._transaction
        was_done = sync.is_done
        # What is true until something else is known, also where the await is cancelled.
        if not was_done:
            sync.end("failed")
        await self._home.run(self._tx.commit)
        sync.end("committed")

    async def abort(self) -> None:
        """Give it up: nothing of it happens; errors are those of `daos.Transaction.abort`."""
        await self._home.run(self._tx.abort)
        self._transaction.end("aborted")

    async def give_up(self) -> None:
        """Abort it unless it is done; no error either way."""
        if not self.is_done:
            with suppress(DaosError):
                await self.abort()

    async def __aenter__(self) -> Self:
        self._transaction.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            await self.give_up()
        elif not self.is_done:
            await self.commit()

    def batch(self) -> Batch:
        """Refused."""
        self._transaction._outside("batches")  # noqa: SLF001 -- one class in two

    @property
    def _transaction(self) -> client.Transaction:
        return cast("client.Transaction", self._sync)


async def attempts(begin: Callable[[], Transaction], deadline: float) -> AsyncIterator[Transaction]:
    """Yield transactions until one commits, each after the one before conflicted."""
    patience = Patience(deadline)
    while True:
        tx = begin()
        try:
            yield tx
            if not tx.is_done:
                await tx.commit()
        except ConflictError:
            if (wait := patience.conflict()) is None:
                raise
            await asyncio.sleep(wait)
        else:
            return
        finally:
            await tx.give_up()


async def run(begin: Callable[[], Transaction], function: Callable[[Transaction], Awaitable[T]], deadline: float) -> T:
    """Await a function with transactions until one commits; return what that call returned."""
    patience = Patience(deadline)
    while True:
        tx = begin()
        try:
            result = await function(tx)
            if not tx.is_done:
                await tx.commit()
        except ConflictError:
            if (wait := patience.conflict()) is None:
                raise
            await asyncio.sleep(wait)
        else:
            return result
        finally:
            await tx.give_up()
