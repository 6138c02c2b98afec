"""The agent at work: a socket, its connections, and what goes to the servers on their behalf."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import msgspec
import structlog

from daos._packed import decode
from daos.agent import messages as m
from daos.agent.handles import Allowance, Evictions, HandleTable
from daos.agent.listening import BACKLOG_MAX, listening_socket
from daos.agent.pools import Knowledge, usable_pools
from daos.agent.upstream import UPSTREAM_S_MAX, AttachCache, Upstream
from daos.agent.users import AuthFlavour, Peer
from daos.errors import (
    DER,
    AccessError,
    BusyError,
    DaosError,
    InternalError,
    InvalidError,
    NotFoundError,
    TimedOutError,
)
from daos.mgmt.releases import check_client, own_release
from daos.model.acl import Credential
from daos.model.labels import check_reference, is_uuid
from daos.security.certificates import Identity, addresses_of, expiry_warning
from daos.security.credentials import SESSION_LEN_MAX, Token, sign, without_signature

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from daos.agent.users import User
    from daos.config import AgentConfig

CONNECTIONS_MAX = 4096
CONNECTIONS_OF_USER_MAX = 1024
REQUESTS_MAX = 512
"""Requests under way; more wait for their turn, in the order in which they came."""
REQUESTS_OF_USER_MAX = 64
"""The same of one user, so that others go on while he waits for the servers."""
LIFE_S = 300.0
"""Of a credential."""
USER_S_MAX = 10.0
"""For the name of a user, which may be asked of others on the network."""
LOOKUPS_MAX = 8
"""Of users at once; each holds a thread."""
WRITE_S_MAX = 10.0
"""For a client to take an answer."""
FRAME_S_MAX = 10.0
"""From the first byte of a request to its last."""
STOP_S_MAX = 10.0
"""For the servers to evict the handles of this host when the agent stops."""
RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Between attempts to evict."""
EXPIRY_LOOK_S = 3600.0

_log = structlog.get_logger("daos.agent")
_B = TypeVar("_B")


@dataclass
class _Connection:
    """A client.

    Attributes:
        number: Of this connection.
        peer: Its process.
        reader: What it sends.
        writer: What it gets.
    """

    number: int
    peer: Peer
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@dataclass(frozen=True)
class Clock:
    """The times that an agent goes by.

    Attributes:
        monotonic: Seconds that never go back.
        now: The time of day, with its zone.
    """

    monotonic: Callable[[], float]
    now: Callable[[], datetime]


@dataclass
class Statistics:
    """What an agent has done.

    Attributes:
        connections: There are now.
        requests: By method.
        refused: By method.
        evicted: Handles of processes that ended.
    """

    connections: int = 0
    requests: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    evicted: int = 0


