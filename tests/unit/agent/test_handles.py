"""Handles, evictions, allowances."""

from __future__ import annotations

import pytest

from daos.agent import handles
from daos.agent.handles import Allowance, Evictions, HandleTable
from daos.agent.messages import Handle
from daos.agent.server import LIFE_S
from daos.errors import BusyError, InvalidError
from daos.security.credentials import NONCES_OF_AGENT_MAX, SKEW_S

POOL = "00000000-0000-0000-0000-00000000000a"
OTHER = "00000000-0000-0000-0000-00000000000b"


def handle(number: int, pool: str = POOL) -> Handle:
    return Handle(pool=pool, handle=f"00000000-0000-0000-0000-{number:012x}")


def test_what_a_process_leaves_behind() -> None:
    table = HandleTable()
    table.opened(1, handle(1))
    table.opened(1, handle(1))
    table.opened(1, handle(2))
    table.opened(2, handle(3))
    table.closed(1, handle(2))
    assert table.ended(1) == [handle(1)]
    assert table.ended(1) == []
    assert len(table) == 1
    assert table.ended(3) == []


def test_a_handle_of_two_processes_goes_with_the_last() -> None:
    table = HandleTable()
    table.opened(1, handle(1))
    table.opened(2, handle(1))
    assert table.ended(1) == []
    assert table.ended(2) == [handle(1)]


def test_closed_is_closed_for_all_who_have_it() -> None:
    table = HandleTable()
    table.opened(1, handle(1))
    table.opened(2, handle(1))
    table.closed(3, handle(1))  # who does not have it cannot close it
    assert len(table) == 1
    table.closed(2, handle(1))
    assert (table.ended(1), table.ended(2), len(table)) == ([], [], 0)


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "HANDLES_OF_CONNECTION_MAX", 2)
    monkeypatch.setattr(handles, "HANDLES_MAX", 3)
    table = HandleTable()
    table.opened(1, handle(1))
    table.opened(1, handle(2))
    with pytest.raises(BusyError, match="2 handles of this process"):
        table.opened(1, handle(3))
    table.opened(2, handle(3))
    table.opened(2, handle(1))
    with pytest.raises(BusyError, match="3 in all"):
        table.opened(3, handle(4))
    for bad in (Handle(pool="tank", handle=handle(1).handle), Handle(pool=POOL, handle=POOL.upper())):
        with pytest.raises(InvalidError):
            table.opened(4, bad)


def test_evictions_go_pool_by_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "BATCH_MAX", 2)
    waiting = Evictions()
    assert waiting.batch() is None
    waiting.add([handle(1), handle(9, OTHER), handle(2), handle(3), handle(1)])
    assert len(waiting) == 4
    assert waiting.batch() == (POOL, (handle(1), handle(2)))
    waiting.later([handle(1), handle(2)])
    assert waiting.batch() == (OTHER, (handle(9, OTHER),))
    waiting.done([handle(9, OTHER)])
    assert waiting.batch() == (POOL, (handle(3), handle(1)))
    waiting.done([handle(1), handle(2), handle(3)])
    waiting.later([handle(1)])
    assert len(waiting) == 0


def test_the_oldest_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "EVICTIONS_MAX", 3)
    waiting = Evictions()
    assert waiting.add(map(handle, range(3))) == 0
    assert waiting.add(map(handle, range(3, 5))) == 2
    assert waiting.batch() == (POOL, (handle(2), handle(3), handle(4)))
    assert waiting.dropped == 2


def test_allowances() -> None:
    allowance = Allowance()
    for _ in range(Allowance.AT_ONCE):
        allowance.take(1, 100.0)
    with pytest.raises(BusyError, match="the user 1 asks for more than 16 credentials"):
        allowance.take(1, 100.0)
    allowance.take(2, 100.0)
    allowance.take(1, 100.0625)
    with pytest.raises(BusyError):
        allowance.take(1, 100.0626)
    for _ in range(Allowance.AT_ONCE):
        allowance.take(1, 1000.0)
    with pytest.raises(BusyError):
        allowance.take(1, 1000.0)


def test_a_user_has_at_most_half_of_what_a_verifier_remembers_of_a_host() -> None:
    most = Allowance.AT_ONCE + Allowance.A_SECOND * (LIFE_S + SKEW_S)
    assert most <= NONCES_OF_AGENT_MAX / 2


def test_allowances_forget_those_who_were_seen_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Allowance, "USERS_MAX", 2)
    allowance = Allowance()
    for uid in (1, 2, 1, 3):
        allowance.take(uid, 0.0)
    assert list(allowance._left) == [1, 3]
