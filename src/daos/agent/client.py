"""The clients' end of the agent's socket: blocking, and light, as every program loads it."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

from daos._packed import decode
from daos.agent import messages as m
from daos.errors import DER, DaosError, InvalidError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

TIMEOUT_S = 65.0
"""For a call: the agent itself waits 60 s for the servers."""
CONNECT_AGAIN_S = 0.01
ATTEMPTS = 2
"""Of a call, where the connection ends before its answer: the agent may be a new one. No call does harm twice."""

_ABSENT = "systemctl start daos_agent; or DAOS_AGENT_DRPC_DIR names the directory of another socket"
_T = TypeVar("_T")


def socket_path() -> Path:
    """Return where the agent's socket is: in `DAOS_AGENT_DRPC_DIR`, else in its usual place."""
    return Path(os.environ.get("DAOS_AGENT_DRPC_DIR") or m.RUNTIME_DIR) / m.SOCKET


class AgentClient:
    """A connection to the agent of this host. May be used by several threads, and in a forked child.

    The connection is what tells the agent that the process lives: when it ends, the handles that were told as open are
    evicted. Where the agent is started anew they are told again.

    Args:
        path: The socket, or its directory; by default where `socket_path` finds it.
        timeout_s: For each call.
    """

    def __init__(self, path: Path | str | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        given = socket_path() if path is None else Path(path)
        self.path = given / m.SOCKET if given.is_dir() else given
        self._timeout_s = timeout_s
        self._end: float | None = None
        self._inherited: list[socket.socket] = []
        self._fresh()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Have all calls of a block end in a time. It holds for all threads, and is not to be nested."""
        self._end = time.monotonic() + seconds
        try:
            yield
        finally:
            self._end = None

    def left(self) -> float:
        """Return how many seconds a call may take that begins now."""
        if self._end is None:
            return self._timeout_s
        return min(self._timeout_s, max(0.0, self._end - time.monotonic()))

    def attach(self, system: str = "", *, refresh: bool = False, release: str = "") -> m.AttachInfo:
        """Return where a system is.

        Args:
            system: Its name; empty for the agent's.
            refresh: Do not take what the agent remembers.
            release: Of the caller; empty where it does not tell.

        Raises:
            UnavailableError: `DER.CONTROL_INCOMPAT`: the agent's release does not go with that.
            NotFoundError: `DER.NONEXIST`: the agent knows no such system.
            DaosError: As `UnavailableError` `DER.AGENT_COMM` where there is no agent, or what the servers say.
        """
        return self._call("refresh" if refresh else "attach", m.Attach(system=system, release=release), m.AttachInfo)

    def credential(self, system: str = "", pool: str = "", session: bytes = b"") -> bytes:
        """Return a credential of this process, good for one use within minutes.

        Args:
            system: The system; empty for the agent's.
            pool: The pool it is for, a uuid; empty for any.
            session: What binds it to a session.

        Raises:
            DaosError: As `attach`; `AccessError` where the user of this process has no name.
        """
        return self._call("credential", m.AskCredential(system=system, pool=pool, session=session), bytes)

    def find_pool(self, reference: str, system: str = "") -> m.FoundPool:
        """Return the uuid of a pool and the ranks of its service.

        Raises:
            NotFoundError: `DER.NONEXIST`.
            DaosError: As `attach`.
        """
        return self._call("find_pool", m.FindPool(reference=reference, system=system), m.FoundPool)

    def list_pools(self, system: str = "") -> tuple[m.ListedPool, ...]:
        """Return the pools that the user of this process may open, by label.

        Raises:
            DaosError: As `credential`.
        """
        return self._call("list_pools", m.ListPools(system=system), tuple[m.ListedPool, ...])

    def notify_open(self, pool: str, handle: str) -> None:
        """Tell that this process has a pool handle: it is evicted when the process ends.

        Raises:
            DaosError: As `attach`.
        """
        told = m.Handle(pool=pool, handle=handle)
        with self._lock:
            self._call("notify_open", told, type(None))
            self._open[told] = None

    def notify_closed(self, pool: str, handle: str) -> None:
        """Tell that a pool handle was closed.

        Raises:
            DaosError: As `attach`.
        """
        told = m.Handle(pool=pool, handle=handle)
        with self._lock:
            self._open.pop(told, None)
            self._call("notify_closed", told, type(None))

    def close(self) -> None:
        """End the connection; handles that are open are evicted.

        In a forked child: let go of the parent's connection, which goes on there.
        """
        self._same_process()
        with self._lock:
            self._open.clear()
            self._drop()
            while self._inherited:
                self._inherited.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fresh(self) -> None:
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._socket: socket.socket | None = None
        self._next = 1
        self._open: dict[m.Handle, None] = {}

    def _same_process(self) -> None:
        """In a forked child, begin anew: the connection and what was told on it are the parent's.

        Nothing is said or read on that any more. It is kept: as long as one of them has it, it has not ended, and what
        the parent has opened is not evicted under the child.
        """
        if self._pid != os.getpid():
            inherited = self._socket
            self._fresh()
            if inherited is not None:
                self._inherited.append(inherited)

    def _call(self, method: str, body: m.Message, answer: type[_T]) -> _T:
        self._same_process()
        with self._lock:
            raw = self._attempts(method, body, time.monotonic() + self.left())
        try:
            return decode(raw, answer)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._lost(f"answered {method} with what is no answer: {error}") from None

    def _attempts(self, method: str, body: m.Message, deadline: float) -> bytes:
        attempt = 1
        while True:
            try:
                if self._socket is None:
                    self._connect(deadline)
                return self._ask(method, body, deadline)
            except DaosError:
                raise  # some are an OSError as well
            except TimeoutError:
                self._drop()
                waited = f"does not answer {method} within {self._timeout_s:g} s"
                raise self._lost(waited, "it runs, and may wait for servers that are away: its log tells") from None
            except (OSError, EOFError):
                self._drop()
                if attempt == ATTEMPTS:
                    raise self._lost("ended the connection") from None
            attempt += 1

    def _connect(self, deadline: float) -> None:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            while True:
                made.settimeout(_left(deadline))
                try:
                    made.connect(str(self.path))
                    break
                except BlockingIOError:
                    # Many come at once, and the agent has not let the others in yet.
                    time.sleep(CONNECT_AGAIN_S)
        except (OSError, ValueError) as error:
            made.close()
            if isinstance(error, TimeoutError):
                raise
            why = (error.strerror if isinstance(error, OSError) else None) or error
            raise self._lost(f"cannot be reached: {why}") from None
        self._socket = made
        for told in self._open:
            self._ask("notify_open", told, deadline)

    def _ask(self, method: str, body: m.Message, deadline: float) -> bytes:
        connection = self._socket
        if connection is None:
            raise EOFError
        number, self._next = self._next, self._next + 1
        connection.settimeout(_left(deadline))
        connection.sendall(m.encode(number, method, body))
        while True:
            (length,) = m.LENGTH.unpack(_receive(connection, m.LENGTH.size, deadline))
            if length > m.ANSWER_BYTES_MAX:
                self._drop()
                raise self._lost(f"sent a frame of {length} bytes")
            received = _receive(connection, length, deadline)
            try:
                frame = m.decode(received)
            except InvalidError as error:
                self._drop()
                raise self._lost(f"sent what is no message: {error.message}") from None
            if frame.id in (number, m.NOBODY) and isinstance(frame.what, int):
                break
        if frame.id == m.NOBODY:
            self._drop()
        if frame.what:
            raise m.decode_error(frame.what, bytes(frame.body))
        return bytes(frame.body)

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _lost(self, why: str, hint: str = _ABSENT) -> UnavailableError:
        return UnavailableError(f"the agent at {self.path} {why}", code=DER.AGENT_COMM, hint=hint)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _receive(connection: socket.socket, count: int, deadline: float) -> bytes:
    received = bytearray()
    while len(received) < count:
        connection.settimeout(_left(deadline))
        piece = connection.recv(min(count - len(received), 1 << 20))
        if not piece:
            raise EOFError
        received += piece
    return bytes(received)
