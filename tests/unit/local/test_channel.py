"""The local channel: both ends ask, errors keep their kind, deadlines and bounds hold, rubbish ends it."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from daos import errors
from daos.errors import DER
from daos.local import Channel, Event, Listener, Method, Placed, Ready, connect, listen
from daos.local import channel as module

READY = Ready(
    pid=1, incarnation=2, uuid="u", uri="127.0.0.1:1", targets=("127.0.0.1:2",), capacity=(3, 4), domain=("h",)
)


async def _place(channel: Channel, ready: object) -> Placed:
    assert isinstance(ready, Ready)
    return Placed(rank=ready.pid, system="s")


async def _nothing(channel: Channel, body: object) -> None:
    return None


async def _full(channel: Channel, body: object) -> None:
    raise errors.NoSpaceError("no room", hint="delete", context={"rank": 3, "what": object()})


async def _defect(channel: Channel, body: object) -> None:
    raise ZeroDivisionError


async def _silent(channel: Channel, body: object) -> None:
    await asyncio.Event().wait()


async def _end(channel: Channel, body: object) -> None:
    channel._writer.close()


METHODS = {
    "ready": Method(Ready, _place),
    "nothing": Method(type(None), _nothing),
    "full": Method(type(None), _full),
    "defect": Method(type(None), _defect),
    "silent": Method(type(None), _silent),
    "end": Method(type(None), _end),
    "short": Method.of(type(None), _silent, handle_s_max=0.05),
}


def with_channel(tmp_path: Path, body: Callable[[Channel, Channel], Awaitable[None]]) -> None:
    """Run something with both ends of a channel, the client's first."""

    async def main() -> None:
        accepted: asyncio.Queue[Channel] = asyncio.Queue()
        listener = await listen(tmp_path / "s", METHODS, accepted.put_nowait)
        channel = await connect(tmp_path / "s", METHODS)
        try:
            async with asyncio.timeout(30):
                await body(channel, await accepted.get())
        finally:
            await channel.close()
            await listener.close()
        assert not (tmp_path / "s").exists()
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    asyncio.run(main())


def test_both_ends_ask(tmp_path: Path) -> None:
    async def body(one: Channel, other: Channel) -> None:
        assert await one.call("ready", READY, Placed, timeout_s=5) == Placed(rank=1, system="s")
        assert await other.call("ready", READY, Placed, timeout_s=5) == Placed(rank=1, system="s")
        await other.call("nothing", None, timeout_s=5)
        answers = await asyncio.gather(*(one.call("ready", READY, Placed, timeout_s=5) for _ in range(200)))
        assert len(answers) == 200

    with_channel(tmp_path, body)


def test_the_socket_is_this_users_alone_and_a_stale_one_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"

    async def main() -> None:
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(str(path))
        stale.close()
        first = await listen(path, METHODS)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(errors.BusyError, match="somebody listens"):
            await listen(path, METHODS)
        await first.close()
        path.write_text("mine")
        with pytest.raises(errors.BusyError, match="no socket"):
            await listen(path, METHODS)
        assert path.read_text() == "mine"
        with pytest.raises(errors.InvalidError, match="107"):
            await listen(tmp_path / ("x" * 120), METHODS)
        with pytest.raises(errors.UnavailableError, match="cannot listen"):
            await listen(tmp_path / "absent" / "s", METHODS)
        with pytest.raises(errors.UnavailableError, match="nobody listens"):
            await connect(tmp_path / "absent", METHODS)

    asyncio.run(main())


def test_errors_keep_class_code_hint_and_plain_facts(tmp_path: Path) -> None:
    async def body(one: Channel, _: Channel) -> None:
        with pytest.raises(errors.NoSpaceError) as full:
            await one.call("full", None, timeout_s=5)
        assert (full.value.message, full.value.hint, dict(full.value.context)) == ("no room", "delete", {"rank": 3})
        with pytest.raises(errors.InternalError, match="ZeroDivisionError"):
            await one.call("defect", None, timeout_s=5)
        with pytest.raises(errors.InvalidError) as unknown:
            await one.call("what", None, timeout_s=5)
        assert unknown.value.code is DER.NOSYS
        with pytest.raises(errors.InvalidError, match="ready"):
            await one.call("ready", Event(id="x", message="y"), timeout_s=5)
        with pytest.raises(errors.UncertainError, match="cannot be read"):
            await one.call("ready", READY, int, timeout_s=5)
        await one.call("nothing", None, timeout_s=5)

    with_channel(tmp_path, body)


