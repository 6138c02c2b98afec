"""Arrays and objects awaited, over the native store: what NumPy and a dict would hold, whatever is cancelled."""

from __future__ import annotations

import asyncio
import gc
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import daos
import daos.aio
from daos.aio import _queue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

MEMORY = ":memory:"
CELLS = 64


async def opened(pool: daos.aio.Pool) -> daos.aio.Container:
    return await pool.container("c", create=True)


async def drained(array: daos.aio.Array) -> None:
    """Wait until nothing of this loop is under way."""
    queue = array._home._here()[1].core
    while queue.in_flight:
        await asyncio.sleep(0.001)


async def all_of(keys: AsyncIterator[object]) -> list[object]:
    return [key async for key in keys]


def test_an_array_is_the_synchronous_one_awaited(tmp_path: Path) -> None:
    async def main() -> None:
        async with daos.aio.open(tmp_path / "s", targets=2) as pool:
            cont = await opened(pool)
            array = await cont.array("temp", "f4", create=True, fill=-1, chunk=10)
            assert isinstance(array, daos.aio.Array)
            assert (array.name, str(array.dtype), float(array.fill), array.chunk) == ("temp", "float32", -1, 10)
            assert repr(array) == "<daos.aio.Array 'temp' in c, float32>"
            data = np.arange(100, dtype="f4")
            await asyncio.gather(*(array.write(start, data[start : start + 7]) for start in range(0, 100, 7)))
            assert await array.size() == 100
            assert (await array.read()).tolist() == data.tolist()
            assert (await array.read(-5, None, 2)).tolist() == [95, 97, 99]
            assert await array.append([1, 2]) == 100
            await array.punch(100)
            await array.resize(110)
            await array.write(0, 7, step=3)
            assert [block.size async for block in array.blocks(40)] == [40, 40, 30]
            room = np.zeros(4, "f4")
            await array.read_into(room, 98)
            assert room.tolist() == [98, 99, -1, -1]
            await array.read_into(np.zeros(0, "f4"))
            await array.write(3, [])
            assert await array.append([]) == 110
            same = await cont.array("temp")
            assert (same.oid, (await same.read(0, 3)).tolist()) == (array.oid, [7, 1, 2])
            assert (await cont.find("temp")) is not None
            # The synchronous face sees the same.
            assert cont._sync.array("temp")[:3].tolist() == [7, 1, 2]

    asyncio.run(main())


WRITES = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, CELLS), st.integers(0, 20), st.integers(1, 4)),
        st.tuples(st.just("punch"), st.integers(0, CELLS), st.integers(0, 40), st.just(1)),
        st.tuples(st.just("resize"), st.integers(0, CELLS), st.just(0), st.just(1)),
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(WRITES, st.integers(0, CELLS), st.integers(0, 200), st.integers(1, 5))
def test_cells_are_those_of_the_synchronous_array(
    changes: list[tuple[str, int, int, int]], start: int, stop: int, step: int
) -> None:
    """The synchronous array has a model of its own."""

    async def main() -> None:
        async with daos.aio.open(MEMORY) as pool:
            cont = await opened(pool)
            array = await cont.array("a", "i2", create=True, chunk=5)
            other = cont._sync.array("b", "i2", create=True, chunk=5)
            for what, at, count, every in changes:
                if what == "write":
                    data = np.arange(1, count + 1, dtype="i2")
                    await array.write(at, data, step=every)
                    other.write(at, data, step=every)
                elif what == "punch":
                    await array.punch(at, at + count)
                    other.punch(at, at + count)
                else:
                    await array.resize(at)
                    other.resize(at)
            assert await array.size() == other.size
            assert (await array.read(start, stop, step)).tolist() == other[start:stop:step].tolist()

    asyncio.run(main())


