"""The pool service under faults: what engines have is what it says, whatever was lost, repeated or late."""

from __future__ import annotations

from uuid import UUID

import pytest

from daos.control.outbox import Effect
from daos.control.outcomes import SECOND, RequestId
from daos.control.pool.container_create import ContainerCreate, ContainerDestroy
from daos.control.pool.container_open import ContainerCloseAll, ContainerOpen
from daos.control.pool.create import CreatePool
from daos.control.pool.effects import (
    BroadcastPoolMap,
    CreateContainerShards,
    DestroyContainerShards,
    DiscardShards,
    InstallHandles,
    InstallScrub,
    InstallSnapshots,
    RevokeHandles,
)
from daos.control.pool.handles import Connect, Evict
from daos.control.pool.service import POOL
from daos.control.pool.settings import OverwriteAcl, SetProperties, UpdateAcl
from daos.control.pool.snapshots import SnapshotCreate, SnapshotDestroy
from daos.control.pool.state import ContainerState, PoolState
from daos.control.pool.targets import MarkAlive, ReintegrateTargets
from daos.control.system.effects import PoolRank
from daos.errors import DER
from daos.model.acl import Access, Credential
from daos.model.pool_properties import pool_properties
from daos.model.scrub import MODES
from tests.unit.control.simulator import Faults, Host, Simulator

RANKS = 4
PROPERTIES = pool_properties({"rd_fac": 2}, domains=RANKS)
ALICE = Credential("alice@", "users@", (), "node1")


def uuid(number: int) -> str:
    return str(UUID(int=number))


class Engines:
    """What ranks have of one pool."""

    def __init__(self, seed: int, faults: Faults) -> None:
        self.shards: set[tuple[int, str]] = set()
        self.handles: set[tuple[int, str]] = set()
        self.snapshots: dict[tuple[int, str], tuple[int, ...]] = {}
        self.scrubs: dict[int, InstallScrub] = {}
        self.maps = dict.fromkeys(range(RANKS), 0)
        self.sim = Simulator(POOL, self, seed, faults)  # type: ignore[arg-type]
        for rank in range(RANKS):
            self.sim.hosts[rank] = Host()
        ranks = tuple(PoolRank(rank=rank, domain=(f"host{rank}",), targets=2) for rank in range(RANKS))
        self.sim.ask(
            CreatePool(
                uuid=uuid(1),
                label="tank",
                ranks=ranks,
                properties=PROPERTIES,
                acl=("A::OWNER@:rw",),
                owner="alice@",
                group="users@",
            )
        )

    @property
    def state(self) -> PoolState:
        state = self.sim.replicas[self.sim.leader].state
        assert isinstance(state, PoolState)
        return state

    def restarted(self, rank: int, incarnation: int) -> None:
        self.handles = {held for held in self.handles if held[0] != rank}
        self.sim.ask(MarkAlive(rank=rank, incarnation=incarnation))
        self.reintegrate(rank)

    def reintegrate(self, rank: int) -> None:
        found = self.state.map.ranks.get(rank)
        if found is not None and not found.in_use:
            self.sim.ask(ReintegrateTargets(ranks={rank: None}))

    def carry(self, rank: int, effect: Effect) -> DER | None:
        subject = (rank, effect.subject)
        if isinstance(effect, CreateContainerShards):
            self.shards.add(subject)
            if effect.handle is not None:
                self.handles.add((rank, effect.handle))
        elif isinstance(effect, DestroyContainerShards):
            self.shards.discard(subject)
            self.snapshots.pop((rank, f"{effect.subject}/snapshots"), None)
            self.handles -= {(rank, handle) for handle in effect.handles}
        elif isinstance(effect, InstallHandles):
            self.handles.add(subject)
        elif isinstance(effect, RevokeHandles):
            self.handles -= {(rank, handle) for handle in effect.handles}
        elif isinstance(effect, InstallSnapshots):
            self.snapshots[subject] = effect.epochs
        elif isinstance(effect, InstallScrub):
            self.scrubs[rank] = effect
        elif isinstance(effect, BroadcastPoolMap):
            self.maps[rank] = max(self.maps[rank], effect.version)
        elif isinstance(effect, DiscardShards):
            self.shards = {shard for shard in self.shards if shard[0] != rank}
            self.handles = {held for held in self.handles if held[0] != rank}
            self.snapshots = {key: value for key, value in self.snapshots.items() if key[0] != rank}
        return None

    def judge(self) -> None:
        """What the ranks in use have is what the service says, no more, no less."""
        state, used = self.state, set(self.state.map.in_use())
        containers = state.containers.values()
        assert all(container.state is ContainerState.READY for container in containers)
        expected = {(rank, container.uuid) for rank in used for container in containers}
        assert {shard for shard in self.shards if shard[0] in used} == expected
        assert {handle for rank, handle in self.handles if rank in used} <= {*state.handles, *state.container_handles}
        assert {rank: self.maps[rank] for rank in used} == dict.fromkeys(used, state.map.version)
        never_told = InstallScrub.of(PROPERTIES)
        assert {self.scrubs.get(rank, never_told) for rank in used} == {InstallScrub.of(state.properties)}
        for container in containers:
            epochs = tuple(snapshot.epoch for snapshot in container.snapshots)
            for rank in used:
                assert self.snapshots.get((rank, f"{container.uuid}/snapshots"), ()) == epochs


