"""Arrays and objects of the native seam in plain dicts: a record by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from daos.client import _seam
from daos.errors import DER, error_from_der

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from daos.client._seam import Extents, FetchIod, Iod

INT_DKEYS = frozenset({2, 4, 9, 11, 12, 13})
INT_AKEYS = frozenset({3, 4})
LEXICAL_LEN_MAX = 80
CELLS_MAX = (1 << 63) - 1
CHUNK_BYTES = 1 << 20
READS = frozenset({"array_size", "array_read", "object_fetch", "object_list", "object_query"})
"""What may be asked of a snapshot, as these fakes count it."""


@dataclass
class Records:
    """An array value."""

    size: int
    cells: dict[int, bytes] = field(default_factory=dict)


Akeys = dict[bytes, bytes | Records]
Found = tuple[int | None, int | None, tuple[int, int] | None, int]


@dataclass
class FakeArray:
    """An array's content."""

    cell_size: int
    chunk_size: int
    cells: dict[int, bytes] = field(default_factory=dict)


@dataclass
class FakeObjects:
    """The arrays and objects of a container, by id."""

    arrays: dict[tuple[int, int], FakeArray] = field(default_factory=dict)
    objects: dict[tuple[int, int], dict[bytes, Akeys]] = field(default_factory=dict)


def groups_of(oclass: str, targets: int) -> int:
    """Return the number of groups of a class without redundancy, resolved."""
    text = oclass.upper().removeprefix("OC_")
    number = text[1:]
    if not text.startswith("S") or number not in {"1", "2", "4", "6", "8", "12", "16", "32", "X"}:
        raise error_from_der(DER.INVAL, f"class {oclass} cannot be had", "use a class without redundancy: S1 to SX")
    return targets if number == "X" else min(int(number), targets)


def divided(data: Buffer, size: int) -> list[bytes]:
    """Return records, one by one."""
    content = bytes(data)
    return [content[at : at + size] for at in range(0, len(content), size)]


@dataclass
class ArrayFake:
    """`_core.Array`."""

    enter: Callable[[str], None]
    state: FakeArray

    @property
    def cell_size(self) -> int:
        return self.state.cell_size

    @property
    def chunk_size(self) -> int:
        return self.state.chunk_size

    def size(self) -> int:
        self.enter("array_size")
        return max(self.state.cells, default=-1) + 1

    def set_size(self, size: int, fill: bytes) -> None:
        self.enter("array_set_size")
        if self.size() == size:
            return
        self.state.cells = {at: cell for at, cell in self.state.cells.items() if at < size}
        if size and self.size() < size:
            self.state.cells[size - 1] = bytes(fill)

    def write(self, start: int, step: int, data: Buffer) -> None:
        self.enter("array_write")
        cells = divided(data, self.cell_size)
        self._check(start, step, len(cells))
        self.state.cells.update((start + nth * step, cell) for nth, cell in enumerate(cells))

    def read_into(self, start: int, step: int, data: Buffer, fill: bytes) -> None:
        self.enter("array_read")
        room = memoryview(data).cast("B")
        count = room.nbytes // self.cell_size
        self._check(start, step, count)
        room[:] = b"".join(self.state.cells.get(start + nth * step, fill) for nth in range(count))

    def punch(self, start: int, count: int) -> None:
        self.enter("array_punch")
        self.state.cells = {at: cell for at, cell in self.state.cells.items() if not start <= at < start + count}

    def _check(self, start: int, step: int, count: int) -> None:
        if start + (count - 1) * step >= CELLS_MAX:
            raise error_from_der(DER.OVERFLOW, "cells behind the last possible one")


