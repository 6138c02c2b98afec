"""Pools of running systems: `daos.connect`."""

from __future__ import annotations

import contextlib
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from daos import _core
from daos.agent.client import AgentClient
from daos.client._global import TIMEOUT_S_MAX, PoolGlobal
from daos.client._within import within
from daos.client.system import _DURABILITY, System, open_system
from daos.errors import DER, AccessError, DaosError, InvalidError, NotFoundError
from daos.model.urls import Url, parse_url

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import NoReturn

    from daos.agent.messages import AttachInfo
    from daos.client.pool import Pool
    from daos.client.system import Durability

__all__ = ["Mode", "Url", "connect", "parse_url", "pools"]

Mode = Literal["r", "rw", "exclusive"]
_ACCESS: dict[str, int] = {"r": 1, "rw": 2, "exclusive": 4}
RELEASE = dict(_core.build_info())["version"]
TIMEOUT_S = 60.0
CLOSED_S_MAX = 1.0
"""For the agent to hear that a handle is closed."""


class Served(System):
    """A served system, as far as one pool of it is open."""

    __slots__ = ("_reached", "_targets", "_timeout_s")

    def __init__(self, core: _core.Embedded, name: str, timeout_s: float) -> None:
        super().__init__(core, name)
        self._reached = core
        self._timeout_s = timeout_s
        self._targets = 0

    @property
    def served(self) -> bool:
        """It is a running system."""
        return True

    @property
    def connections(self) -> dict[str, int]:
        """How many connections to engines are open, by `shm`, shared memory, and by `tcp`."""
        near, far = self._reached.ways()
        return {"shm": near, "tcp": far}

    @property
    def targets(self) -> int:
        """The number of the pool's targets: of the system, more may not concern its users."""
        return self._targets

    def _one_call(self) -> AbstractContextManager[None]:
        return within(self._timeout_s)

    def __reduce__(self) -> NoReturn:
        raise InvalidError(
            "a running system is not pickled, but what is open of it", code=DER.NOTSUPPORTED, hint="pickle its pool"
        )


class _Opened(Served):
    """The system of a pool that was opened here."""

    __slots__ = ("_agent", "_agent_path", "_ca", "_handle", "_pid")

    def __init__(
        self, core: _core.Embedded, agent: AgentClient, agent_path: str | None, handle: PoolGlobal, ca: int | None
    ) -> None:
        super().__init__(core, handle.system, handle.timeout_s)
        self._agent = agent
        self._agent_path = agent_path
        self._handle = handle
        self._ca = ca
        self._pid = os.getpid()

    def open(self) -> Pool:
        """Return the pool.

        Raises:
            NotFoundError: `DER.NONEXIST`: it is not there, or not for this user.
            DaosError: As `connect`.
        """
        opened = self._pool(str(uuid.UUID(bytes=self._handle.pool)), create=False, owns_system=True)
        self._targets = opened._core.targets  # noqa: SLF001 -- one class in two
        return opened

    def _shared(self, core: bytes) -> tuple[bytes, str | None]:
        handle = msgspec.structs.replace(self._handle, targets=self._targets, core=core)
        return handle.encode(), self._agent_path

    def _pool_handle(self) -> bytes:
        return self._handle.handle

    def close(self) -> None:
        """Close the pool's handle, and with it all that was opened through it; closing again is no error.

        In a forked child it is what the child has that is closed: the handle is its parent's.
        """
        with contextlib.suppress(DaosError):
            # If the service does not answer, or the agent does not hear of it now, the handle is open for all that the
            # agent knows: it is evicted when this connection to it ends.
            self._core.close()
            if self._pid == os.getpid():
                with self._agent.within(CLOSED_S_MAX):
                    self._agent.notify_closed(*_names(self._handle))
        self._let_go()

    def give_up(self) -> None:
        """Let go of a handle of which it is not known whether it is open: the agent evicts it."""
        with contextlib.suppress(DaosError), within(0.0):
            self._core.close()
        self._let_go()

    def _let_go(self) -> None:
        self._agent.close()
        ca, self._ca = self._ca, None
        if ca is not None:
            os.close(ca)


def connect(
    url: str,
    *,
    mode: Mode = "rw",
    durability: Durability = "synced",
    timeout: float = TIMEOUT_S,
    agent: str | os.PathLike[str] | None = None,
) -> Pool:
    """Open a pool of a running system; closing the pool closes the connection.

    Who asks, the agent of this host says; what he may do, the pool's access list.

    Args:
        url: `daos://POOL[?system=NAME]`. Without a name it is the agent's system. The path of a directory in the place
            of the name opens an embedded system.
        mode: `r`, to read; `rw`; `exclusive`, as long as nobody else has it open.
        durability: What a returned call promises, as `daos.open`.
        timeout: Seconds that a call may take. Until then it is tried again where nobody answers; a change that was sent
            again happens once.
        agent: The agent's socket, or its directory; by default what `DAOS_AGENT_DRPC_DIR` names, or the usual one.

    Raises:
        NotFoundError: `DER.NONEXIST`: there is no such pool, or nothing of it is for this user.
        AccessError: `DER.NO_PERM`: he may not open it so.
        BusyError: `DER.BUSY`: it is, or was to be, open exclusively.
        UnavailableError: `DER.AGENT_COMM`: there is no agent; `DER.UNREACH`: nobody answers within the time.
        InvalidError: `DER.INVAL`: a bad argument.
    """
    named = parse_url(url)
    if named.container is not None or named.snapshot is not None:
        raise InvalidError(f"{url!r} names more than a pool", hint="connect to the pool, then use its container()")
    if mode not in _ACCESS:
        raise InvalidError(f"mode cannot be {mode!r}", hint='one of "r", "rw", "exclusive"')
    if durability not in _DURABILITY:
        raise InvalidError(f"durability cannot be {durability!r}", hint='one of "synced", "interval", "buffered"')
    check_timeout(timeout)
    if "/" in named.system:
        system = open_system(named.system, create=False, durability=durability)
        try:
            return system._pool(named.pool, create=False, owns_system=True)  # noqa: SLF001 -- one class in two
        except BaseException:
            system.close()
            raise
    agent_path = None if agent is None else os.path.abspath(agent)  # noqa: PTH100 -- a path as it is, for others
    client = AgentClient(agent_path, timeout_s=timeout)
    terms = {"access": _ACCESS[mode], "durability": _DURABILITY[durability]}
    try:
        # What the agent is asked for, and the pool's service: all of it is one call.
        with client.within(timeout):
            return _connect(client, named, **terms, timeout_s=timeout, agent_path=agent_path)
    except BaseException:
        client.close()
        raise


