"""What an agent remembers of the servers' answers."""

from __future__ import annotations

import asyncio

import pytest

from daos.agent import upstream as module
from daos.agent.messages import AttachRank
from daos.agent.upstream import AttachCache, connect
from daos.config import AgentConfig
from daos.errors import AccessError, DaosError, TimedOutError, UnavailableError
from tests.unit.agent.fakes import FakeUpstream, Info, asynchronous


class Case:
    def __init__(self, *, expires_s: float = 0, disabled: bool = False) -> None:
        self.upstream = FakeUpstream()
        self.now = 0.0
        self.ca = b"ours"
        self.told: list[DaosError] = []
        self.cache = AttachCache(
            self.upstream,
            lambda: self.ca,
            expires_s=expires_s,
            disabled=disabled,
            clock=lambda: self.now,
            told=self.told.append,
        )

    async def version(self, *, refresh: bool = False) -> int:
        return (await self.cache.get(refresh=refresh)).version


@asynchronous
async def test_what_is_told() -> None:
    case = Case()
    info = await case.cache.get()
    assert info.ranks == (
        AttachRank(rank=0, addresses=("tcp://10.0.0.1:20000", "tcp://10.0.0.1:20001"), incarnation=7),
    )
    assert (info.system, info.ms_ranks, info.provider, info.insecure) == ("daos_server", (0,), "ofi+tcp", False)
    assert info.ca_certificate == b"ours", "the servers' word is what is to be checked"
    case.ca = b"renewed"
    assert (await case.cache.get()).ca_certificate == b"renewed"
    case.upstream.info = Info(insecure=True)
    assert (await case.cache.get(refresh=True)).ca_certificate == b""


@asynchronous
async def test_asked_once_and_again_on_demand() -> None:
    case = Case()
    assert await case.version() == 1
    case.now, case.upstream.info.version = 1e9, 2
    assert await case.version() == 1
    assert await case.version(refresh=True) == 2
    case.upstream.info.version = 3
    case.cache.expire()
    assert await case.version() == 3
    assert await case.version() == 3
    assert len(case.upstream.calls) == 3


@asynchronous
async def test_a_system_that_is_being_started_is_asked_again() -> None:
    case = Case()
    case.upstream.info = Info(ranks=(), version=0)
    assert (await case.cache.get()).ranks == ()
    case.upstream.info = Info(version=1)
    assert len((await case.cache.get()).ranks) == 1
    assert await case.version() == 1
    assert len(case.upstream.calls) == 2


@asynchronous
async def test_expiry() -> None:
    case = Case(expires_s=60)
    assert await case.version() == 1
    case.upstream.info.version = 2
    case.now = 59.9
    assert await case.version() == 1
    case.now = 60
    assert await case.version() == 2


@asynchronous
async def test_nothing_is_remembered_where_that_is_disabled() -> None:
    case = Case(disabled=True)
    await case.version()
    await case.version()
    assert len(case.upstream.calls) == 2
    case.upstream.error = UnavailableError("gone")
    with pytest.raises(UnavailableError):
        await case.version()


@asynchronous
async def test_an_old_answer_helps_out() -> None:
    case = Case(expires_s=60)
    case.upstream.error = UnavailableError("gone")
    with pytest.raises(UnavailableError):
        await case.version()
    case.upstream.error = None
    await case.version()
    case.now = 100
    for error in (UnavailableError("gone"), TimedOutError("late"), TimeoutError()):
        case.upstream.error = error
        assert await case.version() == 1
    assert [error.message for error in case.told] == ["gone", "late", "the servers do not answer"]
    case.upstream.error = AccessError("not you")
    with pytest.raises(AccessError):
        await case.version()


@asynchronous
async def test_many_who_ask_at_once_are_one_question() -> None:
    case = Case()
    case.upstream.gate = asyncio.Event()
    askers = [asyncio.create_task(case.version(refresh=number % 2 == 0)) for number in range(20)]
    await asyncio.sleep(0)
    case.now = 1.0
    case.upstream.gate.set()
    assert await asyncio.gather(*askers) == [1] * 20
    # Whoever wants it anew is not given what was asked for before he came.
    assert len(case.upstream.calls) <= 2


@asynchronous
async def test_one_who_gives_up_does_not_hold_the_others() -> None:
    case = Case()
    case.upstream.gate = asyncio.Event()
    first = asyncio.create_task(case.version())
    second = asyncio.create_task(case.version())
    await asyncio.sleep(0)
    first.cancel()
    case.upstream.gate.set()
    assert await second == 1


def test_without_the_way_to_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MODULE", "daos.nothing_of_the_kind")
    with pytest.raises(UnavailableError, match=r"daos\.nothing_of_the_kind is missing"):
        connect(AgentConfig())
    monkeypatch.setattr(module, "MODULE", "tests.unit.agent.upstream_module")
    assert connect(AgentConfig()) is not None
