"""The way from a server to others: gRPC, by the methods `ServerCall` and `EngineCall` of the management API."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

import grpc
import grpc.aio

from daos.errors import DER, AccessError, DaosError, InternalError, UnavailableError, UncertainError
from daos.mgmt.proto import daos_mgmt_pb2 as messages
from daos.mgmt.proto.daos_mgmt_pb2_grpc import ServerStub
from daos.mgmt.wire import MESSAGE_BYTES_MAX, ROLE_KEY, SYSTEM_KEY, error_in

CHANNELS_MAX = 1024
"""Connections that are kept; those not used for the longest time are closed first."""
_OPTIONS = (
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.enable_retries", 0),
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
    """Peers over gRPC.

    Args:
        credentials: Gives the TLS credentials of a new connection; None without TLS.
        system: The system's name, which others check.
    """

    def __init__(self, credentials: Callable[[], grpc.ChannelCredentials] | None, *, system: str) -> None:
        self._credentials = credentials
        self._metadata = ((SYSTEM_KEY, system), (ROLE_KEY, "server"))
        self._channels: OrderedDict[str, grpc.aio.Channel] = OrderedDict()

    async def server_call(self, address: str, method: str, body: bytes, *, timeout_s: float) -> bytes:
        """Ask another server, as `Peers.server_call`."""
        stub = await self._stub(address)
        request = messages.ServerCallRequest(method=method, body=body)
        answer = await self._ask(address, stub.ServerCall(request, timeout=timeout_s, metadata=self._metadata))
        return answer.body

    async def engine_call(self, address: str, rank: int, method: str, body: bytes, *, timeout_s: float) -> bytes:
        """Ask an engine beside another server, as `Peers.engine_call`."""
        stub = await self._stub(address)
        request = messages.EngineCallRequest(rank=rank, method=method, body=body)
        answer = await self._ask(address, stub.EngineCall(request, timeout=timeout_s, metadata=self._metadata))
        return answer.body

    async def close(self) -> None:
        """Close all connections."""
        while self._channels:
            await self._channels.popitem()[1].close()

    async def _stub(self, address: str) -> ServerAsyncStub:
        channel = self._channels.pop(address, None)
        if channel is None:
            channel = (
                grpc.aio.insecure_channel(address, options=_OPTIONS)
                if self._credentials is None
                else grpc.aio.secure_channel(address, self._credentials(), options=_OPTIONS)
            )
        self._channels[address] = channel
        if len(self._channels) > CHANNELS_MAX:
            await self._channels.popitem(last=False)[1].close()
        return ServerStub(channel)

    async def _ask(self, address: str, call: Awaitable[A]) -> A:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise error_of(error, address) from None


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
