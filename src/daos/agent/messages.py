"""What clients and their agent say to each other, and the frames it travels in.

Needs nothing but msgspec: every client loads it. The form is that of the local channel (`docs/internals/daemons.md`).
"""

from __future__ import annotations

import struct

import msgspec

from daos._packed import decoder
from daos.errors import DaosError, InvalidError, error_from_der

SOCKET = "daos_agent.sock"
RUNTIME_DIR = "/var/run/daos_agent"
LENGTH = struct.Struct("<I")
REQUEST_BYTES_MAX = 64 << 10
"""Of what a client sends."""
ANSWER_BYTES_MAX = 32 << 20
"""Of what an agent answers: where 100,000 targets are."""
NOBODY = 0
"""The id of an answer to no call in particular: the agent wants no more of this connection."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A body: a map; fields that are not known are passed over, so that newer ends can add some."""


class Attach(Message, frozen=True):
    """Asks where a system is.

    Attributes:
        system: Its name; empty for the agent's.
        release: Of the client; empty where it does not tell.
    """

    system: str = ""
    release: str = ""


class AttachRank(Message, frozen=True):
    """A rank.

    Attributes:
        rank: Its number.
        addresses: Its control address, then those of its targets.
        incarnation: Of its engine.
    """

    rank: int
    addresses: tuple[str, ...]
    incarnation: int = 0


class AttachInfo(Message, frozen=True):
    """Where a system is.

    Attributes:
        system: Its name.
        ranks: Its ranks.
        ms_ranks: Those on hosts of the management service.
        provider: The network.
        insecure: Its ports take connections without TLS.
        ca_certificate: Authorities to check engines by, PEM; empty without TLS.
        version: Of the system map; a client that has seen a later one asks again with `refresh`.
    """

    system: str
    ranks: tuple[AttachRank, ...]
    ms_ranks: tuple[int, ...] = ()
    provider: str = ""
    insecure: bool = False
    ca_certificate: bytes = b""
    version: int = 0


class AskCredential(Message, frozen=True):
    """Asks for a credential of the process that asks.

    Attributes:
        system: The system; empty for the agent's.
        pool: The pool's uuid; empty for any.
        session: What binds it to a session.
    """

    system: str = ""
    pool: str = ""
    session: bytes = b""


class FindPool(Message, frozen=True):
    """Asks for a pool.

    Attributes:
        reference: Its label or uuid.
        system: The system; empty for the agent's.
    """

    reference: str
    system: str = ""


class FoundPool(Message, frozen=True):
    """A pool.

    Attributes:
        uuid: Its uuid.
        services: The ranks of its service.
    """

    uuid: str
    services: tuple[int, ...]


class ListPools(Message, frozen=True):
    """Asks for the pools that the user of the process may open.

    Attributes:
        system: The system; empty for the agent's.
    """

    system: str = ""


class ListedPool(Message, frozen=True):
    """A pool of a list.

    Attributes:
        uuid: Its uuid.
        label: Its label; empty for none.
        state: `Ready` or `TargetsExcluded`.
        services: The ranks of its service.
    """

    uuid: str
    label: str
    state: str
    services: tuple[int, ...] = ()


class Handle(Message, frozen=True):
    """A pool handle that the process has opened or closed.

    Attributes:
        pool: The pool's uuid.
        handle: The handle's.
    """

    pool: str
    handle: str


class _Failure(msgspec.Struct, frozen=True, array_like=True):
    message: str
    hint: str | None = None
    context: dict[str, str | int] = {}


class Frame(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A call, where `what` is a method; or an answer, where it is a code.

    Attributes:
        id: By which an answer finds its call.
        what: The method, or 0 or a number of `DER`.
        body: msgpack.
    """

    id: int
    what: str | int
    body: msgspec.Raw


_frames = decoder(Frame)
_failures = decoder(_Failure)
_encoder = msgspec.msgpack.Encoder()


def encode(number: int, what: str | int, body: object) -> bytes:
    """Return a frame, its length before it."""
    frame = _encoder.encode(Frame(number, what, msgspec.Raw(_encoder.encode(body))))
    return LENGTH.pack(len(frame)) + frame


def encode_error(number: int, error: DaosError) -> bytes:
    """Return the frame of a refusal."""
    facts = {name: fact for name, fact in error.context.items() if isinstance(fact, str | int)}
    return encode(number, error.code.value, _Failure(error.message, error.hint, facts))


def decode(frame: bytes) -> Frame:
    """Return the frame of bytes without their length.

    Raises:
        InvalidError: `DER.INVAL`: they are none.
    """
    try:
        return _frames.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidError(f"what came is no message: {error}", hint="is the other end of the same version?") from None


def decode_error(code: int, body: bytes) -> DaosError:
    """Return the error of a refusal's body.

    Raises:
        InvalidError: `DER.INVAL`: it is none.
    """
    try:
        failure = _failures.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidError(f"what came is no message: {error}", hint="is the other end of the same version?") from None
    return error_from_der(code, failure.message, failure.hint, failure.context)
