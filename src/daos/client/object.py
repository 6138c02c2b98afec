"""Objects as they are stored: dkeys, akeys below them, single values and arrays below those."""

from __future__ import annotations

from collections.abc import Mapping
from types import EllipsisType
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from daos.client import _seam
from daos.client._keys import CODEC_OF, INT_KEYS, AnyCodec
from daos.client._names import KeyKind, ObjectType
from daos.client._values import Extent, Extreme, Hole, Range
from daos.client.kv import PAGE_KEYS, checked_value
from daos.errors import DER, ConflictError, InvalidError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from daos.client._dtypes import Cells
    from daos.client._names import ObjectId
    from daos.client._seam import FetchIod, Iod, ObjectCore, Value
    from daos.client.container import Container

    Read: TypeAlias = bytes | Cells
    """What `Object.fetch` answers for one akey."""
    Written: TypeAlias = Value | Extent | Hole | None
    """What `Object.update` takes for one akey."""
    Reading: TypeAlias = Generator[list[FetchIod], Sequence[bytes | int | None], dict["Key", bytes | Cells]]
    """Yields what to ask the core, is sent its answers, and returns what `Object.fetch` returns."""

__all__ = ["TYPES", "Object"]

Key: TypeAlias = str | bytes | int
If = Literal["absent", "present"]
TYPES: Mapping[str, ObjectType] = {
    kind.name.lower(): kind
    for kind in (
        ObjectType.MULTI_HASHED,
        ObjectType.DKEY_UINT64,
        ObjectType.AKEY_UINT64,
        ObjectType.MULTI_UINT64,
        ObjectType.DKEY_LEXICAL,
        ObjectType.AKEY_LEXICAL,
        ObjectType.MULTI_LEXICAL,
    )
}
"""Types of objects by what a caller writes."""
_SIZE_TRIES_MAX = 8
"""How often a read begins again because somebody changed the size of records meanwhile."""


