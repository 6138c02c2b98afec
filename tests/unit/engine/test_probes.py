"""Requests that ask an engine itself, in the place of a pool's service."""

from __future__ import annotations

import asyncio
import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from daos.engine.body import PoolReply, ServedReply, encode, payload
from daos.engine.clients import NO_POOL, PING_BYTES_MAX, PROBES_MAX, Clients
from daos.engine.system_map import SystemMap
from daos.errors import DER, AccessError, ClosedError, InvalidError, UnavailableError
from daos.local import MemberEntry, Members
from daos.model.acl import Credential
from daos.model.members import MemberState

if TYPE_CHECKING:
    from daos.engine.peers import Ranks
    from daos.engine.pool_service import PoolServices


class Believer:
    """Believes one word."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, str]] = []

    def verify(self, credential: bytes, *, pool: str) -> Credential:
        self.asked.append((credential, pool))
        if credential != b"good":
            raise AccessError("nobody signed this")
        return Credential("ada@", "analysts@")


class Case:
    """An engine of rank 3, which knows where it is or not."""

    def __init__(self, *, known: bool = True) -> None:
        members = SystemMap()
        if known:
            entry = MemberEntry(
                rank=3,
                uri="10.0.0.3:1",
                targets=("10.0.0.3:2", "10.0.0.3:3"),
                incarnation=1,
                state=MemberState.JOINED,
                domain=("host",),
            )
            members.put(Members(version=1, members=(entry,)))
        self.believer = Believer()
        services, ranks = cast("PoolServices", object()), cast("Ranks", SimpleNamespace(rank=3))
        self.clients = Clients(services, ranks, members, self.believer)
        self.stamp = 0

    def ask(self, request: dict[str, object], *, handle: bytes | None = None, credential: bytes = b"good") -> bytes:
        """Return the result of a request, as the native client passes it on."""
        connects = request["type"] == "pool_connect"
        self.stamp += 2
        asked = request if connects else {"type": "other", "body": msgspec.msgpack.encode(request)}
        served = {
            "pool": NO_POOL,
            "handle": handle,
            "client": bytes(16),
            "stamp": self.stamp,
            "opens": handle if connects else None,
            "makes": None,
            "credential": credential if connects else None,
            "access": 1,
            "request": asked,
        }
        answer = asyncio.run(self.clients.answer(encode(served)))
        told = msgspec.msgpack.decode(payload(answer), type=ServedReply)
        assert told.result is not None
        return payload(told.result)

    def connect(self, handle: bytes, credential: bytes = b"good") -> PoolReply:
        reply = self.ask({"type": "pool_connect", "pool": ""}, handle=handle, credential=credential)
        return msgspec.msgpack.decode(reply, type=PoolReply)

    def ping(self, handle: bytes, **facts: object) -> bytes:
        outer = msgspec.msgpack.decode(self.ask({"type": "ping", **facts}, handle=handle), type=bytes)
        return msgspec.msgpack.decode(outer, type=bytes)


def test_who_is_believed_is_answered_with_so_many_bytes() -> None:
    case, handle = Case(), uuid.uuid4().bytes
    reply = case.connect(handle)
    assert [(place.rank, place.index, place.address) for place in reply.targets] == [
        (3, 0, "10.0.0.3:2"),
        (3, 1, "10.0.0.3:3"),
    ]
    assert case.believer.asked == [(b"good", str(uuid.UUID(int=0)))]
    for size in (0, 1, PING_BYTES_MAX):
        assert case.ping(handle, data=bytes(size), reply_bytes=size) == bytes(size)
    for size in (-1, PING_BYTES_MAX + 1):
        with pytest.raises(InvalidError, match="a reply of"):
            case.ping(handle, reply_bytes=size)


def test_nobody_else_is() -> None:
    case, handle = Case(), uuid.uuid4().bytes
    with pytest.raises(ClosedError):
        case.ping(handle)
    with pytest.raises(AccessError):
        case.connect(handle, b"bad")
    with pytest.raises(ClosedError):
        case.ping(handle)
    case.connect(handle)
    case.ping(handle)
    case.ask({"type": "pool_disconnect"}, handle=handle)
    with pytest.raises(ClosedError):
        case.ping(handle)


def test_it_stands_for_no_pool() -> None:
    case, handle = Case(), uuid.uuid4().bytes
    case.connect(handle)
    for kind in ("pool_query", "container_list", "container_get_acl", "attribute_list"):
        with pytest.raises(InvalidError) as refused:
            case.ask({"type": kind}, handle=handle)
        assert refused.value.code is DER.NOSYS


def test_the_handles_that_are_kept_have_a_bound() -> None:
    case = Case()
    handles = [uuid.uuid4().bytes for _ in range(PROBES_MAX + 1)]
    for handle in handles:
        case.connect(handle)
    with pytest.raises(ClosedError):
        case.ping(handles[0])
    case.ping(handles[1])


def test_before_it_knows_where_it_is_it_is_to_be_asked_again() -> None:
    with pytest.raises(UnavailableError) as refused:
        Case(known=False).connect(uuid.uuid4().bytes)
    assert refused.value.code is DER.AGAIN
