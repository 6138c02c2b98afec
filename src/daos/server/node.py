"""A server: its engines, its replica of the system service, and what other servers ask of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from daos._packed import decode
from daos.control.outbox import Rank
from daos.control.outcomes import Outcome, RequestId
from daos.control.replicated import AnyCommand
from daos.control.system import effects
from daos.control.system.members import Join, Joined, ReportMember
from daos.control.system.pool_destroy import PoolReplicas
from daos.control.system.state import SystemState
from daos.errors import (
    DER,
    DaosError,
    InvalidError,
    NotFoundError,
    StaleError,
    TimedOutError,
    UnavailableError,
)
from daos.local import Carry, Channel, Event, Listener, MemberEntry, Members, Method, Placed, Ready, Replicas, listen
from daos.model.members import MemberState
from daos.rsvc import Clock, NotLeaderError, RankFence
from daos.server import adoption, storage
from daos.server.copies import WhichEngine, check_moved, check_single
from daos.server.engines import Engine, EngineState, split_uri
from daos.server.events import Events
from daos.server.leaders import ask_leader
from daos.server.peers import Peers
from daos.server.replica import AddReplica, ReplicaStatus, SystemHost, SystemReplica
from daos.server.settings import ServerSettings

ENGINE_CALL_S_MAX = 60.0
CARRY_S_MAX = 28.0
"""Less than what the driver waits for, so that it hears why."""
LEADER_S_MAX = 20.0
"""How long a leader is looked for."""
READY_S_MAX = 4000.0
"""An engine waits so long for its place, and somewhat less: an administrator may have to let it in."""
FAREWELL_S_MAX = 2.0
"""How long a server that ends tries to say so."""
FENCE = "server_fence"

_log = logging.getLogger(__name__)
T = TypeVar("T")


class CarryFor(msgspec.Struct, frozen=True, kw_only=True):
    """An effect that the server beside a rank carries out.

    Attributes:
        rank: The rank.
        carry: The effect.
    """

    rank: Rank
    carry: Carry


class Submit(msgspec.Struct, frozen=True, kw_only=True):
    """A command of a server's own, for the leader of the system service.

    Attributes:
        request: Whose it is.
        command: What is to happen.
    """

    request: RequestId
    command: Join | ReportMember | PoolReplicas


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine has found out about a rank.

    Attributes:
        rank: The rank.
        incarnation: Of its process.
        alive: Whether it has been heard of again; else it is dead.
    """

    rank: Rank
    incarnation: int
    alive: bool


