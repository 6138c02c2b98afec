"""What the SDK asks of the native module, as protocols: `daos._core` offers it, and so do the fakes of the tests.

Errors come as the classes of `daos.errors`, made by the native side through `error_from_der`. Every call may raise
`ClosedError` once the system is closed, and `ForkedError` in a child that inherited it, if it is embedded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from typing_extensions import Buffer

    class _ArrayData(Protocol):
        """An array: NumPy's stubs for Python 3.11 do not say that it is a buffer."""

        @property
        def data(self) -> memoryview: ...
        @property
        def nbytes(self) -> int: ...

    Value: TypeAlias = Buffer | _ArrayData
    """What a caller may give as a value: any contiguous buffer."""
    Extents: TypeAlias = list[tuple[int, int]]
    """Pairs of first record and number of records."""
    Iod: TypeAlias = tuple[bytes, Buffer | None, int, Extents | None]
    """Akey, data, bytes of a record, extents. Without extents a single value, or none any more if there is no data;
    with extents records of an array, or holes if there is no data."""
    FetchIod: TypeAlias = tuple[bytes, Buffer | None, int, Extents | None]
    """Akey, buffer to write into, bytes of a record, extents. Without extents the single value is asked for; with a
    buffer records of an array, whose holes become zeros; without one only the size of a record."""

    DifferenceCore: TypeAlias = tuple[int, int, bytes, bytes, int, Extents]
    """Object id, dkey, akey, 0 added, 1 removed or 2 changed, ranges of records."""

COND_PUNCH = 1 << 0
"""A removal succeeds only if the key exists, else `DER.NONEXIST`."""
COND_KEY_INSERT = 1 << 1
"""A put succeeds only if the key is absent, else `DER.EXIST`."""
COND_KEY_UPDATE = 1 << 2
"""A put succeeds only if the key exists, else `DER.NONEXIST`."""
COND_AKEY_INSERT = 1 << 4
"""An update succeeds only if all its akeys are absent, else `DER.EXIST`."""
COND_AKEY_UPDATE = 1 << 5
"""An update succeeds only if all its akeys exist, else `DER.NONEXIST`."""


class KVCore(Protocol):
    """A flat key-value object."""

    def put(self, key: bytes, value: Buffer, flags: int = 0) -> None:
        """Store a value; it is as durable as the system was opened for when this returns."""

    def get(self, key: bytes, flags: int = 0) -> bytes | None:
        """Return a value, None for a key that is absent."""

    def put_many(self, items: list[tuple[bytes, Buffer]], flags: int = 0) -> None:
        """Store several values, made durable together; not atomic."""

    def get_many(self, keys: list[bytes]) -> Sequence[bytes | None]:
        """Return the values of several keys, in their order."""

    def remove(self, key: bytes, flags: int = 0) -> None:
        """Remove a key; one that is absent is no error."""

    def list_keys(self, anchor: bytes | None, count: int, reverse: bool) -> tuple[list[bytes], bytes | None]:  # noqa: FBT001 -- the seam has no keywords
        """Return at most `count` keys behind an anchor and the next anchor, None at the end."""

    def list_pairs(
        self,
        anchor: bytes | None,
        count: int,
        reverse: bool,  # noqa: FBT001 -- the seam has no keywords
    ) -> tuple[list[bytes], list[bytes], bytes | None]:
        """Return what `list_keys` returns and the values of the keys; about 1 MiB at most, or one pair."""

    def destroy(self) -> None:
        """Punch the object."""


class ArrayCore(Protocol):
    """An array: cells of one size.

    Buffers are contiguous and hold whole cells; the caller leaves them alone meanwhile.
    """

    @property
    def cell_size(self) -> int:
        """Bytes of a cell."""

    @property
    def chunk_size(self) -> int:
        """Cells under one dkey."""

    def size(self) -> int:
        """Return the number of cells up to the last one that holds something."""

    def set_size(self, size: int, fill: bytes) -> None:
        """Make it so long; a last cell that would be a hole becomes `fill`."""

    def write(self, start: int, step: int, data: Buffer) -> None:
        """Write every `step`-th cell from `start` on, made durable together; not atomic."""

    def read_into(self, start: int, step: int, data: Buffer, fill: bytes) -> None:
        """Read every `step`-th cell from `start` on until `data` is full; holes become `fill`."""

    def punch(self, start: int, count: int) -> None:
        """Make holes."""


