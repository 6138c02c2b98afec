"""Arrays and objects in batches, sent and awaited: in order, all done at the end, every failure told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import pytest

import daos
import daos.aio
from daos.client import batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def cont(tmp_path: Path) -> Iterator[daos.Container]:
    with daos.open(tmp_path / "s", targets=2) as pool:
        yield pool.container("c", create=True)


def test_cells_and_akeys_are_changed_in_order(cont: daos.Container) -> None:
    data = np.arange(9, dtype="i4")
    with cont.batch() as sent:
        temp = sent.array("temp", "i4", create=True, chunk=4)
        temp[0:9] = data
        data[:] = -1  # copied when it was sent
        temp[20:] = [1, 2, 3]
        temp[3] = 7
        temp[0:8:4] = 5
        temp.write(30, [9], step=2)
        temp.write(31, [])
        temp.punch(1, 3)
        facts = sent.object("facts", create=True)
        value = bytearray(b"1")
        facts.update("d", {"a": value}, series=daos.Extent(2, np.arange(3, dtype="u2")))
        value[:] = b"?"
        facts.update("d", a=b"2")
        facts.update("e", a=b"3")
        facts.punch("e")
        facts.punch("d", [])
        assert (repr(temp), repr(facts)) == ("<daos.BatchArray 'temp'>", "<daos.BatchObject 'facts'>")
    assert cont.array("temp")[:9].tolist() == [5, 0, 0, 7, 5, 5, 6, 7, 8]
    assert cont.array("temp")[20:].tolist() == [1, 2, 3, *[0] * 7, 9]
    found = cont.object("facts").fetch("d", "a", series=daos.Range(2, 5, "u2"))
    assert (found["a"], np.asarray(found["series"]).tolist()) == (b"2", [0, 1, 2])
    assert list(cont.object("facts").dkeys()) == ["d"]


def test_a_long_range_of_one_value_is_sent_in_blocks(cont: daos.Container, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daos.client.array.BLOCK_BYTES", 1000)
    monkeypatch.setattr(batch, "OPERATIONS_MAX", 3)
    with cont.batch() as sent:
        sent.array("a", "u1", create=True)[5:10_005] = 3
    assert np.bincount(cont.array("a")[:]).tolist() == [5, 0, 0, 10_000]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (lambda temp, _: temp.__setitem__(-1, 1), daos.DER.INVAL),
        (lambda temp, _: temp.__setitem__(slice(0, -1), [1]), daos.DER.INVAL),
        (lambda temp, _: temp.__setitem__(slice(0, None), 1), daos.DER.INVAL),
        (lambda temp, _: temp.__setitem__(slice(0, 3), [1, 2]), daos.DER.INVAL),
        (lambda temp, _: temp.__setitem__(slice(2**63 - 2, 2**63), 1), daos.DER.OVERFLOW),
        (lambda temp, _: temp.write(0, "text"), daos.DER.INVAL),
        (lambda temp, _: temp.punch(3, 1), daos.DER.INVAL),
        (lambda _, facts: facts.update("d"), daos.DER.INVAL),
        (lambda _, facts: facts.update(7, a=b"1"), daos.DER.INVAL),
        (lambda _, facts: facts.punch(None, ["a"]), daos.DER.INVAL),
    ],
)
def test_what_is_wrong_is_told_at_once_and_not_sent(
    cont: daos.Container, wrong: Callable[[batch.BatchArray, batch.BatchObject], None], code: daos.DER
) -> None:
    with cont.batch() as sent:
        temp, facts = sent.array("temp", "i4", create=True), sent.object("facts", create=True)
        with pytest.raises(daos.InvalidError) as caught:
            wrong(temp, facts)
        assert (caught.value.code, bool(caught.value.hint)) == (code, True)
    assert (len(cont.array("temp")), cont.object("facts").exists()) == (0, False)


def test_failures_say_which_change_it_was(cont: daos.Container) -> None:
    def send() -> None:
        with cont.batch() as sent:
            facts = sent.object("facts", create=True)
            facts.update("d", a=b"1")
            facts.update("d", a=b"2", if_dkey="absent")
            facts.update("d", a=b"3")

    with pytest.raises(daos.ExistsError) as caught:
        send()
    assert caught.value.__notes__ == [
        "update of dkey 'd' in 'facts'; 1 of 3 changes of the batch failed; the others are done"
    ]
    assert cont.object("facts").fetch("d", "a") == {"a": b"3"}


def test_an_awaited_batch_does_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "OPERATIONS_MAX", 4)

    async def main() -> None:
        async with daos.aio.open(tmp_path / "s") as pool:
            cont = await pool.container("c", create=True)
            async with cont.batch() as sent:
                kv = await sent.kv("k", create=True, keys="int")
                temp = await sent.array("temp", "i4", create=True)
                facts = await sent.object("facts", create=True)
                shown = [repr(part) for part in (kv, temp, facts)]
                for number in range(100):
                    await kv.put(number % 10, b"%d" % number)
                    await temp.write(number, [number])
                    await facts.update("d", a=b"%d" % number)
                    assert sent._sending.queue.in_flight <= 4
                await kv.put_many({100: b"x"})
                await kv.put_many([(101, b"y")])
                await kv.remove(100)
                await temp.punch(99)
                await temp.write(0, [])
                await facts.punch("e")
                await facts.punch("d", [])
            assert shown == [
                "<daos.aio.BatchKV 'k'>",
                "<daos.aio.BatchArray 'temp'>",
                "<daos.aio.BatchObject 'facts'>",
            ]
            stored = {key: value async for key, value in (await cont.kv("k", keys="int")).items()}
            assert (list(stored), stored[3]) == ([*range(10), 101], b"93")
            assert (await (await cont.array("temp")).read()).tolist() == list(range(99))
            assert await (await cont.object("facts")).fetch("d", "a") == {"a": b"99"}
            with pytest.raises(daos.ClosedError):
                await kv.put(1, b"late")

            async def failing() -> None:
                async with cont.batch() as sent:
                    facts = await sent.object("facts")
                    await facts.update("d", a=b"1", if_dkey="absent")
                    await facts.update("e", a=b"2")

            with pytest.raises(daos.ExistsError) as caught:
                await failing()
            assert "1 of 2 changes of the batch failed" in caught.value.__notes__[0]
            assert await (await cont.object("facts")).exists("e")

    asyncio.run(main())


def test_an_awaited_batch_whose_end_is_cancelled_ends(tmp_path: Path) -> None:
    async def main() -> None:
        async with daos.aio.open(tmp_path / "s") as pool:
            cont = await pool.container("c", create=True)
            kv = await cont.kv("k", create=True, keys="int")

            async def send() -> None:
                async with cont.batch() as sent:
                    changes = await sent.kv("k", keys="int")
                    for number in range(500):
                        await changes.put(number, b"%d" % number)
                    ending.set()

            ending = asyncio.Event()
            task = asyncio.ensure_future(send())
            await ending.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            # Done or not, each; the loop and the store go on.
            found = {key: value async for key, value in kv.items()}
            assert all(value == b"%d" % key for key, value in found.items())
            await kv.put(1000, b"1")

    asyncio.run(main())
