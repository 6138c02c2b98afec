"""Key-value stores."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, MutableMapping, ValuesView
from itertools import chain, islice
from typing import TYPE_CHECKING, Generic, TypeVar, cast, overload

from daos.client import _seam
from daos.client._keys import CODECS, K, KeyCodec
from daos.errors import ExistsError, InvalidError, KeyNotFoundError, NotFoundError

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from daos.client._names import ObjectId
    from daos.client._seam import Value
    from daos.client.container import Container

__all__ = ["KV"]

PAGE_KEYS = 1024
"""Keys a listing takes at a time: a page of short keys stays within a few hundred kilobytes."""
BATCH_ITEMS_MAX = 4096
"""Pairs of one call of `put_many`, so that an endless iterator does not fill the memory."""

D = TypeVar("D")


class KV(MutableMapping[K, bytes], Generic[K]):
    """A mapping from keys to bytes, in a container.

    Keys are all `str`, all `bytes`, or all `int` from 0 to 2**64 - 1, as fixed when the store was made. Values are
    given as any contiguous buffer and come back as `bytes`. Every change is as durable when its call returns as the
    system was opened for. Made by `Container.kv`; threads may share it.

    Listing goes through pages without loading all keys: a key that is added or removed meanwhile may be seen or not, no
    key is seen twice. The order is the same each time: of integers by value, of others by their bytes.

    All methods raise `ClosedError` (`DER.NO_HDL`) when the system is closed, `ForkedError` in a forked child if it is
    embedded, and `CorruptionError` (`DER.CSUM`) rather than return wrong bytes; those that change something raise
    `NoSpaceError` (`DER.NOSPACE`) when it is full and `UncertainError` (`DER.TX_UNCERTAIN`) when a sync failed.
    """

    __slots__ = ("_codec", "_container", "_core", "_name", "_oid")

    def __init__(
        self, core: _seam.KVCore, codec: KeyCodec[K], *, name: str, container: Container, oid: ObjectId
    ) -> None:
        self._core = core
        self._codec: KeyCodec[K] = codec
        self._name = name
        # Held, so that a system that only this store still uses is not closed by collection.
        self._container = container
        self._oid = oid

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickled, (self._container, self._codec.name, self._name, self._oid)

    @property
    def name(self) -> str:
        """Its name in the container."""
        return self._name

    @property
    def oid(self) -> ObjectId:
        """The object that holds it."""
        return self._oid

    @property
    def keys_are(self) -> str:
        """What its keys are: `str`, `bytes` or `int`."""
        return self._codec.name

    # --- one key

    @overload
    def get(self, key: K, default: None = None) -> bytes | None: ...
    @overload
    def get(self, key: K, default: D) -> bytes | D: ...
    def get(self, key: K, default: D | None = None) -> bytes | D | None:
        """Return a value, or the default if the key is absent.

        Raises:
            InvalidError: `DER.INVAL` or `DER.KEY2BIG`: no key of this store.
        """
        value = self._core.get(self._codec.encode(key))
        return default if value is None else value

    def put(self, key: K, value: Value, *, if_absent: bool = False, if_present: bool = False) -> None:
        """Store a value, whatever the key had.

        Args:
            key: A key of the store's kind.
            value: At least one byte, any contiguous buffer; it may be changed again when this returns.
            if_absent: Only if the key is absent. The check and the change are one step.
            if_present: Only if the key exists.

        Raises:
            ExistsError: `DER.EXIST`: `if_absent`, and the key exists.
            KeyNotFoundError: `DER.NONEXIST`: `if_present`, and the key is absent.
            InvalidError: `DER.INVAL` or `DER.KEY2BIG`: no key of this store, or no value.
        """
        if not if_absent and not if_present:
            self._core.put(self._codec.encode(key), checked_value(value))
            return
        if if_absent and if_present:
            raise InvalidError("if_absent and if_present exclude each other", hint="give one of them")
        flags = _seam.COND_KEY_INSERT if if_absent else _seam.COND_KEY_UPDATE
        try:
            self._core.put(self._codec.encode(key), checked_value(value), flags)
        except NotFoundError as error:
            raise self._absent(key) from error

    def remove(self, key: K) -> None:
        """Remove a key; one that is absent is no error (`del` raises for it).

        Raises:
            InvalidError: `DER.INVAL` or `DER.KEY2BIG`: no key of this store.
        """
        self._core.remove(self._codec.encode(key))

    def __getitem__(self, key: K) -> bytes:
        value = self._core.get(self._codec.encode(key))
        if value is None:
            raise self._absent(key)
        return value

    def __setitem__(self, key: K, value: Value) -> None:
        self._core.put(self._codec.encode(key), checked_value(value))

    def __delitem__(self, key: K) -> None:
        try:
            self._core.remove(self._codec.encode(key), _seam.COND_PUNCH)
        except NotFoundError as error:
            raise self._absent(key) from error

    def __contains__(self, key: object) -> bool:
        # Of a foreign type the codec refuses the key: a dict would answer False, and hide the mistake.
        return self._core.get(self._codec.encode(key)) is not None  # type: ignore[arg-type]

    def setdefault(self, key: K, default: bytes | None = None) -> bytes:
        """Return the value of a key, after storing the default if it was absent.

        The check and the change are one step, also against other threads.
        """
        if default is None:
            raise InvalidError("setdefault needs a default", hint="values are bytes; None is none")
        try:
            self.put(key, default, if_absent=True)
        except ExistsError:
            # Removed in between, it is ours to set after all.
            value = self.get(key)
            return self.setdefault(key, default) if value is None else value
        return bytes(default)

    # --- several keys

    def put_many(self, items: Mapping[K, Value] | Iterable[tuple[K, Value]]) -> None:
        """Store several values, made durable together.

        Not atomic: after an error some may be stored. At most 4096 pairs go into one call of the core; a longer
        iterable takes several.

        Raises:
            InvalidError: `DER.INVAL` or `DER.KEY2BIG`: a bad key or value; of that call's pairs none is stored.
        """
        pairs = iter(items.items() if isinstance(items, Mapping) else items)
        encode = self._codec.encode
        while batch := [
            (encode(key), value if type(value) is bytes else checked_value(value))
            for key, value in _pairs(islice(pairs, BATCH_ITEMS_MAX))
        ]:
            self._core.put_many(batch)

    def get_many(self, keys: Iterable[K]) -> dict[K, bytes | None]:
        """Return the values of several keys, None for those that are absent, in one call of the core.

        Raises:
            InvalidError: `DER.INVAL` or `DER.KEY2BIG`: a key that is none of this store.
        """
        wanted = list(keys)
        encode = self._codec.encode
        return dict(zip(wanted, self._core.get_many([encode(key) for key in wanted]), strict=True))

    def update(self, other: Mapping[K, Value] | Iterable[tuple[K, Value]] = (), /) -> None:  # type: ignore[override]
        """Store several values, as `put_many`."""
        self.put_many(other)

    def clear(self) -> None:
        """Remove all keys, one after the other."""
        for page in self._pages(reverse=False):
            for key in page:
                self._core.remove(key)

    # --- listing

    def _pages(self, *, reverse: bool) -> Iterator[list[bytes]]:
        """Yield pages of stored keys; a page may be empty before the end."""
        anchor: bytes | None = None
        while True:
            page, anchor = self._core.list_keys(anchor, PAGE_KEYS, reverse)
            yield page
            if anchor is None:
                return

    def _pair_pages(self) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Yield pages of stored keys and of their values; a page may be empty before the end."""
        anchor: bytes | None = None
        while True:
            keys, values, anchor = self._core.list_pairs(anchor, PAGE_KEYS, False)  # noqa: FBT003 -- the seam has no keywords
            yield keys, values
            if anchor is None:
                return

    def __iter__(self) -> Iterator[K]:
        for page in self._pages(reverse=False):
            yield from map(self._codec.decode, page)

    def __reversed__(self) -> Iterator[K]:
        for page in self._pages(reverse=True):
            yield from map(self._codec.decode, page)

    def __len__(self) -> int:
        """Count the keys by listing them all."""
        return sum(map(len, self._pages(reverse=False)))

    def __bool__(self) -> bool:
        # Without this, truth would list all keys to count them.
        return any(self._pages(reverse=False))

    def items(self) -> ItemsView[K, bytes]:
        """Return a view that reads keys and values a page at a time, in one pass."""
        return _Items(self)

    def values(self) -> ValuesView[bytes]:
        """Return a view that reads values a page at a time."""
        return _Values(self)

    def __repr__(self) -> str:
        return f"<daos.KV {self._name!r} in {self._container.label}, {self._codec.name} keys>"

    def _absent(self, key: K) -> KeyNotFoundError:
        """Return the error of a key that is not there."""
        return KeyNotFoundError(
            f"no key {key!r} in {self._name!r}",
            hint="get() answers None for a key that is absent",
            context={"key": key, "kv": self._name},
        )


