"""The asynchronous face over the native store: what a dict would hold, whatever runs, is cancelled or closed."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import daos
import daos.aio
from daos.aio import _queue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

MEMORY = ":memory:"
TIMEOUT_S = 20

T = TypeVar("T")


async def store(pool: daos.aio.Pool) -> daos.aio.KV[int]:
    container = await pool.container("c", create=True)
    return await container.kv("k", create=True, keys="int")


async def listed(kv: daos.aio.KV[int]) -> dict[int, bytes]:
    return {key: value async for key, value in kv.items()}


async def all_of(keys: AsyncIterator[T]) -> list[T]:
    return [key async for key in keys]


def test_it_is_the_synchronous_face_awaited(tmp_path: Path) -> None:
    async def main() -> None:
        async with daos.aio.open(tmp_path / "s", pool="p") as pool:
            cont = await pool.container("c", create=True, properties={"cksum": "sha256"})
            kv = await cont.kv("k", create=True)
            await kv.put("a", b"1")
            await kv.put_many({"b": b"2"})
            await kv.put("c", np.array(51, dtype="u1"))
            await kv.update([("d", memoryview(b"4"))])
            assert await kv.get("a") == b"1"
            assert await kv.get("x") is None
            assert await kv.get("x", 7) == 7
            assert await kv.get_many(["a", "x"]) == {"a": b"1", "x": None}
            assert await kv.setdefault("a", b"9") == b"1"
            assert await kv.setdefault("e", b"5") == b"5"
            await kv.remove("e")
            await kv.remove("e")
            assert await all_of(kv.keys()) == ["a", "b", "c", "d"]
            assert await all_of(kv.keys(reverse=True)) == ["d", "c", "b", "a"]
            assert await all_of(kv.values()) == [b"1", b"2", b"3", b"4"]
            assert [named.name async for named in cont.names()] == ["k"]
            assert (kv.name, kv.keys_are, cont.label, cont.pool, pool.label) == ("k", "str", "c", pool, "p")
            assert (cont.layout, cont.properties["cksum"], pool.system.targets) == ("PYTHON", "sha256", 1)
            assert [found.label for found in await pool.containers()] == ["c"]
            assert [found.label for found in await pool.system.pools()] == ["p"]
            assert "daos.aio.KV 'k'" in repr(kv)
            assert (repr(cont), repr(pool)) == (
                "<daos.aio.Container 'c' in pool p>",
                f"<daos.aio.Pool 'p' of {tmp_path / 's'}>",
            )
            await kv.clear()
            assert await all_of(kv.keys()) == []
            await cont.destroy("k")
            await pool.destroy_container("c")
            other = await pool.system.create_pool("q")
            assert (await pool.system.pool("q")).uuid == other.uuid != pool.uuid
            await other.close()  # not the one that owns the system
            await pool.system.destroy_pool("q")
        system = await daos.aio.open_system(tmp_path / "s", create=False)
        assert repr(system) == f"<daos.aio.System {tmp_path / 's'}>"
        await system.close()
        await system.close()

    asyncio.run(main())


def test_snapshots_attributes_and_properties(tmp_path: Path) -> None:
    async def main() -> None:
        async with daos.aio.open(tmp_path / "s") as pool:
            cont = await pool.container("c", create=True)
            kv = await store(pool)
            await asyncio.gather(*(kv.put(key, b"then") for key in range(100)))
            taken = await cont.snapshot("first")
            await asyncio.gather(*(kv.put(key, b"now") for key in range(200)))
            assert await cont.snapshots() == [taken]
            past = await cont.at("first")
            assert (past.as_of, cont.as_of) == (taken, None)
            then = await past.kv("k", keys="int")
            assert await listed(then) == dict.fromkeys(range(100), b"then")
            assert await then.get(1) == b"then"
            for change in (then.put(1, b"x"), then.put_many({1: b"x"}), then.remove(1), past.snapshot()):
                with pytest.raises(daos.AccessError):
                    await change
            await cont.destroy_snapshot("first")
            for read in (then.get(1), then.get_many([1]), all_of(then.keys()), cont.at("first")):
                with pytest.raises(daos.NotFoundError):
                    await read
            other = await cont.snapshot()
            assert await cont.destroy_snapshots(0, other.epoch) == 1
            for carrier in (pool, cont):
                await carrier.attributes.update({"a": b"1", "b": b"2", "c": b"3"})
                assert await carrier.attributes.get_many(["a", "b"]) == {"a": b"1", "b": b"2"}
                await carrier.attributes.remove(["a"])
                assert await carrier.attributes.get("a") is None
                assert await carrier.attributes.get("b") == b"2"
                assert await all_of(carrier.attributes.keys()) == ["b", "c"]
                await carrier.attributes.clear()
                assert await all_of(carrier.attributes.keys()) == []
                assert repr(carrier.attributes).startswith("<daos.aio.Attributes of ")
                await carrier.set_properties({"label": "other"})
            assert [found.label for found in await pool.containers()] == ["other"]
            assert [found.label for found in await pool.system.pools()] == ["other"]

    asyncio.run(main())


def test_errors_are_those_of_the_synchronous_face() -> None:
    async def main() -> None:
        async with daos.aio.open(MEMORY) as pool:
            with pytest.raises(daos.NotFoundError) as absent:
                await pool.container("nope")
            assert absent.value.hint == "create=True makes it"
            cont = await pool.container("c", create=True)
            with pytest.raises(daos.ExistsError):
                await pool.container("c", create="exclusive")
            with pytest.raises(daos.NotFoundError):
                await cont.kv("nope")
            kv = await cont.kv("k", create=True)
            table: list[tuple[type[daos.DaosError], daos.DER, Awaitable[object]]] = [
                (daos.KeyNotFoundError, daos.DER.NONEXIST, kv.put("x", b"1", if_present=True)),
                (daos.InvalidError, daos.DER.INVAL, kv.put("x", b"1", if_present=True, if_absent=True)),
                (daos.InvalidError, daos.DER.INVAL, kv.put("", b"1")),
                (daos.InvalidError, daos.DER.INVAL, kv.put(7, b"1")),  # type: ignore[arg-type]
                (daos.InvalidError, daos.DER.INVAL, kv.put("x", "text")),  # type: ignore[arg-type]
                (daos.InvalidError, daos.DER.KEY2BIG, kv.get("x" * 70_000)),
                (daos.InvalidError, daos.DER.INVAL, kv.get_many([""])),
                (daos.InvalidError, daos.DER.INVAL, kv.put_many([("x", b"1"), ("", b"1")])),
                (daos.InvalidError, daos.DER.INVAL, kv.remove("")),
                (daos.InvalidError, daos.DER.INVAL, cont.kv("")),
            ]
            for error, code, wrong in table:
                with pytest.raises(error) as caught:
                    await wrong
                assert caught.value.code == code
            assert await all_of(kv.keys()) == []
            await kv.put("a", b"1", if_absent=True)
            with pytest.raises(daos.ExistsError):
                await kv.put("a", b"2", if_absent=True)
            assert await kv.get("a") == b"1"

    asyncio.run(main())


KEYS = st.integers(0, 5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.binary(max_size=20)),
        st.tuples(st.just("remove"), KEYS, st.just(b"")),
        st.tuples(st.just("get"), KEYS, st.just(b"")),
        st.tuples(st.just("absent"), KEYS, st.binary(max_size=20)),
        st.tuples(st.just("many"), KEYS, st.binary(max_size=20)),
    ),
    max_size=30,
)


@settings(max_examples=40)
@given(st.lists(STEPS, min_size=1, max_size=4))
def test_tasks_at_once_do_what_dicts_do(plans: list[list[tuple[str, int, bytes]]]) -> None:
    """Each task has keys of its own, and does its steps one after the other."""

    async def task(kv: daos.aio.KV[int], number: int, steps: list[tuple[str, int, bytes]]) -> dict[int, bytes]:
        model: dict[int, bytes] = {}
        for what, low, value in steps:
            key = low + 10 * number
            match what:
                case "put":
                    await kv.put(key, value)
                    model[key] = value
                case "remove":
                    await kv.remove(key)
                    model.pop(key, None)
                case "get":
                    assert await kv.get(key) == model.get(key)
                case "absent" if key in model:
                    with pytest.raises(daos.ExistsError):
                        await kv.put(key, value, if_absent=True)
                case "absent":
                    await kv.put(key, value, if_absent=True)
                    model[key] = value
                case _:
                    await kv.put_many({key: value, 10 * number: value})
                    model |= {key: value, 10 * number: value}
                    assert await kv.get_many([key]) == {key: value}
        return model

    async def main() -> None:
        async with daos.aio.open(MEMORY, targets=2) as pool:
            kv = await store(pool)
            models = await asyncio.gather(*(task(kv, number, steps) for number, steps in enumerate(plans)))
            expected = {key: value for model in models for key, value in model.items()}
            assert await listed(kv) == expected
            assert sorted(await all_of(kv.keys())) == sorted(expected)

    asyncio.run(main())


def test_of_many_at_once_on_one_key_one_wins() -> None:
    async def main() -> None:
        async with daos.aio.open(MEMORY) as pool:
            kv = await store(pool)
            for key in range(20):
                puts = [kv.put(key, b"%d" % number, if_absent=True) for number in range(30)]
                results = await asyncio.gather(*puts, return_exceptions=True)
                winners = [number for number, result in enumerate(results) if result is None]
                assert len(winners) == 1
                assert all(isinstance(result, daos.ExistsError) for result in results if result is not None)
                assert await kv.get(key) == b"%d" % winners[0]
            await asyncio.gather(*(kv.put(0, b"%d" % number) for number in range(100)))
            assert int(await kv.get(0, b"")) in range(100)

    asyncio.run(main())


def test_a_storm_of_cancellations_loses_nothing_that_was_awaited(tmp_path: Path) -> None:
    chance = random.Random(7)  # noqa: S311 -- the same storm every time
    expected: dict[int, bytes] = {}
    possible: dict[int, bytes] = {}

    async def put(kv: daos.aio.KV[int], key: int) -> None:
        value = bytearray(b"%d" % key * 10)
        possible[key] = bytes(value)
        await kv.put(key, value)
        # Done: the buffer is the caller's again.
        value[:] = b"?" * len(value)
        value.clear()
        expected[key] = possible[key]

    async def main() -> None:
        async with daos.aio.open(tmp_path / "s", durability="buffered") as pool:
            kv = await store(pool)
            for first in range(0, 4000, 500):
                tasks = [asyncio.create_task(put(kv, key)) for key in range(first, first + 500)]
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
                for task in chance.sample(tasks, 250):
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            await kv.put(1_000_000, b"usable")
            assert await kv.get(1_000_000) == b"usable"
            await kv.remove(1_000_000)

    asyncio.run(main())
    assert len(expected) >= 2000
    with daos.open(tmp_path / "s") as pool:
        found = dict(pool.container("c").kv("k", keys="int").items())
    assert found.items() >= expected.items()
    assert found.items() <= possible.items(), "each value is whole: none was read after its buffer changed"


def test_closing_finishes_what_was_submitted_and_refuses_the_rest(tmp_path: Path) -> None:
    async def main() -> list[object]:
        pool = await daos.aio.open(tmp_path / "s")
        kv = await store(pool)
        puts = [asyncio.create_task(kv.put(key, b"v")) for key in range(1000)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(pool.close())
        await asyncio.sleep(0)
        for call in (kv.put(5000, b"late"), kv.get(1), pool.containers()):
            with pytest.raises(daos.ClosedError):
                await call
        await closing
        return await asyncio.gather(*puts, return_exceptions=True)

    assert asyncio.run(main()) == [None] * 1000
    with daos.open(tmp_path / "s") as pool:
        assert list(pool.container("c").kv("k", keys="int")) == list(range(1000))


def test_a_full_queue_holds_up_those_who_await_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_queue, "OPERATIONS_MAX", 4)
    monkeypatch.setattr(_queue, "BYTES_MAX", 1000)

    async def main() -> None:
        async with daos.aio.open(MEMORY) as pool:
            kv = await store(pool)
            turns = 0

            async def count_turns() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            counting = asyncio.create_task(count_turns())
            tasks = [asyncio.create_task(kv.put(key, b"%d" % key * 100)) for key in range(500)]
            await asyncio.sleep(0)
            queue = _queue._queue_of(asyncio.get_running_loop())
            assert queue.core.in_flight <= 4
            # Those that wait for room and are cancelled never happen.
            for task in tasks[-100:]:
                task.cancel()
            await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), TIMEOUT_S)
            counting.cancel()
            assert turns > 10
            assert await all_of(kv.keys()) == list(range(400))
            assert queue.core.in_flight == 0
            # Copied when the call begins, even where it has to wait for room.
            buffers = [bytearray(b"%03d" % key) for key in range(50)]
            waiting = [asyncio.create_task(kv.put(key, buffer)) for key, buffer in enumerate(buffers)]
            await asyncio.sleep(0)
            for buffer in buffers:
                buffer[:] = b"???"
            await asyncio.gather(*waiting)
            assert await kv.get_many(range(50)) == {key: b"%03d" % key for key in range(50)}
            await kv.put(7, bytes(5000))  # larger than the bound, alone
            assert await kv.get(7) == bytes(5000)

    asyncio.run(main())


def test_loops_in_threads_share_a_system(tmp_path: Path) -> None:
    async def put(kv: daos.aio.KV[int], keys: range) -> None:
        await asyncio.gather(*(kv.put(key, b"%d" % key) for key in keys))

    async def main() -> None:
        async with daos.aio.open(tmp_path / "s", durability="buffered") as pool:
            kv = await store(pool)
            failed: list[BaseException] = []

            def elsewhere(first: int) -> None:
                try:
                    asyncio.run(put(kv, range(first, first + 1000)))
                except BaseException as error:  # noqa: BLE001 -- whatever it is, the test reports it
                    failed.append(error)

            threads = [threading.Thread(target=elsewhere, args=(first,)) for first in (1000, 2000)]
            for thread in threads:
                thread.start()
            await put(kv, range(1000))
            # The loops of the threads go on by themselves.
            for thread in threads:
                thread.join(timeout=TIMEOUT_S)
            assert failed == []
            assert await all_of(kv.keys()) == list(range(3000))

    asyncio.run(main())


def thread_name(task: Path) -> str:
    try:
        return (task / "comm").read_text()
    except OSError:
        # It has ended meanwhile.
        return ""


def workers() -> int:
    return sum(thread_name(task).startswith("daos-event") for task in Path("/proc/self/task").iterdir())


def test_loops_that_end_with_operations_under_way_leave_nothing_behind(tmp_path: Path) -> None:
    with daos.open(tmp_path / "s") as sync:
        sync.container("c", create=True).kv("k", create=True, keys="int")

    async def main() -> None:
        pool = await daos.aio.open(tmp_path / "s", share=False)
        kv = await store(pool)
        # Cancelled by `asyncio.run` at the end, all at once with the loop.
        tasks = [asyncio.create_task(kv.put(key, b"v")) for key in range(100)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(pool.close())
        await asyncio.sleep(0)
        assert not closing.done()
        assert not all(task.done() for task in tasks)

    for _ in range(5):
        for _ in range(1000):
            try:
                asyncio.run(main())
                break
            except daos.BusyError:
                time.sleep(0.005)
        else:
            pytest.fail("the system of the loop before stayed open")
    asyncio.run(asyncio.wait_for(only_open(), TIMEOUT_S))
    assert len(_queue._queues) <= 1
    deadline = time.monotonic() + TIMEOUT_S
    while workers() > _queue.WORKERS and time.monotonic() < deadline:
        time.sleep(0.005)
    assert workers() <= _queue.WORKERS


async def only_open() -> None:
    async with daos.aio.open(MEMORY):
        pass


def test_a_cancelled_open_leaves_nothing_open(tmp_path: Path) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(daos.aio.open(tmp_path / "s").__aenter__())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(1000):
            try:
                pool = await daos.aio.open(tmp_path / "s", share=False)
            except daos.BusyError:
                await asyncio.sleep(0.005)
            else:
                return await pool.close()
        pytest.fail("the system stayed open")

    asyncio.run(main())