def story(engines: Engines) -> None:
    """A container's life, with the leader dying wherever `kill_at` says."""
    sim = engines.sim
    sim.run(2)
    connect = sim.ask(Connect(handle=uuid(10), credential=ALICE, access=Access.READ_WRITE))
    sim.run(3)
    create = sim.ask(ContainerCreate(handle=uuid(10), uuid=uuid(20), label="run"))
    sim.run(3)
    again = sim.ask(ContainerCreate(handle=uuid(10), uuid=uuid(21), label="run"))
    sim.run(3)
    opened = sim.ask(ContainerOpen(handle=uuid(10), container="run", uuid=uuid(30), access=Access.READ_WRITE))
    denied = sim.ask(OverwriteAcl(entries=("A::OWNER@:rw",)))
    sim.run(3)
    snapshot = sim.ask(SnapshotCreate(handle=uuid(30), epoch=77))
    kept = sim.ask(ContainerCreate(handle=uuid(10), uuid=uuid(22)))
    sim.run(3)
    refused = sim.ask(ContainerDestroy(container="run"))
    sim.run(3)
    destroy = sim.ask(ContainerDestroy(handle=uuid(10), container="run", force=True))
    sim.run(3)
    evict = sim.ask(Evict())
    sim.run(3)
    sim.heal(60)
    engines.judge()
    done: list[RequestId] = [connect, create, opened, denied, snapshot, kept, destroy, evict]
    assert [sim.outcome(request).code for request in done] == [0] * len(done)
    assert sim.outcome(again).code == DER.EXIST
    assert sim.outcome(refused).code == DER.BUSY
    assert (list(engines.state.containers), engines.state.handles, engines.handles) == ([uuid(22)], {}, set())


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
        kill_rank=0.005 * (seed % 3),
        bad_rank=0.02 * (seed % 2),
    )
    engines = Engines(seed, faults)
    sim = engines.sim
    sim.run(5)
    sim.ask(Connect(handle=uuid(10), credential=ALICE, access=Access.READ_WRITE))
    for number in range(20, 50):
        there = list(engines.state.containers) or [uuid(number)]
        some = sim.random.choice([*there, uuid(number)])
        sim.ask(
            sim.random.choice(
                (
                    ContainerCreate(handle=uuid(10), uuid=uuid(number), label=f"label{number % 5}"),
                    ContainerCreate(handle=uuid(10), uuid=uuid(number)),
                    ContainerCreate(handle=uuid(10), uuid=uuid(number), opens=uuid(200 + number)),
                    ContainerCreate(handle=uuid(11), uuid=uuid(number), opens=uuid(200 + number)),
                    ContainerCloseAll(handles=tuple(uuid(200 + other) for other in range(20, number))),
                    ContainerDestroy(container=some, force=True),
                    ContainerOpen(handle=uuid(10), container=some, uuid=uuid(100 + number), access=Access.READ_ONLY),
                    SnapshotCreate(container=some, epoch=number),
                    SnapshotDestroy(container=some, epoch=number - sim.random.randrange(1, 6)),
                    UpdateAcl(entries=(f"A::user{number}@:r",)),
                    SetProperties(properties={"scrub": sim.random.choice(MODES), "scrub_thresh": number}),
                    Evict(handles=(uuid(11),)),
                    Connect(handle=uuid(11), credential=ALICE, access=Access.READ_WRITE),
                )
            )
        )
        sim.run(sim.random.choice((0.2, 1, 4)))
    sim.heal()
    for rank in range(RANKS):
        engines.reintegrate(rank)
    sim.heal(80)
    engines.judge()
    assert engines.state.map.in_use() == list(range(RANKS))
