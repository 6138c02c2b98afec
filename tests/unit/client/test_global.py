"""Handles as bytes, for other processes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import msgspec
import pytest

from daos.client._global import BYTES_MAX, ContainerGlobal, Global, PoolGlobal
from daos.errors import DER, InvalidError
from daos.model.snapshots import Snapshot
from tests.fuzzing import fuzz

POOL = PoolGlobal(
    system="daos_server",
    pool=bytes(range(16)),
    handle=bytes(range(16, 32)),
    services=(0, 3, 7),
    access=2,
    durability=2,
    timeout_s=60.0,
    targets=8,
    core=b"core",
)
CONTAINER = ContainerGlobal(pool_handle=POOL.handle, epoch=None, name=None, core=b"core")
AT = ContainerGlobal(pool_handle=POOL.handle, epoch=1 << 60, name="then", core=b"core")
BOTH: list[Global] = [POOL, CONTAINER, AT]


def sealed(body: bytes, *, kind: int = 1, version: int = 1) -> bytes:
    """Return bytes with a head that fits them."""
    bare = struct.pack("<8sHHII", b"DAOSHDL\0", version, kind, len(body), 0)
    return bare[:16] + struct.pack("<I", zlib.crc32(body, zlib.crc32(bare))) + body


@pytest.mark.parametrize("handle", BOTH)
def test_what_is_said_comes_back(handle: Global) -> None:
    raw = handle.encode()
    for given in (raw, bytearray(raw), memoryview(raw)):
        assert type(handle).decode(given) == handle


def test_the_bytes_are_as_they_are_drawn() -> None:
    raw = POOL.encode()
    assert raw[:12] == b"DAOSHDL\0\x01\x00\x01\x00"
    assert raw == sealed(raw[20:])
    assert msgspec.msgpack.decode(raw[20:]) == [
        "daos_server", POOL.pool, POOL.handle, [0, 3, 7], 2, 2, 60.0, 8, b"core"
    ]  # fmt: skip
    assert msgspec.msgpack.decode(AT.encode()[20:]) == [POOL.handle, 1 << 60, "then", b"core"]


def test_a_snapshot() -> None:
    assert CONTAINER.snapshot is None
    assert AT.snapshot == Snapshot(1 << 60, "then")


@pytest.mark.parametrize("handle", BOTH)
def test_no_bit_and_no_byte_of_it_can_be_another(handle: Global) -> None:
    raw = handle.encode()
    for length in range(len(raw)):
        with pytest.raises(InvalidError):
            type(handle).decode(raw[:length])
    with pytest.raises(InvalidError, match="altered"):
        type(handle).decode(raw + b"\0")
    for at in range(len(raw)):
        for bit in range(8):
            with pytest.raises(InvalidError) as caught:
                type(handle).decode(raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :])
            assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (lambda: "text", "is bytes, not str"),
        (lambda: None, "is bytes, not NoneType"),
        (lambda: b"", "are no handle"),
        (lambda: b"x" * 100, "are no handle"),
        (lambda: bytes(BYTES_MAX + 1), "too many bytes"),
        (lambda: POOL.encode()[:-2], "of which 2 bytes are missing"),
        (CONTAINER.encode, "of a container, not of a pool"),
        (lambda: sealed(b"", kind=9), "of something else, not of a pool"),
        (lambda: sealed(b""), "no handle of a pool: "),
        (lambda: sealed(b"\x91\x01"), "no handle of a pool: "),
        (lambda: sealed(b"\x91\xc4\xff"), "no handle of a pool: "),
    ],
)
def test_what_is_no_handle_is_told(given: Callable[[], bytes], match: str) -> None:
    with pytest.raises(InvalidError, match=match) as caught:
        PoolGlobal.decode(given())
    assert caught.value.code is DER.INVAL
    assert caught.value.hint


def test_another_version_is_told_before_anything_else_of_it() -> None:
    with pytest.raises(InvalidError, match="version 2, where this release knows 1") as caught:
        PoolGlobal.decode(sealed(b"\xc1", version=2))
    assert caught.value.code is DER.DF_INCOMPT


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("system", ""), ("system", "x" * 256), ("system", "a\nb"), ("pool", b"short"), ("handle", bytes(17)),
        ("services", ()), ("services", (-1,)), ("services", (1 << 32,)), ("services", tuple(range(1025))),
        ("access", 0), ("access", 3), ("durability", 3), ("durability", -1), ("timeout_s", 0.0), ("timeout_s", -1.0),
        ("timeout_s", float("nan")), ("timeout_s", float("inf")), ("targets", 0), ("targets", (1 << 20) + 1),
    ],
)  # fmt: skip
def test_what_a_pools_cannot_have_is_refused(field: str, value: object) -> None:
    with pytest.raises(InvalidError, match="no handle of a pool: no "):
        PoolGlobal.decode(msgspec.structs.replace(POOL, **{field: value}).encode())


@pytest.mark.parametrize(
    ("field", "value"),
    [("pool_handle", b""), ("epoch", None), ("epoch", 0), ("epoch", (1 << 64) - 1), ("name", ""), ("name", "x" * 129)],
)
def test_what_a_containers_cannot_have_is_refused(field: str, value: object) -> None:
    with pytest.raises(InvalidError, match="no handle of a container: "):
        ContainerGlobal.decode(msgspec.structs.replace(AT, **{field: value}).encode())


def test_one_that_is_too_long_is_not_made() -> None:
    with pytest.raises(InvalidError) as caught:
        msgspec.structs.replace(POOL, core=bytes(BYTES_MAX)).encode()
    assert caught.value.code is DER.REC2BIG


def test_fuzzed_bodies_that_fit_their_head() -> None:
    corpus = [handle.encode()[20:] for handle in BOTH]

    def check(body: bytes) -> bool:
        decoded = 0
        for kind in (PoolGlobal, ContainerGlobal):
            try:
                handle = kind.decode(sealed(body, kind=kind.KIND))
            except InvalidError:
                continue
            assert kind.decode(handle.encode()) == handle
            decoded += 1
        return decoded > 0

    assert fuzz("handle", corpus, check) > 0


def test_fuzzed_heads() -> None:
    corpus = [POOL.encode()]

    def check(raw: bytes) -> bool:
        try:
            return PoolGlobal.decode(raw).encode() == raw
        except InvalidError:
            return False

    assert fuzz("head of a handle", corpus, check) >= 0
