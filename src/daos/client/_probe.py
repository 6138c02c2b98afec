"""Running systems as their agent knows them, and the way to single engines: no pool is needed."""

from __future__ import annotations

import contextlib
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daos import _core
from daos.agent.client import AgentClient
from daos.client._service import ask
from daos.client.served import TIMEOUT_S, in_memory
from daos.errors import DER, InvalidError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from daos.agent.messages import AttachInfo

NO_POOL = str(uuid.UUID(int=0))
"""In the place of a pool: the engine itself is asked."""
PING_BYTES_MAX = 1 << 20
"""Either way: what one message may carry with ease."""


@dataclass(frozen=True)
class SystemInfo:
    """Where a running system is. Returned by `Engines.info`.

    Attributes:
        name: Its name.
        provider: Its network.
        agent: The directory of the agent's socket.
        engines: Rank to the address of its engine, by rank.
        ms_ranks: Those on hosts of the management service.
        insecure: Its ports take connections without TLS.
    """

    name: str
    provider: str
    agent: str
    engines: dict[int, str]
    ms_ranks: tuple[int, ...]
    insecure: bool


class Engines:
    """The engines of a running system. As a context manager it closes what it opened.

    Args:
        system: Its name; empty for the agent's.
        timeout: Seconds that a call may take.
        agent: The agent's socket; by default as of `daos.connect`.

    Raises:
        NotFoundError: `DER.NONEXIST`: the agent knows no such system.
        UnavailableError: `DER.AGENT_COMM`: there is no agent; `DER.UNREACH`: no server answers.
    """

    def __init__(
        self, system: str = "", *, timeout: float = TIMEOUT_S, agent: str | os.PathLike[str] | None = None
    ) -> None:
        self._agent = AgentClient(None if agent is None else Path(agent), timeout_s=timeout)
        self._timeout = timeout
        self._open: list[_core.Embedded] = []
        self._ca: int | None = None
        try:
            self._told: AttachInfo = self._agent.attach(system, refresh=True)
            if not self._told.insecure:
                self._ca = in_memory(self._told.ca_certificate)
        except BaseException:
            self.close()
            raise

    @property
    def info(self) -> SystemInfo:
        """Where the system is."""
        told = self._told
        return SystemInfo(
            name=told.system,
            provider=told.provider,
            agent=str(self._agent.path.parent),
            engines={
                rank.rank: rank.addresses[0]
                for rank in sorted(told.ranks, key=lambda rank: rank.rank)
                if rank.addresses
            },
            ms_ranks=told.ms_ranks,
            insecure=told.insecure,
        )

    def probe(self, rank: int) -> Probe:
        """Return the way to an engine.

        Raises:
            NotFoundError: `DER.NONEXIST`: the system has no such rank.
            UnavailableError: `DER.UNREACH`: it does not answer.
            AccessError: `DER.NO_PERM`: it does not believe the agent.
        """
        address = self.info.engines.get(rank)
        if address is None:
            raise NotFoundError(f"there is no rank {rank}", hint="daos system query lists the ranks")
        handle = str(uuid.uuid4())
        credential = self._agent.credential(self._told.system, NO_POOL, uuid.UUID(handle).bytes)
        core = _core.Embedded.connect_service(
            NO_POOL,
            system=self._told.system,
            engines={rank: address},
            replicas=[rank],
            credential=credential,
            handle=handle,
            access=1,
            durability=2,
            timeout_s=self._timeout,
            ca=None if self._ca is None else f"/proc/self/fd/{self._ca}",
        )
        self._open.append(core)
        try:
            return Probe(core.pool_open(NO_POOL), rank)
        except NotFoundError:
            raise UnavailableError(
                f"the engine of rank {rank} cannot be measured", code=DER.NOTSUPPORTED, hint="is it of this release?"
            ) from None

    def close(self) -> None:
        """Close it; closing again is no error."""
        while self._open:
            with contextlib.suppress(OSError):
                self._open.pop().close()
        self._agent.close()
        ca, self._ca = self._ca, None
        if ca is not None:
            os.close(ca)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Probe:
    """The way to an engine. Threads may share it."""

    def __init__(self, core: _core.Pool, rank: int) -> None:
        self._core = core
        self.rank = rank

    def ping(self, send_bytes: int = 0, reply_bytes: int = 0) -> None:
        """Have a request of so many bytes answered by so many; nothing happens there.

        Raises:
            InvalidError: `DER.INVAL`: too many.
            DaosError: The engine does not answer.
        """
        if not 0 <= send_bytes <= PING_BYTES_MAX or not 0 <= reply_bytes <= PING_BYTES_MAX:
            raise InvalidError(f"a message of {max(send_bytes, reply_bytes)} bytes", hint=f"0 to {PING_BYTES_MAX}")
        got = ask(self._core, "ping", bytes, data=bytes(send_bytes), reply_bytes=reply_bytes)
        if len(got) != reply_bytes:
            raise UnavailableError(
                f"rank {self.rank} answered with {len(got)} bytes, not {reply_bytes}", code=DER.PROTO
            )
