"""A host of a service over a log that says what the test wants: orders of events that a real one has rarely."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine

import msgspec
import pytest

from daos import errors
from daos.control.outcomes import RequestId
from daos.control.replicated import Replica, encode_entry
from daos.control.system import effects
from daos.control.system.members import Join
from daos.control.system.pool_create import PoolCreate
from daos.control.system.service import SYSTEM
from daos.control.system.settings import SetAttributes
from daos.control.system.state import SystemState
from daos.errors import DER
from daos.rsvc import Clock, NotLeaderError, ServiceHost, carriers
from daos.rsvc import host as module

Host = ServiceHost[SystemState, effects.AnyEffect]
SET = SetAttributes(attributes={"a": "b"})


class FakeLog:
    """A log that is told what to say; `agree` commits what was proposed, as a majority would."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK)
        self.told: list[tuple[str, tuple[object, ...]]] = []
        self.proposed: list[tuple[int, bytes]] = []
        self.barriers: list[int] = []
        self.snapshots: list[tuple[int, bytes]] = []
        self.numbers = 0
        self.index = 0
        self.closed = 0
        self.refusal: errors.DaosError | None = None
        self.tell("install", 1, 1, Replica(SYSTEM).snapshot())
        self.index = 1

    def tell(self, what: str, *facts: object) -> None:
        self.told.append((what, facts))
        os.eventfd_write(self.descriptor, 1)

    def commit(self, entry: bytes) -> None:
        self.index += 1
        self.tell("command", self.index, 1, entry)

    def agree(self) -> None:
        proposed, self.proposed = self.proposed, []
        for number, entry in proposed:
            self.commit(entry)
            self.tell("committed", number, self.index, 1)

    def lead(self, *, leads: bool = True, leader: int | None = 0, term: int = 1) -> None:
        self.tell("role", term, leader, leads)

    def fileno(self) -> int:
        return self.descriptor

    def drain(self) -> list[tuple[str, tuple[object, ...]]]:
        if self.told:
            os.eventfd_read(self.descriptor)
        told, self.told = self.told, []
        return told

    def number(self) -> int:
        if self.refusal is not None:
            raise self.refusal
        self.numbers += 1
        return self.numbers

    def propose_all(self, commands: list[tuple[bytes, float]]) -> list[int]:
        numbers = [self.number() for _ in commands]
        self.proposed += zip(numbers, (command for command, _ in commands), strict=True)
        return numbers

    def read_barrier(self, *, timeout_s: float) -> int:
        number = self.number()
        self.barriers.append(number)
        return number

    def add_replica(self, rank: int, generation: int, *, timeout_s: float) -> int:
        return self.number()

    def remove_replica(self, rank: int, generation: int, *, timeout_s: float) -> int:
        return self.number()

    def snapshot(self, index: int, state: bytes) -> None:
        self.snapshots.append((index, state))

    def close(self) -> None:
        self.closed += 1


