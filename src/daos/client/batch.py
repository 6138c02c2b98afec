"""Batches: changes that are sent without waiting for each of them."""

from __future__ import annotations

import select
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, ParamSpec, cast, overload

from daos import _core
from daos.client import _seam
from daos.client._keys import K, KeyCodec
from daos.client._owned import owned
from daos.client.kv import _pairs
from daos.errors import DER, ClosedError, KeyNotFoundError, NotFoundError, UncertainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Concatenate, Self

    from daos.client._seam import Value
    from daos.client.container import Container, Create, KeysAre
    from daos.client.kv import KV

__all__ = ["Batch", "BatchKV"]

P = ParamSpec("P")

OPERATIONS_MAX = 16 << 10
"""Changes that are under way at once; the next waits for room."""
BYTES_MAX = 64 << 20
"""Bytes of keys and values that these hold."""
WORKERS = 1
"""Of one thread, so that changes happen in the order they were given."""
WAIT_S_MAX = 600
"""How long the end of a batch waits: ten times what the store gives a device that does not answer."""
WAIT_STEP_S = 1.0
"""How long at a time, so that the user can interrupt it."""


@dataclass(frozen=True)
class _Sent:
    """A change under way: for what is told if it fails."""

    number: int
    what: str
    key: object
    kv: str


class Batch:
    """Changes of a container that are sent one behind the other, as a `with` block; made by `Container.batch`.

    They begin at once and happen in the order they were given. The end of the block waits until all are done and as
    durable as the system was opened for; they share their syncs. Not atomic, and no other is kept out: a transaction is
    what does that. If the block raises, what was sent is done all the same.

    At most 16384 changes and 64 MiB are under way; the next one waits. A batch belongs to one thread.
    """

    __slots__ = ("_container", "_failed", "_first", "_open", "_queue", "_sent")

    def __init__(self, container: Container) -> None:
        self._container = container
        self._queue = _core.EventQueue(operations_max=OPERATIONS_MAX, bytes_max=BYTES_MAX, workers=WORKERS)
        self._sent = 0
        self._failed = 0
        self._first: tuple[_Sent, Exception] | None = None
        self._open = False

    @overload
    def kv(self, name: str, *, create: Create = ..., keys: None = ...) -> BatchKV[str]: ...
    @overload
    def kv(self, name: str, *, create: Create = ..., keys: Literal["str"]) -> BatchKV[str]: ...
    @overload
    def kv(self, name: str, *, create: Create = ..., keys: Literal["bytes"]) -> BatchKV[bytes]: ...
    @overload
    def kv(self, name: str, *, create: Create = ..., keys: Literal["int"]) -> BatchKV[int]: ...
    def kv(
        self, name: str, *, create: Create = False, keys: KeysAre | None = None
    ) -> BatchKV[str] | BatchKV[bytes] | BatchKV[int]:
        """Return a store of the container to change in this batch; arguments and errors are those of `Container.kv`."""
        kv = self._container.kv(name, create=create, keys=keys)
        # One of three types, which a type variable does not take at once.
        return BatchKV(self, cast("KV[str]", kv))

    def __enter__(self) -> Self:
        self._open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for all.

        Raises:
            DaosError: The first error, when all are done; its notes say which change it was and how many failed.
            UncertainError: `DER.TX_UNCERTAIN`: some were still under way after 600 seconds.
        """
        self._open = False
        finished = any(self._queue.close(timeout_s=WAIT_STEP_S) for _ in range(WAIT_S_MAX))
        self._drain()
        if not finished:
            raise UncertainError(
                f"changes of the batch are under way after {WAIT_S_MAX} s", hint="read before you write again"
            )
        if self._first is None:
            return
        sent, first = self._first
        many = f"{self._failed} of {self._sent} changes of the batch failed; the others are done"
        if error is not None:
            error.add_note(f"{many}; the first with {first!r}")
            return
        first.add_note(f"{sent.what} of key {sent.key!r} in {sent.kv!r}; {many}")
        raise first

    def _send(
        self,
        start: Callable[Concatenate[_core.EventQueue, object, P], bool],
        what: str,
        key: object,
        kv: str,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Begin a change, after waiting for room."""
        if not self._open:
            raise ClosedError(
                "the batch has ended, or not begun", code=DER.NO_HDL, hint="with cont.batch() as batch: ..."
            )
        sent = _Sent(self._sent, what, key, kv)
        while not start(self._queue, sent, *args, **kwargs):
            ready = select.poll()
            ready.register(self._queue.fileno(), select.POLLIN)
            ready.poll(WAIT_STEP_S * 1000)
            self._drain()
        self._sent += 1

    def _drain(self) -> None:
        """Take note of what failed among what is done."""
        for sent, succeeded, value in cast("list[tuple[_Sent, bool, object]]", self._queue.drain()):
            if succeeded:
                continue
            error = cast("Exception", value)
            if sent.what == "del" and isinstance(error, NotFoundError):
                error = KeyNotFoundError(
                    f"no key {sent.key!r} in {sent.kv!r}", context={"key": sent.key, "kv": sent.kv}
                )
            self._failed += 1
            # They are not always drained in the order in which they were sent.
            if self._first is None or sent.number < self._first[0].number:
                self._first = (sent, error)


class BatchKV(Generic[K]):
    """A key-value store as a batch changes it. Nothing can be read here: what was sent may not have happened yet."""

    __slots__ = ("_batch", "_codec", "_core", "_kv")

    def __init__(self, batch: Batch, kv: KV[K]) -> None:
        self._batch = batch
        self._kv: KV[K] = kv
        self._codec: KeyCodec[K] = kv._codec  # noqa: SLF001 -- one class in two
        self._core = _core.AsyncKV(cast("_core.KV", kv._core))  # noqa: SLF001 -- as above

    def put(self, key: K, value: Value) -> None:
        """Send a value; `bytes` are held until it is stored, any other buffer is copied.

        Raises:
            InvalidError: `DER.INVAL` or `DER.KEY2BIG`: no key of this store, or no value; nothing was sent.
        """
        stored, kept = self._codec.encode(key), owned(value)
        self._batch._send(self._core.put, "put", key, self._kv.name, stored, kept)  # noqa: SLF001 -- its own part

    def remove(self, key: K) -> None:
        """Send the removal of a key; one that is absent is no error (`del` raises for it, at the end of the batch).

        Raises:
            InvalidError: `DER.INVAL` or `DER.KEY2BIG`: no key of this store; nothing was sent.
        """
        stored = self._codec.encode(key)
        self._batch._send(self._core.remove, "remove", key, self._kv.name, stored)  # noqa: SLF001 -- its own part

    def put_many(self, items: Mapping[K, Value] | Iterable[tuple[K, Value]]) -> None:
        """Send several values, as `put` does each."""
        for key, value in _pairs(items.items() if isinstance(items, Mapping) else items):
            self.put(key, value)

    def __setitem__(self, key: K, value: Value) -> None:
        self.put(key, value)

    def __delitem__(self, key: K) -> None:
        stored = self._codec.encode(key)
        self._batch._send(self._core.remove, "del", key, self._kv.name, stored, _seam.COND_PUNCH)  # noqa: SLF001 -- its own part

    def __repr__(self) -> str:
        return f"<daos.BatchKV {self._kv.name!r}>"
