"""Batches: changes that are sent without waiting for each of them."""

from __future__ import annotations

import select
from collections.abc import Mapping
from typing import TYPE_CHECKING, Generic, Literal, ParamSpec, cast, overload

from daos import _core
from daos.client import _seam
from daos.client._keys import K, KeyCodec
from daos.client._owned import owned, owned_iods
from daos.client._sending import Sending, What
from daos.client.kv import _pairs
from daos.errors import DER, InvalidError, UncertainError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import EllipsisType, TracebackType
    from typing import NoReturn, Self, SupportsIndex

    from daos.client._dtypes import Cells, DtypeLike
    from daos.client._names import ObjectId
    from daos.client._seam import Value
    from daos.client._sending import Start
    from daos.client.array import Array, Slice
    from daos.client.container import Container, Create, KeysAre
    from daos.client.kv import KV
    from daos.client.object import If, Key, Object, Written

__all__ = ["Batch", "BatchArray", "BatchKV", "BatchObject"]

P = ParamSpec("P")

OPERATIONS_MAX = 16 << 10
"""Changes that are under way at once; the next waits for room."""
BYTES_MAX = 64 << 20
"""Bytes of keys and values that these hold."""
WAIT_S_MAX = 600
"""How long the end of a batch waits: ten times what the store gives a device that does not answer."""
WAIT_STEP_S = 1.0
"""How long at a time, so that the user can interrupt it."""