class Agent:
    """An agent. `run` is its whole life.

    Args:
        config: Its configuration.
        upstream: The servers.
        identity: Gives the certificate and key of the moment; None without TLS.
        flavour: Finds out who processes are.
        clock: The time.
        machine: The name of this host, in credentials.

    Raises:
        AccessError: `DER.BAD_CERT`: the certificate is not for this host.
    """

    def __init__(
        self,
        config: AgentConfig,
        upstream: Upstream,
        identity: Callable[[], Identity] | None,
        *,
        flavour: AuthFlavour,
        clock: Clock,
        machine: str,
    ) -> None:
        self._config = config
        self._upstream = upstream
        self._identity = identity
        self._flavour = flavour
        self._clock = clock
        self.machine = machine
        # As it was when this agent started, whatever is installed since.
        self._release = own_release()
        if identity is not None:
            check_machine(identity(), machine)
        self._cache = AttachCache(
            upstream,
            lambda: b"" if identity is None else identity().ca_pem,
            expires_s=config.cache_expiration * 60,
            disabled=config.disable_caching,
            clock=clock.monotonic,
            told=lambda error: _log.warning("servers out of reach, old answer given", error=error.message),
        )
        self._knowledge = Knowledge(upstream, clock.monotonic)
        self._handles = HandleTable()
        self._evictions = Evictions()
        self._allowance = Allowance()
        self._evict_now = asyncio.Event()
        self._numbers = 0
        self._of_user: dict[int, int] = {}
        self._turns_of_user: dict[int, asyncio.Semaphore] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(REQUESTS_MAX)
        self._lookups = asyncio.Semaphore(LOOKUPS_MAX)
        self._warned: int | None = None
        self.statistics = Statistics()

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Serve until `stop` is set.

        Args:
            stop: Ends it.
            ready: Called when clients can connect.

        Raises:
            UnavailableError: The socket cannot be made.
            BusyError: `DER.BUSY`: another agent serves it.
        """
        own = await asyncio.to_thread(listening_socket, self._config.socket)
        path, inode = self._config.socket, self._config.socket.stat().st_ino
        server = await asyncio.start_unix_server(self._accept, sock=own, limit=m.REQUEST_BYTES_MAX, backlog=BACKLOG_MAX)
        workers = [asyncio.create_task(self._evict()), asyncio.create_task(self._watch_expiry())]
        try:
            if self._config.enable_evict_on_start:
                await self.evict_all()
            if self._identity is None:
                _log.warning("insecure: the servers take any user at his word")
            _log.info("agent ready", system=self._config.name, socket=str(path), machine=self.machine)
            ready()
            waiting = asyncio.create_task(stop.wait())
            done, _ = await asyncio.wait([waiting, *workers], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            for task in done - {waiting}:
                task.result()  # a worker that ends is a defect, and is told
        finally:
            server.close()
            with contextlib.suppress(OSError):
                # Not that of a successor.
                if path.stat().st_ino == inode:
                    path.unlink()
            for task in (*workers, *self._tasks):
                task.cancel()
            await asyncio.gather(*workers, *self._tasks, return_exceptions=True)
            await self._knowledge.close()
            if not self._config.disable_auto_evict:
                await self.evict_all()
            elif len(self._evictions):
                await self._evict_rest()
            with contextlib.suppress(DaosError, TimeoutError):
                async with asyncio.timeout(STOP_S_MAX):
                    await self._upstream.close()
            _log.info("agent stopped", evicted=self.statistics.evicted)

    async def evict_all(self) -> None:
        """Evict the handles of this host; what goes wrong is told in the log."""
        try:
            async with asyncio.timeout(STOP_S_MAX):
                await self._upstream.cleanup(self.machine)
        except DaosError as error:
            _log.error("handles of this host not evicted", machine=self.machine, error=str(error))
        except TimeoutError:
            _log.error("handles of this host not evicted", machine=self.machine, error="the servers do not answer")
        else:
            _log.info("handles of this host evicted", machine=self.machine)

    def refresh(self) -> None:
        """Ask the servers where the system is when it is next asked for."""
        self._cache.expire()
        self._knowledge.forget()
        _log.info("what is remembered of the system is asked anew")

    # Connections.

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._numbers += 1
        connection = _Connection(self._numbers, Peer.of(writer.get_extra_info("socket")), reader, writer)
        uid = connection.peer.uid
        self.statistics.connections += 1
        self._of_user[uid] = self._of_user.get(uid, 0) + 1
        self._turns_of_user.setdefault(uid, asyncio.Semaphore(REQUESTS_OF_USER_MAX))
        try:
            if self.statistics.connections > CONNECTIONS_MAX or self._of_user[uid] > CONNECTIONS_OF_USER_MAX:
                error = BusyError(
                    f"{self._of_user[uid]} connections of the user {uid}, {self.statistics.connections} in all",
                    hint="the agent takes no more until some end",
                )
                await self._send(connection, m.encode_error(m.NOBODY, error))
                return
            await self._serve(connection)
        except (ConnectionError, TimeoutError):
            pass
        except asyncio.CancelledError:
            pass  # the agent stops; a task of the streams' that is cancelled would be told as a defect
        finally:
            self.statistics.connections -= 1
            self._of_user[uid] -= 1
            if not self._of_user[uid]:
                del self._of_user[uid], self._turns_of_user[uid]
            self._ended(connection)
            writer.close()

    def _ended(self, connection: _Connection) -> None:
        gone = self._handles.ended(connection.number)
        if not gone:
            return
        _log.info("process ended with handles", pid=connection.peer.pid, uid=connection.peer.uid, handles=len(gone))
        given_up = self._evictions.add(gone)
        if given_up:
            _log.error("too many handles wait to be evicted, some are given up", handles=given_up)
        self._evict_now.set()

    async def _serve(self, connection: _Connection) -> None:
        """Answer one request after the other until the client ends."""
        while True:
            frame = await self._receive(connection)
            if frame is None:
                return
            if not isinstance(frame.what, str):
                raise ConnectionResetError  # an answer to nothing
            turns = self._turns_of_user[connection.peer.uid]
            async with turns, self._turns:
                answer = await self._answer(connection, frame.id, frame.what, bytes(frame.body))
            await self._send(connection, answer)

    async def _receive(self, connection: _Connection) -> m.Frame | None:
        try:
            head = await connection.reader.readexactly(m.LENGTH.size)
            length = _checked_length(head)
            async with asyncio.timeout(FRAME_S_MAX):
                return m.decode(await connection.reader.readexactly(length))
        except asyncio.IncompleteReadError:
            return None
        except InvalidError as error:
            # Where the next request would begin cannot be told.
            await self._send(connection, m.encode_error(m.NOBODY, error))
            return None

    async def _send(self, connection: _Connection, data: bytes) -> None:
        connection.writer.write(data)
        async with asyncio.timeout(WRITE_S_MAX):
            await connection.writer.drain()

    async def _answer(self, connection: _Connection, number: int, method: str, body: bytes) -> bytes:
        known = method in _METHODS
        name = method if known else "unknown"
        self.statistics.requests[name] = self.statistics.requests.get(name, 0) + 1
        try:
            if not known:
                raise InvalidError(  # noqa: TRY301 -- it is answered as any other refusal
                    f"the agent does not know {method[:40]!r}", code=DER.NOSYS, hint="update the agent"
                )
            kind, run = _METHODS[method]
            async with asyncio.timeout(UPSTREAM_S_MAX):
                answer = await run(self, connection, _body(kind, method, body))
            return m.encode(number, 0, answer)
        except DaosError as error:
            refusal: DaosError = error
        except TimeoutError:
            refusal = TimedOutError(f"{method} took longer than {UPSTREAM_S_MAX:.0f} s", hint="are the servers well?")
        except Exception as error:  # noqa: BLE001 -- a defect in one request must not end the agent
            _log.exception("request failed", method=method)
            refusal = InternalError(f"{method}: {type(error).__name__}", hint="the agent's log has more")
        self.statistics.refused[name] = self.statistics.refused.get(name, 0) + 1
        peer = connection.peer
        _log.info(
            "request refused", method=name, uid=peer.uid, pid=peer.pid, error=str(refusal.code), why=refusal.message
        )
        return m.encode_error(number, refusal)

    # Methods.

    async def _attach(self, _: _Connection, asked: m.Attach) -> m.AttachInfo:
        check_client(asked.release, self._release)
        self._check_system(asked.system)
        return await self._cache.get()

    async def _attach_anew(self, _: _Connection, asked: m.Attach) -> m.AttachInfo:
        check_client(asked.release, self._release)
        self._check_system(asked.system)
        return await self._cache.get(refresh=True)

    async def _credential(self, connection: _Connection, asked: m.AskCredential) -> bytes:
        self._check_system(asked.system)
        if asked.pool and not is_uuid(asked.pool):
            raise InvalidError("a credential is for the uuid of a pool", hint="ask for the pool first: find_pool")
        if len(asked.session) > SESSION_LEN_MAX:
            raise InvalidError(f"a session of {len(asked.session)} bytes", hint=f"at most {SESSION_LEN_MAX}")
        user = await self._user_of(connection)
        now = self._clock.now().timestamp()
        token = Token(
            flavour=self._flavour.name,
            user=user.user,
            group=user.group,
            groups=user.groups,
            machine=self.machine,
            system=self._config.name,
            pool=asked.pool.lower(),
            session=asked.session,
            issued=now,
            expires=now + LIFE_S,
            nonce=secrets.token_bytes(16),
        )
        return without_signature(token) if self._identity is None else sign(self._identity(), token)

    async def _user_of(self, connection: _Connection) -> User:
        """Return who a process is; it counts as a credential."""
        self._allowance.take(connection.peer.uid, self._clock.monotonic())
        return await self._look_up(connection)

    async def _look_up(self, connection: _Connection) -> User:
        try:
            async with asyncio.timeout(USER_S_MAX), self._lookups:
                return await asyncio.to_thread(self._flavour.user_of, connection.peer)
        except TimeoutError as error:
            if isinstance(error, DaosError):
                raise
            raise TimedOutError(
                f"the name of the user {connection.peer.uid} is not known within {USER_S_MAX:.0f} s",
                hint="is the host's directory service well?",
            ) from None

    async def _list_pools(self, connection: _Connection, asked: m.ListPools) -> list[m.ListedPool]:
        self._check_system(asked.system)
        user = await self._user_of(connection)
        return await usable_pools(self._upstream, self._as(user))

    async def _find_pool(self, connection: _Connection, asked: m.FindPool) -> m.FoundPool:
        self._check_system(asked.system)
        reference = check_reference(asked.reference, "pool")
        user = await self._look_up(connection)
        try:
            found = await self._upstream.find_pool(reference)
        except NotFoundError:
            raise _no_pool(reference) from None
        if not await self._knowledge.may(found.uuid, self._as(user)):
            # In the same words: he does not learn that it is there.
            raise _no_pool(reference)
        return m.FoundPool(uuid=found.uuid, services=tuple(found.services))

    def _as(self, user: User) -> Credential:
        return Credential(user=user.user, group=user.group, groups=user.groups, machine=self.machine)

    async def _notify_open(self, connection: _Connection, told: m.Handle) -> None:
        self._handles.opened(connection.number, told)

    async def _notify_closed(self, connection: _Connection, told: m.Handle) -> None:
        self._handles.closed(connection.number, told)

    def _check_system(self, name: str) -> None:
        if name and name != self._config.name:
            raise NotFoundError(
                f"this host's agent is of the system {self._config.name}, not {name}",
                hint="DAOS_AGENT_DRPC_DIR names the directory of another agent's socket",
                context={"system": self._config.name},
            )

    # What goes on beside.

    async def _evict(self) -> None:
        """Evict what processes left behind, again and again until the servers have done it."""
        failures = 0
        while True:
            next_one = self._evictions.batch()
            if next_one is None:
                self._evict_now.clear()
                await self._evict_now.wait()
                continue
            pool, handles = next_one
            try:
                await self._evict_batch(pool, handles)
            except (DaosError, TimeoutError) as error:
                wait = RETRY_S[min(failures, len(RETRY_S) - 1)]
                failures += 1
                why = error.message if isinstance(error, DaosError) else "the servers do not answer"
                _log.warning("handles not evicted yet", pool=pool, handles=len(handles), again_in_s=wait, error=why)
                self._evictions.later(handles)
                await asyncio.sleep(wait)
            else:
                failures = 0

    async def _evict_batch(self, pool: str, handles: tuple[m.Handle, ...]) -> None:
        try:
            async with asyncio.timeout(UPSTREAM_S_MAX):
                await self._upstream.evict(pool, [one.handle for one in handles])
        except NotFoundError:
            pass  # they went with their pool
        self._evictions.done(handles)
        self.statistics.evicted += len(handles)
        _log.info("handles evicted", pool=pool, handles=len(handles))

    async def _evict_rest(self) -> None:
        """Evict, once and before the agent ends, what processes left behind that ended before it."""
        try:
            async with asyncio.timeout(STOP_S_MAX):
                while (next_one := self._evictions.batch()) is not None:
                    await self._evict_batch(*next_one)
        except (DaosError, TimeoutError) as error:
            _log.error("handles of processes that ended not evicted", handles=len(self._evictions), error=str(error))

    async def _watch_expiry(self) -> None:
        while True:
            if self._identity is not None:
                self.warn_of_expiry(self._identity())
            await asyncio.sleep(EXPIRY_LOOK_S)

    def warn_of_expiry(self, identity: Identity) -> None:
        """Log a warning when a certificate has come to one of the days before its end."""
        days = expiry_warning(identity.expires, self._clock.now())
        if days != self._warned and days is not None:
            _log.warning(f"the agent's certificate ends within {days} days", expires=identity.expires.isoformat())
        self._warned = days


_METHODS: dict[str, tuple[type[m.Message], Callable[[Agent, _Connection, m.Message], Awaitable[object]]]] = {}


def _method(name: str, kind: type[_B], run: Callable[[Agent, _Connection, _B], Awaitable[object]]) -> None:
    _METHODS[name] = (kind, run)  # type: ignore[assignment] # the body is decoded as `kind`


_method("attach", m.Attach, Agent._attach)  # noqa: SLF001 -- the table of its own methods
_method("refresh", m.Attach, Agent._attach_anew)  # noqa: SLF001
_method("credential", m.AskCredential, Agent._credential)  # noqa: SLF001
_method("find_pool", m.FindPool, Agent._find_pool)  # noqa: SLF001
_method("list_pools", m.ListPools, Agent._list_pools)  # noqa: SLF001
_method("notify_open", m.Handle, Agent._notify_open)  # noqa: SLF001
_method("notify_closed", m.Handle, Agent._notify_closed)  # noqa: SLF001


def _no_pool(reference: str) -> NotFoundError:
    return NotFoundError(f'no pool "{reference}"', hint="daos pool list lists those for you")


def _checked_length(head: bytes) -> int:
    (length,) = m.LENGTH.unpack(head)
    if length > m.REQUEST_BYTES_MAX:
        raise InvalidError(f"a request of {length} bytes", code=DER.REC2BIG, hint=f"at most {m.REQUEST_BYTES_MAX}")
    return int(length)


def check_machine(identity: Identity, machine: str) -> None:
    """Check that an agent's certificate is for a host.

    Raises:
        AccessError: `DER.BAD_CERT`.
    """
    names = (*identity.hosts, *map(str, addresses_of(identity.certificate)))
    if machine not in names:
        raise AccessError(
            f"the agent's certificate is for {', '.join(names) or 'no host'}, this host is {machine}",
            code=DER.BAD_CERT,
            hint=f"daos cert issue agent --host {machine}",
        )


def machine_name(identity: Identity | None, names: tuple[str, ...]) -> str:
    """Return which of a host's names its agent goes by: the first that its certificate has, else the first."""
    known = () if identity is None else identity.hosts
    return next((name.lower() for name in names if name.lower() in known), names[0].lower())


def _body(kind: type[_B], method: str, body: bytes) -> _B:
    try:
        return decode(body, kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidError(f"{method}: {error}", hint="is the client of the same version?") from None