class ObjectCore(Protocol):
    """An object with its dkeys and akeys as they are stored."""

    def layout(self) -> list[int]:
        """Return the target of each of its shards; asks no target."""

    def update(self, dkey: bytes, iods: list[Iod], flags: int = 0) -> None:
        """Change akeys of a dkey, all or none."""

    def fetch(self, dkey: bytes, iods: list[FetchIod]) -> Sequence[bytes | int | None]:
        """Read akeys of a dkey as of one moment.

        Of a single value, return its bytes, or None; of an array, bytes of a record as stored, 0 where there is none:
        if they differ from those given, nothing was read.
        """

    def punch(self, dkey: bytes | None, akeys: list[bytes] | None, flags: int = 0) -> None:
        """Punch akeys of a dkey, a dkey, or the object."""

    def list_keys(
        self,
        dkey: bytes | None,
        anchor: bytes | None,
        count: int,
        reverse: bool,  # noqa: FBT001 -- the seam has no keywords
    ) -> tuple[list[bytes], bytes | None]:
        """Return at most `count` dkeys, or akeys of a dkey, behind an anchor and the next anchor, None at the end."""

    def query(
        self,
        greatest: bool,  # noqa: FBT001 -- the seam has no keywords
        dkey: bytes | None,
        akey: bytes | None,
        akey_extreme: bool,  # noqa: FBT001
        records: bool,  # noqa: FBT001
    ) -> tuple[int | None, int | None, tuple[int, int] | None, int] | None:
        """Return the extreme dkey, akey, extent and bytes of a record, of those that are asked for; None without any.

        Without `dkey` the extreme one is asked for; the extreme akey where `akey_extreme` says so.
        """


class AttributesCore(Protocol):
    """The attributes of a pool or container."""

    def set(self, items: list[tuple[str, bytes]]) -> None:
        """Set several, all or none; durable at return."""

    def get(self, names: list[str]) -> Sequence[bytes | None]:
        """Return the values of several, in their order."""

    def names(self) -> list[str]:
        """Return the names, in the order of their bytes."""

    def remove(self, names: list[str]) -> int:
        """Remove several in one step, durable at return; return how many were there."""


class ContainerCore(Protocol):
    """An open container."""

    @property
    def uuid(self) -> str:
        """Its UUID, in lower case."""

    @property
    def label(self) -> str:
        """Its label."""

    @property
    def props(self) -> bytes:
        """What was given when it was created."""

    def set_label(self, label: str) -> None:
        """Give it another label, durable at return; `DER.EXIST` if that is taken."""

    def attributes(self) -> AttributesCore:
        """Return its attributes; a snapshot has none (`DER.NOTSUPPORTED`)."""

    def kv(self, hi: int, lo: int) -> KVCore:
        """Return a key-value object by its id; nothing is stored by this."""

    def array_create(self, hi: int, lo: int, cell_size: int, chunk_size: int | None) -> ArrayCore:
        """Make an array of type ARRAY, else `DER.EXIST`; without a size of chunks, 1 MiB of cells, at least one."""

    def array_open(self, hi: int, lo: int) -> ArrayCore:
        """Open an array of type ARRAY, else `DER.NONEXIST`."""

    def object(self, hi: int, lo: int) -> ObjectCore:
        """Return an object by its id; nothing is stored by this."""

    def generate_oid(self, object_type: int, oclass: str) -> tuple[int, int]:
        """Return a fresh object id of a type and a class, by name, else `DER.INVAL` with the reason."""

    def alloc_oids(self, count: int) -> int:
        """Return the first of `count` numbers that this container never gave before; at least 1."""

    def transaction(self) -> TransactionCore:
        """Return a transaction of it; of a snapshot, `DER.NO_PERM`."""

    def snapshot_create(self, name: str | None) -> int:
        """Take a snapshot, durable at return, and return its epoch; `DER.EXIST` if the name is taken."""

    def snapshots(self) -> list[tuple[int, str | None]]:
        """Return epoch and name of each snapshot, oldest first."""

    def service_request(self, body: bytes, *, changes: bool) -> bytes:
        """Return the result of a request that only the service of a pool answers; `DER.NOTSUPPORTED` if embedded."""

    def aggregate(self) -> int:
        """Remove versions that neither a snapshot nor the present shows; return how many index entries went."""

    def snapshot_destroy(self, first: int, last: int) -> int:
        """Destroy the snapshots from one epoch to another, both included; return how many, else `DER.NONEXIST`."""

    def objects(
        self, after: tuple[int, int] | None, count: int
    ) -> tuple[list[tuple[int, int]], tuple[int, int] | None]:
        """Return at most `count` object ids behind one, ascending, and where to go on, None at the end."""

    def diff(self, before: int, anchor: bytes | None, count: int) -> tuple[Sequence[DifferenceCore], bytes | None]:
        """Return at most `count` akeys that differ from a snapshot, and the next anchor, None at the end."""

    def check(
        self, target: int, anchor: bytes | None, budget: int
    ) -> tuple[tuple[int, int, int, int], Sequence[tuple[tuple[int, int] | None, str]], bytes | None]:
        """Check a part of what a target holds: without an anchor its index, then about `budget` entries a call.

        Return how many objects, entries, pages and bytes were looked at; what is wrong, of which object where it is of
        one; and where to go on, None at the end.
        """

    def count(
        self, target: int, anchor: bytes | None, budget: int
    ) -> tuple[tuple[int, int, int, int, int, int, int], tuple[int, int] | None, bytes | None]:
        """Count about `budget` entries that a target holds.

        Return objects, dkeys, versions of values, extents, removals, bytes and bytes that they take; the epochs of the
        oldest and the newest version, None without any; and where to go on, None at the end.
        """

    def rollback(self, epoch: int) -> None:
        """Go back to a snapshot, durable at return, else `DER.NONEXIST`; of a snapshot, `DER.NO_PERM`."""

    def local2global(self) -> bytes:
        """Return what another process needs to have it open too, its handle included; `DER.NOTSUPPORTED` if embedded.

        From then on it stays open until the pool is closed.
        """

    def at(self, epoch: int) -> ContainerCore:
        """Return the container as of a snapshot, else `DER.NONEXIST`; what would change it is `DER.NO_PERM`."""


