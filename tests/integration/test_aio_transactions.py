"""Transactions awaited, over the native store: all or nothing, whoever conflicts or is cancelled."""

from __future__ import annotations

import asyncio
from itertools import chain

import pytest

import daos
import daos.aio

MEMORY = ":memory:"


async def opened(pool: daos.aio.Pool) -> daos.aio.Container:
    cont = await pool.container("c", create=True)
    kv = await cont.kv("k", create=True)
    await kv.put("n", b"0")
    return cont


async def value(cont: daos.aio.Container) -> bytes | None:
    return await (await cont.kv("k")).get("n")


def test_a_block_commits_and_an_error_aborts() -> None:
    async def main() -> None:
        async with daos.aio.open(MEMORY) as pool:
            cont = await opened(pool)
            async with cont.transaction() as tx:
                assert isinstance(tx, daos.aio.Transaction)
                kv, array = await tx.kv("k"), await tx.array("a", "u1", create=True)
                facts = await tx.object("o", create=True)
                await asyncio.gather(kv.put("n", b"1"), array.write(0, [1, 2]), facts.update("d", a=b"x"))
                assert (await kv.get("n"), await value(cont)) == (b"1", b"0")
                assert (await array.read()).tolist() == [1, 2]
                assert "open" in repr(tx)
                assert repr(tx).startswith("<daos.aio.Transaction")
            assert (tx.is_done, await value(cont)) == (True, b"1")
            assert (await (await cont.array("a")).read()).tolist() == [1, 2]
            assert await (await cont.object("o")).fetch("d", "a") == {"a": b"x"}

            async def broken(tx: daos.aio.Transaction) -> None:
                async with tx:
                    await (await tx.kv("k")).put("n", b"2")
                    raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await broken(tx := cont.transaction())
            assert (tx.is_done, await value(cont), "aborted" in repr(tx)) == (True, b"1", True)
            with pytest.raises(daos.AccessError):
                await (await tx.kv("k")).get("n")

    asyncio.run(main())


def test_it_ends_once_and_only_there() -> None:
    async def main() -> None:
        async with daos.aio.open(MEMORY) as pool:
            cont = await opened(pool)
            tx = cont.transaction()
            await (await tx.kv("k")).put("n", b"1")
            await tx.commit()
            with pytest.raises(daos.ExistsError):
                await tx.commit()
            with pytest.raises(daos.AccessError):
                await tx.abort()
            assert "committed" in repr(tx)
            await tx.give_up()
            tx = cont.transaction()
            await tx.abort()
            with pytest.raises(daos.ExistsError):
                await tx.abort()
            with pytest.raises(daos.AccessError):
                await tx.commit()
            with pytest.raises(daos.AccessError):
                await tx.__aenter__()
            tx = cont.transaction()
            for refused in (tx.snapshot(), tx.set_properties({"label": "x"}), tx.run(lambda _: asyncio.sleep(0))):
                with pytest.raises(daos.InvalidError):
                    await refused
            for outside in (tx.batch, tx.transaction, lambda: tx.attributes):
                with pytest.raises(daos.InvalidError):
                    outside()
            past = await cont.at((await cont.snapshot()).epoch)
            with pytest.raises(daos.AccessError):
                past.transaction()
            with pytest.raises(daos.InvalidError):
                cont.attempts(deadline=-1)

    asyncio.run(main())


def test_many_that_count_lose_nothing() -> None:
    tasks, times = 8, 10

    async def main() -> None:
        async with daos.aio.open(MEMORY) as pool:
            cont = await opened(pool)

            async def one(tx: daos.aio.Transaction) -> int:
                kv = await tx.kv("k")
                number = int(await kv.get("n") or b"") + 1
                await kv.put("n", b"%d" % number)
                return number

            async def by_run() -> list[int]:
                return [await cont.run(one, deadline=30) for _ in range(times)]

            async def by_attempts() -> list[int]:
                numbers = []
                for _ in range(times):
                    tried = [await one(tx) async for tx in cont.attempts(deadline=30)]
                    numbers.append(tried[-1])
                return numbers

            found = await asyncio.gather(*(by_run() if n % 2 else by_attempts() for n in range(tasks)))
            assert sorted(chain(*found)) == list(range(1, tasks * times + 1))
            assert await value(cont) == b"%d" % (tasks * times)

    asyncio.run(main())


def test_a_conflict_is_told_when_there_is_no_time_left() -> None:
    async def main() -> None:
        async with daos.aio.open(MEMORY) as pool:
            cont = await opened(pool)
            kv = await cont.kv("k")

            async def late(tx: daos.aio.Transaction) -> None:
                its = await tx.kv("k")
                await its.get("n")
                await kv.put("n", b"other")
                await its.put("m", b"1")

            with pytest.raises(daos.ConflictError):
                await cont.run(late, deadline=0)

            async def attempt() -> daos.aio.Transaction:
                async for tx in cont.attempts(deadline=0):
                    begun.append(tx)
                    await late(tx)
                return tx

            begun: list[daos.aio.Transaction] = []
            with pytest.raises(daos.ConflictError):
                await attempt()
            assert ["failed" in repr(tx) for tx in begun] == [True]
            assert await kv.get("m") is None

    asyncio.run(main())


def test_one_that_is_left_or_cancelled_does_not_happen() -> None:
    async def main() -> None:
        async with daos.aio.open(MEMORY) as pool:
            cont = await opened(pool)

            async def forever(tx: daos.aio.Transaction) -> None:
                await (await tx.kv("k")).put("n", b"cancelled")
                begun.set()
                await asyncio.sleep(60)

            async def block() -> None:
                async with cont.transaction() as tx:
                    await forever(tx)

            async def run() -> None:
                await cont.run(forever)

            for body in (run, block):
                begun = asyncio.Event()
                task = asyncio.ensure_future(body())
                await begun.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            async for tx in cont.attempts():
                await (await tx.kv("k")).put("n", b"left")
                break
            async with asyncio.timeout(5):
                while not tx.is_done:
                    await asyncio.sleep(0)
            assert await value(cont) == b"0"

    asyncio.run(main())


def test_a_commit_whose_await_is_cancelled_is_all_or_nothing() -> None:
    async def main() -> None:
        async with daos.aio.open(MEMORY) as pool:
            cont = await opened(pool)
            for number in range(50):
                tx = cont.transaction()
                its = await tx.kv("k")
                await its.put_many({"a": b"%d" % number, "b": b"%d" % number})
                task = asyncio.ensure_future(tx.commit())
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert tx.is_done
                # The commit may go on yet: both are read as of one moment.
                async with cont.transaction() as now:
                    found = await (await now.kv("k")).get_many(["a", "b"])
                assert found["a"] == found["b"]

    asyncio.run(main())