class Batch:
    """Changes of a container that are sent one behind the other, as a `with` block; made by `Container.batch`.

    They begin at once and happen in the order they were given. The end of the block waits until all are done and as
    durable as the system was opened for; they share their syncs. Not atomic, and no other is kept out: a transaction is
    what does that. If the block raises, what was sent is done all the same.

    At most 16384 changes and 64 MiB are under way; the next one waits. A batch belongs to one thread.
    """

    __slots__ = ("_container", "_sending")

    def __init__(self, container: Container) -> None:
        self._container = container
        self._sending = Sending(OPERATIONS_MAX, BYTES_MAX)

    @overload
    def kv(self, name: str, *, create: Create = ..., keys: None = ...) -> BatchKV[str]: ...
    @overload
    def kv(self, name: str, *, create: Create = ..., keys: Literal["str"]) -> BatchKV[str]: ...
    @overload
    def kv(self, name: str, *, create: Create = ..., keys: Literal["bytes"]) -> BatchKV[bytes]: ...
    @overload
    def kv(self, name: str, *, create: Create = ..., keys: Literal["int"]) -> BatchKV[int]: ...
    def kv(
        self, name: str, *, create: Create = False, keys: KeysAre | None = None
    ) -> BatchKV[str] | BatchKV[bytes] | BatchKV[int]:
        """Return a store of the container to change in this batch; arguments and errors are those of `Container.kv`."""
        kv = self._container.kv(name, create=create, keys=keys)
        # One of three types, which a type variable does not take at once.
        return BatchKV(self, cast("KV[str]", kv))

    def array(
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
        found = self._container.array(name, dtype, create=create, fill=fill, chunk=chunk, oclass=oclass)
        return BatchArray(self, found)

    def object(
        self,
        name_or_oid: str | ObjectId,
        *,
        create: Create = False,
        type: str | None = None,  # noqa: A002 -- DAOS's word for it
        oclass: str = "SX",
        keys: Literal["str", "bytes"] | None = None,
    ) -> BatchObject:
        """Return an object of the container to change in this batch; as `Container.object`."""
        found = self._container.object(name_or_oid, create=create, type=type, oclass=oclass, keys=keys)
        return BatchObject(self, found)

    def __reduce__(self) -> NoReturn:
        raise InvalidError(
            "a batch cannot be pickled: it belongs to the process that began it",
            code=DER.NOTSUPPORTED,
            hint="pickle the container and begin one there",
        )

    def __enter__(self) -> Self:
        self._sending.is_open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for all.

        Raises:
            DaosError: The first error, when all are done; its notes say which change it was and how many failed.
            UncertainError: `DER.TX_UNCERTAIN`: some were still under way after 600 seconds.
        """
        sending = self._sending
        sending.is_open = False
        finished = any(sending.queue.close(timeout_s=WAIT_STEP_S) for _ in range(WAIT_S_MAX))
        sending.drain()
        if not finished:
            raise UncertainError(
                f"changes of the batch are under way after {WAIT_S_MAX} s", hint="read before you write again"
            )
        sending.tell(error)

    def _send(
        self,
        start: Start[P],
        what: What,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Begin a change, after waiting for room."""
        sending = self._sending
        while not sending.begin(start, what, *args, **kwargs):
            ready = select.poll()
            ready.register(sending.queue.fileno(), select.POLLIN)
            ready.poll(WAIT_STEP_S * 1000)
            sending.drain()


class BatchKV(Generic[K]):
    """A key-value store as a batch changes it. Nothing can be read here: what was sent may not have happened yet."""

    __slots__ = ("_batch", "_codec", "_core", "_kv")

    def __init__(self, batch: Batch, kv: KV[K]) -> None:
        self._batch = batch
        self._kv: KV[K] = kv
        self._codec: KeyCodec[K] = kv._codec  # noqa: SLF001 -- one class in two
        self._core = _core.AsyncKV(cast("_core.KV", kv._core))  # noqa: SLF001 -- as above

    def put(self, key: K, value: Value) -> None:
        """Send a value; `bytes` are held until it is stored, any other buffer is copied.

        Raises:
            InvalidError: `DER.INVAL` or `DER.KEY2BIG`: no key of this store, or no value; nothing was sent.
        """
        stored, kept = self._codec.encode(key), owned(value)
        self._batch._send(self._core.put, What("put", "key", key, self._kv.name), stored, kept)  # noqa: SLF001 -- its own part

    def remove(self, key: K) -> None:
        """Send the removal of a key; one that is absent is no error (`del` raises for it, at the end of the batch).

        Raises:
            InvalidError: `DER.INVAL` or `DER.KEY2BIG`: no key of this store; nothing was sent.
        """
        stored = self._codec.encode(key)
        self._batch._send(self._core.remove, What("remove", "key", key, self._kv.name), stored)  # noqa: SLF001 -- its own part

    def put_many(self, items: Mapping[K, Value] | Iterable[tuple[K, Value]]) -> None:
        """Send several values, as `put` does each."""
        for key, value in _pairs(items.items() if isinstance(items, Mapping) else items):
            self.put(key, value)

    def __setitem__(self, key: K, value: Value) -> None:
        self.put(key, value)

    def __delitem__(self, key: K) -> None:
        stored = self._codec.encode(key)
        what = What("del", "key", key, self._kv.name)
        self._batch._send(self._core.remove, what, stored, _seam.COND_PUNCH)  # noqa: SLF001 -- its own part

    def __repr__(self) -> str:
        return f"<daos.BatchKV {self._kv.name!r}>"


class BatchArray:
    """An array as a batch changes it. Nothing can be read here, so ends are not known: slices say where they begin.

    `array[0:9] = x`, also `array[5:] = x` with as many cells as `x` has; no negative indices, and no scalar up to an
    open end.
    """

    __slots__ = ("_array", "_batch", "_core")

    def __init__(self, batch: Batch, array: Array) -> None:
        self._batch = batch
        self._array = array
        self._core = _core.AsyncArray(cast("_core.Array", array._core))  # noqa: SLF001 -- one class in two

    def __setitem__(self, index: SupportsIndex | Slice | EllipsisType, value: object) -> None:
        from daos.client.array import writes

        for start, cells, step in writes(index, value, self._array.dtype, self._no_size, self._array.name):
            self._write(start, cells, step)

    def write(self, start: int, data: object, *, step: int = 1) -> None:
        """Send data, which is copied; arguments are those of `Array.write`.

        Raises:
            InvalidError: As `Array.write`; nothing was sent.
        """
        from daos.client.array import one_write

        self._write(*one_write(start, data, self._array.dtype, step))

    def punch(self, start: int, stop: int | None = None) -> None:
        """Send the removal of cells; arguments are those of `Array.punch`.

        Raises:
            InvalidError: As `Array.punch`; nothing was sent.
        """
        from daos.client.array import punched

        what = What("punch", "cell", start, self._array.name)
        self._batch._send(self._core.punch, what, *punched(start, stop))  # noqa: SLF001 -- its own part

    def __repr__(self) -> str:
        return f"<daos.BatchArray {self._array.name!r}>"

    def _write(self, start: int, cells: Cells, step: int) -> None:
        if cells.size:
            what = What("write", "cell", start, self._array.name)
            self._batch._send(self._core.write, what, start, step, cells.tobytes())  # noqa: SLF001 -- its own part

    def _no_size(self) -> NoReturn:
        raise InvalidError(
            f"a batch does not know how long {self._array.name!r} is", hint="give indices from the beginning on"
        )


class BatchObject:
    """An object as a batch changes it. Nothing can be read here: what was sent may not have happened yet."""

    __slots__ = ("_batch", "_core", "_object")

    def __init__(self, batch: Batch, object_: Object) -> None:
        self._batch = batch
        self._object = object_
        self._core = _core.AsyncObject(cast("_core.Object", object_._core))  # noqa: SLF001 -- one class in two

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
        """Send new values of akeys of a dkey, all or none; arguments are those of `Object.update`.

        `bytes` are held until they are stored, any other buffer is copied.

        Raises:
            InvalidError: As `Object.update`; nothing was sent.
        """
        stored, iods, flags = self._object._changes(dkey, values, named, if_dkey, if_akeys)  # noqa: SLF001 -- one class in two
        what = What("update", "dkey", dkey, self._name)
        self._batch._send(self._core.update, what, stored, owned_iods(iods), flags)  # noqa: SLF001 -- its own part

    def punch(self, dkey: Key | None = None, akeys: Iterable[Key] | None = None, *, if_present: bool = False) -> None:
        """Send the removal of akeys, a dkey or everything; arguments are those of `Object.punch`.

        Raises:
            InvalidError: As `Object.punch`; nothing was sent.
        """
        removed = self._object._removed(dkey, akeys, if_present=if_present)  # noqa: SLF001 -- one class in two
        if removed is not None:
            self._batch._send(self._core.punch, What("punch", "dkey", dkey, self._name), *removed)  # noqa: SLF001 -- its own part

    def __repr__(self) -> str:
        return f"<daos.BatchObject {self._name!r}>"

    @property
    def _name(self) -> str:
        return self._object.name or str(self._object.oid)
