"""A server of the management API: who may ask, what is logged of it, and how errors travel."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast
from urllib.parse import unquote

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from daos.errors import (
    DER,
    AccessError,
    DaosError,
    InternalError,
    InvalidError,
    TimedOutError,
    UnavailableError,
    UncertainError,
)
from daos.mgmt.handlers import Caller, ManagementHandlers, ServerHandlers
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.releases import check_release, own_release
from daos.mgmt.roles import Role, check_request, check_role
from daos.mgmt.wire import (
    ERROR_KEY,
    MESSAGE_BYTES_MAX,
    PING_MS_MIN,
    ROLE_KEY,
    SYSTEM_KEY,
    VERSION_KEY,
    encode_error,
    status_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.descriptor import MethodDescriptor

    from daos.mgmt.identity import Identities

CALLS_MAX = 1024
"""Calls under way; what is beyond is refused by gRPC."""
CALL_S_MAX = 600.0
"""After so long a call ends, whatever its caller says."""
STOP_GRACE_S = 5.0

Context: TypeAlias = grpc.aio.ServicerContext[bytes, Message]
_Unary: TypeAlias = Callable[[Message, Caller], Awaitable[Message]]
_Stream: TypeAlias = Callable[[Message, Caller], AsyncIterator[Message]]

_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # A second server of the same port is refused, not given a share of the connections.
    ("grpc.so_reuseport", 0),
    # Connections of hosts that went away end.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", PING_MS_MIN),
)
_log = structlog.get_logger("daos.mgmt")


@dataclass(frozen=True)
class Running:
    """A server that serves.

    Attributes:
        address: Where, `host:port`, with the port that it was given if it asked for any.
    """

    address: str
    _server: grpc.aio.Server

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Take no more calls, and end those that are under way after a while."""
        await self._server.stop(grace_s)


async def serve(
    address: str,
    management: ManagementHandlers,
    server_handlers: ServerHandlers,
    identity: Identities | None,
    *,
    system: str = "",
    loopback_only: bool = True,
    release: str | None = None,
) -> Running:
    """Serve the management API.

    Args:
        address: `host:port`; port 0 for any that is free.
        management: Answers what concerns the system.
        server_handlers: Answers what concerns this host.
        identity: Tells certificate and key, asked for each connection. None is insecure mode: no TLS, and callers say
            themselves which role they have.
        system: Its name, which callers that name one must mean; empty for any.
        loopback_only: In insecure mode, refuse callers of other hosts.
        release: Of this server; None for that of this software.

    Raises:
        AccessError: `DER.BAD_CERT`: the certificates cannot be used.
        UnavailableError: `DER.UNREACH`: the address cannot be had.
    """
    server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=CALLS_MAX)
    admission = _Admission(
        secure=identity is not None,
        system=system,
        loopback_only=loopback_only,
        release=own_release() if release is None else release,
    )
    for name, handlers in (("Management", management), ("Server", server_handlers)):
        server.add_generic_rpc_handlers((_generic(name, handlers, admission),))
    try:
        if identity is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, _credentials(identity))
    except RuntimeError as error:
        raise _not_bound(address, error) from None
    await server.start()
    return Running(f"{address.rsplit(':', 1)[0]}:{port}", server)


def _not_bound(address: str, error: RuntimeError) -> DaosError:
    text = str(error).splitlines()[0] if str(error) else "gRPC refuses"
    reason = "it is in use" if "in use" in text or "Failed to bind" in text else text
    return UnavailableError(
        f"cannot listen on {address}: {reason}",
        code=DER.UNREACH,
        hint="another server may have this port; the configuration's `port` gives another",
    )


def _credentials(identity: Identities) -> grpc.ServerCredentials:
    """Return credentials that look at the identity again for each connection."""
    seen = identity()

    def configuration() -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(seen.key, seen.certificate)], root_certificates=seen.ca)

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal seen
        news = identity()
        if news == seen:
            return None
        seen = news
        return configuration()

    return grpc.dynamic_ssl_server_credentials(
        configuration(),
        fetch,  # type: ignore[arg-type]  # None, which the stub forgets, is "as before"
        require_client_authentication=True,
    )


