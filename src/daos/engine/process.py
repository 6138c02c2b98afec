"""The process of an engine: from its options to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path

import msgspec

from daos import _core
from daos._build import build_info
from daos.control.system import effects
from daos.engine import peers
from daos.engine.body import encode
from daos.engine.clients import Clients, DecidedError
from daos.engine.parts import Parts
from daos.engine.peers import Ranks
from daos.engine.pool_service import PoolServices
from daos.engine.queries import Administrators
from daos.engine.storage import devices_of, directory_size, space_of
from daos.engine.system_map import SystemMap
from daos.errors import DER, AccessError, DaosError, InternalError, InvalidError, StaleError, UnavailableError
from daos.local import (
    Carry,
    Channel,
    EngineOptions,
    EnginePool,
    LogMasks,
    Members,
    Method,
    Placed,
    PoolRequest,
    Ready,
    Space,
    connect,
)
from daos.rsvc import Clock
from daos.security.source import FileVerifier

READY_S_MAX = 3600.0
"""So long an engine waits for its place: an administrator may have to let it in."""
CARRY_WAIT_S_MAX = 20.0
QUESTIONS_MAX = 4096
"""Questions that are worked at; more wait where they came."""
DURABILITY = 2
_EFFECTS: msgspec.msgpack.Decoder[effects.AnyEffect] = msgspec.msgpack.Decoder(effects.AnyEffect)
_BEFORE = frozenset({DER.UNREACH, DER.BUSY, DER.AGAIN, DER.TIMEDOUT, DER.SHUTDOWN, DER.STALE, DER.NO_HDL})
"""Refusals of questions after which nothing has happened."""
_log = logging.getLogger(__name__)


class EngineProcess:
    """An engine.

    Args:
        options: What its server told.
    """

    def __init__(self, options: EngineOptions) -> None:
        self._options = options
        self._clock = Clock()
        self._incarnation = self._clock.now()
        self._map = SystemMap()
        self._started = asyncio.Event()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._core: _core.Engine | None = None
        self._parts: Parts | None = None
        self._services: PoolServices | None = None
        self._clients: Clients | None = None
        self._administrators: Administrators | None = None
        self._answers: list[tuple[int, bytes]] = []

    async def run(self) -> None:
        """Serve until the server is gone or asks it to end.

        Raises:
            DaosError: It cannot serve.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        check_ports(self._options)
        channel = await connect(Path(self._options.socket), self._methods())
        try:
            rank = self._options.rank
            if rank is None:
                rank = (await self._place(channel)).rank
                await self._start(rank)
            else:
                await self._start(rank)
                placed = await self._place(channel)
                if placed.rank != rank:
                    raise InternalError(f"this is rank {rank}, its server calls it {placed.rank}")
            ended = asyncio.create_task(channel.ended.wait())
            stopped = asyncio.create_task(self._stop.wait())
            await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            stopped.cancel()
        finally:
            await self._end()
            await channel.close()

    async def _place(self, channel: Channel) -> Placed:
        options = self._options
        ready = Ready(
            pid=os.getpid(),
            incarnation=self._incarnation,
            uuid=options.uuid,
            rank=options.rank,
            uri=_address(options, 0),
            targets=tuple(_address(options, index + 1) for index in range(options.targets)),
            capacity=options.capacity,
            domain=options.domain,
        )
        placed = asyncio.create_task(channel.call("ready", ready, Placed, timeout_s=READY_S_MAX))
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait((placed, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not placed.done():
            placed.cancel()
            raise UnavailableError("it was stopped before it had joined the system", code=DER.SHUTDOWN)
        return placed.result()

    async def _start(self, rank: int) -> None:
        """Open storage, serve, and open the services that are here."""
        options = self._options
        directory = Path(options.metadata) / "engine"
        directory.mkdir(mode=0o700, exist_ok=True)
        tls = None
        if options.certificates:
            ca, certificate, key = options.certificates
            tls = (ca, certificate, key)
        memory = sum(tier.size for tier in options.tiers if tier.storage_class == "ram")
        core = await asyncio.to_thread(
            _core.Engine.start,
            str(directory / "store"),
            create=True,
            targets=options.targets,
            durability=DURABILITY,
            listen=_address(options, 0),
            system=options.system,
            rank=rank,
            incarnation=self._incarnation,
            served=True,
            size=directory_size(options),
            cache_bytes=max(memory // 4, 16 << 20) if memory else None,
            tls=tls,
            near=os.environ.get("D_SHM") != "0",
            devices=devices_of(options),
        )
        self._core = core
        parts = Parts(core, directory)
        await parts.bound()
        ranks = Ranks(rank, parts, _core.Messenger(system=options.system, tls=tls), self._map)
        services = PoolServices(directory, options.system, core, parts, ranks, self._map, self._clock, tls)
        self._parts, self._services = parts, services
        await services.open_all()
        self._clients = Clients(services, ranks, self._map, _verifier(options))
        self._administrators = Administrators(services, ranks)
        asyncio.get_running_loop().add_reader(core.fileno(), self._questions)
        self._questions()
        self._started.set()
        _log.info("rank %s serves at %s, by shared memory: %s", rank, core.address, core.far or "yes")

    async def _end(self) -> None:
        core, parts, services = self._core, self._parts, self._services
        if core is not None:
            asyncio.get_running_loop().remove_reader(core.fileno())
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if services is not None:
            await services.close()
        if parts is not None:
            await asyncio.to_thread(parts.close)
        if core is not None:
            await asyncio.to_thread(core.close)

    # What clients and engines ask

    def _questions(self) -> None:
        core = self._core
        if core is None:
            return
        for token, of_engine, body in core.drain():
            if len(self._tasks) >= QUESTIONS_MAX:
                core.refuse(token, DER.BUSY.value, "the engine has too much to do", "", nothing_happened=True)
                continue
            task = asyncio.get_running_loop().create_task(self._question(core, token, of_engine=of_engine, body=body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _question(self, core: _core.Engine, token: int, *, of_engine: bool, body: bytes) -> None:
        try:
            reply = await (self._peer(body) if of_engine else self._client(body))
        except DecidedError as decided:
            error = decided.error
            # Not to be asked again, whatever its code would say of an engine.
            core.refuse(token, error.code.value, error.message, error.hint or "", nothing_happened=False)
        except DaosError as error:
            before = error.code in _BEFORE
            core.refuse(token, error.code.value, error.message, error.hint or "", nothing_happened=before)
        # One that is cancelled is not answered: the engine ends, and what was asked may happen at another replica. To
        # its client the reply is lost, so that it asks again under the same id.
        except Exception as error:  # noqa: BLE001 -- the client is told, whatever it is
            # It is logged with all that is known; the one who asked is told that it is a defect.
            _log.exception("a question failed")
            core.refuse(
                token, DER.MISC.value, f"a defect of the engine: {type(error).__name__}", "", nothing_happened=False
            )
        else:
            # What is answered in one turn of the loop is handed over together.
            if not self._answers:
                asyncio.get_running_loop().call_soon(self._hand_over)
            self._answers.append((token, reply))

    def _hand_over(self) -> None:
        answers, self._answers = self._answers, []
        if self._core is not None:
            with contextlib.suppress(DaosError):  # it is closed: whoever asked asks elsewhere
                self._core.answer_all(answers)

    async def _client(self, body: bytes) -> bytes:
        if self._clients is None:
            raise UnavailableError("the engine starts", code=DER.AGAIN)
        return await self._clients.answer(body)

    async def _peer(self, body: bytes) -> bytes:
        request = peers.decode(body)
        if self._parts is None or self._services is None:
            raise UnavailableError("the engine starts", code=DER.AGAIN)
        if isinstance(request, peers.FindHandle):
            return encode(await self._services.find_handle(request.pool, request.handle))
        return encode(await peers.here(self._parts, request))

    # What the server asks

    def _methods(self) -> dict[str, Method]:
        return {
            "members": Method.of(Members, self._members),
            "carry": Method.of(Carry, self._carry),
            "pool_request": Method.of(PoolRequest, self._pool_request),
            "prepare_shutdown": Method.of(type(None), self._prepare_shutdown),
            "space": Method.of(type(None), self._space),
            "pools": Method.of(type(None), self._pools),
            "log_masks": Method.of(LogMasks, self._log_masks),
        }

    async def _members(self, _: Channel, members: Members) -> None:
        _log.info("system map %s: ranks %s", members.version, [member.rank for member in members.members])
        self._map.put(members)

    async def _ready(self) -> tuple[Parts, PoolServices]:
        """Return what there is once it has started."""
        try:
            async with asyncio.timeout(CARRY_WAIT_S_MAX):
                await self._started.wait()
        except TimeoutError:
            raise UnavailableError("the engine starts", code=DER.AGAIN) from None
        if self._parts is None or self._services is None:
            raise UnavailableError("the engine ends", code=DER.SHUTDOWN)
        return self._parts, self._services

    async def _carry(self, _: Channel, carry: Carry) -> None:
        if carry.incarnation not in (0, self._incarnation):
            raise StaleError("this is for an earlier process of the engine")
        try:
            effect = _EFFECTS.decode(carry.effect)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidError(f"this is no effect: {error}", code=DER.PROTO) from None
        parts, services = await self._ready()
        async with parts.fences.entered("system", effect.subjects, carry.number, carry.floor):
            try:
                await _carry_out(parts, services, carry.number, effect)
            except DaosError as error:
                _log.info("%s %s: %s", type(effect).__name__, effect.subject, error)
                raise
            _log.info("%s %s: done", type(effect).__name__, effect.subject)

    async def _pool_request(self, _: Channel, request: PoolRequest) -> bytes:
        await self._ready()
        if self._administrators is None:
            raise UnavailableError("the engine ends", code=DER.SHUTDOWN)
        return await self._administrators.answer(request)

    async def _prepare_shutdown(self, _: Channel, nothing: None) -> None:
        """Services end here; what is under way of data goes on until the process ends."""
        del nothing
        await (await self._ready())[1].close()

    async def _space(self, _: Channel, nothing: None) -> Space:
        del nothing
        parts, _services = await self._ready()
        volumes = await parts.run(parts.core.volumes)
        return space_of(volumes, self._options.targets, self._options.capacity)

    async def _pools(self, _: Channel, nothing: None) -> list[EnginePool]:
        del nothing
        parts, _services = await self._ready()
        targets = tuple(range(self._options.targets))
        pools = await parts.run(parts.core.pools)
        return [EnginePool(uuid=pool, targets=targets, tiers=parts.tiers(pool)) for pool in pools]

    async def _log_masks(self, _: Channel, masks: LogMasks) -> None:
        set_levels(masks.masks or self._options.log_mask)


async def _carry_out(parts: Parts, services: PoolServices, number: int, effect: effects.AnyEffect) -> None:
    match effect:
        case effects.CreateShards():
            await parts.create(effect.subject, effect.tiers)
        case effects.StartService():
            await services.start(number, effect)
        case effects.PrepareDestroy() | effects.ResumePool() | effects.RelabelPool():
            await services.lead(number, effect)
        case effects.DestroyShards():
            await services.destroy(effect.subject)
            await parts.destroy(effect.subject)
            await parts.fences.forget(effect.subject)
        case _:
            raise InvalidError(f"an engine does not carry out {type(effect).__name__}", code=DER.NOSYS)


def _verifier(options: EngineOptions) -> FileVerifier:
    """Return what tells whom a credential is of.

    Raises:
        AccessError: There are no certificates, and it may not do without.
    """
    if not options.certificates and not options.insecure:
        raise AccessError("no certificates", hint="give transport_config certificates, or allow_insecure")
    ca = Path(options.certificates[0]) if options.certificates else None
    return FileVerifier(ca, options.system, time.time, told=lambda error: _log.error("%s", error))


def _address(options: EngineOptions, offset: int) -> str:
    host = f"[{options.address}]" if ":" in options.address else options.address
    return f"{host}:{options.port + offset}"


def check_ports(options: EngineOptions) -> None:
    """Return if all ports of an engine are free.

    Raises:
        InvalidError: There are not so many.
        UnavailableError: Something listens at one.
    """
    last = options.port + options.targets
    if not 0 < options.port <= last < 1 << 16:
        raise InvalidError(f"ports {options.port} to {last} are out of range", hint="choose another fabric_iface_port")
    family = socket.AF_INET6 if ":" in options.address else socket.AF_INET
    for port in range(options.port, last + 1):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((options.address, port))
            except OSError as error:
                raise UnavailableError(
                    f"cannot listen at {options.address}:{port}: {os.strerror(error.errno or 0)}",
                    code=DER.BUSY,
                    hint="choose another fabric_iface or fabric_iface_port, or stop what listens there",
                ) from None


LEVELS = {
    "DEBUG": logging.DEBUG,
    "DBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "NOTE": logging.INFO,
    "WARN": logging.WARNING,
    "ERR": logging.ERROR,
    "ERROR": logging.ERROR,
    "CRIT": logging.CRITICAL,
    "ALRT": logging.CRITICAL,
    "EMRG": logging.CRITICAL,
    "EMIT": logging.CRITICAL,
}
"""Of the log, by DAOS's names."""


def set_levels(masks: str) -> None:
    """Log from now on what a mask says, such as `INFO` or `ERR,rsvc=DEBUG`.

    Raises:
        InvalidError: `DER.INVAL`: it is none; nothing has changed.
    """
    wanted: dict[str, int] = {}
    for word in masks.split(","):
        name, _, level = word.strip().rpartition("=")
        if level.upper() not in LEVELS:
            raise InvalidError(
                f"{masks!r} is no log mask: {word!r}", hint=f"LEVEL or PART=LEVEL, of {', '.join(LEVELS)}"
            )
        wanted[name] = LEVELS[level.upper()]
    for name, number in wanted.items():
        logging.getLogger(f"daos.{name}" if name else None).setLevel(number)


def check_release(server: str, own: str) -> None:
    """Return if an engine goes with its server: both come from one installation, which changes under one that runs.

    Raises:
        UnavailableError: `DER.CONTROL_INCOMPAT`: they are of two releases.
    """
    if server and server != own:
        raise UnavailableError(
            f"the engine is of release {own}, its daos_server of {server}",
            code=DER.CONTROL_INCOMPAT,
            hint="restart daos_server, which has not been since another release was installed",
        )


def main() -> int:
    """Run the engine of the document on standard input; return the exit status."""
    try:
        options = EngineOptions.parse(sys.stdin.buffer.read())
    except msgspec.DecodeError as error:
        print(f"ERROR: daos_engine: it is started by daos_server: {error}", file=sys.stderr)  # noqa: T201 -- no log yet
        return 1
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", filename=options.log_file or None)
    try:
        set_levels(options.log_mask)
    except InvalidError as error:
        set_levels("INFO")
        _log.warning("log_mask: %s", error.message)
    try:
        check_release(options.release, build_info().version)
        asyncio.run(EngineProcess(options).run())
    except DaosError as error:
        _log.error("%s: %s%s", error.code, error.message, f" ({error.hint})" if error.hint else "")
        return 1
    except KeyboardInterrupt:
        return 1
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.flush()
    return 0
