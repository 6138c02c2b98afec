"""Replicas, their log, the leader's driver, ranks and clients in one thread, under a seed.

The log stands for a consensus library: entries are committed in one order, or lost. All else may go wrong: proposals,
answers, effects and reports are lost, repeated and late; the leader is killed between any two steps; replicas come back
from old snapshots; ranks die and come back. `heal` ends the faults; then everything must come to rest.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol

import msgspec

from daos.control.driver import Carry, Died, Driver, Event, Propose, Reported, ReportedAll, Revived
from daos.control.fence import Fence
from daos.control.outbox import E, Effect
from daos.control.outcomes import SECOND, Answer, Outcome, RequestId
from daos.control.replicated import AnyCommand, Form, Replica, State, encode_entry
from daos.errors import DER

START = 1000 * SECOND
REPLICAS = 3


class World(Protocol):
    """The ranks' side of a service."""

    def carry(self, rank: int, effect: Effect) -> DER | None:
        """Carry out an effect on a rank; return what it failed with."""

    def restarted(self, rank: int, incarnation: int) -> None:
        """A rank is back, as another process."""


@dataclass
class Host:
    """A rank: what is durable of it is its fence; the world keeps the rest."""

    incarnation: int = 1
    alive: bool = True
    fence: Fence = field(default_factory=Fence)


@dataclass
class Faults:
    """How often what goes wrong."""

    lost: float = 0.0
    doubled: float = 0.0
    delay: int = SECOND // 20
    kill_leader: float = 0.0
    kill_rank: float = 0.0
    bad_rank: float = 0.0


@dataclass
class Client:
    """A request under way, sent again until it is answered."""

    command: AnyCommand
    outcome: Outcome | None = None
    sent: int = 0


