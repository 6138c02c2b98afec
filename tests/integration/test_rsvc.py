"""Hosts of a replicated service on real logs: outcomes, effects, leaders that go, replicas that come back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, cast

import pytest

from daos import _core, errors
from daos.control.outcomes import RequestId
from daos.control.replicated import Replica
from daos.control.system import effects, queries
from daos.control.system.members import Join, Joined
from daos.control.system.pool_create import PoolCreate
from daos.control.system.pool_destroy import PoolDestroy
from daos.control.system.service import SYSTEM
from daos.control.system.settings import SetAttributes
from daos.control.system.state import PoolCreated, SystemState
from daos.errors import DER
from daos.rsvc import Clock, NotLeaderError, ServiceHost

GROUP = bytes(range(16))
POOL = "6b0ac2f5-7a4f-4e3c-8a76-1a3d5b9c0001"
LISTEN = "127.0.0.1:0"
DEADLINE_S = 30.0
T = TypeVar("T")

Host = ServiceHost[SystemState, effects.AnyEffect]


class Ranks:
    """The ranks' side: what was carried out, and what goes wrong."""

    def __init__(self) -> None:
        self.done: list[tuple[int, str, int]] = []
        self.fail: dict[tuple[str, int], DER] = {}
        self.stuck: set[int] = set()
        self.busy = 0
        self.busy_max = 0
        self.shards: set[tuple[str, int]] = set()

    async def carry(self, number: int, effect: effects.AnyEffect, rank: int, _floor: int) -> None:
        self.busy += 1
        self.busy_max = max(self.busy_max, self.busy)
        try:
            if rank in self.stuck:
                await asyncio.Event().wait()
            name = type(effect).__name__
            if (name, rank) in self.fail:
                raise errors.error_from_der(self.fail[name, rank], "as told")
            if isinstance(effect, effects.CreateShards):
                self.shards.add((effect.subject, rank))
            elif isinstance(effect, effects.DestroyShards):
                self.shards.discard((effect.subject, rank))
            self.done.append((number, name, rank))
        finally:
            self.busy -= 1


class Group:
    """Three replicas in one process, and the ranks they speak to."""

    def __init__(self, tmp_path: Path) -> None:
        self.path, self.ranks = tmp_path, Ranks()
        self.hosts: dict[int, Host] = {}
        self.logs: dict[int, _core.Rdb] = {}
        self.stopped: list[errors.DaosError] = []
        self.carry_s_max = 20.0

    def add(self, number: int, log: _core.Rdb) -> Host:
        host: Host = ServiceHost(
            SYSTEM,
            log,
            self.ranks.carry,
            clock=Clock(),
            stopped=self.stopped.append,
            carry_s_max=self.carry_s_max,
        )
        self.hosts[number], self.logs[number] = host, log
        for one, mine in self.logs.items():
            for other, theirs in self.logs.items():
                if one != other:
                    mine.set_peer(other, theirs.address)
        host.start()
        return host

    def create(self) -> None:
        for number in range(3):
            self.add(
                number,
                _core.Rdb.create(
                    str(self.path / str(number)),
                    group=GROUP,
                    rank=number,
                    replicas=[0, 1, 2],
                    state=Replica(SYSTEM).snapshot(),
                    listen=LISTEN,
                    system="test",
                    tick_ms=20,
                ),
            )

    def reopen(self, number: int) -> Host:
        return self.add(number, _core.Rdb.open(str(self.path / str(number)), group=GROUP, listen=LISTEN, system="test"))

    async def kill(self, number: int) -> None:
        self.logs.pop(number)
        await self.hosts.pop(number).close()

    async def leader(self) -> Host:
        while not any(host.leads for host in self.hosts.values()):
            await asyncio.sleep(0.01)
        return next(host for host in self.hosts.values() if host.leads)

    async def ask(self, ask: Callable[[Host], Awaitable[T]]) -> T:
        """Ask the leader, and the next one where it is not it any more."""
        while True:
            with suppress(NotLeaderError):
                return await ask(await self.leader())
            await asyncio.sleep(0.02)

    async def join(self, rank: int) -> None:
        command = Join(
            uuid=f"00000000-0000-4000-8000-{rank:012x}",
            address="127.0.0.1:1",
            uri="x",
            domain=(f"host{rank}",),
            incarnation=1,
            targets=1,
            capacity=(1 << 40, 1 << 40),
        )
        outcome = await self.ask(lambda host: host.submit(command, timeout_s=10))
        assert outcome.value(Joined).rank == rank


