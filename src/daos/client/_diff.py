"""What differs between two states of a container, in the words of the SDK."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from daos.client._keys import CODEC_OF, INT_KEYS
from daos.client._names import ROOT, Entry, KeyKind, ObjectId, ObjectType
from daos.client._object_table import MARKS_HI
from daos.errors import CorruptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from daos.client._seam import ContainerCore, DifferenceCore, KVCore

PAGE_COUNT = 1024
_KINDS: tuple[Literal["added", "removed", "changed"], ...] = ("added", "removed", "changed")
"""By the numbers of the seam."""


@dataclass(frozen=True)
class Difference:
    """Something that differs between two states of a container. Yielded by `Container.diff`.

    Of a name that came, went or stands for something else, `dkey` and `akey` are None and there are no records. Of a
    key-value store `dkey` is the key; of an array there are only `records`, chunk by chunk; of any other object `dkey`
    and `akey` say what, and `records` where that is an array.

    Attributes:
        kind: `"added"`, `"removed"` or `"changed"`: is only in the later state, only in the earlier, or in both and
            was written in between. What was written may be what was there before.
        oid: The object.
        name: Its name, in the later state or else in the earlier; None without one.
        dkey: As the object's keys are, bytes where that is not known.
        akey: The same.
        records: Ranges of the cells of an array, or of the records of an akey, outside of which nothing differs.
    """

    kind: Literal["added", "removed", "changed"]
    oid: ObjectId
    name: str | None = None
    dkey: str | bytes | int | None = None
    akey: str | bytes | int | None = None
    records: tuple[range, ...] = ()


class Names:
    """The names of two states, by what they stand for."""

    def __init__(self, roots: tuple[KVCore, KVCore]) -> None:
        self._of: dict[ObjectId, tuple[str, Entry]] = {}
        # The later state's names come last: they stand.
        for root in roots:
            anchor: bytes | None = None
            while True:
                names, values, anchor = root.list_pairs(anchor, PAGE_COUNT, False)  # noqa: FBT003 -- the seam has no keywords
                for name, value in zip(names, values, strict=True):
                    entry = Entry.decode(value)
                    self._of[entry.oid] = (name.decode(errors="replace"), entry)
                if anchor is None:
                    break

    def find(self, oid: ObjectId) -> tuple[str, Entry] | tuple[None, None]:
        """Return the name of an object and what it is."""
        return self._of.get(oid, (None, None))


def differences(before: ContainerCore, after: ContainerCore, since: int) -> Iterator[Difference]:
    """Yield what differs in `after` from `before`, which is as of the epoch `since`."""
    roots = (before.kv(ROOT.hi, ROOT.lo), after.kv(ROOT.hi, ROOT.lo))
    names = Names(roots)

    @cache
    def chunk_size(oid: ObjectId, kind: str) -> int:
        """Return how many cells of an array lie together: it is told for each of its chunks."""
        return (before if kind == "removed" else after).array_open(oid.hi, oid.lo).chunk_size

    anchor: bytes | None = None
    while True:
        page, anchor = after.diff(since, anchor, PAGE_COUNT)
        for raw in page:
            hi, lo, dkey, _, how, _ = raw
            if (hi, lo) == (ROOT.hi, ROOT.lo):
                yield _of_name(dkey, how, roots)
            elif hi != MARKS_HI:
                found = _of_object(ObjectId(hi, lo), raw, names, chunk_size)
                if found is not None:
                    yield found
        if anchor is None:
            return


def _of_name(stored: bytes, how: int, roots: tuple[KVCore, KVCore]) -> Difference:
    """Return the difference that an entry of the root makes."""
    kind = _KINDS[how]
    before, after = roots
    # The later state goes on: what it says is of now, and may be gone.
    value = (before if kind == "removed" else after).get(stored) or before.get(stored)
    oid = ROOT if value is None else Entry.decode(value).oid
    return Difference(kind, oid, stored.decode(errors="replace"))


def _of_object(
    oid: ObjectId, raw: DifferenceCore, names: Names, chunk_size: Callable[[ObjectId, str], int]
) -> Difference | None:
    """Return the difference that an akey of an object makes; None for what an array keeps for itself."""
    _, _, stored_dkey, stored_akey, how, extents = raw
    kind = _KINDS[how]
    name, entry = names.find(oid)
    object_type = ObjectType(oid.type_number)
    records = tuple(range(start, start + count) for start, count in extents)
    if object_type is ObjectType.ARRAY:
        chunk = int.from_bytes(stored_dkey, "little") - 1
        if chunk < 0:
            return None
        first = chunk * chunk_size(oid, kind)
        moved = tuple(range(first + part.start, first + part.stop) for part in records)
        return Difference(kind, oid, name, records=moved)
    keys = KeyKind.BYTES if entry is None else entry.keys
    dkey = _key(stored_dkey, keys, is_int=object_type.has_int_dkeys)
    if object_type in {ObjectType.KV_HASHED, ObjectType.KV_UINT64, ObjectType.KV_LEXICAL}:
        return Difference(kind, oid, name, dkey)
    return Difference(kind, oid, name, dkey, _key(stored_akey, keys, is_int=object_type.has_int_akeys), records)


def _key(stored: bytes, keys: KeyKind, *, is_int: bool) -> str | bytes | int:
    """Return a key as the object's keys are; its bytes where it is none of these."""
    try:
        return (INT_KEYS if is_int else CODEC_OF[keys]).decode(stored)
    except CorruptionError:
        return stored