class Simulator(Generic[E]):
    """A service on three replicas."""

    def __init__(self, form: Form[State[E]], world: World, seed: int, faults: Faults) -> None:
        self.form, self.world, self.faults = form, world, faults
        self.random = random.Random(seed)  # noqa: S311 -- seeded on purpose
        self.now = START
        self.replicas: list[Replica[State[E]]] = [Replica(form) for _ in range(REPLICAS)]
        self.snapshots = [replica.snapshot() for replica in self.replicas]
        self.log: list[bytes] = []
        self.queue: list[tuple[int, int, Callable[[], None]]] = []
        self.sequence = 0
        self.hosts: dict[int, Host] = {}
        self.clients: dict[RequestId, Client] = {}
        self.first: dict[RequestId, Outcome] = {}
        self.steps = 0
        self.driven = START
        self.reports: list[Reported] = []
        self.kill_at: frozenset[int] = frozenset()
        self.leader = 0
        self.driver = Driver(self.replicas[0].state)

    # Time and messages

    def later(self, what: Callable[[], None], delay: int | None = None) -> None:
        self.sequence += 1
        wait = self.random.randrange(1, self.faults.delay) if delay is None else delay
        heapq.heappush(self.queue, (self.now + wait, self.sequence, what))

    def send(self, what: Callable[[], None]) -> None:
        """Have something happen elsewhere: perhaps not, perhaps twice, always late."""
        if self.random.random() >= self.faults.lost:
            self.later(what)
        if self.random.random() < self.faults.doubled:
            self.later(what, self.random.randrange(20 * SECOND))

    def run(self, seconds: float) -> None:
        """Let time pass: to the next message, or to when the driver asks to be woken, or once a second."""
        end = self.now + int(seconds * SECOND)
        while self.now < end:
            wake = min(self.driver.wake_at() or end, self.driven + SECOND, end)
            if self.queue and self.queue[0][0] <= wake:
                at, _, what = heapq.heappop(self.queue)
                self.now = max(self.now, at)
                what()
                self._mishaps()
            else:
                self.now = max(self.now + 1, wake)
            self.drive()

    def drive(self, event: Event = None) -> None:
        """Let the leader's driver act, once it has applied all there is."""
        if self.replicas[self.leader].index < len(self.log):
            return
        self.driven = self.now
        for action in self.driver.on(self.now, event):
            self.step()
            if isinstance(action, Propose):
                self.propose(action.command)
            else:
                self._carry(action)

    def step(self) -> None:
        """Count the places at which a leader may die."""
        self.steps += 1
        if self.steps in self.kill_at:
            self.later(self.kill_leader, 0)

    # The log

    def propose(self, command: AnyCommand, request: RequestId | None = None) -> None:
        entry = encode_entry(self.form, self.now, command, request)
        self.send(lambda: self.commit(entry))

    def commit(self, entry: bytes) -> None:
        self.step()
        self.log.append(entry)
        for number, replica in enumerate(self.replicas):
            if number == self.leader or self.random.random() < 0.5:
                self.catch_up(number, replica)

    def catch_up(self, number: int, replica: Replica[State[E]]) -> None:
        while replica.index < len(self.log):
            before = stable(replica.state) if number == self.leader else None
            applied = replica.apply(replica.index + 1, self.log[replica.index])
            if number == self.leader:
                replica.state.check()
            for answer in applied.answers:
                self._answer(number, answer, before, replica)
        if self.random.random() < 0.1:
            self.snapshots[number] = replica.snapshot()

    def _answer(self, number: int, answer: Answer, before: bytes | None, replica: Replica[State[E]]) -> None:
        # Whoever answers says the same, and what is refused at once has changed nothing.
        first = self.first.setdefault(answer.request, answer.outcome)
        assert first == answer.outcome, (answer, first)
        if before is not None and answer.outcome.code and replica.state.outcomes.kept.get(_key(answer.request)) is None:
            assert stable(replica.state) == before
        if number == self.leader:
            self.send(lambda: self._answered(answer))

    def _answered(self, answer: Answer) -> None:
        client = self.clients.get(answer.request)
        if client is not None:
            client.outcome = answer.outcome

    # Clients

    def ask(self, command: AnyCommand) -> RequestId:
        """Send a request, again each two seconds until it is answered."""
        self.sequence += 1
        request = RequestId(f"client{self.sequence}", self.now)
        self.clients[request] = Client(command)
        self._ask(request)
        return request

    def _ask(self, request: RequestId) -> None:
        client = self.clients[request]
        if client.outcome is not None:
            return
        client.sent += 1
        known = self.replicas[self.leader].find(request, client.command)
        if known is None:
            self.propose(client.command, request)
        else:
            assert known == self.first[request]
            self.send(lambda: self._answered(Answer(request, known)))
        self.later(lambda: self._ask(request), 2 * SECOND)

    # Ranks

    def _carry(self, action: Carry) -> None:
        for rank in action.ranks:
            incarnation = self.hosts[rank].incarnation
            self.send(lambda rank=rank, incarnation=incarnation: self._deliver(action, rank, incarnation))  # type: ignore[misc]

    def _deliver(self, action: Carry, rank: int, incarnation: int) -> None:
        host = self.hosts[rank]
        if not host.alive or host.incarnation != incarnation:
            return  # the connection was to another process
        if not host.fence.admit(action.effect.subjects, action.work, action.floors[rank]):
            return
        if self.random.random() < self.faults.bad_rank:
            failed: DER | None = self.random.choice((DER.NOSPACE, DER.BUSY, DER.TIMEDOUT, DER.IO))
        else:
            failed = self.world.carry(rank, action.effect)
        done = (rank,) if failed is None else ()
        report = Reported(action.work, done, {} if failed is None else {rank: failed})
        self.send(lambda: self._reported(report))

    def _reported(self, report: Reported) -> None:
        """Tell the driver, or keep it until more ranks have told."""
        self.reports.append(report)
        if self.random.random() < 0.5 or self.driven < self.now - SECOND // 10:
            reports, self.reports = self.reports, []
            self.drive(reports[0] if len(reports) == 1 else ReportedAll(tuple(reports)))

    # Faults

    def _mishaps(self) -> None:
        if self.random.random() < self.faults.kill_leader:
            self.kill_leader()
        if self.random.random() < self.faults.kill_rank and self.hosts:
            self.kill_rank(self.random.choice(list(self.hosts)))

    def kill_leader(self) -> None:
        """End the leader's process: it comes back from its last snapshot, another replica leads."""
        dead = self.leader
        self.replicas[dead] = Replica.restore(self.form, self.snapshots[dead])
        self.leader = (dead + self.random.randrange(1, REPLICAS)) % REPLICAS
        self.catch_up(self.leader, self.replicas[self.leader])
        self.driver = Driver(self.replicas[self.leader].state)
        self.reports.clear()
        self.drive()

    def kill_rank(self, rank: int) -> None:
        host = self.hosts[rank]
        if not host.alive:
            return
        host.alive = False
        incarnation = host.incarnation
        self.later(lambda: self.drive(Died(rank, incarnation)), self.random.randrange(1, 3 * SECOND))
        self.later(lambda: self.revive(rank), self.random.randrange(1, 20 * SECOND))

    def revive(self, rank: int) -> None:
        host = self.hosts[rank]
        if not host.alive:
            host.alive, host.incarnation = True, host.incarnation + 1
            self.drive(Revived(rank))
            self.world.restarted(rank, host.incarnation)

    # The end

    def heal(self, seconds: float = 200) -> None:
        """End the faults, wait, and look at what must hold then."""
        self.faults = Faults()
        for rank in self.hosts:
            self.revive(rank)
        self.run(seconds)
        for number, replica in enumerate(self.replicas):
            self.catch_up(number, replica)
        assert len({replica.digest() for replica in self.replicas}) == 1
        assert [client for client in self.clients.values() if client.outcome is None] == []
        whole: Replica[State[E]] = Replica(self.form)
        for index, entry in enumerate(self.log, 1):
            whole.apply(index, entry)
        assert whole.snapshot() == self.replicas[self.leader].snapshot()
        assert self.replicas[0].state.outbox.works == {}

    def outcome(self, request: RequestId) -> Outcome:
        outcome = self.clients[request].outcome
        assert outcome is not None
        return outcome


def stable(state: State[E]) -> bytes:
    """Return all of a state but what every command changes."""
    fields = {name: getattr(state, name) for name in state.__struct_fields__ if name not in ("time", "outcomes")}
    return msgspec.msgpack.encode(fields)


def _key(request: RequestId) -> str:
    return f"{request.client}/{request.stamp}"
