"""The seam: what the native module offers, and the functions of it that stand alone."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

import daos
from daos import _core

# Grows with the seam; a name that is not here was not meant to be public.
NAMES = [
    "Array",
    "AsyncArray",
    "AsyncKV",
    "AsyncObject",
    "AsyncTransaction",
    "Attributes",
    "Branch",
    "Container",
    "Dfs",
    "DfsFile",
    "DfsListing",
    "Embedded",
    "Engine",
    "EventQueue",
    "Fuse",
    "KV",
    "Messenger",
    "Object",
    "Pool",
    "Rdb",
    "Transaction",
    "build_info",
    "calls_within",
    "crc32c",
    "der_table",
    "device_format",
    "device_inspect",
    "load_kv",
]


def test_the_seam_is_exactly_this() -> None:
    assert sorted(name for name in dir(_core) if not name.startswith("__")) == NAMES


def test_the_sum_is_that_of_the_standard() -> None:
    # The check value of CRC-32C (iSCSI), of the published catalogue of CRC parameters.
    assert _core.crc32c(b"123456789") == 0xE3069283
    assert _core.crc32c(b"") == 0


@given(st.binary(max_size=5000), st.integers(0, 5000))
def test_a_sum_continues(data: bytes, cut: int) -> None:
    assert _core.crc32c(data[cut:], _core.crc32c(data[:cut])) == _core.crc32c(data)


@pytest.mark.parametrize("bad", ["text", None, 7, [1]])
def test_a_sum_is_of_bytes(bad: object) -> None:
    with pytest.raises(TypeError):
        _core.crc32c(bad)  # type: ignore[arg-type]


def test_memory_that_is_read_into_is_held_until_the_operation_is_drained() -> None:
    with daos.open(":memory:") as pool:
        array = pool.container("c", create=True).array("a", "u1", create=True)
        array[:] = bytes(range(100))
        reads = _core.AsyncArray(cast("_core.Array", array._core))
        queue = _core.EventQueue(operations_max=4, bytes_max=1000, workers=1)
        room = bytearray(100)
        assert reads.read_into(queue, "token", 0, 1, room, b"\0")
        # Neither resized nor freed: the store may be writing into it.
        with pytest.raises(BufferError):
            room.clear()
        assert queue.close(timeout_s=20)
        with pytest.raises(BufferError):
            room.clear()
        assert queue.drain() == [("token", True, None)]
        assert room == bytes(range(100))
        room.clear()
