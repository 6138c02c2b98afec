"""Errors as gRPC carries them, and what goes in the metadata of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import msgspec

from daos._packed import decode
from daos.errors import (
    DER,
    AccessError,
    BusyError,
    CorruptionError,
    DaosError,
    DataLossError,
    ExistsError,
    InternalError,
    InvalidError,
    NoSpaceError,
    NotFoundError,
    RetryableError,
    TimedOutError,
    UncertainError,
    error_from_der,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

ERROR_KEY = "daos-error-bin"
ROLE_KEY = "daos-role"
SYSTEM_KEY = "daos-system"
VERSION_KEY = "daos-version"
MESSAGE_BYTES_MAX = 32 << 20
"""Of a request or answer, as on the local channel."""
PING_MS = 4_000
"""While a call is under way and nothing comes, the other end is asked so often whether it is there."""
PING_MS_MIN = 2_000
"""What servers put up with."""
SILENT_MS = 6_000
"""So long an answer to that is waited for."""
SILENCE = (
    ("grpc.keepalive_time_ms", PING_MS),
    ("grpc.http2.ping_timeout_ms", SILENT_MS),
    # What the kernel is told: how long what was sent may be without a word that it arrived.
    ("grpc.keepalive_timeout_ms", SILENT_MS),
    ("grpc.http2.max_pings_without_data", 0),
)
"""Options of whoever calls: a host that went away without a word, its link cut, is given up after 10 seconds at most.

Without them a call waits as long as its time is, and so does each that follows on that connection.
"""
ERROR_BYTES_MAX = 4 << 10
"""Of an error in the metadata, of which gRPC takes 8 KiB in all, four thirds as long as base64."""
TEXT_LEN_MAX = 1000
"""Characters of a message or hint."""

Fact = bool | int | float | str | None

_STATUS: tuple[tuple[type[DaosError], grpc.StatusCode], ...] = (
    (InvalidError, grpc.StatusCode.INVALID_ARGUMENT),
    (NotFoundError, grpc.StatusCode.NOT_FOUND),
    (ExistsError, grpc.StatusCode.ALREADY_EXISTS),
    (AccessError, grpc.StatusCode.PERMISSION_DENIED),
    (NoSpaceError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (BusyError, grpc.StatusCode.ABORTED),
    (RetryableError, grpc.StatusCode.ABORTED),
    (TimedOutError, grpc.StatusCode.DEADLINE_EXCEEDED),
    (UncertainError, grpc.StatusCode.UNKNOWN),
    (CorruptionError, grpc.StatusCode.DATA_LOSS),
    (DataLossError, grpc.StatusCode.DATA_LOSS),
    (InternalError, grpc.StatusCode.INTERNAL),
)


class _Error(msgspec.Struct, array_like=True):
    """The form of an error: its fields in order."""

    code: int
    message: str
    hint: str | None
    context: dict[str, Fact | list[Fact]]


def status_of(error: DaosError) -> grpc.StatusCode:
    """Return the gRPC status of an error, for those who know no others."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), grpc.StatusCode.FAILED_PRECONDITION)


def encode_error(error: DaosError) -> bytes:
    """Return an error's bytes. What is too long is cut, and of its facts plain ones go along, if they have room."""
    hint = None if error.hint is None else error.hint[:TEXT_LEN_MAX]
    facts = {name: plain for name, fact in error.context.items() if (plain := _plain(fact)) is not ...}
    body = msgspec.msgpack.encode([error.code.value, error.message[:TEXT_LEN_MAX], hint, facts])
    if len(body) > ERROR_BYTES_MAX:
        body = msgspec.msgpack.encode([error.code.value, error.message[: TEXT_LEN_MAX // 2], hint and hint[:200], {}])
    return body


def _plain(fact: object) -> object:
    """Return a fact in a form that is carried; an ellipsis for one that is not."""
    if fact is None or isinstance(fact, bool | float):
        return fact
    if isinstance(fact, int):
        return int(fact) if -(1 << 63) <= fact < 1 << 64 else str(int(fact))
    if isinstance(fact, str):
        return str(fact)[:TEXT_LEN_MAX]
    if isinstance(fact, list | tuple):
        items = [_plain(item) for item in fact]
        return ... if any(item is ... or isinstance(item, list) for item in items) else items
    return ...


def decode_error(body: bytes) -> DaosError:
    """Return the error of some bytes; for bytes that are none, an `InternalError` that says so."""
    try:
        error = decode(body, _Error)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return InternalError("the server's error cannot be read", hint="are both of the same release?")
    return error_from_der(error.code, error.message, error.hint, error.context)


def error_in(metadata: Iterable[tuple[str, str | bytes]] | None) -> DaosError | None:
    """Return the error in the trailing metadata of a call, if there is one."""
    for key, value in metadata or ():
        if key == ERROR_KEY and isinstance(value, bytes):
            return decode_error(value)
    return None


def not_leader(error: DaosError) -> bool:
    """Tell whether an error says to ask another server."""
    return error.code in (DER.NOTLEADER, DER.NOTREPLICA)
