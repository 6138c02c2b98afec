"""The replica of the system service on a management host: its group is made, opened, or joined."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import msgspec

from daos import _core
from daos._packed import decode
from daos.control.replicated import Replica
from daos.control.system.effects import AnyEffect
from daos.control.system.service import SYSTEM
from daos.control.system.state import SystemState
from daos.errors import DER, CorruptionError, DaosError, NotFoundError, UnavailableError
from daos.rsvc import Clock, ServiceHost
from daos.rsvc.clock import EPOCH_NS
from daos.server.peers import Peers
from daos.server.settings import ServerSettings
from daos.server.storage import make_directory

ASK_S_MAX = 3.0
"""How long another server is waited for when it is asked whether there is a group."""
ASK_AGAIN_S = 0.5
CHANGE_S_MAX = 10.0
_log = logging.getLogger(__name__)

SystemHost = ServiceHost[SystemState, AnyEffect]


class ReplicaStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a server tells of its replica.

    Attributes:
        there: Whether it has one.
        leader: The address of the server that leads, as far as it knows.
        leads: Whether that is itself.
        members: The replicas of the group, and the generations of their storage.
    """

    there: bool
    leader: str | None = None
    leads: bool = False
    members: list[tuple[int, int]] = []


class AddReplica(msgspec.Struct, frozen=True, kw_only=True):
    """A server asks the leader to let its replica join.

    Attributes:
        number: Which replica.
        generation: Of its storage.
    """

    number: int
    generation: int


