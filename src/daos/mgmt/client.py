"""A client of the management API: finds the server that leads, repeats what it may, and asks many hosts at once."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import grpc
import grpc.aio

from daos.errors import (
    DER,
    AccessError,
    DaosError,
    InternalError,
    InvalidError,
    StaleError,
    TimedOutError,
    UnavailableError,
    UncertainError,
)
from daos.mgmt.methods import COLLECT_LOG, LEADER_QUERY, Method, Request, Response
from daos.mgmt.probe import probe
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.proxies import channel_options, proxy_of
from daos.mgmt.race import STAGGER_S, Race
from daos.mgmt.releases import own_release
from daos.mgmt.roles import Role
from daos.mgmt.stamps import RequestIds
from daos.mgmt.wire import MESSAGE_BYTES_MAX, ROLE_KEY, SILENCE, SYSTEM_KEY, VERSION_KEY, error_in, not_leader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Container, Mapping, Sequence
    from types import TracebackType

    from daos.mgmt.identity import Identities

_log = logging.getLogger("daos.mgmt")

DEADLINE_S = 300.0
"""For a request with all its repetitions: more than the servers take for the longest, which are given up after 60 s."""
SILENCE_S = 3.0
"""How long servers are looked for while none of them is there."""
BACKOFF_S = 0.1
BACKOFF_S_MAX = 1.0
"""How often others are asked who leads while one that was taken for the leader does not answer."""
FAN_OUT_MAX = 64
"""Hosts that are asked at once."""
PIECES_BYTES_MAX = 1 << 20

_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.enable_retries", 0),  # repeated here, where it is known what may be
    ("grpc.use_local_subchannel_pool", 1),  # a connection of one client is none of another's
    *SILENCE,
)


@dataclass(frozen=True)
class _Silent(Exception):  # noqa: N818 -- not an error yet: another server may answer
    """A server that gave no answer.

    Attributes:
        error: Why.
        sent: Whether the request may have been carried out.
    """

    error: DaosError
    sent: bool


@dataclass(frozen=True)
class _Leads:
    """Whom a server takes for the leader.

    Attributes:
        told: What it answered.
    """

    told: pb.LeaderQueryResponse


class ManagementClient:
    """The servers of a system.

    Args:
        hosts: Those that may lead, `host:port`; at least one.
        identity: Tells certificate and key. None is insecure mode.
        deadline_s: For each request with all its repetitions.
        system: The system's name, which a server must have; empty for any.
        role: In insecure mode, what it says it is.
        release: Of the caller; None for that of this software.
        allow_proxy: Go by the proxies of the environment; otherwise by none.

    Raises:
        InvalidError: `DER.INVAL`: no hosts.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        identity: Identities | None,
        *,
        deadline_s: float = DEADLINE_S,
        system: str = "",
        role: Role = Role.ADMIN,
        release: str | None = None,
        allow_proxy: bool = False,
    ) -> None:
        if not hosts:
            raise InvalidError("no servers given", hint="hostlist of the configuration names them")
        self._hosts = list(dict.fromkeys(hosts))
        self._identity = identity
        self._deadline_s = deadline_s
        self._role = role
        self._environment: Mapping[str, str] = os.environ if allow_proxy else {}
        told = {VERSION_KEY: own_release() if release is None else release, SYSTEM_KEY: system}
        self._metadata = tuple((key, value) for key, value in told.items() if value)
        self._ids = RequestIds()
        self._leader: str | None = None
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._fan_out = asyncio.Semaphore(FAN_OUT_MAX)

    @property
    def hosts(self) -> list[str]:
        """The servers that may lead, as given."""
        return list(self._hosts)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all connections."""
        channels, self._channels = list(self._channels.values()), {}
        for channel in channels:
            await channel.close()

    # The system

    async def ask(self, method: Method[Request, Response], request: Request) -> Response:
        """Ask the server that leads.

        A request that changes something gets an id, by which it is done once however often it is sent.

        Raises:
            UnavailableError: `DER.UNREACH`: no server is there, each is named; `DER.NO_SERVICE`: none leads.
            AccessError: `DER.BAD_CERT`: the certificates do not fit; `DER.NO_PERM`: this role may not ask it.
            UncertainError: The time was over, and it may have been done.
            TimedOutError: The time was over.
            DaosError: What the server says.
        """
        now = asyncio.get_running_loop().time
        end = now() + self._deadline_s
        sending = type(request)()
        sending.CopyFrom(request)
        self._give_id(method, sending, 0)
        search = _Search(self._hosts, self._leader, now())
        ask_at, pauses = now(), False
        async with Race[str, "Response | _Leads"]() as race:
            while True:
                if now() >= ask_at or search.knows_better(race) or not (race or pauses):
                    host = search.next(race)
                    if host is not None:
                        # What changes something goes to whom somebody takes for the leader.
                        finds_out = method.changes and not search.may_lead(host)
                        question = (
                            self._who_leads(host, end) if finds_out else self._sent(host, method, sending, end, search)
                        )
                        race.ask(host, question)
                        ask_at, pauses = now() + STAGGER_S, False
                    else:
                        hopeless = search.hopeless(now())
                        if not race and (hopeless or now() + search.pause_s >= end):
                            raise self._given_up(method, search)
                        ask_at, pauses = now() + search.pause_s, True
                        if not hopeless:
                            # Whoever is asked and does not answer may not lead any more: the others know.
                            search.begin_round()
                answered = await race.next(min(ask_at, end) - now())
                if answered is not None:
                    response = await self._heard(method, sending, answered, search)
                    if response is not None:
                        self._leader = answered[0]
                        return response
                if now() >= end:
                    for silent in race:
                        search.late(silent)
                    raise self._given_up(method, search)

    async def _who_leads(self, host: str, end: float) -> _Leads:
        return _Leads(await self._once(host, LEADER_QUERY, pb.LeaderQueryRequest(leader_only=True), end))

    async def _sent(
        self, host: str, method: Method[Request, Response], sending: Request, end: float, search: _Search
    ) -> Response:
        return await self._once(host, method, sending, end, sent=lambda: search.sent.add(host))

    async def _heard(
        self,
        method: Method[Request, Response],
        sending: Request,
        answered: tuple[str, asyncio.Task[Response | _Leads]],
        search: _Search,
    ) -> Response | None:
        """Return what a server answered; None where another is to be asked.

        One that loses the leadership while it is asked says no more than that, so that it is uncertain then what became
        of a change.

        Raises:
            DaosError: What the server says.
        """
        host, task = answered
        now = asyncio.get_running_loop().time()
        was_sent = host in search.sent
        search.sent.discard(host)
        try:
            answer = task.result()
        except _Silent as silent:
            search.maybe_done = search.maybe_done or was_sent
            await self._forget(host)
            search.silent(host, silent.error, now if silent.sent else None)
        except DaosError as error:
            if not_leader(error):
                search.maybe_done = True
                self._leader = None
                search.told(host, error, now)
            elif error.code is DER.TX_ID_REUSED and not search.maybe_done and not search.sent and not search.renewed:
                # It was never sent before: the servers' clock is ahead, and it takes a later stamp.
                floor = error.context.get("floor")
                search.renewed = True
                search.again(host)
                self._give_id(method, sending, floor if isinstance(floor, int) else 0)
            elif isinstance(error, UncertainError) and error.code is not DER.TX_ID_REUSED and method.changes:
                # Its id makes it safe to repeat: what is under way is waited for, what is done is told.
                search.maybe_done = True
                search.told(host, error, now)
            elif search.sent and isinstance(error, AccessError | UnavailableError):
                # It does not want us, as one of another release; another is at it.
                search.told(host, error, now)
            else:
                raise
        else:
            if not isinstance(answer, _Leads):
                return answer
            search.leader(host, answer.told, now)
        return None

    def _give_id(self, method: Method[Request, Response], request: Request, floor: int) -> None:
        if method.changes:
            field = request.DESCRIPTOR.fields_by_name["request"].name
            identifier: pb.RequestId = getattr(request, field)
            if floor or not identifier.client:
                identifier.CopyFrom(self._ids.next(floor))

    def _given_up(self, method: Method[Request, Response], search: _Search) -> DaosError:
        if method.changes and (search.maybe_done or search.sent):
            return UncertainError(
                f"{method.name} was sent and not answered: {search.reasons()}",
                hint="it may be done: look before it is asked again",
                context={"hosts": list(search.errors)},
            )
        return search.error()

    # Hosts

    async def on_host(self, host: str, method: Method[Request, Response], request: Request) -> Response:
        """Ask one server about its host.

        Raises:
            DaosError: As `ask`.
        """
        end = asyncio.get_running_loop().time() + self._deadline_s
        try:
            async with self._fan_out:
                return await self._once(host, method, request, end)
        except _Silent as silent:
            await self._forget(host)
            raise silent.error from None

    async def on_hosts(
        self, hosts: Sequence[str], method: Method[Request, Response], request: Request
    ) -> dict[str, Response | DaosError]:
        """Ask many servers, each about its host; what each answers, or why it does not, in the order of the hosts."""

        async def one(host: str) -> Response | DaosError:
            try:
                return await self.on_host(host, method, request)
            except DaosError as error:
                return error

        names = list(dict.fromkeys(hosts))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(host)) for host in names]
        return dict(zip(names, (task.result() for task in tasks), strict=True))

    async def collect_log(self, host: str, request: pb.CollectLogRequest) -> AsyncGenerator[pb.CollectLogPiece]:
        """Yield the logs of a host, piece by piece.

        Raises:
            DaosError: As `ask`.
        """
        end = asyncio.get_running_loop().time() + self._deadline_s
        try:
            channel = await self._channel(host)
            call = channel.unary_stream(
                COLLECT_LOG.path, pb.CollectLogRequest.SerializeToString, pb.CollectLogPiece.FromString
            )
            left = max(0.001, end - asyncio.get_running_loop().time())
            try:
                async for piece in call(request, timeout=left, metadata=self._call_metadata()):
                    yield piece
            except grpc.aio.AioRpcError as error:
                raise _translated(host, COLLECT_LOG, error) from None
        except _Silent as silent:
            await self._forget(host)
            raise silent.error from None

    # One call

    async def _once(
        self,
        host: str,
        method: Method[Request, Response],
        request: Request,
        end: float,
        *,
        sent: Callable[[], None] = lambda: None,
    ) -> Response:
        """Call once; `sent` is called just before.

        Raises:
            DaosError: What the server says, or why it is not asked.
            _Silent: It gave no answer.
        """
        channel = await self._channel(host)
        call = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
        began = asyncio.get_running_loop().time()
        outcome = "done"
        sent()
        try:
            return await call(request, timeout=max(0.001, end - began), metadata=self._call_metadata())
        except grpc.aio.AioRpcError as error:
            translated = _translated(host, method, error)
            outcome = str(translated)
            raise translated from None
        finally:
            # The library is silent unless somebody listens.
            _log.debug("%s at %s: %s in %.3f s", method.name, host, outcome, asyncio.get_running_loop().time() - began)

    def _call_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata if self._identity is not None else (*self._metadata, (ROLE_KEY, self._role.value))

    async def _channel(self, host: str) -> grpc.aio.Channel:
        known = self._channels.get(host)
        if known is not None:
            return known
        identity = None if self._identity is None else self._identity()
        try:
            proxy = proxy_of(host, self._environment)
            seen = await probe(host, identity, proxy)
        except (AccessError, UnavailableError) as error:
            # Another server may be there, and of the right certificate.
            raise _Silent(error, sent=False) from None
        options = (*_OPTIONS, *channel_options(proxy, self._environment))
        if identity is None:
            channel = grpc.aio.insecure_channel(host, options=options)
        else:
            credentials = grpc.ssl_channel_credentials(seen.certificate, identity.key, identity.certificate)
            named = (*options, ("grpc.ssl_target_name_override", seen.name))
            channel = grpc.aio.secure_channel(host, credentials, options=named)
        there = self._channels.setdefault(host, channel)
        if there is not channel:
            # Another task was first.
            await channel.close()
        return there

    async def _forget(self, host: str) -> None:
        if self._leader == host:
            self._leader = None
        channel = self._channels.pop(host, None)
        if channel is not None:
            await channel.close()


def _translated(host: str, method: Method[Request, Response], error: grpc.aio.AioRpcError) -> Exception:
    """Return what an error of gRPC's means: the server's own, or that it gave no answer."""
    told = error_in(error.trailing_metadata())
    if told is not None:
        return told
    code, text = error.code(), (error.details() or "").splitlines()
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return UnavailableError(
            f"the server at {host} does not know {method.name}",
            code=DER.CONTROL_INCOMPAT,
            hint="it is of another release",
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return _Silent(TimedOutError(f"the server at {host} does not answer in time"), sent=True)
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return _Silent(UnavailableError(f"the server at {host} ended the connection", code=DER.UNREACH), sent=True)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        # gRPC's own: too many calls at once, or an answer that is too long.
        return UnavailableError(f"the server at {host} refuses: {text[0] if text else code.name}", code=DER.NO_SERVICE)
    return InternalError(f"the server at {host} failed: {text[0] if text else code.name}")


class _Search:
    """Which server to ask next; pure but for the times that it is given.

    Args:
        hosts: All that may lead.
        leader: The one that led; None if that is not known.
        now: Seconds of a clock that does not go back.

    Attributes:
        pause_s: From the end of a round to the next.
        errors: Why each server that was asked did not do it.
        renewed: Whether the request got another id, which happens once.
        maybe_done: Whether a server may have done it and not said so.
        sent: To which servers the request went that have not answered yet.
    """

    def __init__(self, hosts: Sequence[str], leader: str | None, now: float) -> None:
        self._hosts = hosts
        self._began = now
        self._heard: float | None = None
        self._queue = list(dict.fromkeys([*([leader] if leader else []), *hosts]))
        self._asked: set[str] = set()
        self._may_lead = {leader} if leader else set()
        self.pause_s = BACKOFF_S
        self.errors: dict[str, DaosError] = {}
        self.renewed = False
        self.maybe_done = False
        self.sent: set[str] = set()

    def next(self, under_way: Container[str] = ()) -> str | None:
        """Return the next server of this round; None at its end. Those under way are passed over."""
        while self._queue:
            host = self._queue.pop(0)
            if host not in self._asked and host not in under_way:
                self._asked.add(host)
                return host
        return None

    def knows_better(self, under_way: Container[str]) -> bool:
        """Tell whether the next is one that somebody takes for the leader, and that is not asked yet."""
        if not self._queue:
            return False
        host = self._queue[0]
        return host in self._may_lead and host not in self._asked and host not in under_way

    def may_lead(self, host: str) -> bool:
        """Tell whether somebody takes a server for the leader in this round."""
        return host in self._may_lead

    def leader(self, host: str, told: pb.LeaderQueryResponse, now: float) -> None:
        """Take note of whom a server takes for the leader.

        A leader may have a name for itself under which it cannot be reached from here, so it says also that it leads.
        """
        self._heard = now
        if told.leads or told.current_leader == host:
            self._may_lead.add(host)
            self.again(host)
        elif told.current_leader:
            self._may_lead.add(told.current_leader)
            self._queue.insert(0, told.current_leader)
        else:
            self.errors[host] = StaleError(f"the server at {host} knows of no leader", code=DER.NOTLEADER)

    def begin_round(self) -> None:
        """Begin a round, with a longer pause behind it than the one before had."""
        self.pause_s = min(2 * self.pause_s, BACKOFF_S_MAX)
        self._queue, self._asked, self._may_lead = list(self._hosts), set(), set()

    def silent(self, host: str, error: DaosError, heard: float | None) -> None:
        """Take note of a server that gave no answer; when it was there all the same, if it was."""
        self.errors[host] = error
        self._heard = self._heard if heard is None else heard

    def late(self, host: str) -> None:
        """Take note of a server that has not answered when the time is over."""
        if host in self.sent:
            error: DaosError = TimedOutError(f"the server at {host} does not answer in time")
        else:
            error = UnavailableError(f"the server at {host} does not answer", code=DER.UNREACH)
        self.errors[host] = error

    def told(self, host: str, error: DaosError, now: float) -> None:
        """Take note of a server that does not lead, and go where it says, once a round."""
        self.errors[host] = error
        self._heard = now
        leader = error.context.get("leader")
        if isinstance(leader, str) and leader and leader != host:
            self._may_lead.add(leader)
            self._queue.insert(0, leader)

    def again(self, host: str) -> None:
        """Ask a server once more."""
        self._asked.discard(host)
        self._queue.insert(0, host)

    def hopeless(self, now: float) -> bool:
        """Tell whether it is not a matter of waiting: certificates do not fit, or nobody is there for so long."""
        if self._heard is not None:
            return False
        return now - self._began >= SILENCE_S or all(isinstance(error, AccessError) for error in self.errors.values())

    def reasons(self) -> str:
        """Return why each server does not do it."""
        return "; ".join(error.message for error in self.errors.values())

    def error(self) -> DaosError:
        """Return the error of a search that found nobody."""
        context: Mapping[str, object] = {"hosts": list(self.errors)}
        for error in self.errors.values():
            # What a person has to repair comes before what may pass.
            if isinstance(error, AccessError):
                return error
        if any(isinstance(error, TimedOutError) for error in self.errors.values()):
            return TimedOutError(self.reasons(), hint="is it overloaded? its log tells more", context=context)
        if self._heard is None:
            first = next(iter(self.errors.values()))
            return UnavailableError(
                f"unable to contact the DAOS Management Service: {self.reasons()}",
                code=DER.UNREACH,
                hint=first.hint,
                context=context,
            )
        return UnavailableError(
            f"no server leads the system: {self.reasons()}",
            code=DER.NO_SERVICE,
            hint="more than half of the management replicas must be up: dmg system leader-query -N",
            context=context,
        )
