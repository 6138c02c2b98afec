"""Dictionaries and arrays, as `pydaos` has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar, cast

from daos.errors import DER
from pydaos._errors import PyDError, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daos import KV, Array
    from daos.client._dtypes import Cells, Dtype
    from daos.client.array import Slice
    from pydaos._client import DCont

    Key = str | bytes
    Many = Mapping[str, Key | None] | Mapping[bytes, Key | None] | Mapping[Key, Key | None]

__all__ = ["AUTO", "DArray", "DDict", "array_of"]

AUTO = "0"
"""The object class that the system chooses."""
DEFAULT_VALUE_SIZE = 1 << 20
_HALF = (1 << 64) - 1

M = TypeVar("M", bound="dict[str, bytes | None] | dict[str, None] | None")


class _Object:
    """What dictionaries and arrays have in common."""

    def __init__(self, cont: DCont, name: str, stored: KV[str] | KV[bytes] | Array, *, writes: bool) -> None:
        # Held, so that what is open of a container keeps it open.
        self._cont = cont
        self.name = name
        self.hi = stored.oid.hi & _HALF
        self.lo = stored.oid.lo & _HALF
        self._writes = writes

    def _check_writes(self, message: str) -> None:
        if not self._writes:
            raise PyDError(message, -DER.NO_PERM)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"[{self.hi:#x}:{self.lo:#x}]"


class DDict(_Object):
    """A dictionary: keys are text, values bytes. Made by `DCont.dict` and `DCont.get`.

    Values are given as `str` or `bytes` and come back as `bytes`. To store nothing, None or what is empty, removes the
    key. There are no `keys`, `items` and `values`: iterate, or `dump` it.
    """

    def __init__(self, cont: DCont, name: str, store: KV[str] | KV[bytes], *, writes: bool) -> None:
        super().__init__(cont, name, store, writes=writes)
        self._bytes: KV[bytes] | None = None
        self._text: KV[str] | None = None
        if store.keys_are == "bytes":
            self._bytes = store  # type: ignore[assignment]
        else:
            self._text = store  # type: ignore[assignment]

    # --- one key

    def get(self, key: Key) -> bytes:
        """Return a value.

        Raises:
            KeyError: There is none.
        """
        value = self._got([key])[0]
        if value is None:
            raise KeyError(key)
        return value

    def put(self, key: Key, val: Key | None) -> None:
        """Store a value; None, or an empty one, removes the key."""
        self.store(self.pairs_of({key: val}))

    def pop(self, key: Key) -> None:
        """Remove a key, if it is there."""
        self.put(key, None)

    def __getitem__(self, key: Key) -> bytes:
        return self.get(key)

    def __setitem__(self, key: Key, val: Key | None) -> None:
        self.put(key, val)

    def __delitem__(self, key: Key) -> None:
        self.put(key, None)

    def __contains__(self, key: Key) -> bool:
        return self._got([key])[0] is not None

    # --- many keys

    def bget(self, ddict: M, value_size: int = DEFAULT_VALUE_SIZE) -> M:
        """Fill the values of a dictionary in, for its keys; None where there is none. All are asked for at once.

        Args:
            ddict: The dictionary, which is also returned.
            value_size: Not needed: a value comes in one go, however large.

        Raises:
            TypeError: It is no dictionary.
        """
        del value_size
        if ddict is None:
            return ddict
        if not isinstance(ddict, dict):
            raise TypeError(f"a dict is filled, not {type(ddict).__name__}")
        keys = list(ddict)
        filled = cast("dict[str, bytes | None]", ddict)
        for key, value in zip(keys, self._got(list(keys)), strict=True):
            filled[key] = value
        return ddict

    def bput(self, ddict: Many | None) -> None:
        """Store many values, and remove the keys of those that are empty. A key or value that can be none stores none.

        Raises:
            TypeError: It is no dictionary, or has a bad key or value.
        """
        if ddict is not None:
            self.store(self.pairs_of(ddict))

    def dump(self) -> dict[str, bytes]:
        """Return all of it."""
        with told("failed to list DAOS dict"):
            if self._text is not None:
                return dict(self._text.items())
            return {str(_text_of(key)): value for key, value in self._raw().items()}

    # --- all of it

    def __iter__(self) -> Iterator[str]:
        with told("failed to list DAOS dict"):
            if self._text is not None:
                yield from self._text
            else:
                yield from (str(_text_of(key)) for key in self._raw())

    def __len__(self) -> int:
        with told("failed to list DAOS dict"):
            return len(self._any())

    def __bool__(self) -> bool:
        with told("failed to list DAOS dict"):
            return bool(self._any())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, DDict):
            return self is other or self.dump() == other.dump()
        if not isinstance(other, Mapping):
            return NotImplemented
        return self.dump() == {_text_of(key): value for key, value in other.items()}

    __hash__ = None  # type: ignore[assignment]

    # --- below

    @staticmethod
    def pairs_of(given: object) -> list[tuple[bytes, bytes]]:
        """Return keys and values as they are stored.

        Raises:
            TypeError: It is no mapping, or has a bad key or value.
            PyDError: A key is empty.
        """
        if not isinstance(given, Mapping):
            raise TypeError(f"a dict is stored, not {type(given).__name__}")
        return [(_bytes_of(key, "key"), _bytes_of(value, "value")) for key, value in given.items()]

    def store(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """Store what `pairs_of` returned."""
        if not pairs:
            return
        self._check_writes("failed to store KV value")
        with told("failed to store KV value"):
            kept = [(key, value) for key, value in pairs if value]
            if self._text is not None:
                self._text.put_many((self._named(key), value) for key, value in kept)
            else:
                self._raw().put_many(kept)
            for key, value in pairs:
                if not value:
                    self._removed(key)

    def _removed(self, key: bytes) -> None:
        if self._text is not None:
            self._text.remove(self._named(key))
        else:
            self._raw().remove(key)

    def _got(self, keys: list[Key]) -> list[bytes | None]:
        stored = [_bytes_of(key, "key") for key in keys]
        with told("failed to retrieve KV value"):
            if self._text is not None:
                found = self._text.get_many(named := [self._named(key) for key in stored])
                return [found[key] for key in named]
            raw = self._raw().get_many(stored)
            return [raw[key] for key in stored]

    def _any(self) -> KV[str] | KV[bytes]:
        return self._text if self._text is not None else self._raw()

    def _raw(self) -> KV[bytes]:
        if self._bytes is None:
            raise AssertionError("keys are text or bytes")
        return self._bytes

    @staticmethod
    def _named(key: bytes) -> str:
        """Return a key as the text that it is."""
        try:
            return key.decode()
        except UnicodeDecodeError as error:
            raise PyDError(f"key {key!r} is no UTF-8", -DER.INVAL) from error


class DArray(_Object):
    """An array: cells of one dtype, under slices, as `daos.Array`. Made by `DCont.array` and `DCont.get`."""

    def __init__(self, cont: DCont, name: str, array: Array, *, writes: bool) -> None:
        super().__init__(cont, name, array, writes=writes)
        self._array = array

    @property
    def dtype(self) -> Dtype:
        """What a cell is."""
        return self._array.dtype

    def __len__(self) -> int:
        with told("failed to query DAOS array"):
            return len(self._array)

    def __getitem__(self, which: int | Slice) -> object:
        with told("failed to read DAOS array"):
            return self._array[which]

    def __setitem__(self, which: int | Slice, data: object) -> None:
        self._check_writes("failed to write DAOS array")
        with told("failed to write DAOS array"):
            self._array[which] = data

    def __array__(self, dtype: Dtype | None = None, copy: bool | None = None) -> Cells:  # noqa: FBT001 -- NumPy's signature
        """Return all of it, for NumPy."""
        import numpy as np

        with told("failed to read DAOS array"):
            return cast("Cells", np.asarray(self._array[:], dtype=dtype))


def array_of(given: object) -> Cells:
    """Return an array of one dimension.

    Raises:
        PyDError: It has more, or none.
    """
    import numpy as np

    made = cast("Cells", np.asarray(given))
    if made.ndim != 1:
        raise PyDError(f"an array has one dimension, not {made.ndim}", -DER.INVAL)
    return made


def _bytes_of(given: object, what: str) -> bytes:
    """Return a key or value as it is stored; of a value, nothing for None.

    Raises:
        TypeError: It can be none.
        PyDError: An empty key.
    """
    if isinstance(given, str):
        given = given.encode()
    if given is None and what == "value":
        return b""
    if not isinstance(given, bytes):
        raise TypeError(f"{what}: expected bytes, {type(given).__name__} found")
    if not given and what == "key":
        raise PyDError("failed to access KV: a key is not empty", -DER.INVAL)
    return given


def _text_of(key: object) -> object:
    """Return a key as iteration tells it."""
    return key.decode(errors="surrogateescape") if isinstance(key, bytes) else key