def test_an_answer_that_does_not_come_is_uncertain(tmp_path: Path) -> None:
    async def body(one: Channel, other: Channel) -> None:
        with pytest.raises(errors.UncertainError) as late:
            await one.call("silent", None, timeout_s=0.05)
        assert late.value.code is DER.NOREPLY
        waiting = asyncio.ensure_future(one.call("silent", None, timeout_s=20))
        await one.call("nothing", None, timeout_s=5)
        await other.close()
        with pytest.raises(errors.UncertainError, match="closed"):
            await waiting
        with pytest.raises(errors.UnavailableError) as unsent:
            await one.call("nothing", None, timeout_s=5)
        assert unsent.value.code is DER.UNREACH

    with_channel(tmp_path, body)


def test_a_handler_has_its_time(tmp_path: Path) -> None:
    async def body(one: Channel, _: Channel) -> None:
        with pytest.raises(errors.UncertainError) as ended:
            await one.call("short", None, timeout_s=20)
        assert ended.value.code is DER.CANCELED

    with_channel(tmp_path, body)


def test_the_end_in_the_middle_of_a_call_is_uncertain(tmp_path: Path) -> None:
    async def body(one: Channel, _: Channel) -> None:
        with pytest.raises(errors.UncertainError):
            await one.call("end", None, timeout_s=5)
        await one.ended.wait()

    with_channel(tmp_path, body)


def test_calls_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CALLS_MAX", 4)
    monkeypatch.setattr(module, "HANDLED_MAX", 2)

    async def body(one: Channel, other: Channel) -> None:
        silent = [asyncio.ensure_future(one.call("silent", None, timeout_s=20)) for _ in range(3)]
        with pytest.raises(errors.BusyError, match="being handled"):
            await silent[2]
        more = [asyncio.ensure_future(one.call("silent", None, timeout_s=20)) for _ in range(4)]
        with pytest.raises(errors.BusyError):
            await more[3]
        await other.close()
        results = await asyncio.gather(*silent, *more, return_exceptions=True)
        assert all(isinstance(result, errors.UncertainError | errors.BusyError) for result in results)

    with_channel(tmp_path, body)


def test_a_frame_that_is_too_long_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(one: Channel, _: Channel) -> None:
        one._frame_bytes_max = 1000
        with pytest.raises(errors.InvalidError) as long:
            await one.call("ready", Event(id="x", message="y" * 1000), timeout_s=5)
        assert long.value.code is DER.REC2BIG
        assert await one.call("ready", READY, Placed, timeout_s=5) == Placed(rank=1, system="s")

    with_channel(tmp_path, body)


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff\xff\xff\xff",
        struct.pack("<I", (32 << 20) + 1) + b"x",
        struct.pack("<I", 3) + b"\xc1\xc1\xc1",
        struct.pack("<I", 0),
        struct.pack("<I", 5) + msgspec.msgpack.encode("four"),
        struct.pack("<I", len(msgspec.msgpack.encode([1, 2.5, None]))) + msgspec.msgpack.encode([1, 2.5, None]),
        struct.pack("<I", len(msgspec.msgpack.encode([1, "a"]))) + msgspec.msgpack.encode([1, "a"]),
        struct.pack("<I", 100) + b"cut short",
        b"\x01",
    ],
)
def test_rubbish_ends_the_channel_and_nothing_else(tmp_path: Path, sent: bytes) -> None:
    async def body(one: Channel, _: Channel) -> None:
        def speak() -> bytes:
            with socket.socket(socket.AF_UNIX) as raw:
                raw.settimeout(20)
                raw.connect(str(tmp_path / "s"))
                raw.sendall(sent)
                raw.shutdown(socket.SHUT_WR)
                return raw.recv(1)

        assert await asyncio.to_thread(speak) == b""
        await one.call("nothing", None, timeout_s=5)

    with_channel(tmp_path, body)


def test_an_answer_that_nobody_asked_for_is_passed_over(tmp_path: Path) -> None:
    async def body(one: Channel, _: Channel) -> None:
        await one._send(one._encode(77, 0, msgspec.msgpack.encode(None)))
        await one._send(one._encode(78, 1003, msgspec.msgpack.encode(["a", None, {}])))
        await one.call("nothing", None, timeout_s=5)

    with_channel(tmp_path, body)


def test_channels_are_bounded(tmp_path: Path) -> None:
    async def main() -> None:
        listener: Listener = await listen(tmp_path / "s", METHODS, channels_max=1)
        first = await connect(tmp_path / "s", METHODS)
        await first.call("nothing", None, timeout_s=5)
        second = await connect(tmp_path / "s", METHODS)
        await asyncio.wait_for(second.ended.wait(), 20)
        await first.call("nothing", None, timeout_s=5)
        await first.close()
        await second.close()
        await listener.close()

    asyncio.run(main())


def test_the_peer_is_known(tmp_path: Path) -> None:
    async def body(one: Channel, other: Channel) -> None:
        assert one.peer == (os.getpid(), os.getuid())
        assert other.peer == (os.getpid(), os.getuid())

    with_channel(tmp_path, body)