class SystemReplica:
    """This server's replica of the system service.

    Args:
        settings: The server's.
        peers: The way to the others.
        carry: Has a rank carry out an effect.
        clock: The process's.
        stopped: Is called when the replica takes part no more.
    """

    def __init__(
        self,
        settings: ServerSettings,
        peers: Peers,
        carry: Callable[[int, AnyEffect, int, int], Awaitable[None]],
        clock: Clock,
        stopped: Callable[[DaosError], None],
    ) -> None:
        self.host: SystemHost | None = None
        self._settings, self._peers, self._carry, self._clock = settings, peers, carry, clock
        self._stopped = stopped
        self._log: _core.Rdb | None = None
        self._opening: asyncio.Task[None] | None = None
        self._number = -1 if settings.number is None else settings.number
        self._lost = 0
        """Generation of the storage that the group remembers of this replica; 0 for none."""

    @property
    def number(self) -> int:
        """Which replica it is."""
        return self._number

    def address_of(self, number: int | None) -> str | None:
        """Return the address of the server beside a replica."""
        return self._settings.replicas[number] if number is not None and number < len(self._settings.replicas) else None

    def status(self) -> ReplicaStatus:
        """Return what others are told."""
        if self.host is None:
            return ReplicaStatus(there=False)
        leader = self.address_of(self.host.leader)
        return ReplicaStatus(there=True, leader=leader, leads=self.host.leads, members=self._members())

    def start(self) -> None:
        """Begin to open it; where there is no group, the first of the list makes one when no other has."""
        if self.host is None and (self._opening is None or self._opening.done()):
            self._opening = asyncio.create_task(self._open(), name="system service")

    async def close(self) -> None:
        """End it."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self.host is not None:
            await self.host.close()
            self.host = None

    async def add(self, wanted: AddReplica) -> None:
        """As the leader, let a replica join; an earlier one of its number has lost its storage, and is removed.

        Raises:
            NotLeaderError: Another leads.
            DaosError: It is not done.
        """
        if self.host is None or self._log is None:
            raise UnavailableError("there is no replica here", code=DER.NOTREPLICA)
        members = self._members()
        if (wanted.number, wanted.generation) in members:
            return
        for number, generation in members:
            if number == wanted.number and generation < wanted.generation:
                await self.host.remove_replica(number, generation, timeout_s=CHANGE_S_MAX)
        await self.host.add_replica(wanted.number, wanted.generation, timeout_s=CHANGE_S_MAX)

    def _members(self) -> list[tuple[int, int]]:
        if self._log is None:
            return []
        status = self._log.status()
        return [*cast("list[tuple[int, int]]", status["voters"]), *cast("list[tuple[int, int]]", status["learners"])]

    async def _open(self) -> None:
        directory = self._settings.control
        if directory is None:
            raise UnavailableError("a management replica needs a directory", hint="engines, or control_metadata")
        log = None
        while log is None:
            try:
                log = await self._log_of(directory)
            except DaosError as error:
                _log.error("the replica of the system service cannot be opened: %s", error.message)
                await asyncio.sleep(ASK_AGAIN_S * 10)
        self._log = log
        self.host = ServiceHost(SYSTEM, log, self._carry, clock=self._clock, stopped=self._stopped)
        self.host.start()
        await asyncio.gather(self._point(self.host, log), self._join_group(self.host, log))

    async def _point(self, host: SystemHost, log: _core.Rdb) -> None:
        """Tell the replica where the others are; a name that is not known yet is looked up again."""
        missing = [number for number in range(len(self._settings.replicas)) if number != self._number]
        while missing and host.failed is None:
            for number in list(missing):
                with contextlib.suppress(DaosError):
                    log.set_peer(number, await asyncio.to_thread(self._settings.raft_address, number))
                    missing.remove(number)
            if missing:
                await asyncio.sleep(ASK_AGAIN_S * 4)

    async def _log_of(self, directory: Path) -> _core.Rdb:
        """Return the log: opened, or of a new group, or to be told everything by the group that there is."""
        settings = self._settings
        tls = None
        if settings.certificates is not None:
            ca, certificate, key = map(str, settings.certificates)
            tls = (ca, certificate, key)
        make_directory(directory.parent)
        try:
            return _core.Rdb.open(
                str(directory), group=settings.group, listen=settings.raft_listen, system=settings.system, tls=tls
            )
        except NotFoundError:
            pass
        except CorruptionError as error:
            aside = directory.with_name(f"{directory.name}.damaged-{int(time.time())}")
            _log.error("%s: it is put aside as %s, and the replica joins anew", error.message, aside.name)
            await asyncio.to_thread(directory.rename, aside)
        if await self._is_first():
            return _core.Rdb.create(
                str(directory),
                group=settings.group,
                rank=self._number,
                replicas=[self._number],
                state=Replica(SYSTEM).snapshot(),
                listen=settings.raft_listen,
                system=settings.system,
                tick_ms=settings.tick_ms,
                tls=tls,
            )
        return _core.Rdb.join(
            str(directory),
            group=settings.group,
            rank=self._number,
            generation=max(_generation(), self._lost + 1),
            listen=settings.raft_listen,
            system=settings.system,
            tick_ms=settings.tick_ms,
            tls=tls,
        )

    async def _is_first(self) -> bool:
        """Tell whether this replica makes the group. It waits until it is certain that none, or that one, is there.

        The first of the list makes it, once all others have said that they have none: one that has lost its storage
        must not begin a second group.
        """
        told = False
        while True:
            others = [address for address in self._settings.replicas if address != self._settings.address]
            found = await asyncio.gather(*(self._ask(address) for address in others))
            if any(status is not None and status.there for status in found):
                members = [member for status in found if status is not None for member in status.members]
                self._lost = max((generation for number, generation in members if number == self._number), default=0)
                return False
            if self._number == 0 and None not in found:
                return True
            if not told:
                told = True
                silent = [address for address, status in zip(others, found, strict=True) if status is None]
                _log.info("the system service waits for %s", ", ".join(silent) or self._settings.replicas[0])
            await asyncio.sleep(ASK_AGAIN_S)

    async def _ask(self, address: str) -> ReplicaStatus | None:
        try:
            answer = await self._peers.server_call(address, "replica_status", b"\xc0", timeout_s=ASK_S_MAX)
            return decode(answer, ReplicaStatus)
        except (DaosError, msgspec.DecodeError) as error:
            _log.debug("%s does not tell of its replica: %s", address, error)
            return None

    async def _join_group(self, host: SystemHost, log: _core.Rdb) -> None:
        """Ask the leader to let this replica join, until it is a member."""
        own = (self._number, cast("int", log.status()["generation"]))
        wanted = msgspec.msgpack.encode(AddReplica(number=own[0], generation=own[1]))
        while host.failed is None and own not in self._members():
            for address in self._settings.replicas:
                if address == self._settings.address:
                    continue
                status = await self._ask(address)
                if status is not None and status.leads:
                    try:
                        await self._peers.server_call(address, "replica_add", wanted, timeout_s=CHANGE_S_MAX * 2)
                    except DaosError as error:
                        _log.info("%s does not let the replica join yet: %s", address, error.message)
            await asyncio.sleep(ASK_AGAIN_S)


def _generation() -> int:
    """Return what is larger for each storage of a replica: seconds since 2021, which fit 32 bits for 136 years."""
    return (time.time_ns() - EPOCH_NS) // 1_000_000_000
