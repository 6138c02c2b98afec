"""Key-value stores, awaitable."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar, cast, overload

from daos import _core
from daos.client import _seam
from daos.client._keys import K
from daos.client._owned import owned
from daos.client.kv import BATCH_ITEMS_MAX, PAGE_KEYS, _pairs
from daos.errors import ExistsError, InvalidError, KeyNotFoundError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from daos import client
    from daos.aio._queue import Home
    from daos.client._keys import KeyCodec
    from daos.client._names import ObjectId
    from daos.client._seam import Value

__all__ = ["KV"]

D = TypeVar("D")


class KV(Generic[K]):
    """A store of bytes by keys, in a container: `daos.KV`, to be awaited.

    When an await returns, the change is as durable as the system was opened for. Operations that are awaited one after
    the other happen in that order; those under way at once happen in any order, and share their sync. A value that is
    `bytes` is held until the operation ends; any other buffer is copied when the call begins.

    Made by `Container.kv`. All methods raise what those of `daos.KV` raise.
    """

    __slots__ = ("_codec", "_core", "_home", "_sync")

    def __init__(self, sync: client.KV[K], home: Home) -> None:
        self._sync: client.KV[K] = sync
        self._codec: KeyCodec[K] = sync._codec  # noqa: SLF001 -- one class in two
        self._core = _core.AsyncKV(cast("_core.KV", sync._core))  # noqa: SLF001 -- as above
        self._home = home

    def __reduce__(self) -> tuple[object, ...]:
        return KV, (self._sync, self._home)

    @property
    def name(self) -> str:
        """Its name in the container."""
        return self._sync.name

    @property
    def oid(self) -> ObjectId:
        """The object that holds it."""
        return self._sync.oid

    @property
    def keys_are(self) -> str:
        """What its keys are: `str`, `bytes` or `int`."""
        return self._sync.keys_are

    # --- one key

    @overload
    async def get(self, key: K, default: None = None) -> bytes | None: ...
    @overload
    async def get(self, key: K, default: D) -> bytes | D: ...
    async def get(self, key: K, default: D | None = None) -> bytes | D | None:
        """Return a value, or the default if the key is absent.

        Raises:
            InvalidError: `DER.INVAL` or `DER.KEY2BIG`: no key of this store.
        """
        value = cast("bytes | None", await self._home.run(self._core.get, self._codec.encode(key)))
        return default if value is None else value

    async def put(self, key: K, value: Value, *, if_absent: bool = False, if_present: bool = False) -> None:
        """Store a value, whatever the key had.

        Args:
            key: A key of the store's kind.
            value: Any contiguous buffer; `bytes` are not copied.
            if_absent: Only if the key is absent. The check and the change are one step.
            if_present: Only if the key exists.

        Raises:
            ExistsError: `DER.EXIST`: `if_absent`, and the key exists.
            KeyNotFoundError: `DER.NONEXIST`: `if_present`, and the key is absent.
            InvalidError: `DER.INVAL` or `DER.KEY2BIG`: no key of this store, or no value.
        """
        if if_absent and if_present:
            raise InvalidError("if_absent and if_present exclude each other", hint="give one of them")
        flags = _seam.COND_KEY_INSERT if if_absent else _seam.COND_KEY_UPDATE if if_present else 0
        try:
            await self._home.run(self._core.put, self._codec.encode(key), owned(value), flags)
        except NotFoundError as error:
            if not if_present:
                raise
            message = f"no key {key!r} in {self.name!r}"
            raise KeyNotFoundError(message, context={"key": key, "kv": self.name}) from error

    async def remove(self, key: K) -> None:
        """Remove a key; one that is absent is no error.

        Raises:
            InvalidError: `DER.INVAL` or `DER.KEY2BIG`: no key of this store.
        """
        await self._home.run(self._core.remove, self._codec.encode(key))

    async def setdefault(self, key: K, default: bytes) -> bytes:
        """Return the value of a key, after storing the default if it was absent.

        The check and the change are one step, also against others.
        """
        while True:
            try:
                await self.put(key, default, if_absent=True)
            except ExistsError:
                # Removed in between, it is ours to set after all.
                if (value := await self.get(key)) is not None:
                    return value
            else:
                return bytes(default)

    # --- several keys

    async def put_many(self, items: Mapping[K, Value] | Iterable[tuple[K, Value]]) -> None:
        """Store several values, made durable together.

        Not atomic: after an error some may be stored. At most 4096 pairs go into one call of the core; a longer
        iterable takes several, one after the other.

        Raises:
            InvalidError: `DER.INVAL` or `DER.KEY2BIG`: a bad key or value; of that call's pairs none is stored.
        """
        pairs = iter(items.items() if isinstance(items, Mapping) else items)
        encode = self._codec.encode
        while batch := [(encode(key), owned(value)) for key, value in _pairs(islice(pairs, BATCH_ITEMS_MAX))]:
            await self._home.run(self._core.put_many, batch)

    async def update(self, other: Mapping[K, Value] | Iterable[tuple[K, Value]] = (), /) -> None:
        """Store several values, as `put_many`."""
        await self.put_many(other)

    async def get_many(self, keys: Iterable[K]) -> dict[K, bytes | None]:
        """Return the values of several keys, None for those that are absent, in one call of the core.

        Raises:
            InvalidError: `DER.INVAL` or `DER.KEY2BIG`: a key that is none of this store.
        """
        wanted = list(keys)
        stored = [self._codec.encode(key) for key in wanted]
        values = cast("list[bytes | None]", await self._home.run(self._core.get_many, stored))
        return dict(zip(wanted, values, strict=True))

    async def clear(self) -> None:
        """Remove all keys."""
        async for page in self._pages(reverse=False):
            for key in page:
                await self._home.run(self._core.remove, key)

    # --- listing

    async def keys(self, *, reverse: bool = False) -> AsyncIterator[K]:
        """Yield the keys, a page at a time, in the order of `daos.KV`.

        Args:
            reverse: From the last to the first.
        """
        async for page in self._pages(reverse=reverse):
            for key in page:
                yield self._codec.decode(key)

    async def items(self) -> AsyncIterator[tuple[K, bytes]]:
        """Yield keys and values, a page at a time, in one pass."""
        async for keys, values in self._pair_pages():
            for key, value in zip(keys, values, strict=True):
                yield self._codec.decode(key), value

    async def values(self) -> AsyncIterator[bytes]:
        """Yield the values, as `items`."""
        async for _, values in self._pair_pages():
            for value in values:
                yield value

    def __repr__(self) -> str:
        return repr(self._sync).replace("daos.KV", "daos.aio.KV")

    async def _pages(self, *, reverse: bool) -> AsyncIterator[list[bytes]]:
        """Yield pages of stored keys; a page may be empty before the end."""
        anchor: bytes | None = None
        while True:
            listed = await self._home.run(self._core.list_keys, anchor, PAGE_KEYS, reverse)
            page, anchor = cast("tuple[list[bytes], bytes | None]", listed)
            yield page
            if anchor is None:
                return

    async def _pair_pages(self) -> AsyncIterator[tuple[list[bytes], list[bytes]]]:
        """Yield pages of stored keys and of their values; a page may be empty before the end."""
        anchor: bytes | None = None
        while True:
            listed = await self._home.run(self._core.list_pairs, anchor, PAGE_KEYS, False)  # noqa: FBT003 -- the seam has no keywords
            keys, values, anchor = cast("tuple[list[bytes], list[bytes], bytes | None]", listed)
            yield keys, values
            if anchor is None:
                return
