from __future__ import annotations

import asyncio

import pytest

from daos.errors import InternalError
from daos.mgmt.race import Race


async def answer(after: asyncio.Event, what: str) -> str:
    await after.wait()
    return what


def test_who_answers_first_is_told_first() -> None:
    async def test() -> None:
        first, second = asyncio.Event(), asyncio.Event()
        async with Race[str, str]() as race:
            race.ask("a", answer(first, "of a"))
            race.ask("b", answer(second, "of b"))
            assert await race.next(0.0) is None
            assert (list(race), "a" in race, "c" in race, len(race)) == (["a", "b"], True, False, 2)
            second.set()
            told = await race.next(5.0)
            assert told is not None
            assert (told[0], told[1].result(), list(race)) == ("b", "of b", ["a"])
            # Who has answered may be asked again.
            race.ask("b", answer(second, "again"))
            first.set()
            rest = {}
            while race:
                told = await race.next(5.0)
                assert told is not None
                rest[told[0]] = told[1].result()
            assert rest == {"a": "of a", "b": "again"}

    asyncio.run(test())


def test_nobody_is_asked_twice_at_a_time() -> None:
    async def test() -> None:
        never = asyncio.Event()
        async with Race[int, str]() as race:
            race.ask(1, answer(never, ""))
            with pytest.raises(InternalError, match="1 is asked already"):
                race.ask(1, answer(never, ""))

    asyncio.run(test())


def test_without_a_question_the_time_passes() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        async with Race[int, str]() as race:
            began = loop.time()
            assert await race.next(0.02) is None
            assert loop.time() - began >= 0.02
            assert await race.next(-1.0) is None

    asyncio.run(test())


def test_what_is_under_way_ends_with_it() -> None:
    async def test() -> None:
        ended = []

        async def hang(who: str) -> str:
            try:
                await asyncio.sleep(30)
            finally:
                ended.append(who)
            return ""

        async def fail() -> str:
            raise ValueError

        race = Race[str, str]()
        async with race:
            race.ask("a", hang("a"))
            race.ask("b", fail())
            told = await race.next(5.0)
            assert told is not None
            assert isinstance(told[1].exception(), ValueError)
        assert ended == ["a"]
        assert not race

    asyncio.run(test())
