"""What takes all ranks: who is late is told, and what waits for nobody is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from daos.control.outbox import Outbox
from daos.control.outcomes import Outcome, Outcomes, RequestId
from daos.control.pool.effects import AnyEffect, DestroyContainerShards
from daos.control.pool.handles import Evict
from daos.engine import waiting
from daos.errors import DER, TimedOutError, UncertainError

if TYPE_CHECKING:
    from daos.engine.pool_service import PoolService

ASKED = RequestId("client", 7)
OTHER = RequestId("client", 8)
DONE = Outcome(result=b"x")
Submit = Callable[["Service"], Awaitable[Outcome]]


class Service:
    """A replica; how it takes a command is each test's."""

    def __init__(self, submit: Submit) -> None:
        self._submit = submit
        self.outbox: Outbox[AnyEffect] = Outbox()
        self.outcomes = Outcomes()
        self.state = SimpleNamespace(outbox=self.outbox, outcomes=self.outcomes)
        self.times: list[float] = []

    async def submit(self, command: Evict, request: RequestId, *, timeout_s: float) -> Outcome:
        assert (command, request) == (Evict(), ASKED)
        self.times.append(timeout_s)
        return await self._submit(self)

    def operation(self, name: str, subject: str, ranks: tuple[int, ...], whose: RequestId = ASKED) -> None:
        self.outbox.put(DestroyContainerShards(subject=subject), ranks)
        self.outcomes.pending[name] = whose


def ask(service: Service) -> Outcome:
    work = waiting.done_by_all(cast("PoolService", service), Evict(), ASKED, timeout_s=30.0)
    return asyncio.run(asyncio.wait_for(work, 20))


async def hang() -> Outcome:
    await asyncio.sleep(60)
    raise AssertionError


def test_what_is_done_soon_is_told() -> None:
    async def submit(_: Service) -> Outcome:
        return DONE

    service = Service(submit)
    assert ask(service) is DONE
    assert service.times == [30.0]


@pytest.mark.parametrize("name", ["create c", "c"])
def test_ranks_that_are_late_are_told(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(waiting, "TOLD_S", 0.02)

    async def submit(service: Service) -> Outcome:
        service.operation(name, "c", (4, 2))
        service.operation("create d", "d", (9,), OTHER)
        return await hang()

    service = Service(submit)
    with pytest.raises(UncertainError) as caught:
        ask(service)
    assert caught.value.code is DER.NOREPLY
    assert caught.value.message == "ranks 2 and 4 have not done what it takes"
    assert caught.value.context == {"ranks": "2, 4"}
    assert "dmg system query" in (caught.value.hint or "")
    assert len(service.times) == 1


def test_what_waits_for_no_rank_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "TOLD_S", 0.02)

    async def submit(service: Service) -> Outcome:
        return DONE if len(service.times) > 1 else await hang()

    service = Service(submit)
    service.operation("create d", "d", (9,), OTHER)
    assert ask(service) is DONE
    assert service.times == [30.0, 29.98]


def test_its_own_time_outs_are_told_as_they_are() -> None:
    async def submit(_: Service) -> Outcome:
        raise TimedOutError("a majority does not answer")

    with pytest.raises(TimedOutError, match="a majority"):
        ask(Service(submit))