class Ranks:
    """Who carries effects out; nobody answers unless told so."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str, int]] = []
        self.answer: errors.DaosError | Exception | None = None
        self.silent = False
        self.under_way = 0
        self.most = 0

    async def carry(self, number: int, effect: effects.AnyEffect, rank: int, floor: int) -> None:
        self.asked.append((number, type(effect).__name__, rank))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if self.silent:
                await asyncio.Event().wait()
            if self.answer is not None:
                raise self.answer
        finally:
            self.under_way -= 1


class Bench:
    """A host with its log and its ranks."""

    def __init__(self) -> None:
        self.log, self.ranks = FakeLog(), Ranks()
        self.stopped: list[errors.DaosError] = []
        self.host: Host = ServiceHost(
            SYSTEM, self.log, self.ranks.carry, clock=Clock(), stopped=self.stopped.append, carry_s_max=5
        )
        self.host.start()

    async def lead(self) -> None:
        self.log.lead()
        await self.until(lambda: self.host.leads)

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.002)

    async def proposed(self, count: int = 1) -> None:
        await self.until(lambda: len(self.log.proposed) >= count)

    def join(self, rank: int) -> None:
        command = Join(
            uuid=f"00000000-0000-4000-8000-{rank:012x}",
            address="h:1",
            uri="x",
            domain=(f"h{rank}",),
            incarnation=1,
            targets=1,
            capacity=(1 << 40, 0),
        )
        self.log.commit(encode_entry(SYSTEM, Clock().now(), command))


def run(body: Callable[[Bench], Coroutine[object, object, None]], *, asked_stops: int = 0) -> None:
    async def main() -> None:
        bench = Bench()
        try:
            async with asyncio.timeout(20):
                await body(bench)
        finally:
            await bench.host.close()
            await bench.host.close()
        assert bench.log.closed == 1
        assert len(bench.stopped) == asked_stops
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
        os.close(bench.log.descriptor)

    asyncio.run(main())


def test_the_outcome_comes_with_the_entry(caplog: pytest.LogCaptureFixture) -> None:
    async def body(bench: Bench) -> None:
        await bench.lead()
        asking = [asyncio.ensure_future(bench.host.submit(SET, timeout_s=10)) for _ in range(2)]
        await bench.proposed(2)
        bench.log.agree()
        for outcome in await asyncio.gather(*asking):
            outcome.check()
        assert bench.host.state.attributes == {"a": "b"}
        # A request that comes a second time, at the same time, is answered twice.
        request = RequestId("c", Clock().now())
        twice = [asyncio.ensure_future(bench.host.submit(SET, request, timeout_s=10)) for _ in range(2)]
        await bench.proposed(2)
        bench.log.agree()
        first, second = await asyncio.gather(*twice)
        assert first == second
        bench.log.refusal = errors.ClosedError("not asked")
        assert await bench.host.submit(SET, request, timeout_s=10) == first  # known: the log is not asked

    run(body)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_what_is_refused() -> None:
    async def body(bench: Bench) -> None:
        with pytest.raises(NotLeaderError) as nobody:
            await bench.host.submit(SET, timeout_s=10)
        assert nobody.value.leader is None
        bench.log.lead(leads=False, leader=2)
        await bench.until(lambda: bench.host.leader == 2)
        with pytest.raises(NotLeaderError) as other:
            await bench.host.query(lambda _: 1, timeout_s=10)
        assert (other.value.leader, other.value.code) == (2, DER.NOTLEADER)
        await bench.lead()
        bench.log.refusal = errors.BusyError("full")
        with pytest.raises(errors.BusyError, match="full"):
            await bench.host.submit(SET, timeout_s=10)
        bench.log.refusal = None
        with pytest.raises(errors.InvalidError):
            await bench.host.submit(SET, RequestId("", 1), timeout_s=10)
        asking = asyncio.ensure_future(bench.host.submit(SET, timeout_s=10))
        await bench.proposed()
        number, _ = bench.log.proposed.pop()
        bench.log.tell("refused", number, errors.StaleError("no", code=DER.NOTLEADER))
        with pytest.raises(NotLeaderError):
            await asking
        adding = asyncio.ensure_future(bench.host.add_replica(1, 1, timeout_s=10))
        await asyncio.sleep(0)
        bench.log.tell("refused", bench.log.numbers, errors.InvalidError("no such replica"))
        with pytest.raises(errors.InvalidError, match="no such replica"):
            await adding
        removing = asyncio.ensure_future(bench.host.remove_replica(1, 1, timeout_s=10))
        await asyncio.sleep(0)
        bench.log.tell("committed", bench.log.numbers, 7, 1)
        await removing

    run(body)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("agreed", [True, False])
def test_a_lost_leadership(own: bool, agreed: bool) -> None:
    async def body(bench: Bench) -> None:
        await bench.lead()
        bench.join(0)
        request = None if own else RequestId("c", Clock().now())
        create = PoolCreate(uuid="6b0ac2f5-7a4f-4e3c-8a76-1a3d5b9c0001", tiers=(1 << 30, 0), owner="o@", group="g@")
        bench.ranks.silent = True
        asking = asyncio.ensure_future(bench.host.submit(create, request, timeout_s=10))
        await bench.proposed()
        if agreed:
            bench.log.agree()
            await bench.until(lambda: "CreateShards" in [name for _, name, _ in bench.ranks.asked])
        else:
            number, _ = bench.log.proposed.pop()
            bench.log.tell("refused", number, errors.UncertainError("lost"))
        bench.log.lead(leads=False, leader=1, term=2)
        with pytest.raises(errors.UncertainError if own else NotLeaderError):
            await asking
        await bench.until(lambda: bench.ranks.under_way == 0)  # what was on its way is the next leader's

    run(body)


def test_no_outcome_in_time_is_uncertain() -> None:
    async def body(bench: Bench) -> None:
        await bench.lead()
        with pytest.raises(errors.UncertainError) as late:
            await bench.host.submit(SET, timeout_s=0.05)
        assert late.value.code is DER.NOREPLY
        with pytest.raises(errors.UncertainError) as known:
            await bench.host.submit(SET, RequestId("c", Clock().now()), timeout_s=0.05)
        assert known.value.hint == "repeat the request with its id"
        with pytest.raises(errors.TimedOutError):
            await bench.host.query(lambda _: 1, timeout_s=0.05)
        assert bench.host._waiting == {}
        assert bench.host._numbers == {}
        bench.log.agree()  # too late for anybody
        bench.log.tell("read", bench.log.barriers[-1], 1)

    run(body)


def test_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 2)

    async def body(bench: Bench) -> None:
        await bench.lead()
        asking = [asyncio.ensure_future(bench.host.submit(SET, timeout_s=10)) for _ in range(2)]
        await bench.proposed(2)
        with pytest.raises(errors.BusyError):
            await bench.host.submit(SET, timeout_s=10)
        bench.log.agree()
        await asyncio.gather(*asking)

    run(body)


def test_effects_on_their_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carriers, "CARRIES_PER_RANK_MAX", 3)
    monkeypatch.setattr(carriers, "CARRIES_MAX", 5)

    async def body(bench: Bench) -> None:
        for rank in range(4):
            bench.join(rank)
        bench.ranks.silent = True
        await bench.lead()
        for nth in range(9):
            create = PoolCreate(uuid=f"6b0ac2f5-7a4f-4e3c-8a76-{nth:012x}", tiers=(1 << 30, 0), owner="o@", group="g@")
            bench.log.commit(encode_entry(SYSTEM, Clock().now(), create))
        await bench.until(lambda: len(bench.host.state.pools) == 9)
        await bench.until(lambda: bench.ranks.under_way == 5)
        for rank in range(4):
            assert sum(key[1] == rank for key in bench.host._carriers._known) <= 3
        assert bench.ranks.most == 5

    run(body)


def test_reports_of_many_ranks_are_one_entry() -> None:
    async def body(bench: Bench) -> None:
        await bench.lead()
        for rank in range(20):
            bench.join(rank)

        def confirmed() -> list[bytes]:
            return [entry for _, entry in bench.log.proposed if b"confirm" in entry]

        await bench.until(lambda: len(bench.ranks.asked) >= 20)
        await bench.until(lambda: bool(confirmed()))
        assert len(confirmed()) == 1
        command = msgspec.msgpack.decode(confirmed()[0])[4]
        assert command["done"] == list(range(20))

    run(body)


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (errors.UncertainError("lost", code=DER.TX_UNCERTAIN), False),
        (errors.BusyError("busy"), False),
        (ZeroDivisionError(), False),
        (errors.NoSpaceError("full"), True),
    ],
)
def test_only_what_is_final_is_proposed_as_a_failure(answer: Exception, failed: bool) -> None:
    async def body(bench: Bench) -> None:
        bench.join(0)
        await bench.lead()
        bench.ranks.answer = answer
        create = PoolCreate(uuid="6b0ac2f5-7a4f-4e3c-8a76-000000000001", tiers=(1 << 30, 0), owner="o@", group="g@")
        bench.log.commit(encode_entry(SYSTEM, Clock().now(), create))
        await bench.until(lambda: [name for _, name, _ in bench.ranks.asked].count("CreateShards") >= 2)
        await asyncio.sleep(module.GATHER_S * 4)
        proposed = [msgspec.msgpack.decode(entry)[4] for _, entry in bench.log.proposed]
        confirms = [command for command in proposed if command["type"] == "confirm" and command["work"] > 1]
        assert bool([command for command in confirms if command["failed"]]) is failed
        assert not [command for command in confirms if command["done"]]

    run(body)


def test_a_snapshot_is_of_all_that_was_told() -> None:
    async def body(bench: Bench) -> None:
        bench.join(0)
        bench.log.tell("snapshot_wanted", 2)
        bench.log.tell("members", 3, [(0, 1)], [])
        bench.log.tell("snapshot_wanted", 4)  # behind an entry without a command
        await bench.until(lambda: len(bench.log.snapshots) == 2)
        assert [index for index, _ in bench.log.snapshots] == [2, 4]
        restored = Replica.restore(SYSTEM, bench.log.snapshots[1][1])
        assert list(restored.state.members) == [0]
        # A replica that lagged is given a whole state, and goes on from it.
        bench.log.index = 9
        bench.log.tell("install", 9, 1, bench.log.snapshots[1][1])
        bench.join(1)
        await bench.host.until(lambda: len(bench.host.state.members) == 2, timeout_s=10)

    run(body)


def test_a_driver_of_an_old_state_does_not_go_on() -> None:
    async def body(bench: Bench) -> None:
        await bench.lead()
        bench.join(0)
        await bench.until(lambda: bool(bench.ranks.asked))
        state = bench.host.replica.snapshot()
        bench.log.index = 20
        bench.log.tell("install", 20, 2, state)
        bench.join(1)
        await bench.until(lambda: 1 in {rank for _, _, rank in bench.ranks.asked})

    run(body)


def test_deaths_are_proposed_and_taken_back() -> None:
    async def body(bench: Bench) -> None:
        bench.host.died(1, 1)  # it does not lead: nobody's business
        for rank in range(3):
            bench.join(rank)
        await bench.lead()
        bench.host.died(1, 1)
        bench.host.died(2, 1)
        bench.host.revived(2)

        def dead() -> list[dict[int, int]]:
            commands = [msgspec.msgpack.decode(entry, strict=False)[4] for _, entry in bench.log.proposed]
            return [command["ranks"] for command in commands if command["type"] == "mark_dead"]

        await bench.until(lambda: bool(dead()))
        assert dead()[0] == {1: 1}

    run(body)


@pytest.mark.parametrize(
    ("what", "facts", "kind"),
    [
        ("stopped", ("the disk is full",), errors.UnavailableError),
        ("command", (5, 1, b"\xc1"), errors.CorruptionError),
        ("command", (5, 1, msgspec.msgpack.encode([99, 0, "", 0, None])), errors.InvalidError),
        ("install", (5, 1, b"\xc1"), errors.CorruptionError),
    ],
)
def test_a_replica_that_cannot_go_on_ends(what: str, facts: tuple[object, ...], kind: type[Exception]) -> None:
    async def body(bench: Bench) -> None:
        await bench.lead()
        asking = asyncio.ensure_future(bench.host.submit(SET, timeout_s=10))
        waiting = asyncio.ensure_future(bench.host.until(lambda: False, timeout_s=10))
        await bench.proposed()
        bench.log.tell(what, *facts)
        bench.log.tell("role", 9, 1, True)  # what follows is not looked at any more
        with pytest.raises(errors.UncertainError):
            await asking
        with pytest.raises(kind):
            await waiting
        assert isinstance(bench.host.failed, kind)
        assert not bench.host.leads
        with pytest.raises(kind):
            await bench.host.submit(SET, timeout_s=10)

    run(body, asked_stops=1)
