"""What an engine makes of replies of others that are lost."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

import pytest

from daos._core import Messenger  # noqa: TID251 -- its type only
from daos.engine import peers
from daos.engine.body import encode
from daos.engine.parts import Parts
from daos.engine.system_map import SystemMap
from daos.errors import DER, AccessError, DaosError, UnavailableError, UncertainError

POOL = "0a698d36-568e-4f63-b61e-272386cf1fca"
FIND = peers.FindHandle(pool=POOL, handle=POOL)
ROLLBACK = peers.Rollback(pool=POOL, container=POOL, epoch=1)
LOST = UncertainError("the outcome is unknown: the connection was cut", code=DER.TX_UNCERTAIN, hint="look")


class Asks(Protocol):
    def __call__(self, rank: int, address: str, body: bytes, *, timeout_s: float) -> bytes: ...


class FakeParts:
    async def run(self, function: Asks, rank: int, address: str, body: bytes, *, timeout_s: float) -> bytes:
        return function(rank, address, body, timeout_s=timeout_s)


class FakeMap:
    def uri(self, rank: int) -> str:
        return f"127.0.0.1:{rank}"


class FakeMessenger:
    """Answers with what it is given, one after the other."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[bytes, float]] = []

    def ask(self, rank: int, address: str, body: bytes, *, timeout_s: float) -> bytes:
        self.asked.append((body, timeout_s))
        answer = self.answers.pop(0)
        if isinstance(answer, DaosError):
            raise answer
        return encode(answer)


def ask(messenger: FakeMessenger, request: peers.AnyPeer) -> object:
    ranks = peers.Ranks(0, cast(Parts, FakeParts()), cast(Messenger, messenger), cast(SystemMap, FakeMap()))
    found = peers.FoundHandle if request is FIND else type(None)
    return asyncio.run(ranks.ask(3, request, found, timeout_s=2.0))


@pytest.mark.parametrize(("request_", "answer"), [(FIND, peers.FoundHandle(capabilities=3)), (ROLLBACK, None)])
def test_a_request_whose_reply_was_lost_is_sent_once_more(request_: peers.AnyPeer, answer: object) -> None:
    messenger = FakeMessenger(LOST, answer)
    assert ask(messenger, request_) == answer
    (first, time), (second, left) = messenger.asked
    assert first == second
    assert peers.AGAIN_S_MIN <= left <= time == 2.0


def test_a_question_without_an_answer_is_nothing_that_may_have_happened() -> None:
    messenger = FakeMessenger(LOST, LOST)
    with pytest.raises(UnavailableError, match="the connection was cut") as told:
        ask(messenger, FIND)
    assert (told.value.code, told.value.hint, len(messenger.asked)) == (DER.UNREACH, "look", 2)


def test_a_change_without_an_answer_stays_unknown() -> None:
    messenger = FakeMessenger(LOST, LOST)
    with pytest.raises(UncertainError):
        ask(messenger, ROLLBACK)
    assert len(messenger.asked) == 2


@pytest.mark.parametrize("error", [UnavailableError("away", code=DER.UNREACH), AccessError("no")])
def test_what_is_told_is_not_asked_again(error: DaosError) -> None:
    messenger = FakeMessenger(error)
    with pytest.raises(type(error)):
        ask(messenger, FIND)
    assert len(messenger.asked) == 1
