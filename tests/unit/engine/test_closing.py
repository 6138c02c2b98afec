"""Closing a handle of a pool: what is waited for, and what not."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from daos.control.outcomes import Outcome, RequestId
from daos.control.pool.handles import Evict
from daos.control.pool.state import Evicted
from daos.engine import clients as module
from daos.engine import closing
from daos.engine.body import ServedReply, encode, payload
from daos.engine.clients import Clients
from daos.errors import DaosError, TimedOutError, UncertainError
from daos.rsvc import NotLeaderError

if TYPE_CHECKING:
    from daos.engine.clients import Verifier
    from daos.engine.peers import Ranks
    from daos.engine.pool_service import PoolServices
    from daos.engine.system_map import SystemMap

POOL, HANDLE, CLIENT = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
STAMP = 5
LONG_S = 20.0
"""As no machine, however busy, takes for what waits for nothing."""
Submit = Callable[["Service"], Awaitable[Outcome]]


class Service:
    """A replica; how it takes a command is each test's."""

    pool = str(POOL)

    def __init__(self, submit: Submit) -> None:
        self._submit = submit
        self.kept: dict[str, object] = {}
        self.state = SimpleNamespace(outcomes=SimpleNamespace(kept=self.kept))
        self.host = self
        self.seen: list[tuple[Evict, RequestId]] = []

    async def submit(self, command: Evict, request: RequestId, *, timeout_s: float) -> Outcome:
        self.seen.append((command, request))
        return await self._submit(self)

    def agree(self) -> None:
        self.kept[f"{CLIENT}/{STAMP}"] = object()

    async def until(self, condition: Callable[[], bool], *, timeout_s: float) -> None:
        end = asyncio.get_running_loop().time() + timeout_s
        while not condition():
            if asyncio.get_running_loop().time() >= end:
                raise TimedOutError("the service did not come so far")
            await asyncio.sleep(0.005)


def disconnect(submit: Submit) -> tuple[ServedReply, float, Service]:
    """Close the handle; return what is answered, after how many seconds, and the replica."""
    service = Service(submit)
    made = Clients(
        cast("PoolServices", SimpleNamespace(find=lambda _: service)),
        cast("Ranks", SimpleNamespace(rank=3)),
        cast("SystemMap", None),
        cast("Verifier", None),
    )
    served = {
        "pool": POOL.bytes,
        "handle": HANDLE.bytes,
        "client": CLIENT.bytes,
        "stamp": STAMP,
        "opens": None,
        "makes": None,
        "credential": None,
        "access": 1,
        "request": {"type": "pool_disconnect"},
    }

    async def ask() -> tuple[bytes, float]:
        began = asyncio.get_running_loop().time()
        answer = await made.answer(encode(served))
        took = asyncio.get_running_loop().time() - began
        assert len(asyncio.all_tasks()) == 1, "something goes on"
        return answer, took

    answer, took = asyncio.run(ask())
    return msgspec.msgpack.decode(payload(answer), type=ServedReply), took, service


async def hang() -> Outcome:
    await asyncio.sleep(30)
    raise AssertionError


def test_ranks_that_are_there_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "CONFIRMED_S", LONG_S)

    async def confirm(service: Service) -> Outcome:
        service.agree()
        await asyncio.sleep(0.05)
        return Outcome.done(Evicted(count=1))

    reply, took, service = disconnect(confirm)
    assert payload(reply.result or b"") == b"\xc0"
    assert 0.05 <= took < LONG_S
    assert service.seen == [(Evict(handles=(str(HANDLE),)), RequestId(str(CLIENT), STAMP))]


def test_one_that_is_away_is_not() -> None:
    async def agree(service: Service) -> Outcome:
        service.agree()
        return await hang()

    reply, took, _ = disconnect(agree)
    assert payload(reply.result or b"") == b"\xc0"
    assert closing.CONFIRMED_S <= took < LONG_S


def test_another_that_leads_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "CONFIRMED_S", LONG_S)

    async def refuse(_: Service) -> Outcome:
        raise NotLeaderError("elsewhere", context={"leader": 1})

    reply, took, _ = disconnect(refuse)
    assert (reply.result, reply.leader) == (None, 1)
    assert took < LONG_S


def test_what_was_not_agreed_on_is_not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLIENT_S_MAX", 0.05)

    async def lose(_: Service) -> Outcome:
        return await hang()

    with pytest.raises(TimedOutError):
        disconnect(lose)

    async def late(_: Service) -> Outcome:
        await asyncio.sleep(0.04)
        raise UncertainError("no outcome")

    with pytest.raises(DaosError, match="no outcome"):
        disconnect(late)
