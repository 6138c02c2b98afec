"""Containers: a namespace of named objects with one history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, overload

from daos.client import _seam
from daos.client._keys import BYTES_KEYS, CODEC_OF, CODECS, INT_KEYS, STR_KEYS, AnyCodec
from daos.client._names import ROOT, Entry, Kind, ObjectId
from daos.client.attributes import Attributes
from daos.client.batch import Batch
from daos.client.kv import KV, PAGE_KEYS
from daos.errors import ExistsError, InvalidError, NotFoundError
from daos.model.changes import container_changes
from daos.model.labels import check_name
from daos.model.properties import ContainerProperties
from daos.model.snapshots import Snapshot, check_epoch, check_snapshot_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    """An open container, or one as of a snapshot. Made by `Pool.container` and `Container.at`; threads may share it.

    As of a snapshot it is read as ever; what would change it or anything in it raises `AccessError` (`DER.NO_PERM`).
    When the snapshot is destroyed, reading raises `NotFoundError` (`DER.NONEXIST`).

    All methods raise `ClosedError` (`DER.NO_HDL`) when the system is closed.
    """

    __slots__ = ("_as_of", "_core", "_pool", "_properties", "_root")

    def __init__(self, core: ContainerCore, pool: Pool, *, as_of: Snapshot | None = None) -> None:
        self._core = core
        self._pool = pool
        self._as_of = as_of
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

    @property
    def attributes(self) -> Attributes:
        """Names and values that users keep with it.

        Raises:
            InvalidError: `DER.NOTSUPPORTED`: this is a snapshot, and attributes have no history.
        """
        return Attributes(self._core.attributes(), f"container {self.label}")

    def set_properties(self, properties: Mapping[str, object]) -> None:
        """Change properties, all or none; durable at return.

        Args:
            properties: `label`, a new label: other open handles go on telling the old one; `status`, which can be set
                to `healthy` and is, always, in an embedded system.

        Raises:
            InvalidError: `DER.INVAL`: an unknown name or a bad value; `DER.NOTSUPPORTED`: what DAOS knows and this
                release does not carry out.
            AccessError: `DER.NO_PERM`: one that does not change after creation; this is a snapshot.
            ExistsError: `DER.EXIST`: another container of the pool has this label.
        """
        label = container_changes(properties).label
        if label is not None:
            self._core.set_label(label)

    @property
    def as_of(self) -> Snapshot | None:
        """The snapshot it is read at; None for now."""
        return self._as_of

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
                hint = "create=True makes it" if self._as_of is None else "it was not there when the snapshot was taken"
                raise NotFoundError(f"no {name!r} in container {self.label}", hint=hint, context={"name": name})
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

    def snapshot(self, name: str | None = None) -> Snapshot:
        """Take a snapshot: what was acknowledged before is in it, what comes later is not.

        It takes no copy and little time, whatever the container holds. Durable at return, together with all that was
        acknowledged before, also where the system was opened with a weaker durability.

        Args:
            name: Unique in the container, at most 128 bytes of UTF-8, no number; without one, the epoch tells it.

        Raises:
            ExistsError: `DER.EXIST`: a snapshot has this name.
            InvalidError: `DER.INVAL`: a bad name.
            AccessError: `DER.NO_PERM`: this is a snapshot.
        """
        stored = None if name is None else check_snapshot_name(name)
        return Snapshot(self._core.snapshot_create(stored), stored)

    def snapshots(self) -> list[Snapshot]:
        """Return the snapshots, oldest first."""
        return [Snapshot(epoch, name) for epoch, name in self._core.snapshots()]

    def at(self, snapshot: str | int | Snapshot) -> Container:
        """Return the container as of a snapshot, to be read; names are those of then, too.

        Args:
            snapshot: Its name, its epoch, or what `snapshot` returned.

        Raises:
            NotFoundError: `DER.NONEXIST`: there is no such snapshot.
            InvalidError: `DER.INVAL`: what can be none.
        """
        found = self._find(snapshot)
        return Container(self._core.at(found.epoch), self._pool, as_of=found)

    def destroy_snapshot(self, snapshot: str | int | Snapshot) -> None:
        """Destroy a snapshot; durable at return. What only it could see will be given free.

        Args:
            snapshot: As `at`.

        Raises:
            NotFoundError: `DER.NONEXIST`: there is no such snapshot.
            InvalidError: `DER.INVAL`: what can be none.
            AccessError: `DER.NO_PERM`: this is a snapshot.
        """
        found = self._find(snapshot)
        self._core.snapshot_destroy(found.epoch, found.epoch)

    def destroy_snapshots(self, first: int, last: int) -> int:
        """Destroy all snapshots from one epoch to another, both included, in one step; return how many they were.

        Raises:
            NotFoundError: `DER.NONEXIST`: there is none.
            InvalidError: `DER.INVAL`: no epochs, or the first is behind the last.
            AccessError: `DER.NO_PERM`: this is a snapshot.
        """
        if check_epoch(first) > check_epoch(last):
            raise InvalidError(f"epoch {first} is behind {last}", hint="give the smaller one first")
        return self._core.snapshot_destroy(first, last)

    def __contains__(self, name: str) -> bool:
        return self._root.get(check_name(name)) is not None

    def __repr__(self) -> str:
        as_of = "" if self._as_of is None else f" at {self._as_of.name or hex(self._as_of.epoch)!r}"
        return f"<daos.Container {self.label!r}{as_of} in pool {self._pool.label}>"

    def _find(self, snapshot: str | int | Snapshot) -> Snapshot:
        """Return the snapshot of a name or epoch."""
        if isinstance(snapshot, str):
            name, shown = check_snapshot_name(snapshot), repr(snapshot)
            found = [listed for listed in self.snapshots() if listed.name == name]
        else:
            epoch = check_epoch(snapshot.epoch if isinstance(snapshot, Snapshot) else snapshot)
            shown = f"at epoch {epoch:#x}"
            found = [listed for listed in self.snapshots() if listed.epoch == epoch]
        if found:
            return found[0]
        raise NotFoundError(
            f"no snapshot {shown} of container {self.label}", hint="list the snapshots", context={"snapshot": snapshot}
        )

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