class _Items(ItemsView[K, bytes]):
    _mapping: KV[K]

    def __iter__(self) -> Iterator[tuple[K, bytes]]:
        decode = self._mapping._codec.decode  # noqa: SLF001 -- one class in two
        pages = self._mapping._pair_pages()  # noqa: SLF001
        return chain.from_iterable(zip(map(decode, keys), values, strict=True) for keys, values in pages)


class _Values(ValuesView[bytes]):
    _mapping: KV[str] | KV[bytes] | KV[int]

    def __iter__(self) -> Iterator[bytes]:
        pages = self._mapping._pair_pages()  # noqa: SLF001 -- one class in two
        return chain.from_iterable(values for _, values in pages)


def checked_value(value: Value) -> Buffer:
    """Return a value that can be stored."""
    if type(value) is bytes:
        return value
    try:
        with memoryview(cast("Buffer", value)) as view:
            if view.c_contiguous:
                return cast("Buffer", value)
    except TypeError:
        hint = "encode it, such as text.encode()" if isinstance(value, str) else "give bytes or a NumPy array"
        raise InvalidError(f"a value is bytes-like, not {type(value).__name__}", hint=hint) from None
    raise InvalidError("a value is one contiguous buffer", hint="copy it first, such as numpy.ascontiguousarray(x)")


def _pairs(items: Iterable[tuple[K, Value]]) -> Iterator[tuple[K, Value]]:
    """Yield pairs of what should be pairs."""
    for item in items:
        try:
            key, value = item
        except (TypeError, ValueError):
            raise InvalidError(
                f"put_many takes pairs of key and value, not {type(item).__name__}", hint="or a mapping"
            ) from None
        yield key, value


def _unpickled(container: Container, keys: str, name: str, oid: ObjectId) -> KV[str]:
    core = container._core.kv(oid.hi, oid.lo)  # noqa: SLF001 -- one class in two
    # One of three types, which only its pickle tells.
    return KV(core, cast("KeyCodec[str]", CODECS[keys]), name=name, container=container, oid=oid)
