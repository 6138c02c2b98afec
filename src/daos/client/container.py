"""Containers: a namespace of named objects with one history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, overload

from daos.client import _seam
from daos.client._keys import BYTES_KEYS, CODEC_OF, CODECS, INT_KEYS, STR_KEYS, AnyCodec
from daos.client._names import ROOT, Entry, Kind, ObjectId
from daos.client.batch import Batch
from daos.client.kv import KV, PAGE_KEYS
from daos.errors import ExistsError, InvalidError, NotFoundError
from daos.model.labels import check_name
from daos.model.properties import ContainerProperties

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daos.client._seam import ContainerCore
    from daos.client.pool import Pool

__all__ = ["Container", "Create", "NamedObject"]

Create = Literal["exclusive"] | bool
"""Whether something is made: `False` never, `True` if it is not there, `"exclusive"` only if it is not there."""
KeysAre = Literal["str", "bytes", "int"]


@dataclass(frozen=True)
class NamedObject:
    """What a container's listing of names tells.

    Attributes:
        name: The name.
        kind: `kv`, `array` or `object`.
        oid: The object.
    """

    name: str
    kind: str
    oid: ObjectId


class Container:
    """An open container. Made by `Pool.container`; threads may share it.

    All methods raise `ClosedError` (`DER.NO_HDL`) when the system is closed.
    """

    __slots__ = ("_core", "_pool", "_properties", "_root")

    def __init__(self, core: ContainerCore, pool: Pool) -> None:
        self._core = core
        self._pool = pool
        self._properties = ContainerProperties.decode(core.props)
        self._root = core.kv(ROOT.hi, ROOT.lo)

    @property
    def label(self) -> str:
        """Its label, unique in the pool."""
        return self._core.label

    @property
    def uuid(self) -> str:
        """Its UUID, in lower case."""
        return self._core.uuid

    @property
    def pool(self) -> Pool:
        """The pool that holds it."""
        return self._pool

    @property
    def properties(self) -> dict[str, str | int]:
        """A copy of its properties, with the defaults of those that were not given."""
        return dict(self._properties.values)

    @property
    def layout(self) -> str:
        """Who owns the objects in it; `PYTHON` for names as this class keeps them."""
        return self._properties.layout

    @overload
    def kv(self, name: str, *, create: Create = ..., keys: None = ...) -> KV[str]: ...
    @overload
    def kv(self, name: str, *, create: Create = ..., keys: Literal["str"]) -> KV[str]: ...
    @overload
    def kv(self, name: str, *, create: Create = ..., keys: Literal["bytes"]) -> KV[bytes]: ...
    @overload
    def kv(self, name: str, *, create: Create = ..., keys: Literal["int"]) -> KV[int]: ...
    def kv(self, name: str, *, create: Create = False, keys: KeysAre | None = None) -> KV[str] | KV[bytes] | KV[int]:
        """Return the key-value store of a name.

        Args:
            name: Any text but the empty one, at most 1024 bytes of UTF-8.
            create: Make it if it is not there; `"exclusive"`: and only then.
            keys: `"str"` (default), `"bytes"` or `"int"` (listed in numeric order); fixed when it is made. When it is
                opened, a kind that is given must be the store's; without one it is as it is.

        Raises:
            NotFoundError: `DER.NONEXIST`: no such name, and `create` is false.
            ExistsError: `DER.EXIST`: it is there, and `create` is `"exclusive"`.
            InvalidError: `DER.INVAL`: a bad name; the name is of something else, or of other keys.
        """
        check_create(create)
        if keys is not None and keys not in CODECS:
            raise InvalidError(f"keys cannot be {keys!r}", hint='one of "str", "bytes", "int"')
        stored = check_name(name)
        entry = self._entry(stored)
        made = False
        if entry is None:
            if not create:
                raise NotFoundError(
                    f"no {name!r} in container {self.label}", hint="create=True makes it", context={"name": name}
                )
            entry, made = self._make_kv(stored, CODECS[keys or "str"])
        if create == "exclusive" and not made:
            raise ExistsError(f"{name!r} is in container {self.label} already", context={"name": name})
        if entry.kind is not Kind.KV:
            raise InvalidError(f"{name!r} is an {entry.kind.name.lower()}, no key-value store", context={"name": name})
        codec = CODEC_OF[entry.keys]
        if keys is not None and codec.name != keys:
            raise InvalidError(
                f"keys of {name!r} are {codec.name}, not {keys}", hint="the kind is fixed when a store is made"
            )
        core = self._core.kv(entry.oid.hi, entry.oid.lo)
        if codec is INT_KEYS:
            return KV(core, INT_KEYS, name=name, container=self, oid=entry.oid)
        if codec is BYTES_KEYS:
            return KV(core, BYTES_KEYS, name=name, container=self, oid=entry.oid)
        return KV(core, STR_KEYS, name=name, container=self, oid=entry.oid)

    def batch(self) -> Batch:
        """Return a batch, for a `with` block: changes that are sent one behind the other, and awaited at its end."""
        return Batch(self)

    def names(self) -> Iterator[NamedObject]:
        """Yield what has a name, in the order of the names' bytes, a page at a time."""
        anchor: bytes | None = None
        while True:
            page, anchor = self._root.list_keys(anchor, PAGE_KEYS, False)  # noqa: FBT003 -- the seam has no keywords
            for stored, value in zip(page, self._root.get_many(page), strict=True):
                if value is not None:
                    entry = Entry.decode(value)
                    yield NamedObject(stored.decode(errors="replace"), entry.kind.name.lower(), entry.oid)
            if anchor is None:
                return

    def destroy(self, name: str) -> None:
        """Remove a name and all its object holds; snapshots still see both.

        Not atomic: if the process dies in between, the object is left without a name.

        Raises:
            NotFoundError: `DER.NONEXIST`: no such name.
            InvalidError: `DER.INVAL`: a bad name.
        """
        stored = check_name(name)
        entry = self._entry(stored)
        absent = NotFoundError(f"no {name!r} in container {self.label}", context={"name": name})
        if entry is None:
            raise absent
        try:
            self._root.remove(stored, _seam.COND_PUNCH)
        except NotFoundError as error:
            raise absent from error
        self._core.kv(entry.oid.hi, entry.oid.lo).destroy()

    def __contains__(self, name: str) -> bool:
        return self._root.get(check_name(name)) is not None

    def __repr__(self) -> str:
        return f"<daos.Container {self.label!r} in pool {self._pool.label}>"

    def _entry(self, stored: bytes) -> Entry | None:
        """Return what a name stands for."""
        value = self._root.get(stored)
        return None if value is None else Entry.decode(value)

    def _make_kv(self, stored: bytes, codec: AnyCodec) -> tuple[Entry, bool]:
        """Return the entry of a name, and whether this call made it and not another at the same time."""
        number = self._core.alloc_oids(1)
        oid = ObjectId.make(codec.object_type, self._pool.system.targets, number)
        entry = Entry(oid, Kind.KV, codec.kind)
        try:
            self._root.put(stored, entry.encode(), _seam.COND_KEY_INSERT)
        except ExistsError:
            other = self._entry(stored)
            if other is None:
                raise
            return other, False
        return entry, True


def check_create(create: object) -> None:
    """Refuse what is no `Create`.

    Raises:
        InvalidError: `DER.INVAL`.
    """
    if not isinstance(create, bool) and create != "exclusive":
        raise InvalidError(f"create cannot be {create!r}", hint='one of False, True, "exclusive"')