def test_an_object_is_the_synchronous_one_awaited(tmp_path: Path) -> None:
    async def main() -> None:
        async with daos.aio.open(tmp_path / "s", targets=2) as pool:
            cont = await opened(pool)
            facts = await cont.object("facts", create=True)
            assert isinstance(facts, daos.aio.Object)
            assert (facts.name, facts.type, len(facts.layout)) == ("facts", "multi_hashed", 2)
            assert repr(facts) == "<daos.aio.Object 'facts' in c>"
            series = np.arange(10, dtype="u2")
            await facts.update("mars", {"radius": b"3390"}, series=daos.Extent(5, series), note=np.array(7, "u1"))
            found = await facts.fetch("mars", "radius", "note", "nope", {"series": daos.Range(3, 8, "u2")})
            assert (found["radius"], found["note"], sorted(map(str, found))) == (
                b"3390",
                b"\x07",
                ["note", "radius", "series"],
            )
            assert np.asarray(found["series"]).tolist() == [0, 0, 0, 1, 2]
            # Without a dtype the size of records is asked for first.
            raw = (await facts.fetch("mars", series=daos.Range(5, 7)))["series"]
            assert np.asarray(raw).tobytes() == series[:2].tobytes()
            assert await facts.fetch("venus") == {}
            await asyncio.gather(*(facts.update(f"d{n}", a=b"%d" % n) for n in range(50)))
            assert sorted(map(str, await all_of(facts.dkeys()))) == sorted(["mars", *(f"d{n}" for n in range(50))])
            assert await all_of(facts.akeys("mars", reverse=True)) == ["series", "radius", "note"]
            assert (await facts.exists(), await facts.exists("mars"), await facts.exists("venus")) == (
                True,
                True,
                False,
            )
            await facts.punch("mars", ["note"])
            await facts.punch("mars", [])
            assert await facts.fetch("mars", "note") == {}
            with pytest.raises(daos.ExistsError):
                await facts.update("mars", radius=b"1", if_dkey="absent")
            with pytest.raises(daos.NotFoundError):
                await facts.punch("venus", if_present=True)
            await facts.punch()
            assert not await facts.exists()
            numbers = await cont.object("numbers", create=True, type="multi_uint64")
            assert await numbers.query(akey=...) is None
            await numbers.update(7, {3: daos.Extent(10, np.zeros(5, "u4")), 2: b"x"})
            assert await numbers.query("max", akey=..., records=True) == daos.Extreme(7, 3, 14, 4)
            assert await numbers.query("min") == daos.Extreme(7, None, None, None)
            by_id = await cont.object(numbers.oid)
            assert (by_id.name, await all_of(by_id.dkeys())) == (None, [7])

    asyncio.run(main())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda array, _: array.read(0, "x"),
        lambda array, _: array.read(0, 4, 0),
        lambda array, _: array.write(-1, [1]),
        lambda array, _: array.write(0, "text"),
        lambda array, _: array.write(0, [1], step=0),
        lambda array, _: array.write(2**63, [1]),
        lambda array, _: array.append("text"),
        lambda array, _: array.read_into(b"1234"),
        lambda array, _: array.read_into(bytearray(3)),
        lambda array, _: array.punch(5, 3),
        lambda array, _: array.resize(-1),
        lambda array, _: array.blocks(0).__anext__(),
        lambda _, facts: facts.update("d"),
        lambda _, facts: facts.update(7, a=b"1"),
        lambda _, facts: facts.update("d", a="text"),
        lambda _, facts: facts.fetch("d", 7),
        lambda _, facts: facts.punch(None, ["a"]),
        lambda _, facts: facts.query("most"),
        lambda _, facts: facts.query(),
        lambda _, facts: facts.exists(7),
    ],
)
def test_what_is_wrong_is_told_and_nothing_happens(
    wrong: Callable[[daos.aio.Array, daos.aio.Object], Awaitable[object]],
) -> None:
    async def main() -> None:
        async with daos.aio.open(MEMORY) as pool:
            cont = await opened(pool)
            array, facts = await cont.array("a", "i4", create=True), await cont.object("o", create=True)
            with pytest.raises(daos.InvalidError):
                await wrong(array, facts)
            assert (await array.size(), await facts.exists()) == (0, False)

    asyncio.run(main())


def test_a_storm_of_cancellations_leaves_memory_and_store_intact(tmp_path: Path) -> None:
    """Each operation happened or not, memory stays where it is until it ends, and all of it comes back."""
    side, rounds, chance = 200, 40, random.Random(7)  # noqa: S311 -- only to spread them

    async def main() -> list[bytearray]:
        async with daos.aio.open(tmp_path / "s") as pool:
            cont = await opened(pool)
            array, facts = await cont.array("a", "u4", create=True), await cont.object("o", create=True)
            await array.write(0, np.zeros(rounds * side, "u4"))
            lent: list[bytearray] = []
            for round_ in range(1, rounds):
                rooms = [bytearray(4 * side) for _ in range(4)]
                tasks: list[asyncio.Future[object]] = [
                    asyncio.ensure_future(array.read_into(room, round_ * side)) for room in rooms
                ]
                data = np.full(side, round_, "u4")
                tasks.append(asyncio.ensure_future(array.write(round_ * side, data)))
                tasks.append(asyncio.ensure_future(facts.update("d", a=bytearray(b"%d" % round_))))
                tasks.append(asyncio.ensure_future(facts.fetch("d", "a")))
                tasks.append(asyncio.ensure_future(array.read()))
                for _ in range(chance.randrange(1, 4)):
                    await asyncio.sleep(0)
                # What was to be written was copied when its call began.
                data[:] = 0xDEAD
                for task in chance.sample(tasks, 6):
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await drained(array)
                for room in rooms:
                    # All of it was read, as of before or after the write, or nothing.
                    assert np.unique(np.frombuffer(room, "u4")).tolist() in ([0], [round_])
                lent += rooms
                cells = await array.read(round_ * side, (round_ + 1) * side)
                assert np.unique(cells).tolist() in ([0], [round_])
            kept = (await facts.fetch("d", "a")).get("a", b"0")
            assert int(bytes(kept)) < rounds
            return lent

    lent = asyncio.run(main())
    # Frames of cancelled calls hold it too.
    gc.collect()
    for room in lent:
        room.clear()  # would raise, were it still held
    assert len(lent) == 4 * (rounds - 1)


def test_reads_wait_for_room_as_writes_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_queue, "BYTES_MAX", 10_000)

    async def main() -> None:
        async with daos.aio.open(MEMORY) as pool:
            array = await (await opened(pool)).array("a", "u1", create=True)
            await asyncio.gather(*(array.write(n * 1000, np.full(1000, n, "u1")) for n in range(100)))
            blocks = await asyncio.gather(*(array.read(n * 1000, (n + 1) * 1000) for n in range(100)))
            assert [np.unique(block).tolist() for block in blocks] == [[n] for n in range(100)]
            # Larger than the bound, alone.
            assert (await array.read()).size == 100_000

    asyncio.run(main())
