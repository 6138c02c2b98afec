"""Asking the service of a pool: ranks that are away, silent, or know who leads."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from daos.control.system.state import Pool, PoolState
from daos.errors import DER, AccessError, DaosError, StaleError, TimedOutError, UnavailableError, UncertainError
from daos.mgmt.race import STAGGER_S
from daos.server import management as module
from daos.server.management import Management, _PoolSearch

if TYPE_CHECKING:
    from daos.server.node import Server

HANG = "hang"
ACL = msgspec.msgpack.encode(
    msgspec.msgpack.encode({"entries": ["A::OWNER@:rw"], "owner": "ada@", "group": "analysts@"})
)


class Ranks:
    """Engines, each with its answers in order; the last one again and again."""

    def __init__(self, **answers: list[object]) -> None:
        self.answers = {int(name.removeprefix("r")): list(given) for name, given in answers.items()}
        self.asked: list[int] = []
        member = SimpleNamespace(joined=True, address="a:1")
        self.host = SimpleNamespace(state=SimpleNamespace(members=dict.fromkeys(self.answers, member)))

    async def query(self, function: object, *, timeout_s: float) -> Pool:
        return pool(*self.answers)

    async def engine_call_at(self, address: str, rank: int, method: str, body: bytes, *, timeout_s: float) -> bytes:
        self.asked.append(rank)
        given = self.answers[rank]
        answer = given.pop(0) if len(given) > 1 else given[0]
        if answer == HANG:
            await asyncio.sleep(timeout_s)
            raise UncertainError("a:1 did not answer in time", code=DER.NOREPLY)
        if isinstance(answer, DaosError):
            raise answer
        assert isinstance(answer, bytes)
        return answer


def pool(*services: int) -> Pool:
    return Pool(
        uuid="00000000-0000-0000-0000-00000000000a",
        label="tank",
        state=PoolState.READY,
        ranks=list(services),
        services=list(services),
        tiers=(1, 0),
        deadline=0,
    )


def not_leader(leader: int | None) -> DaosError:
    context = {} if leader is None else {"leader": leader}
    return StaleError("another leads", code=DER.NOTLEADER, context=context)


def absent() -> DaosError:
    return UnavailableError("a:1 is not there", code=DER.UNREACH)


def asked(ranks: Ranks, times: int = 1) -> float:
    """Ask for the access list so often; return how many seconds the last time took."""

    async def ask() -> float:
        management = Management(cast("Server", ranks), "1.0")
        began = 0.0
        for _ in range(times):
            began = asyncio.get_running_loop().time()
            assert (await management.pool_get_acl("tank")).owner == "ada@"
        assert len(asyncio.all_tasks()) == 1, "something goes on"
        return asyncio.get_running_loop().time() - began

    return asyncio.run(ask())


def test_a_rank_that_is_silent_is_not_waited_for() -> None:
    ranks = Ranks(r0=[HANG], r1=[not_leader(2)], r2=[ACL])
    assert STAGGER_S <= asked(ranks) < 5
    assert ranks.asked == [0, 1, 2]


def test_who_led_is_asked_first_the_next_time() -> None:
    ranks = Ranks(r0=[not_leader(None)], r1=[absent()], r2=[ACL])
    assert asked(ranks, 2) < STAGGER_S
    assert ranks.asked == [0, 1, 2, 2]


def test_one_that_led_and_is_silent_is_left_for_the_next_leader() -> None:
    ranks = Ranks(r0=[ACL, HANG], r1=[not_leader(0), not_leader(0), ACL], r2=[not_leader(0)])
    assert asked(ranks, 2) < 5
    assert ranks.asked[:4] == [0, 0, 1, 2]
    # It is at it, so it is not asked again.
    assert ranks.asked.count(0) == 2
    assert ranks.asked[-1] == 1


def test_what_the_service_refuses_is_told() -> None:
    with pytest.raises(AccessError, match="not for you"):
        asked(Ranks(r0=[absent()], r1=[AccessError("not for you")]))


def test_nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POOL_ABSENT_S_MAX", 0.3)
    with pytest.raises(
        UnavailableError, match="no rank of the service of pool tank is there: a:1 is not there"
    ) as error:
        asked(Ranks(r0=[absent()], r1=[absent()]))
    assert "dmg system query" in (error.value.hint or "")


def test_nobody_leads_until_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POOL_S_MAX", 0.7)
    ranks = Ranks(r0=[not_leader(1)], r1=[not_leader(0)])
    with pytest.raises(TimedOutError, match="does not answer: another leads"):
        asked(ranks)
    assert 4 <= len(ranks.asked) <= 10, "it is asked in rounds"


def test_rounds_of_a_search() -> None:
    search = _PoolSearch(pool(0, 1, 2), 1)
    assert [search.next(()) for _ in range(4)] == [1, 0, 2, None]
    search.refused(1, not_leader(2))
    assert not search.knows_better(()), "it was asked in this round"
    search.begin_round()
    assert search.next({0}) == 1
    search.refused(1, not_leader(2))
    assert search.knows_better({0})
    assert not search.knows_better({0, 2})
    assert search.next({0}) == 2
    assert search.next({0}) is None