def run(tmp_path: Path, body: Callable[[Group], Coroutine[object, object, None]]) -> None:
    async def main() -> None:
        group = Group(tmp_path)
        group.create()
        try:
            async with asyncio.timeout(DEADLINE_S):
                await body(group)
        finally:
            for host in group.hosts.values():
                await host.close()
        assert group.stopped == []
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    asyncio.run(main())


def pool_create(uuid: str = POOL) -> PoolCreate:
    return PoolCreate(uuid=uuid, tiers=(1 << 30, 0), owner="o@", group="g@", properties={"svc_rf": 0})


async def agree(group: Group) -> None:
    """Wait until all replicas have the same state and nothing is under way."""
    while True:
        digests = {host.replica.digest() for host in group.hosts.values()}
        if len(digests) == 1 and not any(host.state.outbox.works for host in group.hosts.values()):
            return
        await asyncio.sleep(0.02)


def test_requests_are_answered_and_effects_carried_out(tmp_path: Path) -> None:
    async def body(group: Group) -> None:
        for rank in range(3):
            await group.join(rank)
        request = RequestId("client", Clock().now())
        outcome = await group.ask(lambda host: host.submit(pool_create(), request, timeout_s=10))
        assert outcome.value(PoolCreated).ranks == (0, 1, 2)
        assert group.ranks.shards == {(POOL, rank) for rank in range(3)}
        again = await group.ask(lambda host: host.submit(pool_create(), request, timeout_s=10))
        assert again == outcome
        refused = await group.ask(lambda host: host.submit(PoolDestroy(pool="absent"), timeout_s=10))
        with pytest.raises(errors.NotFoundError):
            refused.check()
        leader = await group.leader()
        found = await leader.query(queries.pools, timeout_s=5)
        assert [pool.uuid for pool in found] == [POOL]
        with pytest.raises(errors.NotFoundError):
            await leader.query(lambda state: queries.find_pool(state, "absent"), timeout_s=5)

        follower = next(host for host in group.hosts.values() if host is not leader)
        await follower.until(lambda: follower.leader is not None, timeout_s=5)
        for refusal in (
            follower.submit(pool_create(), request, timeout_s=5),
            follower.query(lambda _: 1, timeout_s=5),
        ):
            with pytest.raises(NotLeaderError) as elsewhere:
                await refusal
            assert elsewhere.value.leader is not None
            assert group.hosts[elsewhere.value.leader] is leader
        await group.ask(lambda host: host.submit(PoolDestroy(pool=POOL), timeout_s=10))
        assert group.ranks.shards == set()
        await agree(group)

    run(tmp_path, body)


def test_a_slow_rank_holds_up_no_other(tmp_path: Path) -> None:
    async def body(group: Group) -> None:
        for rank in range(3):
            await group.join(rank)
        group.ranks.stuck.add(2)
        stuck = asyncio.ensure_future(
            group.ask(lambda host: host.submit(pool_create(), RequestId("c", Clock().now()), timeout_s=20))
        )
        for nth in range(40):
            uuid = f"6b0ac2f5-7a4f-4e3c-8a76-{nth:012x}"
            command = PoolCreate(
                uuid=uuid, ranks=(0, 1), tiers=(1 << 30, 0), owner="o@", group="g@", properties={"svc_rf": 0}
            )
            outcome = await group.ask(lambda host, command=command: host.submit(command, timeout_s=10))  # type: ignore[misc]
            outcome.check()
        assert not stuck.done()
        leader = await group.leader()
        assert sum(rank == 2 for _, rank in leader._carriers._known) <= 16
        group.ranks.stuck.clear()
        for task in list(leader._carriers._tasks):
            task.cancel()  # as if its deadline had passed
        (await stuck).check()
        await agree(group)

    run(tmp_path, body)


def test_an_effect_has_a_deadline_and_is_sent_again(tmp_path: Path) -> None:
    async def body(group: Group) -> None:
        for host in group.hosts.values():
            host._carriers._seconds_max = 0.05
        await group.join(0)
        group.ranks.stuck.add(0)
        creating = asyncio.ensure_future(group.ask(lambda host: host.submit(pool_create(), timeout_s=20)))
        while not group.ranks.busy:
            await asyncio.sleep(0.01)
        while group.ranks.busy:
            await asyncio.sleep(0.01)
        group.ranks.stuck.clear()
        (await creating).check()

    run(tmp_path, body)


