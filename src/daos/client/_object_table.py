"""Object id tables: what a container holds at a snapshot or now, with a user's marks on it."""

from __future__ import annotations

import struct
from itertools import islice
from typing import TYPE_CHECKING

from daos.client._names import ObjectId, ObjectType
from daos.client.kv import BATCH_ITEMS_MAX, PAGE_KEYS
from daos.errors import DER, InvalidError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Final

    from typing_extensions import Buffer

    from daos.client._seam import ContainerCore

__all__ = ["ObjectTable"]

MARKER_LEN_MAX: Final = 32
"""Bytes of a marker (DAOS: 32)."""
MARKS_HI: Final = ObjectId.make(ObjectType.KV_HASHED, 1, 0).hi | 1
"""High half of the ids of the stores of marks, which no other object has; the low half is an epoch, 0 for now."""
_KEY = struct.Struct(">QQ")
_HALF_MAX = (1 << 64) - 1


def holds_marks(oid: ObjectId) -> bool:
    """Tell whether an object is a store of marks, which no listing shows."""
    return oid.hi == MARKS_HI


def listed(core: ContainerCore) -> Iterator[ObjectId]:
    """Yield the ids of a container's objects, ascending, a page at a time, without the stores of marks."""
    after: tuple[int, int] | None = None
    while True:
        page, after = core.objects(after, PAGE_KEYS)
        yield from (ObjectId(hi, lo) for hi, lo in page if hi != MARKS_HI)
        if after is None:
            return


def drop_marks(core: ContainerCore) -> None:
    """Remove the marks of snapshots that are no longer there."""
    epochs = {0, *(epoch for epoch, _ in core.snapshots())}
    after: tuple[int, int] | None = (MARKS_HI - 1, _HALF_MAX)
    while after is not None:
        page, after = core.objects(after, PAGE_KEYS)
        for hi, lo in page:
            if hi != MARKS_HI:
                return
            if lo not in epochs:
                core.object(hi, lo).punch(None, None)


class ObjectTable:
    """The ids of all objects that a container has at a snapshot, or now, and a marker on each that was given one.

    For who looks whether each object is still referred to: mark what is, and the rest is `unmarked`. Markers are as
    durable when a call returns as the system was opened for; those of a snapshot stay until it is destroyed, those of
    the present until they are cleared, whatever becomes of the objects. They are kept in the container, so a rollback
    brings back those that were there at its snapshot. Made by `Container.object_table`; threads may share it.

    All methods raise `ClosedError` (`DER.NO_HDL`) when the system is closed, and `NotFoundError` (`DER.NONEXIST`) when
    the snapshot was destroyed. Source: `daos_oit_open`, `daos_oit_mark`, `daos_oit_list_unmarked`.
    """

    __slots__ = ("_state", "_stored")

    def __init__(self, present: ContainerCore, epoch: int | None) -> None:
        self._state = present if epoch is None else present.at(epoch)
        self._stored = present.kv(MARKS_HI, epoch or 0)

    def mark(self, oid: ObjectId, marker: bytes | None) -> None:
        """Put a marker on an object in the place of the one it has; None takes it away.

        Args:
            oid: Of an object that is there, else nothing happens.
            marker: At most 32 bytes, which mean what the caller likes.

        Raises:
            NotFoundError: `DER.NONEXIST`: the table has no such object.
            InvalidError: `DER.INVAL`: no id, or no bytes; `DER.REC2BIG`: too many bytes.
        """
        self.mark_many({oid: marker})

    def mark_many(self, markers: Mapping[ObjectId, bytes | None] | Iterable[tuple[ObjectId, bytes | None]]) -> None:
        """Put a marker on each of many objects: 4096 at a time are stored in one step, so it is the way for a million.

        Before each step its objects are looked for: of those that are told as unknown, and behind them, none is marked.

        Raises:
            NotFoundError: As `mark`.
            InvalidError: As `mark`.
        """
        pairs = iter(markers.items() if hasattr(markers, "items") else markers)
        while block := list(islice(pairs, BATCH_ITEMS_MAX)):
            checked = [(_stored_key(oid), _check_marker(marker)) for oid, marker in block]
            for oid, _ in block:
                self._find(oid)
            # Of an object that comes twice the later marker stays.
            last = dict(checked)
            given: list[tuple[bytes, Buffer]] = [(key, marker) for key, marker in last.items() if marker is not None]
            if given:
                self._stored.put_many(given)
            for key, marker in last.items():
                if marker is None:
                    self._stored.remove(key)

    def get(self, oid: ObjectId) -> bytes | None:
        """Return the marker of an object; None without one, whether the object is there or not."""
        return self._stored.get(_stored_key(oid))

    def objects(self) -> Iterator[ObjectId]:
        """Yield the ids of all objects, ascending, a page at a time."""
        return listed(self._state)

    def items(self) -> Iterator[tuple[ObjectId, bytes | None]]:
        """Yield each object with its marker, None without one: what is not wanted is left out by the caller's `if`."""
        oids = listed(self._state)
        while page := list(islice(oids, PAGE_KEYS)):
            yield from zip(page, self._stored.get_many([_stored_key(oid) for oid in page]), strict=True)

    def unmarked(self) -> Iterator[ObjectId]:
        """Yield the ids of the objects without a marker, ascending, a page at a time."""
        return (oid for oid, marker in self.items() if marker is None)

    def clear(self) -> None:
        """Take all markers away, in one step."""
        self._stored.destroy()

    def _find(self, oid: ObjectId) -> None:
        """Refuse an object that the table has not."""
        before = (oid.hi, oid.lo - 1) if oid.lo else (oid.hi - 1, _HALF_MAX)
        page, _ = self._state.objects(before if oid.hi or oid.lo else None, 1)
        if page != [(oid.hi, oid.lo)] or holds_marks(oid):
            raise NotFoundError(
                f"no object {oid} in container {self._state.label}",
                hint="the table lists those that are there",
                context={"oid": str(oid)},
            )


def _stored_key(oid: object) -> bytes:
    """Return the key of an object's marker."""
    if not isinstance(oid, ObjectId):
        raise InvalidError(f"an object's id is an ObjectId, not {type(oid).__name__}", hint="such as objects() yields")
    try:
        return _KEY.pack(oid.hi, oid.lo)
    except struct.error:
        raise InvalidError(f"{oid} is no id: a half has 64 bits", hint="such as objects() yields") from None


def _check_marker(marker: object) -> bytes | None:
    """Return a marker that can be stored."""
    if marker is not None and not isinstance(marker, bytes):
        raise InvalidError(f"a marker is bytes, not {type(marker).__name__}", hint="encode it; None takes it away")
    if marker is not None and len(marker) > MARKER_LEN_MAX:
        text = f"a marker of {len(marker)} bytes is too long"
        raise InvalidError(text, code=DER.REC2BIG, hint=f"at most {MARKER_LEN_MAX} bytes")
    return marker