class _Admission:
    """Who asks, and whether he may.

    Args:
        secure: The role is that of the certificate; else what the caller says.
        system: The system's name; empty for any.
        loopback_only: Without TLS, refuse callers of other hosts.
        release: Of this server.
    """

    def __init__(self, *, secure: bool, system: str, loopback_only: bool, release: str) -> None:
        self._secure = secure
        self._system = system
        self._loopback_only = loopback_only
        self._release = release

    def admit(self, method: str, context: Context) -> Caller:
        """Return who asks, if he may call a method.

        Raises:
            AccessError: `DER.NO_PERM`: no role, or it may not call this.
            UnavailableError: `DER.CONTROL_INCOMPAT`: it is of a release that does not go with this one.
            InvalidError: `DER.INVAL`: it means another system.
        """
        caller = self.caller(context)
        check_role(method, caller.role)
        metadata = _metadata(context)
        if method != _VERSION:
            check_release(caller.role, metadata.get(VERSION_KEY, ""), self._release)
        meant = metadata.get(SYSTEM_KEY, self._system)
        if self._system and meant != self._system:
            raise InvalidError(
                f'this is the system "{self._system}", not "{meant[:64]}"',
                hint="the configuration's `name` is the system",
            )
        return caller

    def caller(self, context: Context) -> Caller:
        """Return who asks, by certificate.

        Raises:
            AccessError: `DER.NO_PERM`: of no role.
        """
        host = host_of(context.peer())
        if not self._secure:
            if self._loopback_only and not _is_loopback(host):
                raise AccessError(
                    f"without TLS this server answers its own host only, not {host}",
                    hint="give all hosts certificates: transport_config",
                )
            return Caller(_role(_metadata(context).get(ROLE_KEY, "")), host)
        facts = context.auth_context()
        names = [name.decode(errors="replace") for name in facts.get("x509_common_name", ())]
        machines = tuple(name.decode(errors="replace") for name in facts.get("x509_subject_alternative_name", ()))
        return Caller(_role(names[0] if len(names) == 1 else ""), host, machines)


def _role(name: str) -> Role:
    try:
        return Role(name)
    except ValueError:
        raise AccessError(
            f'"{name[:64]}" is no role', hint=f"the certificate's common name is one of {', '.join(Role)}"
        ) from None


def _metadata(context: Context) -> Mapping[str, str]:
    found = context.invocation_metadata() or ()
    return {key: value for key, value in found if isinstance(value, str)}


def host_of(peer: str) -> str:
    """Return the address in what gRPC calls a peer, `ipv4:127.0.0.1:5` or `ipv6:%5B::1%5D:5`."""
    match = re.fullmatch(r"ipv[46]:\[?(.*?)\]?:\d+", unquote(peer))
    return match[1] if match else peer


