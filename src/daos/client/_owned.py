"""Values on their way into a queue: they outlive the call, so nobody may change them meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daos.client.kv import checked_value

if TYPE_CHECKING:
    from daos.client._seam import Value

__all__ = ["owned"]


def owned(value: Value) -> bytes:
    """Return `bytes` as they are, a copy of any other buffer.

    Raises:
        InvalidError: `DER.INVAL`: no contiguous buffer.
    """
    if type(value) is bytes:
        return value
    # Not `bytes(value)`: of an array without dimensions that would be so many zeros.
    return memoryview(checked_value(value)).tobytes()
