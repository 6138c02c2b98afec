"""The bodies of control requests and their replies, as `rust/wire` has them: a version, and MessagePack."""

from __future__ import annotations

import msgspec

from daos.errors import DER, InvalidError

BODY_VERSION = 1
_HEAD = BODY_VERSION.to_bytes(2, "little")


class TargetPlace(msgspec.Struct, frozen=True):
    """Where a target is.

    Attributes:
        rank: Its engine.
        index: Its number there.
        address: Of its endpoint.
    """

    rank: int
    index: int
    address: str


class PoolReply(msgspec.Struct, frozen=True, kw_only=True):
    """An open pool: number of its handle, uuid, label, properties, version of its map, its targets in their order."""

    handle: int
    uuid: bytes
    label: str
    props: bytes
    map_version: int
    targets: list[TargetPlace]


class Summing(msgspec.Struct, frozen=True):
    """How data is summed: number of the algorithm, bytes of an array under one sum, whether the target compares."""

    kind: int
    piece_size: int
    server_verifies: bool


class ContainerReply(msgspec.Struct, frozen=True, kw_only=True):
    """An open container: number of its handle, uuid, label, properties, how its data is summed."""

    handle: int
    uuid: bytes
    label: str
    props: bytes
    checksums: Summing


class Named(msgspec.Struct, frozen=True):
    """A line of a listing."""

    uuid: bytes
    label: str


class ScrubReply(msgspec.Struct, frozen=True, kw_only=True):
    """What the scrubber has to tell, as `_core.Pool.scrub_status`."""

    mode: int
    freq_s: int
    thresh: int
    is_running: bool = False
    passes: int = 0
    bytes: int = 0
    corruptions: int = 0
    found: list[str] = []
    ended_s: int | None = None
    next_s: int | None = None


class ServedReply(msgspec.Struct, frozen=True):
    """The reply to a client: who leads instead, or the body of the reply."""

    leader: int | None = None
    result: bytes | None = None


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks the service of a pool.

    Attributes:
        pool: The pool.
        handle: Of the pool or of a container, by which it is asked; None for connecting.
        client: Who asks.
        stamp: Of the client's clock; the same for a request that is sent again.
        opens: Uuid of what is opened by it.
        makes: Uuid of what is made by it.
        credential: Who connects.
        access: How what is opened is asked for, a number of `Access`.
        request: What is asked, with its name as `type`.
    """

    pool: bytes
    handle: bytes | None
    client: bytes
    stamp: int
    opens: bytes | None
    makes: bytes | None
    credential: bytes | None
    access: int
    request: msgspec.Raw


def encode(value: object) -> bytes:
    """Return the body of a reply."""
    return _HEAD + msgspec.msgpack.encode(value)


def payload(body: bytes) -> bytes:
    """Return what stands behind the version of a body.

    Raises:
        InvalidError: `DER.PROTO`: it has another version.
    """
    if body[:2] != _HEAD:
        raise InvalidError(
            "a request of a version that is not known here", code=DER.PROTO, hint="install the same release"
        )
    return body[2:]


def handle_number(uuid: bytes) -> int:
    """Return the number that stands for a handle in requests for data: the beginning of its uuid."""
    return int.from_bytes(uuid[:8], "little")
