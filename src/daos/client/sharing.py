"""Handles that processes share: `daos.global2local`, and what pickles of served systems become."""

from __future__ import annotations

import os
import threading
import uuid
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import msgspec

from daos.agent.client import AgentClient
from daos.client._global import PoolGlobal
from daos.client.served import RELEASE, Served, check_timeout, in_memory, reach
from daos.errors import DER, UnavailableError

if TYPE_CHECKING:
    from daos import _core
    from daos.agent.messages import AttachInfo
    from daos.client.pool import Pool

__all__ = ["global2local"]


def global2local(
    handle: bytes | bytearray | memoryview,
    *,
    timeout: float | None = None,
    agent: str | os.PathLike[str] | None = None,
) -> Pool:
    """Return a pool that another process has opened, of what its `Pool.local2global` returned there.

    Nobody is asked to open it: however many processes have it, the pool's service knows of one handle. It allows what
    it allowed there, whoever uses it: its bytes are as good as the handle, so keep them from strangers. It ends, for
    all processes, when its opener closes the pool or ends, and when it is evicted: then calls raise `ClosedError`.
    Closing the returned pool closes what this process has of it, and nothing else.

    It works on any host with an agent of the same system: the agent tells where the engines are and whom to trust.

    Args:
        handle: The bytes.
        timeout: Seconds that a call may take; by default as it was opened.
        agent: As of `daos.connect`.

    Raises:
        InvalidError: `DER.INVAL`: the bytes are no handle of a pool, cut off, or altered; `DER.DF_INCOMPT`: of another
            release.
        NotFoundError: `DER.NONEXIST`: this host's agent is of another system.
        UnavailableError: `DER.AGENT_COMM`: there is no agent; `DER.UNREACH`: it does not know an engine of the pool.
    """
    decoded = PoolGlobal.decode(handle)
    if timeout is not None:
        check_timeout(timeout)
        decoded = msgspec.structs.replace(decoded, timeout_s=float(timeout))
    return opened_elsewhere(decoded, None if agent is None else os.fspath(agent))


class _Way:
    """The way to a pool that another process has opened: its copies in this process have its connections in common."""

    __slots__ = ("__weakref__", "_ca", "core")

    def __init__(self, core: _core.Embedded, ca: int | None) -> None:
        self.core = core
        # The core reads it whenever it connects.
        self._ca = ca

    def __del__(self) -> None:
        if self._ca is not None:
            os.close(self._ca)


class _Copy(Served):
    """The system of a pool that another process has opened."""

    __slots__ = ("_agent_path", "_handle", "_way")

    def __init__(self, way: _Way, handle: PoolGlobal, agent_path: str | None) -> None:
        super().__init__(way.core.again(), handle.system, handle.timeout_s)
        self._way: _Way | None = way
        self._handle = handle
        self._agent_path = agent_path
        self._targets = handle.targets

    def open(self) -> Pool:
        """Return the pool; nobody is asked."""
        return self._pool(str(uuid.UUID(bytes=self._handle.pool)), create=False, owns_system=True)

    def close(self) -> None:
        """Close what this process has of it; the handle is its opener's. Closing again is no error."""
        super().close()
        self._way = None

    def _shared(self, core: bytes) -> tuple[bytes, str | None]:
        return msgspec.structs.replace(self._handle, core=core).encode(), self._agent_path

    def _pool_handle(self) -> bytes:
        return self._handle.handle


_ways: WeakValueDictionary[PoolGlobal, _Way] = WeakValueDictionary()
"""Those that are in use; a forked child goes on with them, by connections of its own."""
_lock = threading.Lock()


def _at_fork() -> None:
    """In a child, forget a lock that another thread may have held."""
    global _lock  # noqa: PLW0603 -- a child begins anew
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_at_fork)


def opened_elsewhere(handle: PoolGlobal, agent_path: str | None) -> Pool:
    """Return a pool that another process has opened.

    Raises:
        DaosError: As `global2local`.
    """
    with _lock:
        way = _ways.get(handle)
        if way is None:
            way = _ways[handle] = _way_to(handle, agent_path)
    return _Copy(way, handle, agent_path).open()


def unpickled(handle: bytes, agent_path: str | None) -> Pool:
    """Return a pool that was pickled."""
    # Of another host the path is not this one's: then its agent is in the usual place.
    here = None if agent_path is None or not os.path.exists(agent_path) else agent_path  # noqa: PTH110 -- a path as it is
    return opened_elsewhere(PoolGlobal.decode(handle), here)


def _way_to(handle: PoolGlobal, agent_path: str | None) -> _Way:
    with AgentClient(agent_path, timeout_s=handle.timeout_s) as agent, agent.within(handle.timeout_s):
        info = agent.attach(handle.system, release=RELEASE)
        try:
            return _reached(handle, info)
        except UnavailableError as error:
            if error.code != DER.UNREACH:
                raise
        # The agent may not have heard of an engine that has come since.
        return _reached(handle, agent.attach(handle.system, refresh=True, release=RELEASE))


def _reached(handle: PoolGlobal, info: AttachInfo) -> _Way:
    ca = None if info.insecure else in_memory(info.ca_certificate)
    try:
        targets = {rank.rank: list(rank.addresses[1:]) for rank in info.ranks}
        core = reach(handle, info, ca=ca, shared=(handle.core, targets))
        # As far as can be told without asking anybody.
        core.pool_open(str(uuid.UUID(bytes=handle.pool)))
    except BaseException:
        if ca is not None:
            os.close(ca)
        raise
    return _Way(core, ca)
