"""A channel over a Unix socket on which both ends ask: calls with deadlines, errors both ways as `DaosError`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast, overload

import msgspec

from daos._packed import decode, decoder
from daos.errors import DER, BusyError, DaosError, InternalError, InvalidError, UnavailableError, UncertainError
from daos.errors import error_from_der as make_error

FRAME_BYTES_MAX = 32 << 20
"""Of a frame: a snapshot of a service's state fits, and nothing is allocated for more."""
CALLS_MAX = 1024
"""Calls of one end that wait for their answers; more are refused."""
HANDLED_MAX = 256
"""Calls of the other end that are being handled; more are answered with `DER.BUSY`."""
HANDLE_S_MAX = 300.0
"""A handler that takes longer is ended: who asked has long given up."""
BACKLOG_MAX = 64
PATH_BYTES_MAX = 107
"""Of a Unix socket's path, by its address structure."""

_LENGTH = struct.Struct("<I")
_CREDENTIALS = struct.Struct("3i")
_log = logging.getLogger(__name__)

Body = msgspec.Struct | bytes | None
A = TypeVar("A")
Q = TypeVar("Q")


@dataclass(frozen=True)
class Method:
    """What answers a method's calls.

    Attributes:
        body: The type of its body; `type(None)` for one without.
        run: Is given the channel and the body, and returns the answer.
        handle_s_max: When it is ended, if it has not answered.
    """

    body: type[object]
    run: Callable[[Channel, object], Awaitable[object]]
    handle_s_max: float = HANDLE_S_MAX

    @classmethod
    def of(
        cls,
        body: type[Q],
        run: Callable[[Channel, Q], Awaitable[object]],
        *,
        handle_s_max: float = HANDLE_S_MAX,
    ) -> Method:
        """Return the method of a function and of the type that it takes."""
        return cls(body, cast("Callable[[Channel, object], Awaitable[object]]", run), handle_s_max)