class TransactionCore(Protocol):
    """A transaction: reads as of its first operation, with its own changes; changes when it commits."""

    def container(self) -> ContainerCore:
        """Return the container whose objects are read and changed in the transaction."""

    def commit(self) -> None:
        """Make all changes happen as one, else `DER.TX_RESTART`: what it read has changed, and nothing happened.

        After a commit `DER.ALREADY`; after an abort or a failure `DER.NO_PERM`, as is every other operation.
        """

    def abort(self) -> None:
        """Give it up; after an abort `DER.ALREADY`, after a commit `DER.NO_PERM`."""


class PoolCore(Protocol):
    """An open pool."""

    @property
    def uuid(self) -> str:
        """Its UUID, in lower case."""

    @property
    def label(self) -> str:
        """Its label."""

    @property
    def targets(self) -> int:
        """The number of its targets, as it was opened."""

    def change(self, label: str | None, scrub: tuple[int | None, int | None, int | None]) -> None:
        """Give it another label, and another mode, time or threshold of scrubbing, where they are not None.

        All or none, durable at return; `DER.EXIST` if the label is taken.
        """

    def scrub_status(
        self,
    ) -> tuple[tuple[int, int, int], tuple[bool, int, int, int, Sequence[str], int | None, int | None]]:
        """Return how it is scrubbed, and what was found.

        First: 0 off, 1 lazy or 2 timed; seconds from one pass to the next; the threshold. Then: whether a pass is under
        way, complete passes, bytes read, corruptions, the first of them, when the last pass ended and when the next
        begins, in seconds since 1970.
        """

    def attributes(self) -> AttributesCore:
        """Return its attributes."""

    def container_create(
        self,
        label: str,
        props: bytes,
        checksums: tuple[int, int, bool] | None = None,
        scrub_disabled: bool = False,  # noqa: FBT001, FBT002 -- the seam has no keywords
    ) -> ContainerCore:
        """Create a container, else `DER.EXIST`.

        With `checksums`, what is written to it is summed: by the algorithm of that number, 0 for none, else
        `DER.INVAL`; of an array over so many bytes, 1 to 2**30; and compared by the target, or not. The scrubber passes
        it over if `scrub_disabled`.
        """

    def container_open(self, label_or_uuid: str) -> ContainerCore:
        """Open a container, else `DER.NONEXIST`."""

    def service_request(self, body: bytes, *, changes: bool) -> bytes:
        """Return the result of a request that only the service of a pool answers; `DER.NOTSUPPORTED` if embedded."""

    def container_destroy(self, label_or_uuid: str) -> None:
        """Destroy a container and all in it, else `DER.NONEXIST`."""

    def local2global(self) -> bytes:
        """Return what another process needs beside its handle to have it open too; `DER.NOTSUPPORTED` if embedded."""

    def container_global2local(self, shared: bytes, epoch: int | None) -> ContainerCore:
        """Return a container that another process has opened, of what its `local2global` told; nobody is asked.

        As of a snapshot, if an epoch is given. `DER.NOTSUPPORTED` if embedded.
        """

    def containers(self) -> list[tuple[str, str]]:
        """Return UUID and label of each container, in the order of the labels."""


class EmbeddedCore(Protocol):
    """One system directory, opened by this process alone."""

    @property
    def targets(self) -> int:
        """The number of its targets."""

    def space(self) -> tuple[int, int, int, int]:
        """Return bytes in all, free, used by files, and kept back for deletes."""

    def close(self) -> None:
        """Close it and all that was opened from it; closing again is no error."""

    def pool_create(self, label: str, props: bytes) -> PoolCore:
        """Create a pool, else `DER.EXIST`."""

    def pool_open(self, label_or_uuid: str) -> PoolCore:
        """Open a pool, else `DER.NONEXIST`."""

    def pool_destroy(self, label_or_uuid: str) -> None:
        """Destroy a pool and all in it, else `DER.NONEXIST`."""

    def pools(self) -> list[tuple[str, str]]:
        """Return UUID and label of each pool, in the order of the labels."""