class Object:
    """An object with its dkeys and akeys, in a container. Made by `Container.object`; threads may share it.

    Below a dkey lie akeys; each holds one single value, replaced as a whole, or one array of records of one size. All
    that one call changes or reads under one dkey is changed or read at one moment.

    Keys of a level are `int` where the object's type says so (`dkey_uint64`, `akey_uint64`, `multi_uint64`), else `str`
    or `bytes`, as the object was opened with. Every change is as durable when its call returns as the system was opened
    for. Values are given as any contiguous buffer, which is not copied: leave it alone until the call returns.

    All methods raise `InvalidError` (`DER.INVAL` or `DER.KEY2BIG`) for a key that is none of its level, `ClosedError`
    (`DER.NO_HDL`) when the system is closed, `ForkedError` in a forked child if it is embedded, and `CorruptionError`
    (`DER.CSUM`) rather than return wrong bytes; those that change something raise `NoSpaceError` (`DER.NOSPACE`) when
    it is full and `UncertainError` (`DER.TX_UNCERTAIN`) when a sync failed.
    """

    __slots__ = ("_akeys", "_container", "_core", "_dkeys", "_keys_are", "_name", "_oid")

    def __init__(
        self, core: ObjectCore, keys: KeyKind, *, name: str | None, container: Container, oid: ObjectId
    ) -> None:
        kind = ObjectType(oid.type_number)
        self._core = core
        self._dkeys: AnyCodec = INT_KEYS if kind.has_int_dkeys else CODEC_OF[keys]
        self._akeys: AnyCodec = INT_KEYS if kind.has_int_akeys else CODEC_OF[keys]
        self._keys_are = keys
        self._name = name
        # Held, so that a system that only this object still uses is not closed by collection.
        self._container = container
        self._oid = oid

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickled, (self._container, int(self._keys_are), self._name, self._oid)

    @property
    def name(self) -> str | None:
        """Its name in the container; None if it was opened by its id."""
        return self._name

    @property
    def oid(self) -> ObjectId:
        """Its id."""
        return self._oid

    @property
    def type(self) -> str:
        """Which of its keys are integers or in the order of their bytes, as `Container.object` takes it."""
        return ObjectType(self._oid.type_number).name.lower()

    @property
    def layout(self) -> list[int]:
        """The target of each of its shards, in their order; a dkey lies in one shard with all its akeys."""
        return self._core.layout()

    # --- values

    def update(
        self,
        dkey: Key,
        values: Mapping[Key, Written] | None = None,
        /,
        *,
        if_dkey: If | None = None,
        if_akeys: If | None = None,
        **named: Written,
    ) -> None:
        """Give akeys of a dkey new values, all or none.

        Args:
            dkey: The dkey.
            values: By akey: a buffer as a single value, None to remove the single value, an
                `Extent` to write records, a `Hole` to remove some.
            if_dkey: Only if the dkey is `"absent"`, or `"present"`. The check and the change are one step.
            if_akeys: The same of all akeys of this call.
            **named: More of them, whose akeys are identifiers.

        Raises:
            ExistsError: `DER.EXIST`: it was to be absent.
            NotFoundError: `DER.NONEXIST`: it was to be present.
            AccessError: `DER.NO_PERM`: an akey holds the other of single value and array.
            InvalidError: `DER.INVAL`, `DER.KEY2BIG` or `DER.REC_SIZE`: a bad value, or records of another size than the
                array has.
        """
        self._core.update(*self._changes(dkey, values, named, if_dkey, if_akeys))

    def _changes(
        self,
        dkey: Key,
        values: Mapping[Key, Written] | None,
        named: Mapping[str, Written],
        if_dkey: object,
        if_akeys: object,
    ) -> tuple[bytes, list[Iod], int]:
        """Return what the core takes for an update."""
        flags = _flags(if_dkey, _seam.COND_KEY_INSERT, _seam.COND_KEY_UPDATE, "if_dkey")
        flags |= _flags(if_akeys, _seam.COND_AKEY_INSERT, _seam.COND_AKEY_UPDATE, "if_akeys")
        akeys = {self._akey(akey): _iod(self._akey(akey), value) for akey, value in _both(values, named)}
        if not akeys:
            raise InvalidError("an update of no akeys", hint="such as object.update(dkey, station=b'ABC')")
        return self._dkey(dkey), list(akeys.values()), flags

    def fetch(self, dkey: Key, /, *akeys: Key | Mapping[Key, Range], **ranges: Range) -> dict[Key, bytes | Cells]:
        """Return values of akeys of a dkey, all as of one moment, by akey as it was given.

        What is not there is not in the dict: a single value that is absent, an array that holds nothing. Records of an
        array that holds others are zero.

        Args:
            dkey: The dkey.
            *akeys: Each the akey of a single value, or a mapping of akeys to a `Range` of records.
            **ranges: More of these, whose akeys are identifiers.

        Raises:
            AccessError: `DER.NO_PERM`: an akey holds the other of single value and array.
            InvalidError: `DER.REC_SIZE`: the records have another size than the dtype.
            NoSpaceError: `DER.NOMEM`: no memory for so many records.
        """
        stored, reading = self._reading(dkey, akeys, ranges)
        try:
            asked = next(reading)
            while True:
                asked = reading.send(self._core.fetch(stored, asked))
        except StopIteration as done:
            return cast("dict[Key, bytes | Cells]", done.value)

    def _reading(
        self, dkey: Key, akeys: Iterable[Key | Mapping[Key, Range]], ranges: Mapping[str, Range]
    ) -> tuple[bytes, Reading]:
        """Return the stored dkey, and what asks the core step by step and returns what `fetch` returns."""
        wanted: dict[Key, Range | None] = {}
        for given in akeys:
            more: Mapping[Key, Range | None] = given if isinstance(given, Mapping) else {given: None}
            wanted.update(_new(more, wanted))
        wanted.update(_new(cast("Mapping[Key, Range | None]", ranges), wanted))
        stored = {self._akey(akey): range_ for akey, range_ in wanted.items()}
        return self._dkey(dkey), _reads(wanted, stored)

    def punch(self, dkey: Key | None = None, akeys: Iterable[Key] | None = None, *, if_present: bool = False) -> None:
        """Remove akeys of a dkey, a dkey, or without arguments everything; snapshots still see it.

        Args:
            dkey: The dkey.
            akeys: Akeys of it; without them, all.
            if_present: Only if all of it is there.

        Raises:
            NotFoundError: `DER.NONEXIST`: `if_present`, and it is not there.
        """
        removed = self._removed(dkey, akeys, if_present=if_present)
        if removed is not None:
            self._core.punch(*removed)

    def _removed(
        self, dkey: Key | None, akeys: Iterable[Key] | None, *, if_present: bool
    ) -> tuple[bytes | None, list[bytes] | None, int] | None:
        """Return what the core takes for a punch; None for one of no akeys."""
        flags = _seam.COND_PUNCH if if_present else 0
        if dkey is None:
            if akeys is not None:
                raise InvalidError("akeys of which dkey?", hint="object.punch(dkey, akeys)")
            return None, None, flags
        if isinstance(akeys, (str, bytes)):
            raise InvalidError(f"akeys are several, not {akeys!r}", hint="give a list")
        stored = None if akeys is None else [self._akey(akey) for akey in akeys]
        return None if stored == [] else (self._dkey(dkey), stored, flags)

    # --- keys

    def dkeys(self, *, reverse: bool = False) -> Iterator[Key]:
        """Yield its dkeys, a page at a time: integers by value, others by their bytes, shard after shard."""
        return self._keys(None, self._dkeys, reverse=reverse)

    def akeys(self, dkey: Key, *, reverse: bool = False) -> Iterator[Key]:
        """Yield the akeys of a dkey, a page at a time: integers by value, others by their bytes."""
        return self._keys(self._dkey(dkey), self._akeys, reverse=reverse)

    def exists(self, dkey: Key | None = None) -> bool:
        """Tell whether a dkey holds something, or without one the object."""
        keys = self.dkeys() if dkey is None else self.akeys(dkey)
        return next(keys, None) is not None

    def query(
        self,
        which: Literal["max", "min"],
        *,
        dkey: Key | EllipsisType = ...,
        akey: Key | EllipsisType | None = None,
        records: bool = False,
    ) -> Extreme | None:
        """Return the greatest or the least key or record, None if there is none.

        Args:
            which: The greatest or the least.
            dkey: In this dkey; `...`, the default, asks for the extreme one in which the rest finds something.
            akey: In this akey; `...` asks for the extreme one; None is about dkeys only.
            records: Ask for the extreme record of the array as well.

        Raises:
            InvalidError: `DER.INVAL`: a level that is asked for is not one of integers.
        """
        found = self._core.query(*self._asked(which, dkey, akey, records=records))
        return None if found is None else extreme(which, *found)

    def _asked(
        self, which: str, dkey: Key | EllipsisType, akey: Key | EllipsisType | None, *, records: bool
    ) -> tuple[bool, bytes | None, bytes | None, bool, bool]:
        """Return what the core takes for a query."""
        if which not in {"max", "min"}:
            raise InvalidError(f"which cannot be {which!r}", hint='"max" or "min"')
        if (akey is None and (records or dkey is not ...)) or (dkey is ... and self._dkeys is not INT_KEYS):
            hint = "records need an akey; only integer keys have an extreme"
            raise InvalidError("there is nothing to be the extreme", hint=hint)
        return (
            which == "max",
            None if isinstance(dkey, EllipsisType) else self._dkey(dkey),
            None if akey is None or isinstance(akey, EllipsisType) else self._akey(akey),
            akey is ...,
            records,
        )

    def __repr__(self) -> str:
        return f"<daos.Object {self._oid if self._name is None else repr(self._name)} in {self._container.label}>"

    # --- helpers

    def _dkey(self, key: Key) -> bytes:
        return _encoded(self._dkeys, key, "dkeys")

    def _akey(self, key: Key) -> bytes:
        return _encoded(self._akeys, key, "akeys")

    def _keys(self, dkey: bytes | None, codec: AnyCodec, *, reverse: bool) -> Iterator[Key]:
        anchor: bytes | None = None
        while True:
            page, anchor = self._core.list_keys(dkey, anchor, PAGE_KEYS, reverse)
            yield from map(codec.decode, page)
            if anchor is None:
                return