@pytest.mark.parametrize(("code", "done"), [(DER.NOSPACE, False), (DER.BUSY, True)])
def test_failures_are_for_now_or_for_good(tmp_path: Path, code: DER, done: bool) -> None:
    async def body(group: Group) -> None:
        await group.join(0)
        group.ranks.fail["CreateShards", 0] = code
        creating = asyncio.ensure_future(group.ask(lambda host: host.submit(pool_create(), timeout_s=20)))
        leader = await group.leader()
        await leader.until(lambda: leader.state.outbox.next > 2, timeout_s=10)
        if done:
            del group.ranks.fail["CreateShards", 0]
            (await creating).check()
        else:
            with pytest.raises(errors.NoSpaceError):
                (await creating).check()
            assert group.ranks.shards == set()

    run(tmp_path, body)


def test_the_leader_goes_in_the_middle_and_the_next_one_finishes(tmp_path: Path) -> None:
    async def body(group: Group) -> None:
        for rank in range(3):
            await group.join(rank)
        group.ranks.stuck.add(1)
        request = RequestId("client", Clock().now())
        leader = await group.leader()
        number = next(number for number, host in group.hosts.items() if host is leader)
        creating = asyncio.ensure_future(leader.submit(pool_create(), request, timeout_s=20))
        without = asyncio.ensure_future(leader.submit(pool_create(POOL[:-1] + "2"), timeout_s=20))
        await leader.until(lambda: len(leader.state.pools) == 2, timeout_s=10)
        await group.kill(number)
        with pytest.raises(NotLeaderError):
            await creating
        with pytest.raises(errors.UncertainError):
            await without
        group.ranks.stuck.clear()
        outcome = await group.ask(lambda host: host.submit(pool_create(), request, timeout_s=20))
        assert outcome.value(PoolCreated).uuid == POOL
        await agree(group)
        back = group.reopen(number)
        await back.until(lambda: len(back.state.pools) == 2, timeout_s=10)
        await agree(group)
        assert group.ranks.shards == {(uuid, rank) for uuid in (POOL, POOL[:-1] + "2") for rank in range(3)}

    run(tmp_path, body)


def test_a_replica_comes_back_from_a_snapshot(tmp_path: Path) -> None:
    async def body(group: Group) -> None:
        leader = await group.leader()
        number = next(number for number, host in group.hosts.items() if host is not leader)
        await group.kill(number)

        async def set_one(nth: int) -> None:
            command = SetAttributes(attributes={f"a{nth % 50}": str(nth)})
            (await group.ask(lambda host: host.submit(command, timeout_s=20))).check()

        for start in range(0, 4600, 200):
            await asyncio.gather(*(set_one(nth) for nth in range(start, start + 200)))
        leader = await group.leader()
        assert cast("int", group.logs[next(n for n, h in group.hosts.items() if h is leader)].status()["first"]) > 100
        back = group.reopen(number)
        await back.until(lambda: back.state.attributes.get("a49") == "4599", timeout_s=20)
        await agree(group)

    run(tmp_path, body)


def test_without_a_majority_nothing_is_certain_and_nothing_waits_for_ever(tmp_path: Path) -> None:
    async def body(group: Group) -> None:
        leader = await group.leader()
        for number in [number for number, host in group.hosts.items() if host is not leader]:
            await group.kill(number)
        command = SetAttributes(attributes={"a": "b"})
        with pytest.raises((errors.UncertainError, NotLeaderError)):
            await leader.submit(command, timeout_s=0.3)
        with pytest.raises((errors.TimedOutError, NotLeaderError)):
            await leader.query(lambda _: 1, timeout_s=0.3)
        with pytest.raises(errors.TimedOutError):
            await leader.until(lambda: False, timeout_s=0.05)
        waiting = asyncio.ensure_future(leader.until(lambda: False, timeout_s=20))
        await asyncio.sleep(0)
        await leader.close()
        with pytest.raises(errors.UnavailableError):
            await waiting
        with pytest.raises(errors.UnavailableError):
            await leader.submit(command, timeout_s=1)

    run(tmp_path, body)


def test_a_replica_of_another_service_ends_with_its_reason(tmp_path: Path) -> None:
    async def main() -> None:
        log = _core.Rdb.create(
            str(tmp_path / "0"),
            group=GROUP,
            rank=0,
            replicas=[0],
            state=b"no snapshot",
            listen=LISTEN,
            system="test",
            tick_ms=20,
        )
        group = Group(tmp_path)
        host = group.add(0, log)
        while host.failed is None:
            await asyncio.sleep(0.01)
        assert isinstance(host.failed, errors.CorruptionError)
        assert group.stopped == [host.failed]
        await host.close()

    asyncio.run(asyncio.wait_for(main(), DEADLINE_S))
