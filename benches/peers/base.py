"""What every system must offer to be measured."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

Pairs: TypeAlias = "list[tuple[bytes, bytes]]"
Get: TypeAlias = "Callable[[bytes], bytes | None]"


class Durability(StrEnum):
    """What a returned put promises; the same on both sides of every comparison."""

    SYNCED = "synced"
    """It survives a power cut: one sync a call."""
    BUFFERED = "buffered"
    """It survives the death of the process: handed to the kernel, no sync."""


@dataclass(frozen=True)
class Store:
    """An open store, as the calls that are measured.

    Callables and not methods: where a library's own bound method does the job it is called without a layer between,
    so that no system pays for the harness what another does not.

    Attributes:
        put: Store one value; durable on return as the store was opened for.
        put_many: Store several, made durable together.
        get: Return the newest value.
        view: Give a `get` that may stay at one state of the store: the fastest repeated read a library has.
        scan: Give an iterable over all pairs, each as two `bytes`.
        close: Close the store.
    """

    put: Callable[[bytes, bytes], object]
    put_many: Callable[[Pairs], object]
    get: Get
    view: Callable[[], AbstractContextManager[Get]]
    scan: Callable[[], AbstractContextManager[Iterable[tuple[bytes, bytes]]]]
    close: Callable[[], object]