def _encoded(codec: AnyCodec, key: Key, level: str) -> bytes:
    """Return the stored form of a key of a level."""
    if type(key).__name__ != codec.name:
        raise InvalidError(
            f"{level} of this object are {codec.name}, not {type(key).__name__}",
            hint="the object's type decides which are int, keys= whether others are str or bytes",
        )
    return codec.encode(key)  # type: ignore[arg-type]  # of the codec's type, as was seen


def _new(more: Mapping[Key, Range | None], known: Mapping[Key, object]) -> Mapping[Key, Range | None]:
    """Return what is asked for, refused if it was asked for before."""
    for akey, range_ in more.items():
        if akey in known:
            raise InvalidError(f"akey {akey!r} is there twice", hint="give it once")
        if range_ is not None and not isinstance(range_, Range):
            hint = "a daos.Range of records; the akeys of single values stand by themselves"
            raise InvalidError(f"{akey!r} is read as {type(range_).__name__}", hint=hint)
    return more


def _both(values: Mapping[Key, Written] | None, named: Mapping[str, Written]) -> Iterator[tuple[Key, Written]]:
    """Yield akeys and values of both ways to give them."""
    if values is not None and not isinstance(values, Mapping):
        raise InvalidError(f"values are a mapping by akey, not {type(values).__name__}", hint="or give them by name")
    yield from (values or {}).items()
    for akey, value in named.items():
        if values and akey in values:
            raise InvalidError(f"akey {akey!r} is there twice", hint="give it once")
        yield akey, value


