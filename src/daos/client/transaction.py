"""Transactions: several reads and changes of a container that happen as one, or not at all."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal, NoReturn, Self, TypeVar

from daos.client.container import Container
from daos.errors import DER, AccessError, DaosError, InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from daos.client._check import CheckReport
    from daos.client._diff import Difference
    from daos.client._names import ObjectId
    from daos.client._seam import TransactionCore
    from daos.client._stat import ContainerStat
    from daos.client.attributes import Attributes
    from daos.client.batch import Batch
    from daos.client.pool import Pool
    from daos.model.snapshots import Snapshot

__all__ = ["Transaction"]

T = TypeVar("T")


class Transaction(Container):
    """A container as one transaction sees and changes it. Made by `Container.transaction`, `run` and `attempts`.

    What is opened in it is read as of the transaction's first operation, with the transaction's own changes, and is
    changed when it commits: all at once, or not at all. Names are part of it. Committed transactions are serializable:
    they come out as if they had run one after the other. So `commit` raises `ConflictError` (`DER.TX_RESTART`) when
    something that was read has been changed by others since, be it a value, a key that was absent, a condition, or
    which keys a listing gave. One that changes nothing never conflicts.

    As a context manager it commits at the end of the block; an exception that leaves the block aborts it.

    When `commit` returns, the changes are as durable as the system was opened for. Before, they are in memory: at most
    65,534 operations, 8 MB of changes (values over 64 KiB not counted) and 256 MiB altogether, else the operation that
    is too much raises `InvalidError` (`DER.OVERFLOW`) and has not happened. It may take 60 seconds, then
    `ConflictError`. Threads may share it: their operations go one after the other.

    What is opened in it is of no use afterwards: `AccessError` (`DER.NO_PERM`). Attributes, properties, labels and
    snapshots are not part of transactions: `InvalidError` (`DER.NOTSUPPORTED`).
    """

    __slots__ = ("_is_entered", "_state", "_tx")

    def __init__(self, core: TransactionCore, pool: Pool) -> None:
        super().__init__(core.container(), pool)
        self._tx = core
        self._state = "open"
        self._is_entered = False

    @property
    def is_done(self) -> bool:
        """Whether it takes no more operations: it has committed, was aborted, or failed to commit."""
        return self._state != "open"

    def commit(self) -> None:
        """Make all its changes happen, as one.

        Raises:
            ConflictError: `DER.TX_RESTART`: what it read has changed; nothing of it happened. Run all of it again.
            NotFoundError: `DER.NONEXIST`: the container was destroyed meanwhile.
            AccessError: `DER.NO_PERM`: it was aborted, or it failed.
            ExistsError: `DER.ALREADY`: it has committed before.
            NoSpaceError: `DER.NOSPACE`: nothing of it happened.
            UncertainError: `DER.TX_UNCERTAIN`: a sync failed; all of it happened, or nothing.
        """
        try:
            self._tx.commit()
        except DaosError:
            if not self.is_done:
                self.end("failed")
            raise
        self.end("committed")

    def abort(self) -> None:
        """Give it up: nothing of it happens.

        Raises:
            AccessError: `DER.NO_PERM`: it has committed.
            ExistsError: `DER.ALREADY`: it was aborted before.
        """
        self._tx.abort()
        self.end("aborted")

    def give_up(self) -> None:
        """Abort it unless it is done; no error either way."""
        if not self.is_done:
            with suppress(DaosError):
                self.abort()

    def end(self, state: Literal["committed", "aborted", "failed"]) -> None:
        """Take note of how it ended: for whoever ends the core's part of it."""
        self._state = state

    def enter(self) -> None:
        """Begin its block.

        Raises:
            AccessError: `DER.NO_PERM`: it had one already, or is done.
        """
        if self._is_entered or self.is_done:
            raise AccessError(
                f"a transaction is entered once, and this one {'was' if self._is_entered else f'has {self._state}'}",
                code=DER.NO_PERM,
                hint="begin another one",
            )
        self._is_entered = True

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.give_up()
        elif not self.is_done:
            self.commit()

    def __repr__(self) -> str:
        return f"<daos.Transaction of {self.label!r} in pool {self.pool.label}, {self._state}>"

    def __reduce__(self) -> NoReturn:
        raise InvalidError(
            "a transaction cannot be pickled: it belongs to the process that began it",
            code=DER.NOTSUPPORTED,
            hint="pickle the container and begin one there",
        )

    # --- what is not part of transactions

    def local2global(self) -> bytes:
        """Refused."""
        self._outside("a handle for other processes")

    def _outside(self, what: str) -> NoReturn:
        raise InvalidError(
            f"{what} cannot be part of a transaction", code=DER.NOTSUPPORTED, hint="use the container itself"
        )

    @property
    def attributes(self) -> Attributes:
        """Refused."""
        self._outside("attributes")

    def set_properties(self, properties: Mapping[str, object]) -> None:  # noqa: ARG002 -- as its base has it
        """Refused."""
        self._outside("properties")

    def aggregate(self) -> int:
        """Refused."""
        self._outside("aggregation")

    def snapshot(self, name: str | None = None) -> Snapshot:  # noqa: ARG002 -- as its base has it
        """Refused."""
        self._outside("snapshots")

    def snapshots(self) -> list[Snapshot]:
        """Refused."""
        self._outside("snapshots")

    def at(self, snapshot: str | int | Snapshot) -> Container:  # noqa: ARG002 -- as its base has it
        """Refused."""
        self._outside("snapshots")

    def check(self, *, told: Callable[[int], None] | None = None) -> CheckReport:  # noqa: ARG002 -- as its base has it
        """Refused."""
        self._outside("a check")

    def stat(self) -> ContainerStat:
        """Refused."""
        self._outside("statistics")

    def objects(self) -> Iterator[ObjectId]:
        """Refused."""
        self._outside("listings of objects")

    def diff(self, since: str | int | Snapshot) -> Iterator[Difference]:  # noqa: ARG002 -- as its base has it
        """Refused."""
        self._outside("snapshots")

    def rollback(self, snapshot: str | int | Snapshot) -> None:  # noqa: ARG002 -- as its base has it
        """Refused."""
        self._outside("snapshots")

    def destroy_snapshot(self, snapshot: str | int | Snapshot) -> None:  # noqa: ARG002 -- as its base has it
        """Refused."""
        self._outside("snapshots")

    def destroy_snapshots(self, first: int, last: int) -> int:  # noqa: ARG002 -- as its base has it
        """Refused."""
        self._outside("snapshots")

    def batch(self) -> Batch:
        """Refused."""
        self._outside("batches")

    def transaction(self) -> Transaction:
        """Refused."""
        self._outside("another transaction")

    def run(self, function: Callable[[Transaction], T], *, deadline: float = 5.0) -> T:  # noqa: ARG002 -- as its base has it
        """Refused."""
        self._outside("another transaction")

    def attempts(self, *, deadline: float = 5.0) -> Iterator[Transaction]:  # noqa: ARG002 -- as its base has it
        """Refused."""
        self._outside("another transaction")
