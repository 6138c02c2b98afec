"""The system service under faults: pools are made or not, destroyed or not, and leave nothing behind."""

from __future__ import annotations

from uuid import UUID

import pytest

from daos.control.driver import Driver
from daos.control.outbox import Effect
from daos.control.outcomes import SECOND
from daos.control.system.effects import CreateShards, DestroyShards, PrepareDestroy, StartService
from daos.control.system.members import Join
from daos.control.system.pool_create import PoolCreate
from daos.control.system.pool_destroy import PoolDestroy, PoolRelabel
from daos.control.system.service import SYSTEM
from daos.control.system.state import PoolState, SystemState
from daos.errors import DER
from tests.unit.control.simulator import Faults, Host, Simulator

RANKS = 5
GIB = 1 << 30
TIERS = (GIB, 4 * GIB)


def uuid(number: int) -> str:
    return str(UUID(int=number))


class Engines:
    """What ranks have of pools."""

    def __init__(self, seed: int, faults: Faults) -> None:
        self.shards: set[tuple[int, str]] = set()
        self.services: set[tuple[int, str]] = set()
        self.busy: set[str] = set()
        self.sim = Simulator(SYSTEM, self, seed, faults)  # type: ignore[arg-type]
        for rank in range(RANKS):
            self.sim.hosts[rank] = Host()
            self.restarted(rank, 1)

    @property
    def state(self) -> SystemState:
        state = self.sim.replicas[self.sim.leader].state
        assert isinstance(state, SystemState)
        return state

    def restarted(self, rank: int, incarnation: int) -> None:
        self.sim.ask(
            Join(
                uuid=uuid(1000 + rank),
                rank=rank,
                address=f"host{rank}:10001",
                uri=f"tcp://host{rank}:31416",
                domain=(f"host{rank}",),
                incarnation=incarnation,
                targets=2,
                capacity=(8 * GIB, 32 * GIB),
            )
        )

    def carry(self, rank: int, effect: Effect) -> DER | None:
        pool = effect.subject
        if isinstance(effect, CreateShards):
            self.shards.add((rank, pool))
        elif isinstance(effect, StartService):
            assert (rank, pool) in self.shards
            self.services.add((rank, pool))
        elif isinstance(effect, DestroyShards):
            self.shards.discard((rank, pool))
            self.services.discard((rank, pool))
        elif isinstance(effect, PrepareDestroy):
            if (rank, pool) not in self.services:
                return DER.NOTREPLICA
            if pool in self.busy and not effect.force:
                return DER.BUSY
        return None

    def create(self, number: int, label: str | None = None, count: int | None = None) -> PoolCreate:
        return PoolCreate(uuid=uuid(number), label=label, count=count, tiers=TIERS, owner="alice@", group="users@")

    def judge(self) -> None:
        """What is there is what the service says, no more, no less."""
        ready = [pool for pool in self.state.pools.values() if pool.state is PoolState.READY]
        assert len(ready) == len(self.state.pools)
        assert self.shards == {(rank, pool.uuid) for pool in ready for rank in pool.ranks}
        assert self.services == {(rank, pool.uuid) for pool in ready for rank in pool.services}
        assert all(member.joined for member in self.state.members.values())


def story(engines: Engines) -> None:
    """Make, destroy, refuse: with the leader dying wherever `kill_at` says."""
    sim = engines.sim
    sim.run(2)
    first = sim.ask(engines.create(1, "tank"))
    sim.run(3)
    again = sim.ask(engines.create(2, "tank"))
    second = sim.ask(engines.create(3, "other", count=3))
    engines.busy.add(uuid(3))
    sim.run(3)
    refused = sim.ask(PoolDestroy(pool="other"))
    destroyed = sim.ask(PoolDestroy(pool="tank"))
    sim.run(3)
    sim.heal(90)
    engines.judge()
    assert sim.outcome(first).code == 0
    assert sim.outcome(again).code == DER.EXIST
    assert sim.outcome(second).code == 0
    assert sim.outcome(refused).code == DER.BUSY
    assert sim.outcome(destroyed).code == 0
    assert set(engines.state.pools) == {uuid(3)}


def test_leader_killed_at_each_step() -> None:
    quiet = Engines(0, Faults())
    story(quiet)
    for step in range(1, quiet.sim.steps + 1):
        engines = Engines(0, Faults())
        engines.sim.kill_at = frozenset({step})
        story(engines)


@pytest.mark.parametrize("seed", range(20))
def test_faults(seed: int) -> None:
    faults = Faults(
        lost=0.1,
        doubled=0.2,
        delay=(1 + seed % 3) * SECOND,
        kill_leader=0.04,
        kill_rank=0.004 * (seed % 4),
        bad_rank=0.05 * (seed % 2),
    )
    engines = Engines(seed, faults)
    sim = engines.sim
    sim.run(5)
    made = 0
    for _ in range(12):
        choice = sim.random.random()
        if choice < 0.6:
            made += 1
            sim.ask(engines.create(made, f"label{made % 4}", sim.random.choice((None, 2, 3))))
        elif made and choice < 0.75:
            sim.ask(PoolRelabel(pool=uuid(sim.random.randrange(1, made + 1)), label=f"label{made}"))
        elif made:
            pool = uuid(sim.random.randrange(1, made + 1))
            if sim.random.random() < 0.3:
                engines.busy.add(pool)
            sim.ask(PoolDestroy(pool=pool, force=sim.random.random() < 0.3))
        sim.run(sim.random.choice((0.2, 2, 12)))
    sim.heal()
    engines.judge()


def test_a_seed_gives_the_same_run() -> None:
    faults = Faults(lost=0.1, doubled=0.2, kill_leader=0.02)
    logs = []
    for _ in range(2):
        engines = Engines(7, faults)
        engines.sim.run(2)
        engines.sim.ask(engines.create(1))
        engines.sim.run(10)
        logs.append(engines.sim.log)
    assert logs[0] == logs[1]


def test_a_new_leader_finds_what_is_under_way() -> None:
    engines = Engines(0, Faults())
    engines.sim.run(2)
    engines.sim.hosts[4].alive = False
    engines.sim.ask(engines.create(1))
    engines.sim.run(2)
    actions = Driver(engines.state).on(engines.sim.now)
    assert [(type(action.effect), action.ranks) for action in actions] == [(CreateShards, (4,))]  # type: ignore[union-attr]
