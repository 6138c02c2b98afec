"""The way from a server to others: gRPC, by the methods `ServerCall` and `EngineCall` of the management API."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

import grpc
import grpc.aio

from daos.errors import DER, AccessError, DaosError, InternalError, UnavailableError, UncertainError
from daos.mgmt.identity import Identities, Identity
from daos.mgmt.proto import daos_mgmt_pb2 as messages
from daos.mgmt.proto.daos_mgmt_pb2_grpc import ServerStub
from daos.mgmt.proxies import channel_options, proxy_of
from daos.mgmt.releases import own_release
from daos.mgmt.roles import Role
from daos.mgmt.wire import MESSAGE_BYTES_MAX, ROLE_KEY, SILENCE, SYSTEM_KEY, VERSION_KEY, error_in

CHANNELS_MAX = 1024
"""Connections that are kept; those not used for the longest time are closed first."""
CLOSE_S_MAX = 60.0
_OPTIONS = (
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.enable_retries", 0),
    *SILENCE,
)
_NOT_SENT = ("failed to connect", "connection refused", "name resolution", "no route")


if TYPE_CHECKING:
    from daos.mgmt.proto.daos_mgmt_pb2_grpc import ServerAsyncStub

A = TypeVar("A")


class Peers(Protocol):
    """How a server reaches others."""

    async def server_call(self, address: str, method: str, body: bytes, *, timeout_s: float) -> bytes:
        """Ask another server.

        Raises:
            UnavailableError: `DER.UNREACH`: it was not asked.
            UncertainError: `DER.NOREPLY`: it may have been.
            DaosError: What it answered with.
        """

    async def engine_call(self, address: str, rank: int, method: str, body: bytes, *, timeout_s: float) -> bytes:
        """Ask an engine beside another server; as `server_call`."""

    async def close(self) -> None:
        """Close all connections."""


class GrpcPeers:
    """Peers over gRPC. With TLS, the other end must have a certificate of the role of a server.

    Args:
        identity: Tells certificate and key, asked before each call: when they change, connections are made anew.
            None without TLS.
        system: The system's name, which others check.
        allow_proxy: Go by the proxies of the environment; otherwise by none.
    """

    def __init__(self, identity: Identities | None, *, system: str, allow_proxy: bool = False) -> None:
        self._environment: Mapping[str, str] = os.environ if allow_proxy else {}
        self._identity = identity
        self._seen: Identity | None = None
        self._closing: set[asyncio.Task[None]] = set()
        # As it was when this server started, whatever is installed since.
        self._metadata = ((SYSTEM_KEY, system), (ROLE_KEY, Role.SERVER.value), (VERSION_KEY, own_release()))
        self._channels: OrderedDict[str, grpc.aio.Channel] = OrderedDict()

    async def server_call(self, address: str, method: str, body: bytes, *, timeout_s: float) -> bytes:
        """Ask another server, as `Peers.server_call`."""
        stub = self._stub(address)
        request = messages.ServerCallRequest(method=method, body=body)
        answer = await self._ask(address, stub.ServerCall(request, timeout=timeout_s, metadata=self._metadata))
        return answer.body

    async def engine_call(self, address: str, rank: int, method: str, body: bytes, *, timeout_s: float) -> bytes:
        """Ask an engine beside another server, as `Peers.engine_call`."""
        stub = self._stub(address)
        request = messages.EngineCallRequest(rank=rank, method=method, body=body)
        answer = await self._ask(address, stub.EngineCall(request, timeout=timeout_s, metadata=self._metadata))
        return answer.body

    async def close(self) -> None:
        """Close all connections."""
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        while self._channels:
            await self._channels.popitem()[1].close()

    def _stub(self, address: str) -> ServerAsyncStub:
        identity = None if self._identity is None else self._identity()
        if identity != self._seen:
            self._seen = identity
            while self._channels:
                self._let_go()
        channel = self._channels.pop(address, None)
        if channel is None:
            channel = _channel(address, identity, self._environment)
        self._channels[address] = channel
        if len(self._channels) > CHANNELS_MAX:
            self._let_go()
        return ServerStub(channel)

    def _let_go(self) -> None:
        """Close the oldest connection, once the calls on it have ended."""
        _, channel = self._channels.popitem(last=False)
        task = asyncio.create_task(channel.close(CLOSE_S_MAX))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _ask(self, address: str, call: Awaitable[A]) -> A:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise error_of(error, address) from None


def _channel(address: str, identity: Identity | None, environment: Mapping[str, str]) -> grpc.aio.Channel:
    options = (*_OPTIONS, *channel_options(proxy_of(address, environment), environment))
    if identity is None:
        return grpc.aio.insecure_channel(address, options=options)
    credentials = grpc.ssl_channel_credentials(identity.ca, identity.key, identity.certificate)
    # Each server's certificate has its role among its names: whoever else has one of this CA is no server.
    return grpc.aio.secure_channel(
        address, credentials, options=(*options, ("grpc.ssl_target_name_override", Role.SERVER.value))
    )


def error_of(error: grpc.aio.AioRpcError, address: str) -> DaosError:
    """Return what a failed call says: the other end's error, or what became of the connection."""
    told = error_in(error.trailing_metadata())
    if told is not None:
        return told
    details = error.details() or ""
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return UncertainError(f"{address} did not answer in time", code=DER.NOREPLY)
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        if any(word in details.lower() for word in _NOT_SENT):
            return UnavailableError(f"{address} is not there", code=DER.UNREACH, hint="is its daos_server running?")
        return UncertainError(f"the connection to {address} ended: {details}", code=DER.NOREPLY)
    if error.code() in {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED}:
        return AccessError(f"{address} refuses this server: {details}", hint="check the certificates")
    return InternalError(f"{address}: {error.code().name}: {details}")
