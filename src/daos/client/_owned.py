"""Values on their way into a queue: they outlive the call, so nobody may change them meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daos.client.kv import checked_value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from daos.client._seam import Extents, Iod, Value

__all__ = ["owned", "owned_iods"]


def owned(value: Value) -> bytes:
    """Return `bytes` as they are, a copy of any other buffer.

    Raises:
        InvalidError: `DER.INVAL`: no contiguous buffer.
    """
    if type(value) is bytes:
        return value
    # Not `bytes(value)`: of an array without dimensions that would be so many zeros.
    return memoryview(checked_value(value)).tobytes()


def owned_iods(iods: Iterable[Iod]) -> list[tuple[bytes, bytes | None, int, Extents | None]]:
    """Return what an object's core takes for an update, with its data owned as by `owned`."""
    return [
        (akey, None if data is None else _held(memoryview(data)), size, extents) for akey, data, size, extents in iods
    ]


def _held(memory: memoryview) -> bytes:
    """Return the `bytes` that a memory without gaps is all of, a copy of any other."""
    of = memory.obj
    return of if type(of) is bytes and len(of) == memory.nbytes else memory.tobytes()
