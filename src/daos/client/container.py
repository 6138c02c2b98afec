"""Containers: a namespace of named objects with one history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar, overload

from daos.client import _seam
from daos.client._attempts import attempts, check_deadline, run
from daos.client._global import ContainerGlobal
from daos.client._history import History
from daos.client._keys import BYTES_KEYS, CODEC_OF, CODECS, INT_KEYS, STR_KEYS
from daos.client._names import ROOT, Entry, Kind, ObjectId, ObjectType
from daos.client._object_table import holds_marks
from daos.client._posix import POSIX
from daos.client._service import ContainerInfo, ask, change
from daos.client.acl import ContainerAcl
from daos.client.attributes import Attributes
from daos.client.batch import Batch
from daos.client.kv import KV, PAGE_KEYS
from daos.client.object import TYPES, Object
from daos.errors import DER, ExistsError, InvalidError, NotFoundError
from daos.model.acl import check_principal
from daos.model.changes import container_changes
from daos.model.labels import check_name
from daos.model.properties import ContainerProperties

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from daos.client._dtypes import DtypeLike
    from daos.client._seam import ContainerCore
    from daos.client.array import Array
    from daos.client.pool import Pool
    from daos.client.transaction import Transaction
    from daos.model.snapshots import Snapshot

__all__ = ["Container", "Create", "NamedObject"]

Create = Literal["exclusive"] | bool
"""Whether something is made: `False` never, `True` if it is not there, `"exclusive"` only if it is not there."""
KeysAre = Literal["str", "bytes", "int"]
T = TypeVar("T")
_A: Mapping[Kind, str] = {Kind.KV: "a key-value store", Kind.ARRAY: "an array", Kind.OBJECT: "an object"}
"""What a name is of, for people."""


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


class Container(History):
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
        """Who owns the objects in it: `PYTHON` for names as this class keeps them, `POSIX` for a file system."""
        return self._properties.layout

    @property
    def attributes(self) -> Attributes:
        """Names and values that users keep with it.

        Raises:
            InvalidError: `DER.NOTSUPPORTED`: this is a snapshot, and attributes have no history.
        """
        return Attributes(self, f"container {self.label}")

    @property
    def acl(self) -> ContainerAcl:
        """Who may do what with it."""
        return ContainerAcl(self)

    def info(self) -> ContainerInfo:
        """Return what the service of its pool tells of it: who owns it, how often it is open.

        Raises:
            InvalidError: `DER.NOTSUPPORTED`: the system is embedded.
        """
        return ask(self._core, "container_query", ContainerInfo)

    def set_owner(self, user: str | None = None, group: str | None = None) -> None:
        """Give it to another user, or to another group; durable at return.

        Handles that are open keep what they allow. Whether there is such a user or group, nobody looks.

        Args:
            user: The new owner, `alice` or `alice@`; None for the same.
            group: The new group; None for the same.

        Raises:
            InvalidError: `DER.INVAL`: neither is given, or what can be none; `DER.NOTSUPPORTED`: embedded.
            AccessError: `DER.NO_PERM`: the access list does not let the caller.
        """
        if user is None and group is None:
            raise InvalidError("at least one of user or group must be supplied")
        change(
            self._core,
            "container_set_owner",
            type(None),
            owner=None if user is None else check_principal(user),
            group=None if group is None else check_principal(group),
        )

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
        _check_keys(keys)

        def make() -> Entry:
            codec = CODECS[keys or "str"]
            number = self._core.alloc_oids(1)
            return Entry(ObjectId.make(codec.object_type, self._pool.system.targets, number), Kind.KV, codec.kind)

        entry = self._named(name, create, Kind.KV, make)
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

    def local2global(self) -> bytes:
        """Return its handle for other processes, also of other hosts: `Pool.global2local` opens it there.

        It is the container as it is here: with the same rights, of the same snapshot if it is at one. From now on it
        stays open until the pool is closed. The bytes are as good as the handle; they hold not that of the pool.
        Pickling a container does both.

        Raises:
            InvalidError: `DER.NOTSUPPORTED`: the system is embedded, or this is a transaction.
        """
        core = self._core.local2global()
        opened_by = self._pool.system._pool_handle()  # noqa: SLF001 -- one class in two
        epoch, name = (None, None) if self._as_of is None else (self._as_of.epoch, self._as_of.name)
        return ContainerGlobal(pool_handle=opened_by, epoch=epoch, name=name, core=core).encode()

    def __reduce__(self) -> tuple[object, ...]:
        if self._pool.system.served:
            return _unpickled_served, (self._pool, self.local2global())
        return _unpickled_embedded, (self._pool, self.uuid, self._as_of)

    def batch(self) -> Batch:
        """Return a batch, for a `with` block: changes that are sent one behind the other, and awaited at its end."""
        return Batch(self)

    def array(
        self,
        name: str,
        dtype: DtypeLike | None = None,
        *,
        create: Create = False,
        fill: object = None,
        chunk: int | None = None,
        oclass: str = "SX",
    ) -> Array:
        """Return the array of a name.

        Args:
            name: Any text but the empty one, at most 1024 bytes of UTF-8.
            dtype: What its cells are: any dtype of NumPy of a fixed size up to 1 MiB, also structured; `"f8"` by
                default.
            create: Make it if it is not there; `"exclusive"`: and only then.
            fill: What a cell reads as that nothing was written to; zero bytes by default: 0, an empty text.
            chunk: How many cells lie together on one target; 1 MiB of them by default.
            oclass: The object class of an array that is made: `"S1"` to `"S32"`, or `"SX"`, on all targets.

        Dtype, fill value and chunk are fixed when it is made. When it is opened, those that are given must be its own.

        Raises:
            NotFoundError: `DER.NONEXIST`: no such name, and `create` is false.
            ExistsError: `DER.EXIST`: it is there, and `create` is `"exclusive"`.
            InvalidError: `DER.INVAL`: a bad name, dtype, fill value, chunk or class; the name is of something else, or
                of an array that is otherwise.
        """
        from daos.client import _dtypes
        from daos.client.array import Array, check_chunk

        given = None if dtype is None else _dtypes.check_dtype(dtype)
        check_chunk(chunk)

        def make() -> Entry:
            made = _dtypes.check_dtype("f8") if given is None else given
            extra = _dtypes.encode(made, _dtypes.check_fill(fill, made))
            oid = ObjectId(*self._core.generate_oid(ObjectType.ARRAY, oclass))
            # Before its name, so that a name is never without its array.
            self._core.array_create(oid.hi, oid.lo, made.itemsize, chunk)
            return Entry(oid, Kind.ARRAY, extra=extra)

        entry = self._named(name, create, Kind.ARRAY, make)
        core = self._core.array_open(entry.oid.hi, entry.oid.lo)
        stored, filled = _dtypes.decode(entry.extra, core.cell_size)
        fixed = "it is fixed when an array is made"
        if given is not None and given != stored:
            raise InvalidError(f"cells of {name!r} are {stored}, not {given}", hint=fixed)
        if fill is not None and not _dtypes.same_cell(_dtypes.check_fill(fill, stored), filled, stored):
            raise InvalidError(f"{name!r} has another fill value than {fill!r}", hint=fixed)
        if chunk is not None and chunk != core.chunk_size:
            raise InvalidError(f"chunks of {name!r} are of {core.chunk_size} cells, not {chunk}", hint=fixed)
        return Array(core, stored, filled, name=name, container=self, oid=entry.oid)

    def object(
        self,
        name_or_oid: str | ObjectId,
        *,
        create: Create = False,
        type: str | None = None,  # noqa: A002 -- DAOS's word for it
        oclass: str = "SX",
        keys: Literal["str", "bytes"] | None = None,
    ) -> Object:
        """Return an object of the native model: dkeys, akeys, values.

        Args:
            name_or_oid: A name, or the id of any object of this container: an id needs no name, and is there at once.
            create: Make it if the name is not there; `"exclusive"`: and only then.
            type: Which of its keys are integers or in the order of their bytes: `"multi_hashed"` (default),
                `"dkey_uint64"`, `"akey_uint64"`, `"multi_uint64"`, `"dkey_lexical"`, `"akey_lexical"`,
                `"multi_lexical"`.
            oclass: The object class of an object that is made: `"S1"` to `"S32"`, or `"SX"`, over all targets.
            keys: Whether keys that are no integers are `"str"` (default) or `"bytes"`.

        Type and keys are fixed when a named object is made. When it is opened, those that are given must be its own.

        Raises:
            NotFoundError: `DER.NONEXIST`: no such name, and `create` is false.
            ExistsError: `DER.EXIST`: it is there, and `create` is `"exclusive"`.
            InvalidError: `DER.INVAL` or `DER.NOTYPE`: a bad name, id, type or class; the name is of something else, or
                of an object that is otherwise.
        """
        if type is not None and type not in TYPES:
            raise InvalidError(f"type cannot be {type!r}", hint=f"one of {', '.join(TYPES)}")
        if keys not in {None, "str", "bytes"}:
            raise InvalidError(f"keys cannot be {keys!r}", hint='"str" or "bytes"; the type makes keys integers')
        if isinstance(name_or_oid, ObjectId):
            _check_oid(name_or_oid, type)
            codec = CODECS[keys or "str"]
            core = self._core.object(name_or_oid.hi, name_or_oid.lo)
            return Object(core, codec.kind, name=None, container=self, oid=name_or_oid)

        def make() -> Entry:
            oid = ObjectId(*self._core.generate_oid(TYPES[type or "multi_hashed"], oclass))
            return Entry(oid, Kind.OBJECT, CODECS[keys or "str"].kind)

        entry = self._named(name_or_oid, create, Kind.OBJECT, make)
        _check_oid(entry.oid, type)
        if keys is not None and CODEC_OF[entry.keys].name != keys:
            raise InvalidError(f"keys of {name_or_oid!r} are not {keys}", hint="they are fixed when an object is made")
        core = self._core.object(entry.oid.hi, entry.oid.lo)
        return Object(core, entry.keys, name=name_or_oid, container=self, oid=entry.oid)

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

    def find(self, name: str) -> NamedObject | None:
        """Return what has a name, None if nothing has.

        Raises:
            InvalidError: `DER.INVAL`: a bad name.
        """
        entry = self._entry(check_name(name))
        return None if entry is None else NamedObject(name, entry.kind.name.lower(), entry.oid)

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
        self._punch(entry.oid)

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

    def transaction(self) -> Transaction:
        """Return a transaction of this container: one attempt, to be used in a `with` block.

        Raises:
            AccessError: `DER.NO_PERM`: this is a snapshot.
        """
        from daos.client.transaction import Transaction

        return Transaction(self._core.transaction(), self._pool)

    def run(self, function: Callable[[Transaction], T], *, deadline: float = 5.0) -> T:
        """Call a function with a transaction and commit that; after a conflict, again with a new one.

        Args:
            function: Gets a `Transaction`. It may be called several times, so it should have no other effect. An
                exception of it aborts the transaction and is passed on; `ConflictError` counts as a conflict.
            deadline: Seconds after which a conflict is not tried again; what runs is not cut short. 0 tries once.
                Between two attempts it waits, longer after each, by chance up to 0.1 s.

        Returns:
            What the call returned whose transaction committed.

        Raises:
            ConflictError: `DER.TX_RESTART`: the deadline passed; nothing happened.
            InvalidError: `DER.INVAL`: no deadline.
            AccessError: `DER.NO_PERM`: this is a snapshot.
        """
        check_deadline(deadline)
        return run(self.transaction, function, deadline)

    def attempts(self, *, deadline: float = 5.0) -> Iterator[Transaction]:
        """Yield a transaction, and after a conflict another one, until one commits.

        Each commits when the loop comes round. An exception that leaves the loop aborts it, and so do `break` and
        `return`, unless `commit` was called before.

        Args:
            deadline: As of `run`.

        Raises:
            ConflictError: `DER.TX_RESTART`: the deadline passed; nothing happened.
            InvalidError: `DER.INVAL`: no deadline.
            AccessError: `DER.NO_PERM`: this is a snapshot.
        """
        check_deadline(deadline)
        return attempts(self.transaction, deadline)

    def __contains__(self, name: str) -> bool:
        return self._root.get(check_name(name)) is not None

    def __repr__(self) -> str:
        as_of = "" if self._as_of is None else f" at {self._as_of.name or hex(self._as_of.epoch)!r}"
        return f"<daos.Container {self.label!r}{as_of} in pool {self._pool.label}>"

    def _entry(self, stored: bytes) -> Entry | None:
        """Return what a name stands for."""
        value = self._root.get(stored)
        return None if value is None else Entry.decode(value)

    def _punch(self, oid: ObjectId) -> None:
        """Remove all that an object holds."""
        self._core.object(oid.hi, oid.lo).punch(None, None)

    def _named(self, name: str, create: Create, kind: Kind, make: Callable[[], Entry]) -> Entry:
        """Return the entry of a name, made if need be, refused if it is of another kind."""
        check_create(create)
        stored = check_name(name)
        entry = self._entry(stored)
        made = False
        if entry is None:
            if not create:
                hint = "create=True makes it" if self._as_of is None else "it was not there when the snapshot was taken"
                raise NotFoundError(f"no {name!r} in container {self.label}", hint=hint, context={"name": name})
            if self.layout == POSIX:
                raise InvalidError(
                    f"container {self.label} holds a file system: nothing else has a name in it",
                    code=DER.NOTSUPPORTED,
                    hint="daos.dfs.mount(container) has its files",
                )
            entry, made = self._insert(stored, make())
        if create == "exclusive" and not made:
            raise ExistsError(f"{name!r} is in container {self.label} already", context={"name": name})
        if entry.kind is not kind:
            raise InvalidError(
                f"{name!r} is {_A[entry.kind]}, not {_A[kind]}", hint="open it as what it is", context={"name": name}
            )
        return entry

    def _insert(self, stored: bytes, entry: Entry) -> tuple[Entry, bool]:
        """Return the entry of a name, and whether it is this one and not one that another inserted at the same time."""
        try:
            self._root.put(stored, entry.encode(), _seam.COND_KEY_INSERT)
        except ExistsError:
            if entry.kind is Kind.ARRAY:
                # It stores its sizes already.
                self._punch(entry.oid)
            other = self._entry(stored)
            if other is None:
                raise
            return other, False
        return entry, True


def _unpickled_served(pool: Pool, handle: bytes) -> Container:
    return pool.global2local(handle)


def _unpickled_embedded(pool: Pool, uuid: str, as_of: Snapshot | None) -> Container:
    container = pool.container(uuid)
    return container if as_of is None else container.at(as_of)


def _check_keys(keys: object) -> None:
    """Refuse what are no keys of a key-value store."""
    if keys is not None and keys not in CODECS:
        raise InvalidError(f"keys cannot be {keys!r}", hint='one of "str", "bytes", "int"')


def _check_oid(oid: ObjectId, wanted: str | None) -> None:
    """Refuse an id of a type that has no keys, of another than is wanted, or one that holds marks.

    Raises:
        InvalidError: `DER.NOTYPE` or `DER.INVAL`.
    """
    try:
        found = ObjectType(oid.type_number)
    except ValueError:
        raise InvalidError(
            f"{oid} is no id of an object with keys", code=DER.NOTYPE, hint="its top byte is the type"
        ) from None
    if holds_marks(oid):
        raise InvalidError(f"{oid} is the id of marks on objects", hint="ask the container's object_table for them")
    if wanted is not None and TYPES[wanted] is not found:
        raise InvalidError(f"object {oid} is of type {found.name.lower()}, not {wanted}", hint="leave the type out")


def check_create(create: object) -> None:
    """Refuse what is no `Create`.

    Raises:
        InvalidError: `DER.INVAL`.
    """
    if not isinstance(create, bool) and create != "exclusive":
        raise InvalidError(f"create cannot be {create!r}", hint='one of False, True, "exclusive"')
