"""What the SDK relies on at the seam, asked of the fake that its tests use and of the native module alike.

Of the native module three times: of a system that is held, of one that another handle holds and this one reaches, and
of one that an engine serves over TCP.

A fake that answers differently would make those tests worthless; a native module that does would break the SDK.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daos.client import _seam
from daos.client._names import ObjectId, ObjectType
from daos.errors import (
    DER,
    AccessError,
    BusyError,
    ClosedError,
    ConflictError,
    DaosError,
    ExistsError,
    InvalidError,
    NotFoundError,
)
from tests.integration.conftest import Open

HASHED = ObjectId.make(ObjectType.KV_HASHED, 1, 1)
INTEGERS = ObjectId.make(ObjectType.KV_UINT64, 1, 2)
LISTED_AT_ONCE = 3


@pytest.fixture
def container(opener: Open) -> _seam.ContainerCore:
    return opener().pool_create("tank", b"\x80").container_create("run7", b"props")


@pytest.fixture
def kv(container: _seam.ContainerCore) -> _seam.KVCore:
    return container.kv(HASHED.hi, HASHED.lo)


def keys_of(kv: _seam.KVCore, *, reverse: bool = False, count: int = LISTED_AT_ONCE) -> list[bytes]:
    """Return all keys of a listing by small pages."""
    found: list[bytes] = []
    anchor: bytes | None = None
    for _ in range(10_000):
        page, anchor = kv.list_keys(anchor, count, reverse)
        assert len(page) <= count
        found += page
        if anchor is None:
            return found
    raise AssertionError("the listing does not end")


def test_a_system_keeps_what_was_made_over_a_close(opener: Open) -> None:
    core = opener()
    assert core.pools() == []
    pool = core.pool_create("tank", b"\x80")
    container = pool.container_create("run7", b"props")
    container.kv(HASHED.hi, HASHED.lo).put(b"k", b"v")
    first = container.alloc_oids(10)
    facts = (pool.uuid, container.uuid)
    core.close()
    core = opener(create=False)
    assert core.pools() == [(facts[0], "tank")]
    pool = core.pool_open("tank")
    assert pool.containers() == [(facts[1], "run7")]
    container = pool.container_open(facts[1])
    assert (pool.uuid, pool.label, container.uuid, container.label) == (facts[0], "tank", facts[1], "run7")
    assert container.props == b"props"
    assert container.kv(HASHED.hi, HASHED.lo).get(b"k") == b"v"
    assert first >= 1
    assert container.alloc_oids(1) >= first + 10
    core.close()


@pytest.mark.parametrize("opener", ["fake", "native"], indirect=True)
def test_one_at_a_time(opener: Open) -> None:
    core = opener()
    with pytest.raises(BusyError) as caught:
        opener()
    assert isinstance(caught.value.context["pid"], int)
    core.close()
    core.close()
    opener().close()


def test_what_is_not_there(opener: Open) -> None:
    with pytest.raises(NotFoundError):
        opener(create=False)
    core = opener()
    with pytest.raises(NotFoundError):
        core.pool_open("tank")
    pool = core.pool_create("tank", b"\x80")
    with pytest.raises(NotFoundError):
        pool.container_open("run7")
    with pytest.raises(NotFoundError):
        pool.container_destroy("run7")
    with pytest.raises(ExistsError):
        core.pool_create("tank", b"\x80")
    pool.container_create("run7", b"")
    with pytest.raises(ExistsError):
        pool.container_create("run7", b"")
    assert [label for _, label in core.pools()] == ["tank"]


@pytest.mark.parametrize("checksums", [(8, 1, False), (2, 0, False), (2, (1 << 30) + 1, True)])
def test_checksums_that_there_are_not_are_refused(opener: Open, checksums: tuple[int, int, bool]) -> None:
    pool = opener().pool_create("tank", b"\x80")
    with pytest.raises(InvalidError):
        pool.container_create("run7", b"", checksums)
    assert pool.containers() == []


@pytest.mark.parametrize("kind", range(8))
def test_whatever_the_checksums_values_come_back(opener: Open, kind: int) -> None:
    container = opener().pool_create("tank", b"\x80").container_create("run7", b"", (kind, 5000, True))
    kv = container.kv(*container.generate_oid(ObjectType.KV_HASHED, "SX"))
    values = {b"%d" % length: bytes(length) for length in (0, 1, 70_000)}
    kv.put_many(list(values.items()))
    kv.put(b"x", b"y")
    assert {key: kv.get(key) for key in values} == values
    assert kv.get_many([b"x", b"70000", b"nope"]) == [b"y", bytes(70_000), None]
    pairs: dict[bytes, bytes] = {}
    anchor: bytes | None = b""
    while anchor is not None:
        keys, found, anchor = kv.list_pairs(anchor or None, 9, False)
        pairs.update(zip(keys, found, strict=True))
    assert pairs == {**values, b"x": b"y"}
    array = container.array_create(*container.generate_oid(ObjectType.ARRAY, "SX"), 8, None)
    cells = bytes(range(256)) * 1000
    array.write(3, 1, cells)
    array.write(5, 2, b"12345678" * 100)
    whole = bytearray(cells)
    for cell in range(100):
        place = (2 + 2 * cell) * 8
        whole[place : place + 8] = b"12345678"
    for start, count in ((3, 32_000), (4, 3), (1000, 5000)):
        room = bytearray(count * 8)
        array.read_into(start, 1, room, bytes(8))
        assert room == whole[(start - 3) * 8 : (start - 3 + count) * 8]


def test_listings_are_by_label(opener: Open) -> None:
    core = opener()
    for label in ("b", "a", "c"):
        core.pool_create(label, b"\x80")
    pool = core.pool_open("a")
    for label in ("z", "x", "y"):
        pool.container_create(label, b"")
    assert [label for _, label in core.pools()] == ["a", "b", "c"]
    assert [label for _, label in pool.containers()] == ["x", "y", "z"]
    pool.container_destroy("y")
    assert [label for _, label in pool.containers()] == ["x", "z"]


def test_targets_are_those_it_was_made_with(opener: Open) -> None:
    core = opener(targets=2)
    assert core.targets == 2
    core.close()
    assert opener(targets=1).targets == 2


def test_a_closed_system_refuses_everything(opener: Open) -> None:
    core = opener()
    pool = core.pool_create("tank", b"\x80")
    container = pool.container_create("run7", b"")
    kv = container.kv(HASHED.hi, HASHED.lo)
    core.close()
    acts: tuple[Callable[[], object], ...] = (
        core.pools,
        pool.containers,
        lambda: pool.container_open("run7"),
        lambda: container.alloc_oids(1),
        lambda: kv.put(b"k", b"v"),
        lambda: kv.get(b"k"),
        lambda: kv.get_many([b"k"]),
        lambda: kv.list_keys(None, 1, False),
    )
    for act in acts:
        with pytest.raises(ClosedError) as caught:
            act()
        assert caught.value.code is DER.NO_HDL


def test_keys_and_values(kv: _seam.KVCore) -> None:
    assert kv.get(b"k") is None
    kv.put(b"k", b"one")
    kv.put(b"k", b"a longer one")
    kv.put(b"\0", bytearray(b"two"))
    kv.put(b"\xff" * 300, np.arange(3, dtype=np.uint8).data)
    kv.put_many([(b"m", memoryview(b"three")), (b"n", b"four"), (b"m", b"five")])
    assert kv.get_many([b"n", b"absent", b"k", b"m"]) == [b"four", None, b"a longer one", b"five"]
    assert kv.get(b"\xff" * 300) == b"\0\1\2"
    assert keys_of(kv) == [b"\0", b"k", b"m", b"n", b"\xff" * 300]
    kv.remove(b"k")
    kv.remove(b"k")
    assert kv.get(b"k") is None
    assert b"k" not in keys_of(kv)


@pytest.mark.parametrize("size", [1, 100, 4095, 4096, 4097, 65_536, 65_537, 3 << 20])
def test_values_of_all_sizes(kv: _seam.KVCore, size: int) -> None:
    value = os.urandom(size)
    kv.put(b"k", value)
    assert kv.get(b"k") == value


def test_conditions(kv: _seam.KVCore) -> None:
    with pytest.raises(NotFoundError):
        kv.put(b"k", b"v", _seam.COND_KEY_UPDATE)
    with pytest.raises(NotFoundError):
        kv.remove(b"k", _seam.COND_PUNCH)
    kv.put(b"k", b"v", _seam.COND_KEY_INSERT)
    with pytest.raises(ExistsError):
        kv.put(b"k", b"w", _seam.COND_KEY_INSERT)
    assert kv.get(b"k") == b"v"
    kv.put(b"k", b"x", _seam.COND_KEY_UPDATE)
    kv.remove(b"k", _seam.COND_PUNCH)
    kv.put(b"k", b"y", _seam.COND_KEY_INSERT)
    assert kv.get(b"k") == b"y"


def test_listings_go_both_ways_and_on_from_an_anchor(kv: _seam.KVCore) -> None:
    names = [b"%03d" % number for number in range(20)]
    kv.put_many([(name, b"v") for name in names])
    assert keys_of(kv) == names
    assert keys_of(kv, reverse=True) == names[::-1]
    assert keys_of(kv, count=1) == names
    assert keys_of(kv, count=1000) == names


def test_a_listing_bears_changes(kv: _seam.KVCore) -> None:
    names = [b"%03d" % number for number in range(0, 40, 2)]
    kv.put_many([(name, b"v") for name in names])
    found: list[bytes] = []
    anchor: bytes | None = None
    while True:
        page, anchor = kv.list_keys(anchor, LISTED_AT_ONCE, False)
        found += page
        for name in page:
            # What was listed may go, what comes behind and before it may come.
            kv.remove(name)
            kv.put(name + b"x", b"v")
        if anchor is None:
            break
        assert len(found) < 200
    assert len(found) == len(set(found))
    assert set(names) <= set(found)


def test_integers_are_listed_by_value(container: _seam.ContainerCore) -> None:
    kv = container.kv(INTEGERS.hi, INTEGERS.lo)
    numbers = [0, 1, 255, 256, 65_536, 2**32, 2**63, 2**64 - 1]
    for number in reversed(numbers):
        kv.put(number.to_bytes(8, "little"), b"v")
    assert [int.from_bytes(key, "little") for key in keys_of(kv)] == numbers
    assert [int.from_bytes(key, "little") for key in keys_of(kv, reverse=True)] == numbers[::-1]


def test_objects_are_apart_and_a_destroyed_one_is_empty(container: _seam.ContainerCore) -> None:
    one, other = container.kv(HASHED.hi, 11), container.kv(HASHED.hi, 12)
    one.put(b"k", b"1")
    other.put(b"k", b"2")
    one.destroy()
    assert one.get(b"k") is None
    assert keys_of(one) == []
    assert other.get(b"k") == b"2"
    one.put(b"k", b"3")
    assert container.kv(HASHED.hi, 11).get(b"k") == b"3"


def test_a_snapshot_is_read_as_it_was(container: _seam.ContainerCore, kv: _seam.KVCore) -> None:
    assert container.snapshots() == []
    empty = container.snapshot_create(None)
    kv.put_many([(b"a", b"1"), (b"b", b"2")])
    full = container.snapshot_create("full")
    kv.remove(b"a")
    kv.put(b"b", b"3")
    assert container.snapshots() == [(empty, None), (full, "full")]
    assert 0 < empty < full
    then = container.at(full).kv(HASHED.hi, HASHED.lo)
    assert (keys_of(then), then.get_many([b"a", b"b", b"c"])) == ([b"a", b"b"], [b"1", b"2", None])
    assert keys_of(container.at(empty).kv(HASHED.hi, HASHED.lo)) == []
    assert (keys_of(kv), kv.get(b"b")) == ([b"b"], b"3")


def test_a_snapshot_takes_no_changes(container: _seam.ContainerCore, kv: _seam.KVCore) -> None:
    kv.put(b"k", b"v")
    view = container.at(container.snapshot_create("s"))
    then = view.kv(HASHED.hi, HASHED.lo)
    acts: tuple[Callable[[], object], ...] = (
        lambda: then.put(b"k", b"w"),
        lambda: then.put_many([(b"k", b"w")]),
        lambda: then.remove(b"k"),
        then.destroy,
        lambda: view.alloc_oids(1),
        lambda: view.snapshot_create(None),
        lambda: view.snapshot_destroy(0, 1 << 63),
        lambda: view.rollback(view.snapshots()[0][0]),
    )
    for act in acts:
        with pytest.raises(AccessError) as caught:
            act()
        assert caught.value.code is DER.NO_PERM
    assert then.get(b"k") == kv.get(b"k") == b"v"
    assert len(view.snapshots()) == 1


def test_objects_and_differences_come_in_pages(container: _seam.ContainerCore, kv: _seam.KVCore) -> None:
    other = container.kv(HASHED.hi, HASHED.lo + 1)
    kv.put(b"a", b"1")
    taken = container.snapshot_create(None)
    kv.put_many([(b"a", b"2"), (b"b", b"2")])
    other.put(b"c", b"2")
    first, second = (HASHED.hi, HASHED.lo), (HASHED.hi, HASHED.lo + 1)
    assert container.objects(None, 1) == ([first], first)
    assert container.objects(first, 10) == ([second], None)
    assert container.at(taken).objects(None, 10) == ([first], None)
    found: list[_seam.DifferenceCore] = []
    anchor: bytes | None = None
    for _ in range(10):
        page, anchor = container.diff(taken, anchor, 1)
        assert len(page) <= 1
        found.extend(page)
        if anchor is None:
            break
    expected: list[_seam.DifferenceCore] = [
        (*first, b"a", b"0", 2, []),
        (*first, b"b", b"0", 0, []),
        (*second, b"c", b"0", 0, []),
    ]
    assert sorted(found) == expected
    with pytest.raises(NotFoundError):
        container.diff(taken + 1, None, 1)


def test_a_rollback_shows_what_the_snapshot_shows(container: _seam.ContainerCore, kv: _seam.KVCore) -> None:
    kv.put_many([(b"a", b"1"), (b"b", b"1")])
    first = container.snapshot_create("first")
    kv.put(b"a", b"2")
    kv.remove(b"b")
    kv.put(b"c", b"2")
    second = container.snapshot_create("second")
    for epoch, keys, value in ((first, [b"a", b"b"], b"1"), (second, [b"a", b"c"], b"2")):
        container.rollback(epoch)
        assert (sorted(keys_of(kv)), kv.get(b"a")) == (keys, value)
    kv.put(b"b", b"3")
    assert (sorted(keys_of(kv)), kv.get_many([b"a", b"b", b"c"])) == ([b"a", b"b", b"c"], [b"2", b"3", b"2"])
    assert container.snapshots() == [(first, "first"), (second, "second")]


def test_snapshots_that_are_there_and_those_that_are_not(container: _seam.ContainerCore) -> None:
    first, second, third = (container.snapshot_create(name) for name in ("a", None, "c"))
    with pytest.raises(ExistsError):
        container.snapshot_create("a")
    acts: tuple[Callable[[], object], ...] = (
        lambda: container.at(second + 1),
        lambda: container.at(0),
        lambda: container.at((1 << 64) - 1),
        lambda: container.snapshot_destroy(second + 1, third - 1),
        lambda: container.rollback(second + 1),
    )
    for act in acts:
        with pytest.raises(NotFoundError):
            act()
    assert container.snapshot_destroy(first, second) == 2
    assert container.snapshots() == [(third, "c")]
    assert container.snapshot_create("a") > third


@pytest.mark.parametrize("kind", ["pool", "container"])
def test_attributes_are_kept_over_a_close(opener: Open, kind: str) -> None:
    def attributes_of(pool: _seam.PoolCore) -> _seam.AttributesCore:
        return pool.attributes() if kind == "pool" else pool.container_open("run7").attributes()

    core = opener()
    pool = core.pool_create("tank", b"\x80")
    pool.container_create("run7", b"")
    attributes = attributes_of(pool)
    assert (attributes.names(), attributes.get(["a"]), attributes.remove(["a"])) == ([], [None], 0)
    attributes.set([("b", b"2"), ("a", b""), ("long" * 127, b"3")])
    attributes.set([("b", b"4")])
    attributes.set([])
    core.close()
    attributes = attributes_of(opener().pool_open("tank"))
    assert attributes.names() == ["a", "b", "long" * 127]
    assert attributes.get(["b", "nope", "a"]) == [b"4", None, b""]
    assert attributes.remove(["a", "nope", "b", "b"]) == 2
    assert attributes.names() == ["long" * 127]


def test_labels_change_and_stay_unique(opener: Open) -> None:
    core = opener()
    pool, other = core.pool_create("tank", b"\x80"), core.pool_create("taken", b"\x80")
    container = pool.container_create("run7", b"props")
    pool.container_create("taken", b"")
    with pytest.raises(ExistsError):
        pool.change("taken", (None, None, None))
    with pytest.raises(ExistsError):
        container.set_label("taken")
    container.set_label("run7")
    container.set_label("run8")
    pool.change("pond", (None, None, None))
    other.change("tank", (None, None, None))
    assert (pool.label, container.label, other.label) == ("pond", "run8", "tank")
    assert core.pool_open("pond").uuid == pool.uuid
    assert pool.container_open("run8").props == b"props"
    with pytest.raises(NotFoundError):
        core.pool_open("taken")
    with pytest.raises(NotFoundError):
        pool.container_open("run7")


def test_one_of_many_threads_inserts(kv: _seam.KVCore) -> None:
    won: list[int] = []
    barrier = threading.Barrier(4)

    def insert(number: int) -> None:
        barrier.wait()
        for index in range(25):
            try:
                kv.put(b"%d" % index, b"%d" % number, _seam.COND_KEY_INSERT)
            except ExistsError:
                continue
            won.append(index)

    threads = [threading.Thread(target=insert, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == list(range(25))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.dictionaries(st.binary(min_size=1, max_size=40), st.binary(min_size=1, max_size=200), max_size=30))
def test_what_is_put_is_got_and_listed(container: _seam.ContainerCore, items: dict[bytes, bytes]) -> None:
    kv = container.kv(HASHED.hi, container.alloc_oids(1))
    kv.put_many(list(items.items()))
    assert keys_of(kv) == sorted(items)
    assert kv.get_many(list(items)) == list(items.values())


def test_a_fork_is_told(tmp_path: Path) -> None:
    import daos

    pool = daos.open(tmp_path / "x.daos")
    kv = pool.container("c", create=True).kv("k", create=True)
    kv["a"] = b"1"
    child = os.fork()
    if child == 0:
        status = 1
        try:
            kv.get("a")
        except daos.ForkedError:
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert kv["a"] == b"1"
    pool.close()


def test_a_transaction_reads_its_own_changes_and_nobody_else_does(container: _seam.ContainerCore) -> None:
    outside = container.kv(HASHED.hi, HASHED.lo)
    outside.put(b"a", b"1")
    transaction = container.transaction()
    inside = transaction.container().kv(HASHED.hi, HASHED.lo)
    assert inside.get(b"a") == b"1"
    inside.put(b"b", b"2")
    inside.remove(b"a", _seam.COND_PUNCH)
    assert keys_of(inside) == keys_of(inside, reverse=True) == [b"b"]
    assert inside.get_many([b"a", b"b"]) == [None, b"2"]
    with pytest.raises(ExistsError):
        inside.put(b"b", b"3", _seam.COND_KEY_INSERT)
    with pytest.raises(NotFoundError):
        inside.put(b"a", b"3", _seam.COND_KEY_UPDATE)
    assert keys_of(outside) == [b"a"]
    transaction.commit()
    assert keys_of(outside) == [b"b"]


def test_a_transaction_reads_as_of_its_first_operation(container: _seam.ContainerCore) -> None:
    outside = container.kv(HASHED.hi, HASHED.lo)
    transaction = container.transaction()
    inside = transaction.container().kv(HASHED.hi, HASHED.lo)
    outside.put(b"a", b"1")
    assert inside.get(b"a") == b"1"
    outside.put(b"a", b"2")
    assert inside.get(b"a") == b"1"
    transaction.commit()
    transaction = container.transaction()
    inside = transaction.container().kv(HASHED.hi, HASHED.lo)
    inside.put(b"b", inside.get(b"a") or b"")
    outside.put(b"a", b"3")
    with pytest.raises(ConflictError) as caught:
        transaction.commit()
    assert caught.value.code is DER.TX_RESTART
    assert keys_of(outside) == [b"a"]


ENDED: list[tuple[str, DER, DER | None]] = [
    ("committed", DER.ALREADY, DER.NO_PERM),
    ("aborted", DER.NO_PERM, DER.ALREADY),
    ("failed", DER.NO_PERM, None),
]


@pytest.mark.parametrize(("how", "commit", "abort"), ENDED)
def test_a_transaction_ends_once(container: _seam.ContainerCore, how: str, commit: DER, abort: DER | None) -> None:
    transaction = container.transaction()
    inside = transaction.container().kv(HASHED.hi, HASHED.lo)
    inside.put(b"a", inside.get(b"a") or b"1")
    if how == "aborted":
        transaction.abort()
    elif how == "failed":
        container.kv(HASHED.hi, HASHED.lo).put(b"a", b"0")
        with pytest.raises(ConflictError):
            transaction.commit()
    else:
        transaction.commit()
    operations: list[tuple[Callable[[], object], DER | None]] = [
        (lambda: inside.get(b"a"), DER.NO_PERM),
        (lambda: inside.put(b"a", b"9"), DER.NO_PERM),
        (lambda: inside.list_keys(None, 1, False), DER.NO_PERM),
        (transaction.commit, commit),
        (transaction.abort, abort),
    ]
    for operation, code in operations:
        if code is None:
            operation()
            continue
        with pytest.raises(DaosError) as caught:
            operation()
        assert caught.value.code is code
    assert container.kv(HASHED.hi, HASHED.lo).get(b"a") == {"committed": b"1", "failed": b"0"}.get(how)


def test_a_snapshot_has_no_transactions_and_an_empty_one_commits(container: _seam.ContainerCore) -> None:
    container.transaction().commit()
    epoch = container.snapshot_create(None)
    with pytest.raises(AccessError):
        container.at(epoch).transaction()


def test_only_services_take_their_requests(container: _seam.ContainerCore) -> None:
    with pytest.raises(InvalidError) as caught:
        container.service_request(b"\x80", changes=False)
    assert caught.value.code is DER.NOTSUPPORTED
