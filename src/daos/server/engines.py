"""The engines of a host: each is a child of the server, started, watched, joined to the system, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from daos._build import build_info
from daos.control.system.members import Join, Joined
from daos.errors import DER, BusyError, DaosError, InvalidError, TimedOutError, UnavailableError
from daos.local import Channel, EngineOptions, EngineTier, Event, Placed, Ready
from daos.model.members import MemberState
from daos.server import storage, superblock
from daos.server.settings import EngineSettings, ServerSettings
from daos.server.superblock import Superblock

STOP_S_MAX = 20.0
"""An engine that has not ended so long after SIGTERM gets SIGKILL."""
KILL_S_MAX = 10.0
LEFT_S_MAX = 30.0
"""An engine whose channel has ended ends by itself; one that has not by then is killed."""
START_S_MAX = 25.0
"""So long a request waits for an engine to join; the engine may take longer."""
JOIN_AGAIN_S = 2.0
"""After which an engine that was refused asks again: an administrator may have changed what was in the way."""
COMMAND = (sys.executable, "-m", "daos.engine")

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_log = logging.getLogger(__name__)


class EngineState(StrEnum):
    """Where an engine is in its life, as its server sees it."""

    AWAIT_FORMAT = "AwaitFormat"
    STOPPED = "Stopped"
    STARTING = "Starting"
    READY = "Ready"
    JOINED = "Joined"
    ERRORED = "Errored"


class Owner(Protocol):
    """What an engine needs of its server."""

    async def join(self, command: Join) -> Joined:
        """Join an engine to the system; return when the leader has answered."""

    async def report(self, rank: int, incarnation: int, state: MemberState, reason: str) -> None:
        """Tell the leader what became of an engine."""

    def check_single(self, engine: Engine) -> None:
        """Return if no other engine of the host has the same storage, or a copy of it.

        Raises:
            ExistsError: One has.
        """

    def tell(self, event: Event, *, pid: int = 0, incarnation: int = 0) -> None:
        """Tell an event."""


def join_uri(control: str, targets: Sequence[str]) -> str:
    """Return where an engine serves as one text: its control address, then its targets'."""
    return ",".join((control, *targets))


def split_uri(uri: str) -> tuple[str, tuple[str, ...]]:
    """Return control address and targets' addresses of what `join_uri` made."""
    control, *targets = uri.split(",")
    return control, tuple(targets)


