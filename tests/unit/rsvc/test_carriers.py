"""Effects on their way to ranks: together, bounded, and none lost by a rank that is slow or a defect."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from daos import errors
from daos.control.pool.effects import AnyEffect, BroadcastPoolMap
from daos.errors import DER
from daos.rsvc import Carried, Together
from daos.rsvc import carriers as module
from daos.rsvc.carriers import Carriers

EFFECT = BroadcastPoolMap(subject="map", version=1)


class Bench:
    """Carriers to ranks that answer when they are let."""

    def __init__(self, most: int = 4) -> None:
        self.asked: list[tuple[int, list[int]]] = []
        self.gates: dict[int, asyncio.Event] = {}
        self.told: dict[tuple[int, int], DER | None] = {}
        self.fails: dict[int, Exception] = {}
        together: Together[AnyEffect] = Together(self.carry, most)
        self.carriers: Carriers[AnyEffect] = Carriers(together, self.tell, seconds_max=20)

    async def carry(self, rank: int, effects: Sequence[Carried[AnyEffect]]) -> list[DER | None]:
        self.asked.append((rank, [each.number for each in effects]))
        gate = self.gates.get(rank)
        if gate is not None:
            await gate.wait()
        if rank in self.fails:
            raise self.fails[rank]
        return [DER.NOSPACE if each.number % 10 == 7 else None for each in effects]

    def tell(self, rank: int, told: list[tuple[int, DER | None]]) -> None:
        self.told |= {(rank, number): code for number, code in told}

    def add(self, rank: int, *numbers: int) -> None:
        for number in numbers:
            self.carriers.add(rank, Carried(number, EFFECT, 0))
        self.carriers.go()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.001)


def run(body: Callable[[Bench], Awaitable[None]], most: int = 4) -> None:
    async def main() -> None:
        bench = Bench(most)
        async with asyncio.timeout(20):
            await body(bench)
            await bench.carriers.close()
        assert (bench.carriers._tasks, bench.carriers._lanes) == (set(), {})
        assert not bench.carriers._known

    asyncio.run(main())


def test_what_comes_together_goes_together_and_each_has_its_answer() -> None:
    async def body(bench: Bench) -> None:
        bench.add(0, 1, 2, 7)
        bench.add(1, 3)
        await bench.until(lambda: len(bench.told) == 4)
        assert sorted(bench.asked) == [(0, [1, 2, 7]), (1, [3])]
        assert bench.told == {(0, 1): None, (0, 2): None, (0, 7): DER.NOSPACE, (1, 3): None}

    run(body)


def test_what_comes_meanwhile_goes_next_or_beside_it_where_that_is_slow() -> None:
    async def body(bench: Bench) -> None:
        gate = bench.gates[0] = asyncio.Event()
        bench.add(0, 1)
        bench.add(0, 1, 2)
        bench.add(0, 3)
        await bench.until(lambda: len(bench.asked) == 1)
        bench.add(1, 9)
        await bench.until(lambda: (1, 9) in bench.told)
        # The rank does not answer: after a while what waits is sent beside it.
        await bench.until(lambda: len(bench.asked) == 3)
        assert bench.asked == [(0, [1]), (1, [9]), (0, [2, 3])]
        gate.set()
        await bench.until(lambda: len(bench.told) == 4)

    run(body)


def test_a_full_request_does_not_wait_for_the_one_before() -> None:
    async def body(bench: Bench) -> None:
        gate = bench.gates[0] = asyncio.Event()
        bench.add(0, 1)
        bench.add(0, 2, 3, 4, 5, 6)
        assert bench.carriers._lanes[0].under_way == 2
        gate.set()
        await bench.until(lambda: len(bench.told) == 6)
        assert [numbers for _, numbers in bench.asked] == [[1], [2, 3, 4, 5], [6]]

    run(body)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UncertainError("lost", code=DER.TX_UNCERTAIN), DER.NOREPLY),
        (errors.BusyError("busy"), DER.BUSY),
        (TimeoutError(), DER.TIMEDOUT),
        (ZeroDivisionError(), DER.AGAIN),
    ],
)
def test_a_failure_of_a_request_is_told_of_all_its_effects(error: Exception, code: DER) -> None:
    async def body(bench: Bench) -> None:
        bench.fails[0] = error
        bench.add(0, 1, 2)
        await bench.until(lambda: len(bench.told) == 2)
        assert set(bench.told.values()) == {code}
        del bench.fails[0]
        await bench.until(lambda: not bench.carriers._known)
        bench.add(0, 1)
        await bench.until(lambda: bench.told[0, 1] is None)

    run(body)


def test_a_rank_that_does_not_answer_takes_no_room_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CARRIES_PER_RANK_MAX", 2)
    monkeypatch.setattr(module, "CARRIES_MAX", 12)

    async def body(bench: Bench) -> None:
        bench.gates[0] = asyncio.Event()
        bench.add(0, *range(100))
        assert bench.carriers._lanes[0].effects == 8, "two requests of four"
        bench.add(1, 1, 2)
        await bench.until(lambda: (1, 2) in bench.told)
        bench.carriers.cancel()

    run(body)


def test_who_leads_no_more_forgets_what_waits() -> None:
    async def body(bench: Bench) -> None:
        bench.gates[0] = asyncio.Event()
        bench.add(0, 1)
        bench.add(0, 2)
        bench.carriers.cancel()
        await bench.until(lambda: not bench.carriers._known)
        assert bench.told == {}
        bench.gates[0].set()
        bench.add(0, 2)
        await bench.until(lambda: bench.told == {(0, 2): None})

    run(body)