def _is_loopback(host: str) -> bool:
    if host.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def snake(name: str) -> str:
    """Return the name of the handler of a method: `pool_query` for `PoolQuery`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _generic(service: str, handlers: object, admission: _Admission) -> grpc.GenericRpcHandler:
    """Return what gRPC is given for a service: each method of its description, none by hand."""
    methods: dict[str, grpc.RpcMethodHandler[bytes, Message]] = {}
    for method in pb.DESCRIPTOR.services_by_name[service].methods:
        encode = GetMessageClass(method.output_type).SerializeToString
        handler = getattr(handlers, snake(method.name))
        one = _Call(method, admission)
        # The request comes as bytes: nothing is made of what nobody may send.
        if method.server_streaming:
            stream = one.stream(cast("_Stream", handler))
            methods[method.name] = grpc.unary_stream_rpc_method_handler(stream, None, encode)
        else:
            unary = one.unary(cast("_Unary", handler))
            methods[method.name] = grpc.unary_unary_rpc_method_handler(unary, None, encode)
    return grpc.method_handlers_generic_handler(f"daos.mgmt.v1.{service}", methods)


class _Call:
    """What is around each call of a method.

    Args:
        method: Which.
        admission: Who may ask.
    """

    def __init__(self, method: MethodDescriptor, admission: _Admission) -> None:
        self._path = f"/{method.containing_service.full_name}/{method.name}"
        self._changes = "request" in method.input_type.fields_by_name or method.name in _EFFECTS
        self._request = GetMessageClass(method.input_type)
        self._admission = admission

    def unary(self, handler: _Unary) -> Callable[[bytes, Context], Awaitable[Message]]:
        """Return what gRPC calls."""

        async def call(body: bytes, context: Context) -> Message:
            async with self._around(body, context) as (request, caller):
                return await handler(request, caller)

        return call

    def stream(self, handler: _Stream) -> Callable[[bytes, Context], AsyncIterator[Message]]:
        """Return what gRPC calls."""

        async def call(body: bytes, context: Context) -> AsyncIterator[Message]:
            async with self._around(body, context) as (request, caller):
                async for piece in handler(request, caller):
                    yield piece

        return call

    @asynccontextmanager
    async def _around(self, body: bytes, context: Context) -> AsyncIterator[tuple[Message, Caller]]:
        """Admit a call, and log what became of it; what it raises ends it as its caller is to see it."""
        request: Message = self._request()
        outcome, denied = "done", False
        try:
            caller = self._admission.admit(self._path, context)
            self._parse(request, body)
            check_request(request, caller.role, caller.machines)
            async with asyncio.timeout(_seconds(context)):
                yield request, caller
        except Exception as error:  # noqa: BLE001 -- a caller gets an answer, whatever happens
            told = self._told(error)
            outcome, denied = f"DER_{told.code.name}", isinstance(told, AccessError)
            line = told.message.splitlines()[0][:500] if told.message else ""
            await context.abort(status_of(told), line, ((ERROR_KEY, encode_error(told)),))
        except asyncio.CancelledError:
            # Whoever asked went away: it may be done all the same.
            outcome = "left"
            raise
        finally:
            if denied or self._changes:
                self._audit(request, context, outcome, denied=denied)

    def _parse(self, request: Message, body: bytes) -> None:
        try:
            request.MergeFromString(body)
        except DecodeError:
            raise InvalidError(f"this is no request {self._path.rsplit('/', 1)[-1]}", code=DER.TRUNC) from None

    def _told(self, error: Exception) -> DaosError:
        """Return what the caller learns: what a `DaosError` says, and of a defect that it is one."""
        if isinstance(error, DaosError):
            return error
        if isinstance(error, TimeoutError):
            if self._changes:
                return UncertainError(
                    "the time for the request is over", hint="it may be done yet: look at what is there"
                )
            return TimedOutError("the time for the request is over")
        # A text, because a logger that shows tracebacks itself may show the values of variables too.
        _log.error("defect", method=self._path, traceback="".join(traceback.format_exception(error)))
        return InternalError("the server failed", hint="its log tells more", context={"method": self._path})

    def _audit(self, request: Message, context: Context, outcome: str, *, denied: bool) -> None:
        """Log a line about a change, or a denial."""
        try:
            caller = self._admission.caller(context)
            who = {"role": caller.role.value, "host": caller.host, "machines": list(caller.machines)}
        except AccessError:
            who = {"role": "none", "host": host_of(context.peer())}
        facts: dict[str, object] = {name: getattr(request, name) for name in _SUBJECTS if hasattr(request, name)}
        if hasattr(request, "ranks"):
            facts["ranks"] = list(request.ranks)
        if isinstance(getattr(request, "request", None), pb.RequestId):
            identifier = cast("pb.RequestId", getattr(request, "request"))  # noqa: B009 -- not a field of every message
            facts["request"] = f"{identifier.client}/{identifier.stamp}"
        word = "denied" if denied else "request"
        log = _log.warning if denied else _log.info
        log(word, method=self._path.rsplit("/", 1)[-1], outcome=outcome, **who, **facts)


_VERSION = "/daos.mgmt.v1.Server/Version"
"""Answered to all releases: it tells those that do not go together why."""
_EFFECTS = ("StorageFormat", "SetLogMasks", "ServerCall")
"""Methods that change something and have no request id: they are about a host, and done again without harm."""
_SUBJECTS = ("pool", "container", "machine", "label", "rank")
"""Fields of requests that tell what they are about."""


def _seconds(context: Context) -> float:
    left = context.time_remaining()
    return CALL_S_MAX if left is None else min(left, CALL_S_MAX)