@dataclass
class ObjectFake:
    """`_core.Object`."""

    enter: Callable[[str], None]
    objects: dict[tuple[int, int], dict[bytes, Akeys]]
    oid: tuple[int, int]
    destroyed: Callable[[], None]

    @property
    def dkeys(self) -> dict[bytes, Akeys]:
        return self.objects.setdefault(self.oid, {})

    def layout(self) -> list[int]:
        return list(range(self.oid[0] >> 32 & 0xFFFF))

    def update(self, dkey: bytes, iods: list[Iod], flags: int = 0) -> None:
        self.enter("object_update")
        here = self.dkeys.get(dkey)
        absent = [akey for akey, *_ in iods if akey not in (here or {})]
        if (flags & _seam.COND_KEY_INSERT and here is not None) or (
            flags & _seam.COND_AKEY_INSERT and len(absent) < len(iods)
        ):
            raise error_from_der(DER.EXIST, "it exists")
        if (flags & _seam.COND_KEY_UPDATE and here is None) or (flags & _seam.COND_AKEY_UPDATE and absent):
            raise error_from_der(DER.NONEXIST, "it is not there")
        for akey, _, size, extents in iods:
            self._check((here or {}).get(akey), size, extents)
        here = self.dkeys.setdefault(dkey, {})
        for akey, data, size, extents in iods:
            self._change(here, akey, data, size, extents)

    def _check(self, old: bytes | Records | None, size: int, extents: Extents | None) -> None:
        if old is not None and isinstance(old, Records) != (extents is not None):
            raise error_from_der(DER.NO_PERM, "the akey holds the other kind of value")
        if isinstance(old, Records) and size and old.cells and size != old.size:
            raise error_from_der(DER.INVAL, f"records of {old.size} bytes, not {size}")

    def _change(self, here: Akeys, akey: bytes, data: Buffer | None, size: int, extents: Extents | None) -> None:
        if extents is None:
            if data is None:
                here.pop(akey, None)
            else:
                here[akey] = bytes(data)
            return
        old = here.get(akey)
        records = old if isinstance(old, Records) and (old.cells or data is None) else Records(size)
        here[akey] = records
        indices = [index for start, count in extents for index in range(start, start + count)]
        if data is None:
            for index in indices:
                records.cells.pop(index, None)
        else:
            records.cells.update(zip(indices, divided(data, size), strict=True))

    def fetch(self, dkey: bytes, iods: list[FetchIod]) -> list[bytes | int | None]:
        self.enter("object_fetch")
        here = self.dkeys.get(dkey, {})
        found: list[bytes | int | None] = []
        for akey, room, size, extents in iods:
            value = here.get(akey)
            if value is not None and isinstance(value, Records) != (extents is not None):
                raise error_from_der(DER.NO_PERM, "the akey holds the other kind of value")
            if not isinstance(value, Records):
                found.append(value if extents is None else 0)
                continue
            stored = value.size if value.cells else 0
            found.append(stored)
            if room is not None and stored == size:
                indices = [index for start, count in extents or [] for index in range(start, start + count)]
                memoryview(room).cast("B")[:] = b"".join(value.cells.get(index, bytes(size)) for index in indices)
        return found

    def punch(self, dkey: bytes | None, akeys: list[bytes] | None, flags: int = 0) -> None:
        self.enter("object_punch")
        here = self.dkeys if dkey is None else self.dkeys.get(dkey, {})
        there = bool(here) if akeys is None else all(akey in here for akey in akeys)
        if flags & _seam.COND_PUNCH and not there:
            raise error_from_der(DER.NONEXIST, "it is not there")
        if dkey is None:
            self.dkeys.clear()
            self.destroyed()
            return
        for akey in list(here) if akeys is None else akeys:
            self.dkeys.get(dkey, {}).pop(akey, None)
        if not self.dkeys.get(dkey):
            self.dkeys.pop(dkey, None)

    def list_keys(
        self, dkey: bytes | None, anchor: bytes | None, count: int, reverse: bool
    ) -> tuple[list[bytes], bytes | None]:
        self.enter("object_list")
        integers = self.oid[0] >> 56 in (INT_DKEYS if dkey is None else INT_AKEYS)

        def place(key: bytes) -> tuple[int, bytes]:
            return (int.from_bytes(key, "little"), b"") if integers else (0, key)

        keys = sorted(self.dkeys if dkey is None else self.dkeys.get(dkey, {}), key=place, reverse=reverse)
        if anchor is None:
            # An empty page before the end is allowed: all that use listings must bear it.
            return [], b"start"
        if anchor != b"start":
            last = place(anchor[1:])
            keys = [key for key in keys if (place(key) < last if reverse else place(key) > last)]
        page = keys[:count]
        return page, b"@" + page[-1] if len(keys) > count else None

    def query(
        self, greatest: bool, dkey: bytes | None, akey: bytes | None, akey_extreme: bool, records: bool
    ) -> Found | None:
        self.enter("object_query")
        kind = self.oid[0] >> 56
        if (dkey is None and kind not in INT_DKEYS) or (akey_extreme and kind not in INT_AKEYS):
            raise error_from_der(DER.INVAL, "only integer keys have an extreme")
        best = max if greatest else min
        found: list[tuple[int, Found]] = []
        for dkey_found, akeys in self.dkeys.items():
            if dkey is not None and dkey != dkey_found:
                continue
            at_dkey = None if dkey is not None else int.from_bytes(dkey_found, "little")
            inner: list[tuple[int, Found]] = []
            for akey_found, value in akeys.items():
                if akey is not None and akey != akey_found:
                    continue
                at_akey = int.from_bytes(akey_found, "little") if akey_extreme else None
                if not records:
                    inner.append((at_akey or 0, (at_dkey, at_akey, None, 0)))
                elif isinstance(value, Records) and value.cells:
                    inner.append((at_akey or 0, (at_dkey, at_akey, (best(value.cells), 1), value.size)))
            if inner:
                found.append((at_dkey or 0, best(inner, key=lambda pair: pair[0])[1]))
        return best(found, key=lambda pair: pair[0])[1] if found else None


@dataclass
class AttributesFake:
    """`_core.Attributes`."""

    enter: Callable[[str], None]
    items: dict[str, bytes]

    def set(self, items: list[tuple[str, bytes]]) -> None:
        self.enter("attributes_set")
        self.items.update(items)

    def get(self, names: list[str]) -> list[bytes | None]:
        self.enter("attributes_get")
        return [self.items.get(name) for name in names]

    def names(self) -> list[str]:
        self.enter("attributes_names")
        return sorted(self.items)

    def remove(self, names: list[str]) -> int:
        self.enter("attributes_remove")
        return len([self.items.pop(name) for name in set(names) if name in self.items])
