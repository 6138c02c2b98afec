"""Engines as processes, and what stands in for their servers: it tells where the others are, and carries effects."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from daos import _core
from daos.client.system import System
from daos.control.system import effects
from daos.errors import DaosError, UnavailableError
from daos.local import (
    Carry,
    Channel,
    EngineOptions,
    EngineTier,
    MemberEntry,
    Members,
    Method,
    Placed,
    PoolRequest,
    Ready,
    listen,
)
from daos.model.acl import DEFAULT_POOL_ACL, Acl
from daos.model.members import MemberState
from daos.model.pool_properties import pool_properties
from daos.security.credentials import Token, without_signature
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType
    from typing import Self

T = TypeVar("T")
WAIT_S_MAX = 30.0
SIZE = 256 << 20
DEVICE_SIZE = 128 << 20


class Engines:
    """Some engines on loopback.

    Args:
        directory: Of their storage and sockets.
        count: How many.
        targets: Of each.
        roles: Of the devices of each.
        paths: Of these, of a single engine; else each has files.
    """

    def __init__(
        self,
        directory: Path,
        count: int,
        targets: int = 2,
        *,
        roles: tuple[tuple[str, ...], ...] = (),
        paths: tuple[str, ...] = (),
    ) -> None:
        self.directory, self.count, self.targets, self.roles = directory, count, targets, roles
        self._paths = paths
        first = free_ports(count * (targets + 1))
        self.ports = [first + index * (targets + 1) for index in range(count)]
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self._channels: dict[int, Channel] = {}
        self._ready: dict[int, Ready] = {}
        self._version = 0
        self._number = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._cleanup: list[Coroutine[object, object, None]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            for rank in range(self.count):
                self._do(self._listen(rank))
                self.start(rank)
            self.wait_ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        """End all, and leave nothing; fail if one did not end of its own accord."""
        for process in self.processes.values():
            process.terminate()
        late = []
        for rank, process in self.processes.items():
            try:
                process.wait(WAIT_S_MAX)
            except subprocess.TimeoutExpired:
                late.append(rank)
                process.kill()
                process.wait(WAIT_S_MAX)
        for each in self._cleanup:
            self._do(each)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S_MAX)
        self._loop.close()
        assert not late, f"engines that do not end: {late}"

    def _do(self, work: Coroutine[object, object, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(2 * WAIT_S_MAX)  # what is awaited ends by itself before

    def _socket(self, rank: int) -> Path:
        return self.directory / f"s{rank}.sock"

    async def _listen(self, rank: int) -> None:
        async def ready(channel: Channel, told: Ready) -> Placed:
            if told.pid == self.processes[rank].pid:  # not what the engine of before has sent last
                self._channels[rank], self._ready[rank] = channel, told
            await self._tell()
            return Placed(rank=rank, system="test")

        listener = await listen(self._socket(rank), {"ready": Method.of(Ready, ready)})
        self._cleanup.append(listener.close())

    async def _tell(self) -> None:
        self._version += 1
        entries = tuple(
            MemberEntry(
                rank=rank,
                uri=ready.uri,
                targets=ready.targets,
                state=MemberState.JOINED,
                incarnation=ready.incarnation,
                domain=ready.domain,
            )
            for rank, ready in sorted(self._ready.items())
        )
        members = Members(version=self._version, members=entries)
        for channel in list(self._channels.values()):
            # One that ends meanwhile is told when it has been started again.
            with contextlib.suppress(DaosError):
                await channel.call("members", members, timeout_s=10)

    def devices(self, rank: int) -> tuple[str, ...]:
        """Return the paths of an engine's devices."""
        home = self.directory / f"engine{rank}"
        return self._paths or tuple(str(home / f"device{index}") for index in range(len(self.roles)))

    def _format(self, rank: int, name: str) -> None:
        for index, (path, roles) in enumerate(zip(self.devices(rank), self.roles, strict=True)):
            if not self._paths:
                with Path(path).open("wb") as file:
                    file.truncate(DEVICE_SIZE)
            _core.device_format(path, uuid=name, system="test", index=index, count=len(self.roles), roles=list(roles))

    def log(self, rank: int) -> str:
        """Return what an engine has logged."""
        return (self.directory / f"engine{rank}" / "log").read_text()

    def start(self, rank: int, *, devices: tuple[str, ...] | None = None) -> None:
        """Start an engine; on other devices than its own, if some are named."""
        home = self.directory / f"engine{rank}"
        home.mkdir(exist_ok=True)
        known = home / "uuid"
        if not known.exists():
            known.write_text(str(uuid.uuid4()))
            self._format(rank, known.read_text())
        paths = self.devices(rank) if devices is None else devices
        tiers = [EngineTier(storage_class="ram", directory=str(home), size=SIZE)]
        tiers += [
            EngineTier(storage_class="file", devices=(path,), size=DEVICE_SIZE, roles=roles)
            for path, roles in zip(paths, self.roles, strict=True)
        ]
        data = sum(DEVICE_SIZE for roles in self.roles if "data" in roles)
        options = EngineOptions(
            system="test",
            index=0,
            uuid=known.read_text(),
            rank=rank if (home / "engine").exists() else None,
            socket=str(self._socket(rank)),
            metadata=str(home),
            tiers=tuple(tiers),
            capacity=(SIZE, data),
            targets=self.targets,
            address="127.0.0.1",
            port=self.ports[rank],
            domain=(f"host{rank}",),
            insecure=True,
            log_file=str(home / "log"),
            log_mask="INFO",
        )
        self._do(self._forget(rank))
        process = subprocess.Popen([sys.executable, "-m", "daos.engine"], stdin=subprocess.PIPE)
        self.processes[rank] = process
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(options))
        process.stdin.close()

    async def _forget(self, rank: int) -> None:
        """Ask an engine that has ended no more: what it was asked over its last channel would be refused."""
        self._channels.pop(rank, None)
        self._ready.pop(rank, None)

    def whole(self) -> None:
        """Start again what a test has left dead, and wait until all are ready."""
        for rank, process in self.processes.items():
            if process.poll() is not None:
                self.start(rank)
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until all engines are ready."""

        async def wait() -> None:
            while len(self._ready) < self.count:
                for rank, process in self.processes.items():
                    assert process.poll() is None, (self.directory / f"engine{rank}" / "log").read_text()
                await asyncio.sleep(0.02)

        self._do(wait())

    def kill(self, rank: int) -> None:
        """Kill an engine and wait until it is gone."""
        self.processes[rank].send_signal(signal.SIGKILL)
        self.processes[rank].wait(WAIT_S_MAX)
        self._do(self._forget(rank))

    def carry(self, rank: int, effect: effects.SystemEffect) -> None:
        """Have an engine carry out an effect of the system service."""
        self._number += 1
        self._do(self._carry(rank, self._number, effect))

    async def _carry(self, rank: int, number: int, effect: effects.SystemEffect) -> None:
        carry = Carry(number=number, floor=1, effect=msgspec.msgpack.encode(effect))
        await self._channel(rank).call("carry", carry, timeout_s=WAIT_S_MAX)

    def pool_create(
        self,
        label: str,
        owner: str = "me@",
        acl: Acl = DEFAULT_POOL_ACL,
        tiers: tuple[int, int] = (SIZE // 2, 0),
    ) -> str:
        """Make a pool on all ranks, with so many bytes on each; return its uuid."""
        self.wait_ready()  # one that was started again is asked over the channel of its last life until it is
        pool = str(uuid.uuid4())
        self._number += 1
        number = self._number
        services = tuple(range(self.count if self.count % 2 else self.count - 1))
        start = effects.StartService(
            subject=pool,
            label=label,
            services=services,
            ranks=tuple(
                effects.PoolRank(rank=rank, domain=(f"host{rank}",), targets=self.targets) for rank in range(self.count)
            ),
            properties=pool_properties({"rd_fac": 0}, domains=self.count),
            acl=acl.lines(),
            owner=owner,
            group="us@",
        )

        async def make() -> None:
            shards = effects.CreateShards(subject=pool, tiers=tiers)
            await asyncio.gather(*(self._carry(rank, number, shards) for rank in range(self.count)))
            await asyncio.gather(*(self._again(rank, number + 1, start) for rank in services))

        self._number += 1
        self._do(make())
        return pool

    async def _again(self, rank: int, number: int, effect: effects.SystemEffect) -> None:
        last: DaosError | None = None
        for _ in range(100):
            try:
                await self._carry(rank, number, effect)
            except DaosError as error:
                last = error
                await asyncio.sleep(0.1)
            else:
                return
        raise AssertionError(f"rank {rank} does not carry out {effect}: {last}")

    def pool_request(self, rank: int, request: PoolRequest) -> bytes:
        """Ask a pool's service as an administrator."""
        return self._do(self._ask(rank, request))

    async def _ask(self, rank: int, request: PoolRequest) -> bytes:
        return await self._channel(rank).call("pool_request", request, bytes, timeout_s=WAIT_S_MAX)

    def _channel(self, rank: int) -> Channel:
        """Return the channel of an engine that is ready.

        Raises:
            UnavailableError: It is not, as one that was killed.
        """
        try:
            return self._channels[rank]
        except KeyError:
            raise UnavailableError(f"rank {rank} is not ready") from None

    @property
    def addresses(self) -> dict[int, str]:
        """The control addresses of the engines."""
        return {rank: f"127.0.0.1:{port}" for rank, port in enumerate(self.ports)}


def credential(pool: str, user: str = "me@", system: str = "test") -> bytes:
    """Return a credential as agents make them, without a signature: for engines without certificates."""
    now = time.time()
    token = Token(
        flavour="AUTH_SYS",
        user=user,
        group="us@" if user == "me@" else "them@",
        groups=(),
        machine="here",
        system=system,
        pool=pool,
        session=b"",
        issued=now,
        expires=now + 300,
        nonce=uuid.uuid4().bytes,
    )
    return without_signature(token)


def connect(
    engines: Engines,
    pool: str,
    user: str = "me@",
    access: int = 2,
    shown: bytes | None = None,
    timeout_s: float = WAIT_S_MAX,
) -> System:
    """Connect to a pool, by a credential of a user, or the one that is shown."""
    core = _core.Embedded.connect_service(
        pool,
        system="test",
        engines=engines.addresses,
        replicas=list(range(engines.count)),
        credential=credential(pool, user) if shown is None else shown,
        handle=str(uuid.uuid4()),
        access=access,
        durability=2,
        timeout_s=timeout_s,
    )
    return System(core, "test")
