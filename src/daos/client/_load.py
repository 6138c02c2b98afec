"""Calls of a key-value object without Python in between, to measure what lies below the SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from daos import _core

if TYPE_CHECKING:
    from daos.client.kv import KV


def load(
    kv: KV[bytes], keys: list[bytes], value: bytes | None, *, depth: int, seconds: float
) -> tuple[int, float, list[float]]:
    """Put a value under keys, or get what is there, again and again.

    Args:
        kv: Where.
        keys: One after the other, from the beginning again at the end.
        value: What is put; `None` gets.
        depth: Keys of a call, at most all.
        seconds: How long, at most 3600; one call at least is made.

    Returns:
        Operations, the seconds they took, and the times of calls in seconds (of the first 100,000).

    Raises:
        InvalidError: A depth or a time that makes no sense.
        NotFoundError: A key is not there.
    """
    core = cast("_core.KV", kv._core)  # noqa: SLF001 -- what it is made of is what is measured
    return _core.load_kv(core, keys, value, depth=depth, seconds=seconds)