class _Frame(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A call, where `what` is a method, or an answer, where it is a code."""

    id: int
    what: str | int
    body: msgspec.Raw


class _Failure(msgspec.Struct, frozen=True, array_like=True):
    """The body of an answer with a code."""

    message: str
    hint: str | None
    context: dict[str, str | int]


class Channel:
    """One end of a connection. It works once `start` was called, and until it `ended`.

    Args:
        reader: What comes.
        writer: What goes.
        methods: What this end answers.
        frame_bytes_max: Of a frame in either direction.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        methods: Mapping[str, Method],
        *,
        frame_bytes_max: int = FRAME_BYTES_MAX,
    ) -> None:
        self._reader, self._writer, self._methods = reader, writer, methods
        self._frame_bytes_max = frame_bytes_max
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._next = 0
        self._handled: set[asyncio.Task[None]] = set()
        self._decoder = decoder(_Frame)
        self._reading: asyncio.Task[None] | None = None
        self._why = "the other end closed the channel"
        self.ended = asyncio.Event()

    @property
    def peer(self) -> tuple[int, int]:
        """The pid and uid of the process at the other end, as the kernel knows them."""
        found = cast("socket.socket", self._writer.get_extra_info("socket"))
        pid, uid, _ = _CREDENTIALS.unpack(found.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        return pid, uid

    def start(self) -> None:
        """Begin to take what comes."""
        self._reading = asyncio.get_running_loop().create_task(self._read(), name="channel")

    @overload
    async def call(self, method: str, body: Body, answer: type[A], *, timeout_s: float) -> A: ...
    @overload
    async def call(self, method: str, body: Body, answer: None = None, *, timeout_s: float) -> None: ...

    async def call(self, method: str, body: Body, answer: type[A] | None = None, *, timeout_s: float) -> A | None:
        """Ask the other end and return its answer.

        Args:
            method: What is asked.
            body: The method's struct, or None.
            answer: The type of the answer; None for one that is nothing.
            timeout_s: How long to wait.

        Raises:
            UncertainError: `DER.NOREPLY`: no answer came in time, or the channel ended before it.
            BusyError: `DER.BUSY`: too many calls wait already.
            DaosError: What the other end answered with.
        """
        found = await self.call_raw(method, msgspec.msgpack.encode(body), timeout_s=timeout_s)
        try:
            return decode(found, type(None) if answer is None else answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UncertainError(f"the answer to {method} cannot be read: {error}", code=DER.NOREPLY) from None

    async def call_raw(self, method: str, body: bytes, *, timeout_s: float) -> bytes:
        """Ask as `call` does, with the msgpack of a body, and return that of the answer."""
        if self.ended.is_set():
            raise UnavailableError(f"{method} was not sent: {self._why}", code=DER.UNREACH)
        if len(self._calls) >= CALLS_MAX:
            raise BusyError(f"{len(self._calls)} calls wait for their answers, the most there may be")
        number = self._next
        self._next += 1
        frame = self._encode(number, method, body)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._calls[number] = future
        try:
            async with asyncio.timeout(timeout_s):
                await self._send(frame)
                return await future
        except TimeoutError:
            raise UncertainError(
                f"no answer to {method} within {timeout_s:g} s", code=DER.NOREPLY, hint="it may have been done"
            ) from None
        except (ConnectionError, RuntimeError) as error:
            raise UncertainError(f"no answer to {method}: {error}", code=DER.NOREPLY) from None
        finally:
            self._calls.pop(number, None)
            if not future.cancel() and not future.cancelled():
                future.exception()  # one that came too late for anybody is nobody's

    def end(self, why: str) -> None:
        """End the channel without waiting for anything; what is under way fails as uncertain, with this reason."""
        self._end(why)

    async def close(self) -> None:
        """End the channel; what waits fails as uncertain. Doing so twice changes nothing."""
        self._end("this end closed the channel")
        tasks = [task for task in (self._reading, *self._handled) if task and task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def _end(self, why: str) -> None:
        if self.ended.is_set():
            return
        self._why = why
        self.ended.set()
        for future in self._calls.values():
            if not future.done():
                future.set_exception(UncertainError(f"no answer: {why}", code=DER.NOREPLY))
        for task in self._handled:
            if task is not asyncio.current_task():
                task.cancel()
        self._writer.close()

    def _encode(self, number: int, what: str | int, body: bytes) -> bytes:
        frame = msgspec.msgpack.encode(_Frame(number, what, msgspec.Raw(body)))
        if len(frame) > self._frame_bytes_max:
            raise InvalidError(
                f"a message of {len(frame)} bytes is too long, the most is {self._frame_bytes_max}", code=DER.REC2BIG
            )
        return _LENGTH.pack(len(frame)) + frame

    async def _send(self, frame: bytes) -> None:
        self._writer.write(frame)
        await self._writer.drain()

    async def _read(self) -> None:
        why = "the other end closed the channel"
        try:
            while True:
                (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
                if length > self._frame_bytes_max:
                    why = f"the other end sent a frame of {length} bytes, the most is {self._frame_bytes_max}"
                    break
                self._take(self._decoder.decode(await self._reader.readexactly(length)))
        except asyncio.IncompleteReadError:
            pass
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            why = f"the other end sent what is no message: {error}"
        except OSError as error:
            why = f"the connection broke: {error}"
        finally:
            self._end(why)

    def _take(self, frame: _Frame) -> None:
        if isinstance(frame.what, str):
            if len(self._handled) >= HANDLED_MAX:
                error = BusyError(f"{HANDLED_MAX} calls are being handled, the most there may be")
                self._spawn(self._answer_error(frame.id, error))
            else:
                self._spawn(self._handle(frame.id, frame.what, bytes(frame.body)))
            return
        future = self._calls.get(frame.id)
        if future is None or future.done():
            return  # its caller has given up
        if frame.what == 0:
            future.set_result(bytes(frame.body))
            return
        failure = decode(frame.body, _Failure)
        future.set_exception(make_error(frame.what, failure.message, failure.hint, failure.context))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._handled.add(task)
        task.add_done_callback(self._handled.discard)

    async def _handle(self, number: int, name: str, body: bytes) -> None:
        try:
            frame = self._encode(number, 0, await self._run(name, body))
        except DaosError as error:
            await self._answer_error(number, error)
            return
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self._send(frame)

    async def _run(self, name: str, body: bytes) -> bytes:
        method = self._methods.get(name)
        if method is None:
            raise InvalidError(f"this end does not answer {name!r}", code=DER.NOSYS)
        try:
            wanted = decode(body, method.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidError(f"{name}: {error}", code=DER.INVAL) from None
        try:
            async with asyncio.timeout(method.handle_s_max):
                return msgspec.msgpack.encode(await method.run(self, wanted))
        except DaosError:
            raise
        except TimeoutError:
            raise UncertainError(f"{name} was ended after {method.handle_s_max:g} s", code=DER.CANCELED) from None
        except Exception as error:
            _log.exception("%s failed", name)
            raise InternalError(f"{name}: {type(error).__name__}") from error

    async def _answer_error(self, number: int, error: DaosError) -> None:
        facts = {name: fact for name, fact in error.context.items() if isinstance(fact, str | int)}
        body = msgspec.msgpack.encode(_Failure(error.message, error.hint, facts))
        with contextlib.suppress(ConnectionError, RuntimeError, InvalidError):
            await self._send(self._encode(number, error.code.value, body))


class Listener:
    """A socket that others connect to. `close` ends it and its channels."""

    def __init__(self, path: Path, server: asyncio.Server, channels: set[Channel]) -> None:
        self.path = path
        self._server, self._channels = server, channels

    async def close(self) -> None:
        """End it, and remove its socket."""
        self._server.close()
        await asyncio.gather(*(channel.close() for channel in list(self._channels)))
        self.path.unlink(missing_ok=True)


async def listen(
    path: Path,
    methods: Mapping[str, Method],
    connected: Callable[[Channel], None] | None = None,
    *,
    channels_max: int = 128,
) -> Listener:
    """Listen at a path, for this user alone.

    Args:
        path: Of the socket; one that a process left behind that is gone is replaced.
        methods: What each channel answers.
        connected: Is called with each new channel, before anything is read from it.
        channels_max: Channels at once; more are closed at once.

    Raises:
        BusyError: `DER.BUSY`: somebody listens there.
        InvalidError: `DER.EXCEEDS_PATH_LEN`: the path is too long for a socket.
        UnavailableError: `DER.IO`: the socket cannot be made there.
    """
    _check_path(path)
    channels: set[Channel] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        channel = Channel(reader, writer, methods)
        if len(channels) >= channels_max or channel.peer[1] not in {0, os.getuid()}:
            writer.close()
            return
        channels.add(channel)
        try:
            if connected is not None:
                connected(channel)
            channel.start()
            await channel.ended.wait()
        finally:
            channels.discard(channel)
            await channel.close()

    own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        os.fchmod(own.fileno(), 0o600)  # the file has this mode from its first moment on
        _remove_stale(path)
        own.bind(str(path))
        server = await asyncio.start_unix_server(accept, sock=own, backlog=BACKLOG_MAX)
    except OSError as error:
        own.close()
        raise UnavailableError(f"cannot listen at {path}: {error.strerror}", code=DER.IO) from None
    except DaosError:
        own.close()
        raise
    return Listener(path, server, channels)


async def connect(path: Path, methods: Mapping[str, Method], *, timeout_s: float = 5.0) -> Channel:
    """Connect to a listener and start the channel.

    Raises:
        UnavailableError: `DER.UNREACH`: nobody listens there.
    """
    _check_path(path)
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_unix_connection(str(path))
    except (OSError, TimeoutError) as error:
        why = "it does not answer" if isinstance(error, TimeoutError) else os.strerror(error.errno or 0)
        raise UnavailableError(f"nobody listens at {path}: {why}", code=DER.UNREACH) from None
    channel = Channel(reader, writer, methods)
    channel.start()
    return channel


def _check_path(path: Path) -> None:
    length = len(os.fsencode(path))
    if length > PATH_BYTES_MAX:
        raise InvalidError(
            f"the path of a socket has at most {PATH_BYTES_MAX} bytes, {path} has {length}",
            code=DER.EXCEEDS_PATH_LEN,
            hint="choose a shorter socket_dir",
        )


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise BusyError(f"{path} is there and is no socket", hint="remove it, or choose another socket_dir")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # noqa: FBT003 -- its signature
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass
    raise BusyError(f"somebody listens at {path}", hint="is another daos_server running?")
