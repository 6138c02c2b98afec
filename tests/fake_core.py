"""The native seam in plain dicts, for tests of what stands on it: the protocols of `daos.client._seam`.

A `FakeDisk` keeps systems by path, so that they can be closed and opened again. It counts calls, and it can be told to
fail one.
"""

from __future__ import annotations

import uuid
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from daos.client import _seam
from daos.errors import DER, BusyError, DaosError, error_from_der
from tests.fake_objects import (
    CHUNK_BYTES,
    READS,
    ArrayFake,
    AttributesFake,
    FakeArray,
    FakeObjects,
    ObjectFake,
    groups_of,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from daos.client._seam import ContainerCore, DifferenceCore

KV_UINT64 = 9


class NotServed:
    """What nobody answers where there is no service."""

    def service_request(self, body: bytes, *, changes: bool) -> bytes:
        del body, changes
        raise error_from_der(DER.NOTSUPPORTED, "an embedded system has none of this")

    def local2global(self) -> bytes:
        raise error_from_der(DER.NOTSUPPORTED, "an embedded system has none of this")

    def container_global2local(self, shared: bytes, epoch: int | None) -> ContainerCore:
        del shared, epoch
        raise error_from_der(DER.NOTSUPPORTED, "an embedded system has none of this")


Objects: TypeAlias = dict[tuple[int, int], dict[bytes, bytes]]


@dataclass
class FakeContainer:
    """A container's content: objects by id, each a dict."""

    label: str
    props: bytes
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    objects: Objects = field(default_factory=dict)
    native: FakeObjects = field(default_factory=FakeObjects)
    next_oid: int = 1
    snapshots: dict[int, tuple[str | None, Objects, FakeObjects]] = field(default_factory=dict)
    next_epoch: int = 1 << 60
    attributes: dict[str, bytes] = field(default_factory=dict)


@dataclass
class FakePool:
    """A pool's content."""

    label: str
    props: bytes
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    containers: list[FakeContainer] = field(default_factory=list)
    attributes: dict[str, bytes] = field(default_factory=dict)
    scrub: tuple[int, int, int] = (0, 604_800, 0)
    scrubbed: tuple[bool, int, int, int, list[str], int | None, int | None] = (False, 0, 0, 0, [], None, None)


@dataclass
class FakeSystem:
    """What is on disk."""

    targets: int
    pools: list[FakePool] = field(default_factory=list)
    held: bool = False


@dataclass
class FakeDisk:
    """All paths, and what is to go wrong.

    Attributes:
        systems: What is on disk.
        calls: How often each method of the seam was called.
        fail: By name of a method, the error of its next call.
    """

    systems: dict[str, FakeSystem] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    fail: dict[str, DaosError] = field(default_factory=dict)
    opened: dict[str, object] = field(default_factory=dict)

    def open(
        self,
        path: str,
        *,
        create: bool,
        targets: int,
        durability: int,
        size: int | None = None,
        cache_bytes: int | None = None,
        share: bool = False,
    ) -> EmbeddedFake:
        """Open a system as `_core.Embedded.open` does."""
        self.opened = {
            "path": path,
            "create": create,
            "targets": targets,
            "durability": durability,
            "size": size,
            "cache_bytes": cache_bytes,
            "share": share,
        }
        system = self.systems.get(path)
        if system is None:
            if not create:
                raise error_from_der(DER.NONEXIST, f"no system in {path}")
            system = FakeSystem(targets)
            if path != ":memory:":
                self.systems[path] = system
        if system.held:
            raise BusyError(f"{path} is held by process 7", context={"pid": 7})
        system.held = True
        return EmbeddedFake(self, system)


Named = TypeVar("Named", FakePool, FakeContainer)


def find(among: list[Named], reference: str, code: DER) -> Named:
    """Return what has a label or UUID."""
    for item in among:
        if reference in (item.label, item.uuid):
            return item
    raise error_from_der(code, f"{reference} is not there")


def listed(among: list[Named]) -> list[tuple[str, str]]:
    """Return UUIDs and labels in the order of the labels."""
    return sorted(((item.uuid, item.label) for item in among), key=lambda pair: pair[1])


def relabel(among: list[Named], item: Named, label: str) -> None:
    """Give something another label."""
    if any(other.label == label and other is not item for other in among):
        raise error_from_der(DER.EXIST, f"label {label} is taken")
    item.label = label


@dataclass
class EmbeddedFake:
    """`_core.Embedded`."""

    disk: FakeDisk
    system: FakeSystem
    closed: bool = False

    def enter(self, name: str) -> None:
        """Count a call, refuse it when closed, fail it when told."""
        self.disk.calls[name] += 1
        if self.closed:
            raise error_from_der(DER.NO_HDL, "the system is closed")
        if name in self.disk.fail:
            raise self.disk.fail.pop(name)

    @property
    def targets(self) -> int:
        return self.system.targets

    def space(self) -> tuple[int, int, int, int]:
        self.enter("space")
        return 1 << 30, 1 << 29, 1 << 20, 1 << 24

    def close(self) -> None:
        self.closed = True
        self.system.held = False

    def pool_create(self, label: str, props: bytes) -> PoolFake:
        self.enter("pool_create")
        if any(pool.label == label for pool in self.system.pools):
            raise error_from_der(DER.EXIST, f"pool {label} is there")
        self.system.pools.append(FakePool(label, props))
        return PoolFake(self, self.system.pools[-1])

    def pool_open(self, label_or_uuid: str) -> PoolFake:
        self.enter("pool_open")
        return PoolFake(self, find(self.system.pools, label_or_uuid, DER.NONEXIST))

    def pool_destroy(self, label_or_uuid: str) -> None:
        self.enter("pool_destroy")
        self.system.pools.remove(find(self.system.pools, label_or_uuid, DER.NONEXIST))

    def pools(self) -> list[tuple[str, str]]:
        self.enter("pools")
        return listed(self.system.pools)


@dataclass
class PoolFake(NotServed):
    """`_core.Pool`."""

    owner: EmbeddedFake
    state: FakePool

    @property
    def uuid(self) -> str:
        return self.state.uuid

    @property
    def label(self) -> str:
        return self.state.label

    @property
    def targets(self) -> int:
        return self.owner.targets

    def change(self, label: str | None, scrub: tuple[int | None, int | None, int | None]) -> None:
        self.owner.enter("change")
        if label is not None:
            relabel(self.owner.system.pools, self.state, label)
        mode, freq, thresh = (old if new is None else new for new, old in zip(scrub, self.state.scrub, strict=True))
        self.state.scrub = (mode, freq, thresh)

    def scrub_status(
        self,
    ) -> tuple[tuple[int, int, int], tuple[bool, int, int, int, list[str], int | None, int | None]]:
        self.owner.enter("scrub_status")
        return self.state.scrub, self.state.scrubbed

    def attributes(self) -> AttributesFake:
        return AttributesFake(self.owner.enter, self.state.attributes)

    def container_create(
        self,
        label: str,
        props: bytes,
        checksums: tuple[int, int, bool] | None = None,
        scrub_disabled: bool = False,  # noqa: ARG002 -- the seam's signature
    ) -> ContainerFake:
        self.owner.enter("container_create")
        kind, size, _ = checksums or (0, 0, False)
        if kind > 7 or (kind and not 1 <= size <= 1 << 30):
            raise error_from_der(DER.INVAL, f"there are no checksums {checksums}")
        if any(container.label == label for container in self.state.containers):
            raise error_from_der(DER.EXIST, f"container {label} is there")
        self.state.containers.append(FakeContainer(label, props))
        return ContainerFake(self.owner, self.state.containers[-1], self.state)

    def container_open(self, label_or_uuid: str) -> ContainerFake:
        self.owner.enter("container_open")
        return ContainerFake(self.owner, find(self.state.containers, label_or_uuid, DER.NONEXIST), self.state)

    def container_destroy(self, label_or_uuid: str) -> None:
        self.owner.enter("container_destroy")
        self.state.containers.remove(find(self.state.containers, label_or_uuid, DER.NONEXIST))

    def containers(self) -> list[tuple[str, str]]:
        self.owner.enter("containers")
        return listed(self.state.containers)


@dataclass
class ContainerFake(NotServed):
    """`_core.Container`; with an epoch, as of that snapshot."""

    owner: EmbeddedFake
    state: FakeContainer
    pool: FakePool
    epoch: int | None = None

    def enter(self, name: str) -> None:
        """As the system, for what changes the container."""
        self.owner.enter(name)
        if self.epoch is not None:
            raise error_from_der(DER.NO_PERM, "this is a snapshot")

    @property
    def uuid(self) -> str:
        return self.state.uuid

    @property
    def label(self) -> str:
        return self.state.label

    @property
    def props(self) -> bytes:
        return self.state.props

    def set_label(self, label: str) -> None:
        self.enter("set_label")
        relabel(self.pool.containers, self.state, label)

    def attributes(self) -> AttributesFake:
        if self.epoch is not None:
            raise error_from_der(DER.NOTSUPPORTED, "a snapshot has no attributes")
        return AttributesFake(self.owner.enter, self.state.attributes)

    def kv(self, hi: int, lo: int) -> KVFake:
        if self.epoch is None:
            return KVFake(self.owner, self.state.objects, (hi, lo))
        return KVFake(self.owner, self.state.snapshots[self.epoch][1], (hi, lo), fixed=True)

    def snapshot_create(self, name: str | None) -> int:
        self.enter("snapshot_create")
        if name is not None and name in (taken for taken, *_ in self.state.snapshots.values()):
            raise error_from_der(DER.EXIST, f"snapshot {name} is there")
        epoch = self.state.next_epoch
        self.state.next_epoch += 1 << 40
        self.state.snapshots[epoch] = (name, deepcopy(self.state.objects), deepcopy(self.state.native))
        return epoch

    def snapshots(self) -> list[tuple[int, str | None]]:
        self.owner.enter("snapshots")
        return [(epoch, name) for epoch, (name, *_) in self.state.snapshots.items()]

    def aggregate(self) -> int:
        self.enter("aggregate")
        return 0

    def snapshot_destroy(self, first: int, last: int) -> int:
        self.enter("snapshot_destroy")
        going = [epoch for epoch in self.state.snapshots if first <= epoch <= last]
        if not going:
            raise error_from_der(DER.NONEXIST, "no such snapshot")
        for epoch in going:
            del self.state.snapshots[epoch]
        return len(going)

    def content(self) -> dict[tuple[int, int], dict[tuple[bytes, bytes], object]]:
        """Return what each object holds, by dkey and akey; of an array cell by cell."""
        objects = self.state.objects if self.epoch is None else self.state.snapshots[self.epoch][1]
        found: dict[tuple[int, int], dict[tuple[bytes, bytes], object]] = {}
        for oid, values in objects.items():
            found[oid] = {(key, b"0"): value for key, value in values.items()}
        for oid, array in self.native.arrays.items():
            chunks: dict[tuple[bytes, bytes], object] = {(bytes(8), b"m"): array.cell_size}
            for cell, value in array.cells.items():
                key = ((cell // array.chunk_size + 1).to_bytes(8, "little"), b"0")
                cast("dict[int, bytes]", chunks.setdefault(key, {}))[cell % array.chunk_size] = value
            found[oid] = chunks
        for oid, dkeys in self.native.objects.items():
            if dkeys:
                held = {(dkey, akey): value for dkey, akeys in dkeys.items() for akey, value in akeys.items()}
                found.setdefault(oid, {}).update(held)
        return found

    def objects(
        self, after: tuple[int, int] | None, count: int
    ) -> tuple[list[tuple[int, int]], tuple[int, int] | None]:
        self.owner.enter("objects")
        oids = sorted(oid for oid in self.content() if after is None or oid > after)
        return oids[:count], oids[count - 1] if len(oids) > count else None

    def diff(self, before: int, anchor: bytes | None, count: int) -> tuple[list[DifferenceCore], bytes | None]:
        self.owner.enter("diff")
        old, new = self.at(before).content(), self.content()
        found: list[DifferenceCore] = []
        for oid in sorted(old.keys() | new.keys()):
            was, now = old.get(oid, {}), new.get(oid, {})
            for dkey, akey in sorted(was.keys() | now.keys()):
                one, other = was.get((dkey, akey)), now.get((dkey, akey))
                if one == other:
                    continue
                cells = [part for part in (one, other) if isinstance(part, dict)]
                indices = sorted({at for part in cells for at in part if _cell(one, at) != _cell(other, at)})
                how = 0 if one is None else 1 if other is None else 2
                found.append((*oid, dkey, akey, how, [(at, 1) for at in indices]))
        first = 0 if anchor is None else int(anchor)
        return found[first : first + count], str(first + count).encode() if len(found) > first + count else None

    def check(
        self,
        target: int,
        anchor: bytes | None,  # noqa: ARG002 -- it is done in one call
        budget: int,  # noqa: ARG002
    ) -> tuple[tuple[int, int, int, int], list[tuple[tuple[int, int] | None, str]], bytes | None]:
        self.owner.enter("check")
        content = self.content() if target == 0 else {}
        return (len(content), sum(map(len, content.values())), 1, 0), [], None

    def count(
        self,
        target: int,
        anchor: bytes | None,  # noqa: ARG002 -- it is done in one call
        budget: int,  # noqa: ARG002
    ) -> tuple[tuple[int, int, int, int, int, int, int], tuple[int, int] | None, bytes | None]:
        self.owner.enter("count")
        content = self.content() if target == 0 else {}
        values = [value for entries in content.values() for value in entries.values() if isinstance(value, bytes)]
        count, size = len(values), sum(map(len, values))
        return (len(content), count, count, 0, 0, size, size), (7, 9) if values else None, None

    def rollback(self, epoch: int) -> None:
        self.enter("rollback")
        if epoch not in self.state.snapshots:
            raise error_from_der(DER.NONEXIST, "no such snapshot")
        _, objects, native = deepcopy(self.state.snapshots[epoch])
        # In place: handles go on.
        self.state.objects.clear()
        self.state.objects.update(objects)
        vars(self.state.native).update(vars(native))

    def at(self, epoch: int) -> ContainerFake:
        self.owner.enter("at")
        if epoch not in self.state.snapshots:
            raise error_from_der(DER.NONEXIST, "no such snapshot")
        return ContainerFake(self.owner, self.state, self.pool, epoch)

    def transaction(self) -> TransactionFake:
        self.enter("transaction")
        return TransactionFake(self)

    @property
    def native(self) -> FakeObjects:
        return self.state.native if self.epoch is None else self.state.snapshots[self.epoch][2]

    def enter_object(self, name: str) -> None:
        """Count a call on an array or object; refuse changes of the past."""
        (self.owner.enter if name in READS else self.enter)(name)

    def array_create(self, hi: int, lo: int, cell_size: int, chunk_size: int | None) -> ArrayFake:
        self.enter("array_create")
        if (hi, lo) in self.native.arrays:
            raise error_from_der(DER.EXIST, "the array exists")
        chunk = max(1, CHUNK_BYTES // cell_size) if chunk_size is None else chunk_size
        self.native.arrays[hi, lo] = FakeArray(cell_size, chunk)
        return ArrayFake(self.enter_object, self.native.arrays[hi, lo])

    def array_open(self, hi: int, lo: int) -> ArrayFake:
        self.owner.enter("array_open")
        if (hi, lo) not in self.native.arrays:
            raise error_from_der(DER.NONEXIST, "there is no such array")
        return ArrayFake(self.enter_object, self.native.arrays[hi, lo])

    def object(self, hi: int, lo: int) -> ObjectFake:
        def destroyed() -> None:
            self.state.objects.pop((hi, lo), None)
            if (hi, lo) in self.state.native.arrays:
                self.state.native.arrays.pop((hi, lo)).cells.clear()

        return ObjectFake(self.enter_object, self.native.objects, (hi, lo), destroyed)

    def generate_oid(self, object_type: int, oclass: str) -> tuple[int, int]:
        groups = groups_of(oclass, self.owner.targets)
        return (object_type << 56) | (1 << 48) | (groups << 32), self.alloc_oids(1)

    def alloc_oids(self, count: int) -> int:
        self.enter("alloc_oids")
        first = self.state.next_oid
        self.state.next_oid += count
        return first


def _cell(chunk: object, at: int) -> object:
    """Return a cell of a chunk, None without one."""
    return chunk.get(at) if isinstance(chunk, dict) else None


class Touched(dict[tuple[int, int], dict[bytes, bytes]]):
    """Objects as a transaction has them: remembers which were looked at, and reads what is there at the first look."""

    def __init__(self, transaction: TransactionFake) -> None:
        super().__init__()
        self.transaction = transaction
        self.before: Objects | None = None
        self.touched: set[tuple[int, int]] = set()

    def setdefault(self, oid: tuple[int, int], default: dict[bytes, bytes]) -> dict[bytes, bytes]:
        self.transaction.check_open()
        if self.before is None:
            self.before = deepcopy(self.transaction.inside.state.objects)
            self.update(deepcopy(self.before))
        self.touched.add(oid)
        return super().setdefault(oid, default)


class TransactionFake:
    """`_core.Transaction`, of which objects conflict as a whole."""

    def __init__(self, container: ContainerFake) -> None:
        self.inside = container
        self.objects = Touched(self)
        self.state = "open"

    def container(self) -> ContainerFake:
        return InsideFake(self.inside.owner, self.inside.state, self.inside.pool, transaction_core=self)

    def check_open(self) -> None:
        self.inside.owner.enter("in_transaction")
        if self.state != "open":
            raise error_from_der(DER.NO_PERM, f"the transaction has {self.state}")

    def commit(self) -> None:
        self.inside.owner.enter("commit")
        if self.state == "committed":
            raise error_from_der(DER.ALREADY, "the transaction has committed already")
        self.check_open()
        own, live, before = self.objects, self.inside.state.objects, self.objects.before or {}
        changed = [oid for oid in own.touched if own.get(oid, {}) != before.get(oid, {})]
        if changed and any(live.get(oid, {}) != before.get(oid, {}) for oid in own.touched):
            self.state = "failed"
            raise error_from_der(DER.TX_RESTART, "what it read has changed")
        live.update((oid, dict(own[oid])) for oid in changed)
        self.state = "committed"

    def abort(self) -> None:
        if self.state == "aborted":
            raise error_from_der(DER.ALREADY, "the transaction has been aborted already")
        if self.state == "committed":
            raise error_from_der(DER.NO_PERM, "the transaction has committed")
        self.state = "aborted"


@dataclass
class InsideFake(ContainerFake):
    """A container inside a transaction."""

    transaction_core: TransactionFake | None = None

    @property
    def native(self) -> FakeObjects:
        raise AssertionError("arrays and objects of the fake have no transactions")

    def kv(self, hi: int, lo: int) -> KVFake:
        assert self.transaction_core is not None
        return KVFake(self.owner, self.transaction_core.objects, (hi, lo))


@dataclass
class KVFake:
    """`_core.KV`."""

    owner: EmbeddedFake
    objects: Objects
    oid: tuple[int, int]
    fixed: bool = False

    def enter(self, name: str) -> None:
        """As the system, for what changes the object."""
        self.owner.enter(name)
        if self.fixed:
            raise error_from_der(DER.NO_PERM, "this is a snapshot")

    @property
    def data(self) -> dict[bytes, bytes]:
        return self.objects.setdefault(self.oid, {})

    def check(self, key: bytes, flags: int) -> None:
        if flags & _seam.COND_KEY_INSERT and key in self.data:
            raise error_from_der(DER.EXIST, "the key exists")
        if flags & (_seam.COND_KEY_UPDATE | _seam.COND_PUNCH) and key not in self.data:
            raise error_from_der(DER.NONEXIST, "no such key")

    def put(self, key: bytes, value: Buffer, flags: int = 0) -> None:
        self.enter("put")
        self.check(key, flags)
        self.data[key] = bytes(value)

    def get(self, key: bytes, flags: int = 0) -> bytes | None:
        self.owner.enter("get")
        assert not flags
        return self.data.get(key)

    def put_many(self, items: list[tuple[bytes, Buffer]], flags: int = 0) -> None:
        self.enter("put_many")
        assert not flags
        self.data.update((key, bytes(value)) for key, value in items)

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        self.owner.enter("get_many")
        return [self.data.get(key) for key in keys]

    def remove(self, key: bytes, flags: int = 0) -> None:
        self.enter("remove")
        self.check(key, flags)
        self.data.pop(key, None)

    def list_keys(self, anchor: bytes | None, count: int, reverse: bool) -> tuple[list[bytes], bytes | None]:
        self.owner.enter("list_keys")
        return self.page(anchor, count, reverse)

    def page(self, anchor: bytes | None, count: int, reverse: bool) -> tuple[list[bytes], bytes | None]:
        """Return keys behind an anchor, and the next one."""

        def place(key: bytes) -> tuple[int, bytes]:
            return (int.from_bytes(key, "little"), b"") if self.oid[0] >> 56 == KV_UINT64 else (0, key)

        keys = sorted(self.data, key=place, reverse=reverse)
        if anchor is None:
            # An empty page before the end is allowed: all that use listings must bear it.
            return [], b"start"
        if anchor != b"start":
            last = place(anchor[1:])
            keys = [key for key in keys if (place(key) < last if reverse else place(key) > last)]
        page = keys[:count]
        return page, b"@" + page[-1] if len(keys) > count else None

    def list_pairs(
        self, anchor: bytes | None, count: int, reverse: bool
    ) -> tuple[list[bytes], list[bytes], bytes | None]:
        self.owner.enter("list_pairs")
        page, anchor = self.page(anchor, count, reverse)
        return page, [self.data[key] for key in page], anchor

    def destroy(self) -> None:
        self.enter("destroy")
        self.data.clear()