def _flags(when: object, absent: int, present: int, what: str) -> int:
    """Return the bits of a condition."""
    if when is None:
        return 0
    if when not in {"absent", "present"}:
        raise InvalidError(f"{what} cannot be {when!r}", hint='"absent" or "present"')
    return absent if when == "absent" else present


def _iod(akey: bytes, value: Written) -> Iod:
    """Return what the core takes for one akey."""
    if value is None:
        return akey, None, 0, None
    if isinstance(value, Hole):
        return akey, None, 0, [(value.start, value.stop - value.start)]
    if not isinstance(value, Extent):
        return akey, _memory(value)[0], 0, None
    data, size = _memory(value.data)
    if not data.nbytes:
        raise InvalidError("an extent of no records", hint="leave the akey out")
    return akey, data, size, [(value.start, data.nbytes // size)]


def _memory(data: Value) -> tuple[memoryview, int]:
    """Return the memory of a value, as bytes, and the bytes of an element."""
    if hasattr(data, "dtype"):
        from daos.client import _dtypes

        # Times and the like have no buffer of their own.
        return _dtypes.memory(data)
    view = memoryview(checked_value(data))
    return view.cast("B") if view.nbytes else memoryview(b""), view.itemsize


def extreme(which: str, dkey: int | None, akey: int | None, extent: tuple[int, int] | None, size: int) -> Extreme:
    """Return the answer to a query."""
    record = None if extent is None else extent[0] + extent[1] - 1 if which == "max" else extent[0]
    return Extreme(dkey, akey, record, None if extent is None else size)


def _reads(wanted: Iterable[Key], stored: Mapping[bytes, Range | None]) -> Reading:
    """Yield what to ask the core of the akeys of a dkey, be sent its answers, and return what is there by akey."""
    found = yield from _fetching(stored)
    return {akey: value for akey, value in zip(wanted, found, strict=True) if value is not None}


def _fetching(
    wanted: Mapping[bytes, Range | None],
) -> Generator[list[FetchIod], Sequence[bytes | int | None], list[bytes | Cells | None]]:
    """As `_reads`; return values in the order of the akeys, None for what is not there."""
    if not wanted:
        return []
    if not any(wanted.values()):
        answers = yield [(akey, None, 0, None) for akey in wanted]
        return cast("list[bytes | Cells | None]", list(answers))
    sizes = {akey: 0 for akey, range_ in wanted.items() if range_ is not None and range_.dtype is None}
    for _ in range(_SIZE_TRIES_MAX):
        if sizes:
            # How large they are has to be asked first; the read then says if that was still so.
            answers = yield [(akey, None, 0, []) for akey in sizes]
            sizes = {akey: cast("int", answer) for akey, answer in zip(sizes, answers, strict=True)}
        rooms = {akey: _room(range_, sizes.get(akey)) for akey, range_ in wanted.items() if range_ is not None}
        found = yield [_fetch_iod(akey, range_, rooms.get(akey)) for akey, range_ in wanted.items()]
        read: list[bytes | Cells | None] = []
        for (akey, range_), answer in zip(wanted.items(), found, strict=True):
            if range_ is None:
                read.append(cast("bytes | None", answer))
                continue
            room = rooms[akey]
            if answer and (answer != room.dtype.itemsize or not room.size):
                if akey in sizes:
                    break
                text = f"records of {cast('int', answer)} bytes are no {room.dtype}"
                raise InvalidError(text, code=DER.REC_SIZE, hint="leave the dtype out")
            read.append(room if answer else None)
        else:
            return read
    raise ConflictError("the size of records changes all the time", hint="try again")


def _room(range_: Range, size: int | None) -> Cells:
    """Return fresh memory for records; none where they have no size, because there are none."""
    from daos.client import _dtypes

    raw = size or 1
    dtype = _dtypes.check_dtype(f"V{raw}" if range_.dtype is None else range_.dtype)
    return _dtypes.fresh(0 if size == 0 else range_.stop - range_.start, dtype)


def _fetch_iod(akey: bytes, range_: Range | None, room: Cells | None) -> FetchIod:
    """Return what the core takes to read one akey."""
    if range_ is None or room is None:
        return akey, None, 0, None
    if not room.size:
        return akey, None, 0, []
    from daos.client import _dtypes

    return akey, _dtypes.bytes_of(room), room.dtype.itemsize, [(range_.start, room.size)]


def _unpickled(container: Container, keys: int, name: str | None, oid: ObjectId) -> Object:
    core = container._core.object(oid.hi, oid.lo)  # noqa: SLF001 -- one class in two
    return Object(core, KeyKind(keys), name=name, container=container, oid=oid)