@dataclass(frozen=True)
class Usable:
    """A pool of a running system that the caller may open. Returned by `pools`.

    Attributes:
        uuid: Its uuid.
        label: Its label; empty for none.
        state: `Ready`, or `TargetsExcluded`.
        services: The ranks of its service.
    """

    uuid: str
    label: str
    state: str
    services: tuple[int, ...]


def pools(system: str = "", *, timeout: float = TIMEOUT_S, agent: str | os.PathLike[str] | None = None) -> list[Usable]:
    """Return the pools of a running system that this user may open, by label; of others nobody is told.

    Args:
        system: Its name; empty for the agent's.
        timeout: Seconds it may take.
        agent: As of `connect`.

    Raises:
        NotFoundError: `DER.NONEXIST`: the agent knows no such system.
        UnavailableError: `DER.AGENT_COMM`: there is no agent; `DER.UNREACH`: no server answers.
    """
    with AgentClient(None if agent is None else Path(agent), timeout_s=timeout) as client:
        return [Usable(pool.uuid, pool.label, pool.state, pool.services) for pool in client.list_pools(system)]


def _connect(
    agent: AgentClient, named: Url, *, access: int, durability: int, timeout_s: float, agent_path: str | None
) -> Pool:
    info = agent.attach(named.system, release=RELEASE)
    try:
        found = agent.find_pool(named.pool, named.system)
    except NotFoundError:
        raise _no_pool(named.pool, info.system) from None
    handle = PoolGlobal(
        system=info.system,
        pool=uuid.UUID(found.uuid).bytes,
        handle=uuid.uuid4().bytes,
        services=tuple(found.services),
        access=access,
        durability=durability,
        timeout_s=timeout_s,
        targets=0,
        core=b"",
    )
    credential = agent.credential(named.system, found.uuid, handle.handle)
    ca = None if info.insecure else in_memory(info.ca_certificate)
    try:
        # Before it is there: whatever happens to this process, the handle does not stay.
        agent.notify_open(*_names(handle))
        core = reach(handle, info, credential=credential, ca=ca)
        system = _Opened(core, agent, agent_path, handle, ca)
    except BaseException:
        if ca is not None:
            os.close(ca)
        raise
    try:
        with within(agent.left()):
            return system.open()
    except NotFoundError:
        system.close()
        raise _no_pool(named.pool, info.system) from None
    except BaseException:
        system.give_up()
        raise


def check_timeout(timeout: object) -> None:
    """Refuse what is no time-out.

    Raises:
        InvalidError: `DER.INVAL`.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= TIMEOUT_S_MAX:
        raise InvalidError(f"invalid timeout {timeout!r}", hint="seconds, more than 0")


def _names(handle: PoolGlobal) -> tuple[str, str]:
    """Return the uuids of a pool and of a handle of it, as the agent is told them."""
    return str(uuid.UUID(bytes=handle.pool)), str(uuid.UUID(bytes=handle.handle))


def reach(
    handle: PoolGlobal,
    info: AttachInfo,
    *,
    credential: bytes = b"",
    ca: int | None,
    shared: tuple[bytes, dict[int, list[str]]] | None = None,
) -> _core.Embedded:
    """Return the way to a pool; nothing is asked yet.

    Args:
        handle: The pool's handle, which is opened or, with `shared`, is open.
        info: Where the system is.
        credential: Who opens it.
        ca: A descriptor of the certificates that engines are known by; None without.
        shared: As the core takes it.
    """
    pool, opened = _names(handle)
    return _core.Embedded.connect_service(
        pool,
        system=handle.system,
        engines={rank.rank: rank.addresses[0] for rank in info.ranks if rank.addresses},
        replicas=list(handle.services),
        credential=credential,
        handle=opened,
        access=handle.access,
        durability=handle.durability,
        timeout_s=handle.timeout_s,
        ca=None if ca is None else f"/proc/self/fd/{ca}",
        near=os.environ.get("D_SHM") != "0",
        shared=shared,
    )


def _no_pool(reference: str, system: str) -> NotFoundError:
    """Return the error of a pool that is not there, or not for this user: nobody is told which."""
    return NotFoundError(
        f'no pool "{reference}" in {system}', code=DER.NONEXIST, hint="daos pool list lists those for you"
    )


def in_memory(certificates: bytes) -> int:
    """Return a descriptor of a file that is nowhere but in memory: the native core reads certificates from files."""
    if not certificates:
        raise AccessError(
            "the agent knows no certificate of the system", hint="is it configured with transport_config?"
        )
    made = os.memfd_create("daos-ca")
    try:
        os.write(made, certificates)
    except BaseException:
        os.close(made)
        raise
    return made
