"""An event loop's queue of operations: futures go in with them, and are resolved in one callback a batch."""

from __future__ import annotations

import asyncio
import atexit
import os
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, cast
from weakref import WeakKeyDictionary

from daos import _core
from daos.errors import DER, ClosedError, ForkedError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Home"]

OPERATIONS_MAX = 64 << 10
"""Operations of one event loop that the core holds; more wait in the order they were asked for."""
BYTES_MAX = 256 << 20
"""Bytes of keys and values that these hold."""
WORKERS = 2
"""Threads of a queue: one works while the other waits for the device."""
EXIT_WAIT_S = 5.0
"""How long an interpreter that ends waits for operations that have begun."""

P = ParamSpec("P")
T = TypeVar("T")


class LoopQueue:
    """The queue of one event loop. Used in the loop's thread only."""

    __slots__ = ("__weakref__", "_waiting", "core")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.core = _core.EventQueue(operations_max=OPERATIONS_MAX, bytes_max=BYTES_MAX, workers=WORKERS)
        # What found no room: its future, and how it is submitted.
        self._waiting: deque[tuple[asyncio.Future[object], Callable[[], bool]]] = deque()
        loop.add_reader(self.core.fileno(), self._drain)

    def submit(
        self,
        loop: asyncio.AbstractEventLoop,
        start: Callable[Concatenate[_core.EventQueue, asyncio.Future[object], P], bool],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> asyncio.Future[object]:
        """Begin an operation; return the future of its result."""
        future: asyncio.Future[object] = loop.create_future()
        if self._waiting or not start(self.core, future, *args, **kwargs):
            self._waiting.append((future, lambda: start(self.core, future, *args, **kwargs)))
        return future

    def _drain(self) -> None:
        """Resolve the futures of what is done, and fill the room."""
        done = cast("list[tuple[asyncio.Future[object], bool, object]]", self.core.drain())
        for future, succeeded, value in done:
            # One that was cancelled has nobody to tell.
            if future.done():
                continue
            if succeeded:
                future.set_result(value)
            else:
                future.set_exception(cast("BaseException", value))
        while self._waiting:
            future, start = self._waiting[0]
            try:
                if not future.done() and not start():
                    return
            except Exception as error:  # noqa: BLE001 -- whoever awaits it is told
                future.set_exception(error)
            self._waiting.popleft()


_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopQueue] = WeakKeyDictionary()
"""The queue of each loop; it ends with its loop."""
_lock = Lock()


def _queue_of(loop: asyncio.AbstractEventLoop) -> LoopQueue:
    with _lock:
        queue = _queues.get(loop)
        if queue is None:
            # What a loop left under way when it was closed refers to it: it would stay.
            for closed in [other for other in _queues if other.is_closed()]:
                _queues.pop(closed).core.close(timeout_s=0, abandon=True)
            queue = _queues[loop] = LoopQueue(loop)
        return queue


def _at_fork() -> None:
    """Forget in a child what belongs to its parent: a lock that another thread held, queues without threads."""
    global _lock, _queues  # noqa: PLW0603 -- a child begins anew
    _lock = Lock()
    # Kept, never used: their descriptors are watched by selectors that the parent shares.
    _inherited.append(_queues)
    _queues = WeakKeyDictionary()


_inherited: list[object] = []
os.register_at_fork(after_in_child=_at_fork)


@atexit.register
def _at_exit() -> None:
    """End the threads before the interpreter goes; what has not begun never will."""
    for queue in list(_queues.values()):
        queue.core.close(timeout_s=EXIT_WAIT_S, abandon=True)


class Home:
    """What all handles of one system share: the way to the queue of whatever loop runs."""

    __slots__ = ("_last", "_pid", "closed")

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._last: tuple[asyncio.AbstractEventLoop | None, LoopQueue | None] = (None, None)
        self.closed = False

    def __reduce__(self) -> tuple[object, ...]:
        # In another process it begins anew, as what it is the home of does.
        return Home, ()

    def run(
        self,
        start: Callable[Concatenate[_core.EventQueue, asyncio.Future[object], P], bool],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> asyncio.Future[object]:
        """Begin an operation of the core in the running loop; return the future of its result.

        Raises:
            ClosedError: `DER.NO_HDL`: the system was closed.
            ForkedError: `DER.NO_HDL`: it belongs to the parent process.
        """
        if self.closed:
            raise _closed()
        loop, queue = self._here()
        return queue.submit(loop, start, *args, **kwargs)

    async def call(self, function: Callable[[], T], *, last: bool = False) -> T:
        """Return what a function returns that a thread of the core calls: for what is rare.

        Args:
            function: It may wait.
            last: Begin when all that this loop submitted before is done.

        Raises:
            ClosedError: As `run`; not for what is the last.
            ForkedError: As `run`.
        """
        if self.closed and not last:
            raise _closed()
        loop, queue = self._here()
        return cast("T", await queue.submit(loop, _core.EventQueue.call, function, last))

    def _here(self) -> tuple[asyncio.AbstractEventLoop, LoopQueue]:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # A child has no loop that runs, even where it came to be in the midst of one.
            if os.getpid() == self._pid:
                raise
            raise ForkedError(
                f"this handle belongs to process {self._pid}; a forked child cannot use it",
                code=DER.NO_HDL,
                hint="open the system again in this process; it is shared unless it was opened with share=False",
                context={"pid": self._pid},
            ) from None
        last, queue = self._last
        if loop is not last or queue is None:
            queue = _queue_of(loop)
            self._last = (loop, queue)
        return loop, queue


def _closed() -> ClosedError:
    return ClosedError("the system is closed", code=DER.NO_HDL, hint="open it again")