class Engine:
    """An engine of this host. Its requests come one after the other.

    Args:
        settings: What it is to be.
        server: Of its server.
        owner: Its server.
        command: By which it is started; None for `daos_engine`.
        clock: Seconds, for the rate of restarts.
    """

    def __init__(
        self,
        settings: EngineSettings,
        server: ServerSettings,
        owner: Owner,
        *,
        command: Sequence[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.block: Superblock | None = None
        self.state = EngineState.STOPPED
        self.reason = ""
        self.ready: Ready | None = None
        self.channel: Channel | None = None
        # Whether it has joined since this server runs: before, its rank may be whose storage it is a copy of.
        self.placed = False
        self.starts = 0
        self.started_at = 0.0
        self.pid = 0
        self._server, self._owner, self._clock = server, owner, clock
        self._command = tuple(command or COMMAND)
        self._process: asyncio.subprocess.Process | None = None
        self._running: asyncio.Task[None] | None = None
        self._joining: asyncio.Task[None] | None = None
        self._reporting: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._wanted = False
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._hurry = asyncio.Event()

    @property
    def rank(self) -> int | None:
        """Its rank, once it has one."""
        return None if self.block is None else self.block.rank

    @property
    def uuid(self) -> str | None:
        """Of its storage; None as long as it is not formatted."""
        return None if self.block is None else self.block.uuid

    @property
    def incarnation(self) -> int:
        """Stamp of the start of its process; 0 as long as it has not told it."""
        return 0 if self.ready is None else self.ready.incarnation

    def load(self) -> Superblock | None:
        """Read its superblock again.

        Raises:
            DaosError: It is damaged, another system's, or a copy of another engine's.
        """
        self.block = superblock.read(self.settings.metadata)
        if self.block is None:
            self._set(EngineState.AWAIT_FORMAT)
        elif self.block.system != self._server.system:
            raise InvalidError(
                f"{self.settings.metadata} belongs to the system {self.block.system}, not {self._server.system}",
                hint="the name cannot change after a format",
            )
        else:
            self._owner.check_single(self)
            if self.state is EngineState.AWAIT_FORMAT:
                self._set(EngineState.STOPPED)
        return self.block

    # What others ask

    async def start(self) -> None:
        """Start it, unless it runs or waits for a format; it joins by itself."""
        async with self._turn:
            try:
                block = self.load()
            except DaosError as error:
                self._set(EngineState.ERRORED, error.message)
                raise
            if block is None:
                self._tell("engine_format_required", f"engine {self.settings.index} waits for a format")
            elif self._running is None or self._running.done():
                self._wanted = True
                self._set(EngineState.STARTING)
                self._hurry.clear()
                self._running = asyncio.create_task(self._run(), name=f"engine {self.settings.index}")
            elif self.state is EngineState.ERRORED:
                # It waits for its turn to be started again; who asks for it need not.
                self._set(EngineState.STARTING)
                self._hurry.set()

    async def start_and_join(self) -> None:
        """Start it, and return when it has joined.

        Raises:
            UnavailableError: It waits for a format, or ended before it had joined.
            TimedOutError: It has not joined in time; it may yet.
        """
        await self.start()
        if self.state is EngineState.JOINED and self.ready is not None:
            # It ran on, and the system thought otherwise, as of one that was excluded.
            self._begin_join(self.ready)
        if self.state is EngineState.AWAIT_FORMAT:
            raise UnavailableError(f"engine {self.settings.index} is not formatted", hint="dmg storage format")
        try:
            async with asyncio.timeout(START_S_MAX):
                while self.state is not EngineState.JOINED:
                    if self.state in {EngineState.ERRORED, EngineState.STOPPED}:
                        raise UnavailableError(f"engine {self.settings.index} did not start: {self.reason}")
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimedOutError(f"engine {self.settings.index} has not joined within {START_S_MAX:g} s") from None

    async def stop(self, *, force: bool = False) -> None:
        """End it: by SIGTERM, and by SIGKILL if it takes too long, or at once.

        Raises:
            TimedOutError: It did not end.
        """
        async with self._turn:
            self._wanted = False
            running, process = self._running, self._process
            if process is not None and process.returncode is None:
                self._signal(process, signal.SIGKILL if force else signal.SIGTERM)
                if not await self._ended(process, STOP_S_MAX):
                    _log.warning("engine %s does not end: it is killed", self.settings.index)
                    self._signal(process, signal.SIGKILL)
                    if not await self._ended(process, KILL_S_MAX):
                        raise TimedOutError(f"engine {self.settings.index} (pid {process.pid}) does not end")
            if running is not None:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
            for task in (self._joining, self._reporting, self._watching):
                if task is not None:
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
            if self.state is not EngineState.AWAIT_FORMAT:
                self._set(EngineState.STOPPED)

    async def format(self, *, force: bool, replace: bool) -> list[storage.FormatResult]:
        """Format its storage, unless it runs."""
        async with self._turn:
            if self._running is not None and not self._running.done():
                error = BusyError(f"engine {self.settings.index} runs", hint="dmg system stop, then format")
                first = self.settings.tiers[0]
                return [storage.FormatResult(self.settings.index, first.media, str(first.mount), error)]
            domain = self._server.domain
            results = await asyncio.to_thread(
                storage.format_engine,
                self.settings,
                system=self._server.system,
                domain=domain,
                force=force,
                replace=replace,
            )
            if not any(result.error for result in results):
                self.load()
            return results

    async def erase(self) -> None:
        """Delete what it has stored.

        Raises:
            BusyError: It runs.
            UnavailableError: `DER.IO`.
        """
        async with self._turn:
            if self._running is not None and not self._running.done():
                raise BusyError(f"engine {self.settings.index} runs", hint="dmg system stop, then erase")
            await asyncio.to_thread(storage.erase, self.settings)
            self.load()

    async def call(self, method: str, body: bytes, *, timeout_s: float) -> bytes:
        """Ask it over its channel.

        Raises:
            UnavailableError: `DER.UNREACH`: it does not run.
            DaosError: As `Channel.call`.
        """
        if self.channel is None or self.channel.ended.is_set():
            raise UnavailableError(
                f"engine {self.settings.index} is {self.state}", code=DER.UNREACH, hint="dmg system query"
            )
        return await self.channel.call_raw(method, body, timeout_s=timeout_s)

    async def on_ready(self, channel: Channel, ready: Ready) -> Placed:
        """Take an engine's `ready`, join it, and answer with its rank.

        Raises:
            DaosError: It is not the process that was started.
        """
        process = self._process
        if process is None or process.returncode is not None or channel.peer[0] != process.pid:
            raise InvalidError(f"process {channel.peer[0]} is not engine {self.settings.index}")
        if self._joining is None or self.incarnation != ready.incarnation:
            self.channel = channel
            if self._watching is not None:
                self._watching.cancel()
            self._watching = asyncio.create_task(self._watch(channel, process), name="watch engine")
            self._begin_join(ready)
        else:
            self.channel = channel
        if self._joining is not None:
            await asyncio.shield(self._joining)
        if self.block is None or self.block.rank is None:
            raise UnavailableError("the engine was not joined", code=DER.SHUTDOWN)
        return Placed(rank=self.block.rank, system=self._server.system)

    async def _watch(self, channel: Channel, process: asyncio.subprocess.Process) -> None:
        """End a process that has let go of its channel: it is nobody's engine any more."""
        await channel.ended.wait()
        if not await self._ended(process, LEFT_S_MAX):
            _log.error("engine %s has left its server and does not end: it is killed", self.settings.index)
            self._signal(process, signal.SIGKILL)

    def _begin_join(self, ready: Ready) -> None:
        if self._joining is not None:
            self._joining.cancel()
        self.ready = ready
        self._set(EngineState.READY)
        self._joining = asyncio.create_task(self._join(ready), name=f"join engine {self.settings.index}")

    # Its life

    async def _run(self) -> None:
        """Start it as long as it is wanted; not more often than the rate of restarts allows."""
        last = -self._server.restart_min_s
        while self._wanted:
            wait = last + self._server.restart_min_s - self._clock()
            if wait > 0 and self.starts:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), wait)
            self._hurry.clear()
            last = self._clock()
            why = await self._live()
            if not self._wanted:
                return
            self._ended_badly(why)
            if not self._server.restart:
                self._wanted = False

    async def _live(self) -> str:
        """Start a process and return why it ended."""
        self._set(EngineState.STARTING)
        log = None
        try:
            if self.settings.log_file is not None:
                log = os.open(self.settings.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log, env=self._environment(os.environ)
            )
        except OSError as error:
            return f"cannot start {self._command[0]}: {error.strerror}"
        finally:
            if log is not None:
                os.close(log)
        process = self._process
        self.starts, self.started_at, self.pid = self.starts + 1, time.time(), process.pid
        _log.info("engine %s started, pid %s", self.settings.index, process.pid)
        try:
            if process.stdin is not None:
                process.stdin.write(self._options())
                with contextlib.suppress(ConnectionError):
                    await process.stdin.drain()
                process.stdin.close()
            code = await process.wait()
        except asyncio.CancelledError:
            if process.returncode is None:  # an orphan is nobody's to stop
                self._signal(process, signal.SIGKILL)
                await process.wait()
            raise
        finally:
            self._let_go()
            if process.stdin is not None:
                with contextlib.suppress(OSError, TimeoutError):
                    await asyncio.wait_for(process.stdin.wait_closed(), KILL_S_MAX)
        return f"killed by {_signal_name(-code)}" if code < 0 else f"ended with status {code}"

    def _let_go(self) -> None:
        channel, self.channel, self.pid = self.channel, None, 0
        if self._joining is not None:
            self._joining.cancel()
            self._joining = None
        if channel is not None:
            channel.end("the engine has ended")

    def _ended_badly(self, why: str) -> None:
        self._set(EngineState.ERRORED, why)
        self._tell("engine_died", f"engine {self.settings.index} {why}")
        if self.rank is not None and self.ready is not None and self.placed:
            if self._reporting is not None:
                self._reporting.cancel()
            report = self._owner.report(self.rank, self.ready.incarnation, MemberState.ERRORED, why)
            self._reporting = asyncio.ensure_future(report)
        self.ready = None

    async def _join(self, ready: Ready) -> None:
        """Join it, again and again until the leader takes it or it ends."""
        told = ""
        while True:
            block = self.block
            if block is None:
                return
            command = Join(
                uuid=block.uuid,
                rank=self.settings.rank if block.rank is None else block.rank,
                address=self._server.address,
                uri=join_uri(ready.uri, ready.targets),
                domain=ready.domain or self._server.domain,
                incarnation=ready.incarnation,
                targets=len(ready.targets),
                capacity=ready.capacity,
                replace=block.replace,
            )
            try:
                joined = await self._owner.join(command)
                if (block.rank, block.replace) != (joined.rank, False):
                    self.block = msgspec.structs.replace(block, rank=joined.rank, replace=False)
                    await asyncio.to_thread(superblock.write, self.settings.metadata, self.block)
            except DaosError as error:
                self.reason = error.message
                if told != error.message:
                    told = error.message
                    hint = f" ({error.hint})" if error.hint else ""
                    self._tell("engine_join_failed", f"engine {self.settings.index}: {error.message}{hint}")
                await asyncio.sleep(JOIN_AGAIN_S)
                continue
            self.placed = True
            self._set(EngineState.JOINED)
            _log.info("engine %s joined as rank %s", self.settings.index, joined.rank)
            return

    def _set(self, state: EngineState, reason: str = "") -> None:
        self.state, self.reason = state, reason
        self._changed.set()

    def _tell(self, name: str, message: str) -> None:
        event = Event(id=name, message=message, rank=self.rank)
        self._owner.tell(event, pid=self.pid, incarnation=self.incarnation)

    def _environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        passed = {name: inherited[name] for name in (*_INHERITED, *self.settings.pass_through) if name in inherited}
        return {**passed, **dict(self.settings.environment)}

    def _options(self) -> bytes:
        block, own, server = self.block, self.settings, self._server
        tiers = [
            EngineTier(
                storage_class=tier.storage_class,
                directory="" if tier.mount is None else str(tier.mount),
                devices=tuple(str(storage.path_of(tier.storage_class, device) or device) for device in tier.devices),
                size=tier.size,
                roles=tier.roles,
            )
            for tier in own.tiers
        ]
        return msgspec.json.encode(
            EngineOptions(
                system=server.system,
                index=own.index,
                uuid="" if block is None else block.uuid,
                rank=None if block is None else block.rank,
                socket=str(server.socket),
                metadata=str(own.metadata),
                tiers=tuple(tiers),
                capacity=storage.capacity(own),
                targets=own.targets,
                address=own.address,
                port=own.port,
                domain=server.domain,
                insecure=server.insecure,
                certificates=() if server.certificates is None else tuple(map(str, server.certificates)),
                log_file="" if own.log_file is None else str(own.log_file),
                log_mask=own.log_mask,
                helpers=own.helpers,
                first_core=own.first_core,
                release=build_info().version,
            )
        )

    @staticmethod
    def _signal(process: asyncio.subprocess.Process, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)

    @staticmethod
    async def _ended(process: asyncio.subprocess.Process, wait_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), wait_s)
        return process.returncode is not None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
