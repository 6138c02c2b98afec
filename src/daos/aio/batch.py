"""Batches, awaitable."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Generic, Literal, ParamSpec, cast, overload

from daos import _core
from daos.client import batch as sync_face
from daos.client._keys import K
from daos.client._owned import owned, owned_iods
from daos.client._sending import Sending, What
from daos.client.kv import _pairs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from daos import client
    from daos.aio._queue import Home
    from daos.client._dtypes import DtypeLike
    from daos.client._keys import KeyCodec
    from daos.client._names import ObjectId
    from daos.client._seam import Value
    from daos.client._sending import Start
    from daos.client.container import Create, KeysAre
    from daos.client.object import If, Key, Written

__all__ = ["Batch", "BatchArray", "BatchKV", "BatchObject"]

P = ParamSpec("P")


class Batch:
    """Changes of a container that are sent one behind the other: `daos.Batch`, as an `async with` block.

    They happen in the order they were sent. To await a change is to wait until it is sent, which takes time only where
    16384 changes or 64 MiB are under way; the end of the block waits until all are done and as durable as the system
    was opened for. If that wait is cancelled, what was sent and has not begun may never happen. Made by
    `Container.batch`; it belongs to one event loop.
    """

    __slots__ = ("_changed", "_container", "_home", "_sending")

    def __init__(self, container: client.Container, home: Home) -> None:
        self._container = container
        self._home = home
        self._sending = Sending(sync_face.OPERATIONS_MAX, sync_face.BYTES_MAX)
        self._changed = asyncio.Event()

    @overload
    async def kv(self, name: str, *, create: Create = ..., keys: None = ...) -> BatchKV[str]: ...
    @overload
    async def kv(self, name: str, *, create: Create = ..., keys: Literal["str"]) -> BatchKV[str]: ...
    @overload
    async def kv(self, name: str, *, create: Create = ..., keys: Literal["bytes"]) -> BatchKV[bytes]: ...
    @overload
    async def kv(self, name: str, *, create: Create = ..., keys: Literal["int"]) -> BatchKV[int]: ...
    async def kv(
        self, name: str, *, create: Create = False, keys: KeysAre | None = None
    ) -> BatchKV[str] | BatchKV[bytes] | BatchKV[int]:
        """Return a store of the container to change in this batch; arguments and errors are those of `Container.kv`."""
        kv = await self._home.call(lambda: self._container.kv(name, create=create, keys=keys))
        # One of three types, which a type variable does not take at once.
        return BatchKV(self, cast("client.KV[str]", kv))

    async def array(
        self,
        name: str,
        dtype: DtypeLike | None = None,
        *,
        create: Create = False,
        fill: object = None,
        chunk: int | None = None,
        oclass: str = "SX",
    ) -> BatchArray:
        """Return an array of the container to change in this batch; as `Container.array`."""
        open_it = self._container.array
        found = await self._home.call(
            lambda: open_it(name, dtype, create=create, fill=fill, chunk=chunk, oclass=oclass)
        )
        return BatchArray(self, found)

    async def object(
        self,
        name_or_oid: str | ObjectId,
        *,
        create: Create = False,
        type: str | None = None,  # noqa: A002 -- DAOS's word for it
        oclass: str = "SX",
        keys: Literal["str", "bytes"] | None = None,
    ) -> BatchObject:
        """Return an object of the container to change in this batch; as `Container.object`."""
        open_it = self._container.object
        found = await self._home.call(lambda: open_it(name_or_oid, create=create, type=type, oclass=oclass, keys=keys))
        return BatchObject(self, found)

    async def __aenter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._sending.queue.fileno(), self._drain)
        self._sending.is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for all.

        Raises:
            DaosError: The first error, when all are done; its notes say which change it was and how many failed.
        """
        sending = self._sending
        sending.is_open = False
        try:
            while sending.queue.in_flight:
                await self._change()
        finally:
            asyncio.get_running_loop().remove_reader(sending.queue.fileno())
            # Its thread ends by itself when it has no more to do.
            sending.queue.close(timeout_s=0)
        sending.tell(error)

    async def _send(
        self,
        start: Start[P],
        what: What,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Begin a change, after waiting for room."""
        while not self._sending.begin(start, what, *args, **kwargs):
            await self._change()

    async def _change(self) -> None:
        """Wait until something is done."""
        self._changed.clear()
        await self._changed.wait()

    def _drain(self) -> None:
        self._sending.drain()
        self._changed.set()


class BatchKV(Generic[K]):
    """A key-value store as a batch changes it: `daos.BatchKV`, to be awaited."""

    __slots__ = ("_batch", "_codec", "_core", "_kv")

    def __init__(self, batch: Batch, kv: client.KV[K]) -> None:
        self._batch = batch
        self._kv: client.KV[K] = kv
        self._codec: KeyCodec[K] = kv._codec  # noqa: SLF001 -- one class in two
        self._core = _core.AsyncKV(cast("_core.KV", kv._core))  # noqa: SLF001 -- as above

    async def put(self, key: K, value: Value) -> None:
        """Send a value; `bytes` are held until it is stored, any other buffer is copied.

        Raises:
            InvalidError: `DER.INVAL` or `DER.KEY2BIG`: no key of this store, or no value; nothing was sent.
        """
        stored, kept = self._codec.encode(key), owned(value)
        await self._batch._send(self._core.put, What("put", "key", key, self._kv.name), stored, kept)  # noqa: SLF001 -- its own part

    async def remove(self, key: K) -> None:
        """Send the removal of a key; one that is absent is no error.

        Raises:
            InvalidError: `DER.INVAL` or `DER.KEY2BIG`: no key of this store; nothing was sent.
        """
        stored = self._codec.encode(key)
        await self._batch._send(self._core.remove, What("remove", "key", key, self._kv.name), stored)  # noqa: SLF001 -- its own part

    async def put_many(self, items: Mapping[K, Value] | Iterable[tuple[K, Value]]) -> None:
        """Send several values, as `put` does each."""
        for key, value in _pairs(items.items() if isinstance(items, Mapping) else items):
            await self.put(key, value)

    def __repr__(self) -> str:
        return f"<daos.aio.BatchKV {self._kv.name!r}>"


class BatchArray:
    """An array as a batch changes it: `daos.BatchArray`, to be awaited."""

    __slots__ = ("_array", "_batch", "_core")

    def __init__(self, batch: Batch, array: client.Array) -> None:
        self._batch = batch
        self._array = array
        self._core = _core.AsyncArray(cast("_core.Array", array._core))  # noqa: SLF001 -- one class in two

    async def write(self, start: int, data: object, *, step: int = 1) -> None:
        """Send data, which is copied; arguments are those of `Array.write`.

        Raises:
            InvalidError: As `Array.write`; nothing was sent.
        """
        from daos.client.array import one_write

        first, cells, step = one_write(start, data, self._array.dtype, step)
        if cells.size:
            what = What("write", "cell", start, self._array.name)
            await self._batch._send(self._core.write, what, first, step, cells.tobytes())  # noqa: SLF001 -- its own part

    async def punch(self, start: int, stop: int | None = None) -> None:
        """Send the removal of cells; arguments are those of `Array.punch`.

        Raises:
            InvalidError: As `Array.punch`; nothing was sent.
        """
        from daos.client.array import punched

        what = What("punch", "cell", start, self._array.name)
        await self._batch._send(self._core.punch, what, *punched(start, stop))  # noqa: SLF001 -- its own part

    def __repr__(self) -> str:
        return f"<daos.aio.BatchArray {self._array.name!r}>"


class BatchObject:
    """An object as a batch changes it: `daos.BatchObject`, to be awaited."""

    __slots__ = ("_batch", "_core", "_object")

    def __init__(self, batch: Batch, object_: client.Object) -> None:
        self._batch = batch
        self._object = object_
        self._core = _core.AsyncObject(cast("_core.Object", object_._core))  # noqa: SLF001 -- one class in two

    async def update(
        self,
        dkey: Key,
        values: Mapping[Key, Written] | None = None,
        /,
        *,
        if_dkey: If | None = None,
        if_akeys: If | None = None,
        **named: Written,
    ) -> None:
        """Send new values of akeys of a dkey, all or none; arguments are those of `Object.update`.

        `bytes` are held until they are stored, any other buffer is copied.

        Raises:
            InvalidError: As `Object.update`; nothing was sent.
        """
        stored, iods, flags = self._object._changes(dkey, values, named, if_dkey, if_akeys)  # noqa: SLF001 -- one class in two
        what = What("update", "dkey", dkey, self._name)
        await self._batch._send(self._core.update, what, stored, owned_iods(iods), flags)  # noqa: SLF001 -- its own part

    async def punch(
        self, dkey: Key | None = None, akeys: Iterable[Key] | None = None, *, if_present: bool = False
    ) -> None:
        """Send the removal of akeys, a dkey or everything; arguments are those of `Object.punch`.

        Raises:
            InvalidError: As `Object.punch`; nothing was sent.
        """
        removed = self._object._removed(dkey, akeys, if_present=if_present)  # noqa: SLF001 -- one class in two
        if removed is not None:
            await self._batch._send(self._core.punch, What("punch", "dkey", dkey, self._name), *removed)  # noqa: SLF001 -- its own part

    def __repr__(self) -> str:
        return f"<daos.aio.BatchObject {self._name!r}>"

    @property
    def _name(self) -> str:
        return self._object.name or str(self._object.oid)
