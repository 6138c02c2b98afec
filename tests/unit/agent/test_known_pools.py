"""Of which pools the agent tells whom."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from daos.agent import pools as pools_module
from daos.errors import AccessError, NotFoundError, UnavailableError
from tests.unit.agent.fakes import AccessList, asynchronous
from tests.unit.agent.test_agent import POOL, Case, refused, running, until


@asynchronous
async def test_who_has_no_right_to_a_pool_is_told_what_is_told_of_none(tmp_path: Path) -> None:
    async with running(tmp_path) as case:
        client = case.client()
        for entries in ((), ("A::bob@:rw",), ("A:G:others@:rw",), ("A::ada@:",)):
            case.upstream.acls[POOL] = AccessList(entries)
            for reference in ("tank", POOL):
                case.upstream.pools[reference] = POOL
                hidden = await refused(client.find_pool, reference)
                case.upstream.error = NotFoundError("unable to find pool service", hint="list the pools")
                absent = await refused(client.find_pool, reference)
                case.upstream.error = None
                told = [(type(one), one.code, one.message, one.hint, dict(one.context)) for one in (hidden, absent)]
                assert told[0] == told[1]
                assert told[0][2] == f'no pool "{reference}"'
        case.upstream.acls[POOL] = NotFoundError("the pool is being created")
        assert (await refused(client.find_pool, "tank")).message == 'no pool "tank"'
        case.flavour.error = AccessError("nobody knows you")
        assert isinstance(await refused(client.find_pool, "tank"), AccessError)
        assert isinstance(await refused(client.find_pool, "river"), AccessError)


@pytest.mark.parametrize("entry", ["A::ada@:a", "A::ada@:w", "A:G:analysts@:t", "A:G:readers@:r", "A::EVERYONE@:r"])
@asynchronous
async def test_any_right_is_enough_to_find_a_pool(tmp_path: Path, entry: str) -> None:
    async with running(tmp_path) as case:
        case.upstream.acls[POOL] = AccessList([entry])
        assert (await asyncio.to_thread(case.client().find_pool, "tank")).uuid == POOL


@asynchronous
async def test_that_a_user_may_know_of_a_pool_is_remembered_that_he_may_not_is_not(tmp_path: Path) -> None:
    def asked(case: Case) -> int:
        return case.upstream.calls.count(("pool_acl", POOL))

    async with running(tmp_path) as case:
        client = case.client()
        case.upstream.acls[POOL] = AccessList([])
        for _ in range(2):
            await refused(client.find_pool, "tank")
        assert asked(case) == 2
        case.upstream.acls[POOL] = AccessList(["A::ada@:r"])
        for _ in range(3):
            await asyncio.to_thread(client.find_pool, "tank")
        assert asked(case) == 3
        case.agent.refresh()
        case.upstream.acls[POOL] = AccessList([])
        await refused(client.find_pool, "tank")


@asynchronous
async def test_many_who_want_to_know_are_one_question(tmp_path: Path) -> None:
    async with running(tmp_path) as case:
        case.upstream.gate = asyncio.Event()
        clients = [case.client() for _ in range(4)]
        waiting = [asyncio.create_task(asyncio.to_thread(client.find_pool, "tank")) for client in clients]
        await until(lambda: case.upstream.calls.count(("find_pool", "tank")) == 4)
        case.upstream.gate.set()
        assert {found.uuid for found in await asyncio.gather(*waiting)} == {POOL}
        assert case.upstream.calls.count(("pool_acl", POOL)) == 1


@asynchronous
async def test_a_pool_whose_service_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools_module, "ASK_AGAIN_S", 0.001)
    async with running(tmp_path) as case:
        client = case.client()
        case.upstream.acls[POOL] = UnavailableError("no leader")
        found = asyncio.create_task(asyncio.to_thread(client.find_pool, "tank"))
        await until(lambda: case.upstream.calls.count(("pool_acl", POOL)) > 3)
        case.upstream.acls[POOL] = AccessList(["A::ada@:r"])
        assert (await found).uuid == POOL
        case.agent.refresh()
        monkeypatch.setattr(pools_module, "ASK_S_MAX", 0.01)
        case.upstream.acls[POOL] = UnavailableError("no leader")
        # What is not known is not said: he may have a right to it.
        assert isinstance(await refused(client.find_pool, "tank"), UnavailableError)


@asynchronous
async def test_while_its_service_does_not_answer_a_pool_has_the_access_list_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools_module, "ASK_AGAIN_S", 0.001)
    monkeypatch.setattr(pools_module, "ASK_S_MAX", 0.01)
    async with running(tmp_path) as case:
        client = case.client()
        for entries, known in ((["A::bob@:rw"], False), (["A::ada@:r"], True)):
            case.agent.refresh()
            case.upstream.acls[POOL] = AccessList(entries)
            await asyncio.to_thread(client.find_pool, "tank") if known else await refused(client.find_pool, "tank")
            case.agent._knowledge._known.clear()
            case.upstream.acls[POOL] = UnavailableError("no leader")
            if known:
                assert (await asyncio.to_thread(client.find_pool, "tank")).uuid == POOL
            else:
                # In the words for a pool that is not there.
                hidden = await refused(client.find_pool, "tank")
                assert (type(hidden), hidden.message) == (NotFoundError, 'no pool "tank"')
        case.agent._knowledge._known.clear()
        case.upstream.acls[POOL] = NotFoundError("gone")
        assert isinstance(await refused(client.find_pool, "tank"), NotFoundError)
        case.upstream.acls[POOL] = UnavailableError("no leader")
        assert isinstance(await refused(client.find_pool, "tank"), UnavailableError), "of another pool by then"
        case.upstream.acls[POOL] = AccessList(["A::bob@:rw"])
        await refused(client.find_pool, "tank")
        monkeypatch.setattr(case.agent._knowledge, "_clock", lambda: time.monotonic() + pools_module.KNOWN_S + 1)
        case.upstream.acls[POOL] = UnavailableError("no leader")
        assert isinstance(await refused(client.find_pool, "tank"), UnavailableError), "too long ago to count"