class Server:
    """A server of the system.

    Args:
        settings: What it is to be.
        peers: The way to others.
        command: By which engines are started; None for `daos_engine`.
        clock: Of its stamps.
        syslog: Whether events go to syslog.
    """

    def __init__(
        self,
        settings: ServerSettings,
        peers: Peers,
        *,
        command: Sequence[str] | None = None,
        clock: Clock | None = None,
        syslog: bool = True,
    ) -> None:
        self.settings, self.peers = settings, peers
        self.clock = clock or Clock()
        self.events = Events(syslog=syslog)
        self.engines = [Engine(engine, settings, self, command=command) for engine in settings.engines]
        self.replica: SystemReplica | None = None
        self.client = str(uuid.uuid4())
        self._listener: Listener | None = None
        self._fences: dict[int, RankFence] = {}
        self._leader: str | None = None
        self._effects = msgspec.msgpack.Decoder(effects.AnyEffect)
        self._closed = False
        self._map = (-1, b"")
        self._tasks: set[asyncio.Task[None]] = set()
        self._methods: dict[str, Callable[[bytes], Awaitable[bytes]]] = {
            "carry": self._answer_carry,
            "replica_status": self._answer_status,
            "replica_add": self._answer_add,
            "submit": self._answer_submit,
            "membership": self._answer_membership,
            "incarnation": self._answer_incarnation,
        }

    async def start(self) -> None:
        """Begin: the socket, storage that is there, the replica, the engines.

        Raises:
            BusyError: Another server runs here, or an adoption was cut short.
            DaosError: The socket cannot be made, or storage is damaged.
        """
        if self.engines:
            storage.make_directory(self.settings.socket_dir)
            methods = {
                "ready": Method.of(Ready, self._ready, handle_s_max=READY_S_MAX),
                "event": Method.of(Event, self._event),
                "pool_replicas": Method.of(Replicas, self._replicas),
            }
            self._listener = await listen(self.settings.socket, methods)
        for engine in self.engines:
            # Whoever adopts looks for this socket.
            adoption.check_none(engine.settings.metadata)
        for engine in self.engines:
            try:
                engine.load()
            except DaosError as error:
                _log.error("engine %s: %s%s", engine.settings.index, error.message, _hint(error))
        if self.settings.auto_format:
            waiting = [engine for engine in self.engines if engine.state is EngineState.AWAIT_FORMAT]
            for result in await self.format(force=False, replace=False, engines=waiting):
                if result.error is not None:
                    raise result.error
        self._start_replica()
        for engine in self.engines:
            try:
                await engine.start()
            except DaosError as error:
                _log.error("engine %s: %s%s", engine.settings.index, error.message, _hint(error))

    async def close(self) -> None:
        """End the engines, the replica and the rest."""
        self._closed = True
        await asyncio.gather(*(self._wind_down(engine) for engine in self.engines), return_exceptions=True)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.replica is not None:
            await self.replica.close()
        if self._listener is not None:
            await self._listener.close()
        await self.peers.close()
        self.events.close()

    async def _wind_down(self, engine: Engine) -> None:
        rank, incarnation = engine.rank, engine.incarnation
        with contextlib.suppress(DaosError):
            await engine.call("prepare_shutdown", b"\xc0", timeout_s=5.0)
        await engine.stop()
        if rank is None or not incarnation or not engine.placed:
            return
        command = ReportMember(rank=rank, incarnation=incarnation, state=MemberState.STOPPED, reason="its server ended")
        with contextlib.suppress(DaosError):  # where nobody leads any more, nobody needs to know
            (await self.submit_anywhere(command, timeout_s=FAREWELL_S_MAX)).check()

    def _start_replica(self) -> None:
        """Open the replica, once there is storage for it."""
        if self.settings.number is None or self.settings.control is None:
            return
        if self.settings.control.parent == (self.engines[0].settings.metadata if self.engines else None) and (
            self.engines[0].block is None
        ):
            return  # its directory is part of what is to be formatted
        if self.replica is None:
            self.replica = SystemReplica(self.settings, self.peers, self.carry, self.clock, self._replica_stopped)
        self.replica.start()

    def _replica_stopped(self, error: DaosError) -> None:
        self.tell(Event(id="system_start_failed", message=error.message))

    # What an administrator asks of this host

    async def format(
        self, *, force: bool, replace: bool, engines: Sequence[Engine] | None = None
    ) -> list[storage.FormatResult]:
        """Format the storage of this host's engines, then start them."""
        results: list[storage.FormatResult] = []
        for engine in self.engines if engines is None else engines:
            self._fences.pop(engine.settings.index, None)
            results += await engine.format(force=force, replace=replace)
        self._start_replica()
        for engine in self.engines if engines is None else engines:
            if engine.block is not None and engine.state is EngineState.STOPPED:
                await engine.start()
        return results

    # The leader of the system service

    @property
    def host(self) -> SystemHost:
        """This server's replica of the system service, which leads.

        Raises:
            NotLeaderError: It does not, or there is none; `context["leader"]` is the address of the server that does.
        """
        host = None if self.replica is None else self.replica.host
        if host is not None and host.leads and host.failed is None:
            return host
        raise self.elsewhere()

    @property
    def leads(self) -> bool:
        """Whether its replica leads the system service."""
        host = None if self.replica is None else self.replica.host
        return host is not None and host.leads and host.failed is None

    def status(self) -> ReplicaStatus:
        """Return what others are told of its replica."""
        return ReplicaStatus(there=False) if self.replica is None else self.replica.status()

    def elsewhere(self) -> NotLeaderError:
        """Return the refusal that names the leader."""
        leader = self.leader()
        return NotLeaderError(
            f"{self.settings.address} does not lead the system",
            hint="a leader is being elected" if leader is None else f"ask {leader}",
            context={} if leader is None else {"leader": leader},
        )

    def leader(self) -> str | None:
        """Return the address of the server that leads, as far as is known."""
        if self.replica is not None and self.replica.host is not None:
            return self.replica.address_of(self.replica.host.leader)
        if self._leader is not None:
            return self._leader
        others = [address for address in self.settings.replicas if address != self.settings.address]
        return others[0] if others else None

    async def submit(self, command: AnyCommand, request: RequestId | None, *, timeout_s: float) -> Outcome:
        """As the leader, have a command agreed on.

        Raises:
            NotLeaderError: With the leader's address.
            DaosError: As `ServiceHost.submit`.
        """
        try:
            if isinstance(command, Join):
                await check_moved(command, self.host.state, self._server_call_at)
            return await self.host.submit(command, request, timeout_s=timeout_s)
        except NotLeaderError:
            raise self.elsewhere() from None

    async def query(self, function: Callable[[SystemState], T], *, timeout_s: float) -> T:
        """As the leader, return what a function makes of the state.

        Raises:
            NotLeaderError: With the leader's address.
            DaosError: As `ServiceHost.query`.
        """
        try:
            return await self.host.query(function, timeout_s=timeout_s)
        except NotLeaderError:
            raise self.elsewhere() from None

    async def submit_anywhere(
        self, command: Join | ReportMember | PoolReplicas, *, timeout_s: float = LEADER_S_MAX
    ) -> Outcome:
        """Have a command agreed on by whoever leads.

        Raises:
            TimedOutError: No leader was found in time.
            DaosError: What refuses it.
        """
        request = RequestId(self.client, self.clock.now())
        body = msgspec.msgpack.encode(Submit(request=request, command=command))
        answer = await self._tell_leader("submit", body, timeout_s=timeout_s)
        return decode(answer, Outcome)

    async def _tell_leader(self, method: str, body: bytes, *, timeout_s: float = LEADER_S_MAX) -> bytes:
        """Ask whoever leads, as `ask_leader`; remember who does."""

        async def ask(address: str) -> bytes:
            return await self._server_call_at(address, method, body, timeout_s)

        first = self._leader or self.settings.address
        self._leader, answer = await ask_leader(ask, first, self.settings.replicas, timeout_s=timeout_s)
        return answer

    async def _server_call_at(self, address: str, method: str, body: bytes, timeout_s: float) -> bytes:
        if address == self.settings.address:
            return await self.server_call(method, body)
        return await self.peers.server_call(address, method, body, timeout_s=timeout_s)

    # What engines need

    async def join(self, command: Join) -> Joined:
        """Join an engine to the system."""
        return (await self.submit_anywhere(command)).value(Joined)

    async def report(self, rank: int, incarnation: int, state: MemberState, reason: str) -> None:
        """Tell the leader what became of an engine, until it is told or the server ends."""
        command = ReportMember(rank=rank, incarnation=incarnation, state=state, reason=reason[:256])
        while not self._closed:
            try:
                (await self.submit_anywhere(command)).check()
            except TimedOutError as error:
                _log.warning("rank %s: %s is not reported yet: %s", rank, state.word, error.message)
                continue
            except DaosError as error:
                _log.warning("rank %s: %s was not taken: %s", rank, state.word, error.message)
            return

    def check_single(self, engine: Engine) -> None:
        """Return if no other engine of this host has the same storage, or a copy of it.

        Raises:
            ExistsError: One has. Which of them is the copy nobody can tell.
        """
        check_single(engine, self.engines)

    def tell(self, event: Event, *, pid: int = 0, incarnation: int = 0) -> None:
        """Tell an event."""
        self.events.tell(event, pid=pid, incarnation=incarnation)

    async def _ready(self, channel: Channel, ready: Ready) -> Placed:
        for engine in self.engines:
            if engine.block is not None and engine.block.uuid == ready.uuid:
                return await engine.on_ready(channel, ready)
        raise NotFoundError(f"no engine of this host has storage {ready.uuid}")

    async def _event(self, channel: Channel, event: Event) -> None:
        engine = next((engine for engine in self.engines if engine.channel is channel), None)
        if engine is None:
            raise InvalidError("say ready first", code=DER.UNINIT)
        rank = engine.rank if event.rank is None else event.rank
        told = msgspec.structs.replace(event, rank=rank)
        self.tell(told, pid=channel.peer[0], incarnation=event.incarnation or engine.incarnation)
        if event.id in {"swim_rank_dead", "swim_rank_alive"} and event.rank is not None:
            news = Membership(rank=event.rank, incarnation=event.incarnation, alive=event.id == "swim_rank_alive")
            await self._tell_leader("membership", msgspec.msgpack.encode(news))

    async def _replicas(self, channel: Channel, replicas: Replicas) -> None:
        engine = next((engine for engine in self.engines if engine.channel is channel), None)
        if engine is None:
            raise InvalidError("say ready first", code=DER.UNINIT)
        (await self.submit_anywhere(PoolReplicas(pool=replicas.pool, services=replicas.services))).check()
        services = ", ".join(map(str, replicas.services))
        self.tell(
            Event(
                id="pool_replicas_updated",
                message=f"the service runs on ranks {services}",
                rank=engine.rank,
                pool=replicas.pool,
            )
        )

    def engine_of(self, rank: Rank) -> Engine:
        """Return the engine of a rank.

        Raises:
            NotFoundError: `DER.NONEXIST`: it is not on this host.
        """
        for engine in self.engines:
            if engine.rank == rank:
                return engine
        raise NotFoundError(f"rank {rank} is not on {self.settings.address}", hint="dmg system query -v tells where")

    async def engine_call(self, rank: Rank, method: str, body: bytes, *, timeout_s: float = ENGINE_CALL_S_MAX) -> bytes:
        """Pass a message to an engine of this host, and return its answer.

        Raises:
            StaleError: An effect for a process of that rank that is gone.
            DaosError: As `Engine.call`.
        """
        try:
            engine = self.engine_of(rank)
        except NotFoundError as error:
            # Whoever asks goes by a map that is older than this; it is worth to ask again.
            raise UnavailableError(error.message, code=DER.UNREACH, hint=error.hint) from None
        if method == "carry":
            wanted = _decode(body, Carry).incarnation
            if wanted not in {0, engine.incarnation}:
                raise StaleError(f"rank {rank} was started again since", context={"incarnation": engine.incarnation})
        return await engine.call(method, body, timeout_s=timeout_s)

    # Effects of the system service

    async def carry(self, number: int, effect: effects.AnyEffect, rank: Rank, floor: int) -> None:
        """As the leader, have a rank carry out an effect.

        Raises:
            DaosError: It did not, or it is not known.
        """
        state = self.host.state
        member = state.members.get(rank)
        if member is None:
            raise UnavailableError(f"rank {rank} is not in the system any more", code=DER.UNREACH)
        local = member.address == self.settings.address
        if isinstance(effect, effects.PushMembers):
            if self._map[0] != state.version:
                self._map = (state.version, msgspec.msgpack.encode(members_of(state)))
            await self._engine_call(member.address, rank, "members", self._map[1])
            return
        encoded = msgspec.msgpack.encode(effect)
        if effect.by_server:
            body = CarryFor(rank=rank, carry=Carry(number=number, floor=floor, effect=encoded))
            if local:
                await self._carry_here(body)
            else:
                raw = msgspec.msgpack.encode(body)
                await self.peers.server_call(member.address, "carry", raw, timeout_s=CARRY_S_MAX)
            return
        carry = Carry(number=number, floor=floor, effect=encoded, incarnation=member.incarnation)
        await self._engine_call(member.address, rank, "carry", msgspec.msgpack.encode(carry))

    async def _engine_call(self, address: str, rank: Rank, method: str, body: bytes) -> bytes:
        return await self.engine_call_at(address, rank, method, body, timeout_s=CARRY_S_MAX)

    async def engine_call_at(self, address: str, rank: Rank, method: str, body: bytes, *, timeout_s: float) -> bytes:
        """Ask the engine of a rank, wherever it is.

        Raises:
            DaosError: As `Peers.engine_call`.
        """
        if address == self.settings.address:
            return await self.engine_call(rank, method, body, timeout_s=timeout_s)
        return await self.peers.engine_call(address, rank, method, body, timeout_s=timeout_s)

    async def _carry_here(self, body: CarryFor) -> None:
        """Carry out an effect beside an engine of this host, once it is certain that no later one was there."""
        try:
            effect = self._effects.decode(body.carry.effect)
        except msgspec.DecodeError as error:
            raise InvalidError(f"an effect that this release does not know: {error}", code=DER.PROTO) from None
        try:
            engine = self.engine_of(body.rank)
        except NotFoundError:
            if isinstance(effect, effects.EraseEngines):
                return  # it was erased before
            raise
        async with self._fence(engine).entered("system", effect.subjects, body.carry.number, body.carry.floor):
            if isinstance(effect, effects.PrepareShutdown):
                await self._prepare(engine)
            elif isinstance(effect, effects.StopEngines):
                await engine.stop(force=effect.force)
            elif isinstance(effect, effects.StartEngines):
                await engine.start_and_join()
            elif isinstance(effect, effects.EraseEngines):
                await engine.erase()
                self._fences.pop(engine.settings.index, None)  # it went with the rest
            else:
                raise InvalidError(f"a server does not carry out {type(effect).__name__}")

    @staticmethod
    async def _prepare(engine: Engine) -> None:
        try:
            await engine.call("prepare_shutdown", b"\xc0", timeout_s=CARRY_S_MAX / 2)
        except UnavailableError as error:
            if error.code is not DER.UNREACH:
                raise
            # It does not run: there is nothing to prepare.

    def _fence(self, engine: Engine) -> RankFence:
        directory: Path = engine.settings.metadata / FENCE
        return self._fences.setdefault(engine.settings.index, RankFence(directory))

    # What other servers ask

    async def server_call(self, method: str, body: bytes) -> bytes:
        """Answer another server.

        Raises:
            InvalidError: `DER.NOSYS`: there is no such method.
            DaosError: What the method raises.
        """
        answer = self._methods.get(method)
        if answer is None:
            raise InvalidError(f"servers do not answer {method!r}", code=DER.NOSYS)
        return await answer(body)

    async def _answer_carry(self, body: bytes) -> bytes:
        await self._carry_here(_decode(body, CarryFor))
        return b"\xc0"

    async def _answer_status(self, body: bytes) -> bytes:
        _decode(body, type(None))
        return msgspec.msgpack.encode(self.status())

    async def _answer_add(self, body: bytes) -> bytes:
        if self.replica is None:
            raise self.elsewhere()
        try:
            await self.replica.add(_decode(body, AddReplica))
        except NotLeaderError:
            raise self.elsewhere() from None
        return b"\xc0"

    async def _answer_membership(self, body: bytes) -> bytes:
        news = _decode(body, Membership)
        host = self.host
        if news.alive:
            host.revived(news.rank)
        else:
            host.died(news.rank, news.incarnation)
        return b"\xc0"

    async def _answer_incarnation(self, body: bytes) -> bytes:
        uuid = _decode(body, WhichEngine).uuid
        running = (engine.incarnation for engine in self.engines if engine.channel is not None and engine.uuid == uuid)
        return msgspec.msgpack.encode(next(running, 0))

    async def _answer_submit(self, body: bytes) -> bytes:
        wanted = _decode(body, Submit)
        outcome = await self.submit(wanted.command, wanted.request, timeout_s=LEADER_S_MAX)
        return msgspec.msgpack.encode(outcome)


def members_of(state: SystemState) -> Members:
    """Return the system map as engines get it."""
    entries = []
    for member in sorted(state.members.values(), key=lambda member: member.rank):
        control, targets = split_uri(member.uri)
        entries.append(
            MemberEntry(
                rank=member.rank,
                uri=control,
                targets=targets,
                state=member.state,
                incarnation=member.incarnation,
                domain=member.domain,
            )
        )
    return Members(version=state.version, members=tuple(entries))


def _decode(body: bytes, wanted: type[T]) -> T:
    try:
        return decode(body, wanted)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidError(f"{wanted.__name__}: {error}") from None


def _hint(error: DaosError) -> str:
    return f" ({error.hint})" if error.hint else ""


def _text(fact: object) -> str | None:
    return fact if isinstance(fact, str) else None
