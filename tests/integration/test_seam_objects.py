"""What the SDK relies on at the seam for arrays and objects, asked of the fake and of the native module alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daos.client import _seam, system
from daos.client._names import ObjectId, ObjectType
from daos.errors import DER, AccessError, ClosedError, DaosError, ExistsError, InvalidError, NotFoundError
from tests.fake_core import FakeDisk

CELLS_MAX = (1 << 63) - 1
TARGETS = 2
OID = ObjectId.make(ObjectType.MULTI_HASHED, TARGETS, 1)
NUMBERS = ObjectId.make(ObjectType.MULTI_UINT64, TARGETS, 2)


@pytest.fixture(params=["fake", "native"])
def core(request: pytest.FixtureRequest, tmp_path: Path) -> _seam.EmbeddedCore:
    open_core = FakeDisk().open if request.param == "fake" else system._open_core
    return open_core(str(tmp_path / "x.daos"), create=True, targets=TARGETS, durability=0)


@pytest.fixture
def container(core: _seam.EmbeddedCore) -> _seam.ContainerCore:
    return core.pool_create("tank", b"\x80").container_create("run7", b"props")


def made(container: _seam.ContainerCore, cell_size: int, chunk_size: int | None = None) -> _seam.ArrayCore:
    """Return a new array."""
    return container.array_create(*container.generate_oid(ObjectType.ARRAY, "SX"), cell_size, chunk_size)


def cells(array: _seam.ArrayCore, start: int, count: int, step: int = 1) -> bytes:
    """Return cells of an array, holes as dots."""
    room = bytearray(b"?" * (count * array.cell_size))
    array.read_into(start, step, room, b"." * array.cell_size)
    return bytes(room)


def test_ids_are_of_their_type_and_class(container: _seam.ContainerCore) -> None:
    for oclass, groups in (("SX", TARGETS), ("S1", 1), ("S8", TARGETS), ("OC_SX", TARGETS)):
        hi, lo = container.generate_oid(ObjectType.DKEY_LEXICAL, oclass)
        assert ObjectId(hi, lo) == ObjectId.make(ObjectType.DKEY_LEXICAL, groups, lo)
    for oclass in ("RP_2G1", "EC_2P1GX", "S3", "", "x"):
        with pytest.raises(InvalidError) as caught:
            container.generate_oid(ObjectType.ARRAY, oclass)
        assert caught.value.code is DER.INVAL
        assert caught.value.hint == "use a class without redundancy: S1 to SX"


def test_the_shards_of_an_object_lie_on_different_targets(container: _seam.ContainerCore) -> None:
    for oclass, count in (("SX", TARGETS), ("S1", 1)):
        for _ in range(8):
            layout = container.object(*container.generate_oid(ObjectType.MULTI_HASHED, oclass)).layout()
            assert len(layout) == len(set(layout)) == count
            assert set(layout) <= set(range(TARGETS))


def test_an_array_is_made_once(container: _seam.ContainerCore) -> None:
    oid = container.generate_oid(ObjectType.ARRAY, "SX")
    with pytest.raises(NotFoundError):
        container.array_open(*oid)
    array = container.array_create(*oid, 3, 10)
    with pytest.raises(ExistsError):
        container.array_create(*oid, 3, 10)
    again = container.array_open(*oid)
    assert (array.cell_size, array.chunk_size) == (again.cell_size, again.chunk_size) == (3, 10)
    assert array.size() == 0
    array.write(7, 1, b"aaabbb")
    assert again.size() == 9
    container.object(*oid).punch(None, None)
    assert again.size() == 0
    with pytest.raises(NotFoundError):
        container.array_open(*oid)
    assert made(container, 8).chunk_size == 1 << 17
    assert made(container, 1 << 20).chunk_size == 1


def test_cells_are_written_and_read(container: _seam.ContainerCore) -> None:
    array = made(container, 2, 4)
    array.write(3, 1, b"aabbccddee")
    assert cells(array, 2, 7) == b"..aabbccddee.."
    array.write(0, 3, b"11223344")
    assert cells(array, 0, 10) == b"11....22bbcc33ee..44"
    assert cells(array, 0, 4, 3) == b"11223344"
    assert cells(array, 1 << 40, 2) == b"...."
    array.write(CELLS_MAX - 1, 1, memoryview(b"zz"))
    assert array.size() == CELLS_MAX
    array.set_size(5, b"xx")
    assert array.size() == 5
    array.set_size(2, b"xx")
    assert cells(array, 0, 5) == b"11xx......"
    array.set_size(7, b"xx")
    assert cells(array, 0, 8) == b"11xx........xx.."
    array.punch(1, 1 << 50)
    assert (array.size(), cells(array, 0, 3)) == (1, b"11....")
    array.set_size(0, b"xx")
    assert array.size() == 0


def test_arrays_refuse_what_is_not_there(container: _seam.ContainerCore) -> None:
    array = made(container, 2, 4)
    array.write(0, 1, b"aa")
    acts: tuple[Callable[[], object], ...] = (
        lambda: array.write(CELLS_MAX, 1, b"aa"),
        lambda: array.write(5, CELLS_MAX, b"aabb"),
        lambda: array.read_into(CELLS_MAX - 1, 1, bytearray(4), b"ff"),
    )
    for act in acts:
        with pytest.raises(InvalidError) as caught:
            act()
        assert caught.value.code is DER.OVERFLOW
    assert cells(array, 0, 1) == b"aa"
    assert array.size() == 1


def test_a_snapshot_shows_arrays_and_objects_as_they_were(container: _seam.ContainerCore) -> None:
    oid = container.generate_oid(ObjectType.ARRAY, "SX")
    array = container.array_create(*oid, 2, 4)
    obj = container.object(OID.hi, OID.lo)
    array.write(0, 1, b"aabbcc")
    obj.update(b"d", [(b"a", b"1", 0, None)])
    then = container.at(container.snapshot_create(None))
    array.write(1, 1, b"zzzzzzzz")
    obj.update(b"d", [(b"a", b"2", 0, None), (b"b", b"2", 0, None)])
    array_then, obj_then = then.array_open(*oid), then.object(OID.hi, OID.lo)
    assert (array_then.size(), cells(array_then, 0, 4)) == (3, b"aabbcc..")
    assert cells(array, 0, 4) == b"aazzzzzz"
    assert list(obj_then.fetch(b"d", [(b"a", None, 0, None), (b"b", None, 0, None)])) == [b"1", None]
    assert keys_of(obj_then, b"d") == [b"a"]
    acts: tuple[Callable[[], object], ...] = (
        lambda: array_then.write(0, 1, b"xx"),
        lambda: array_then.punch(0, 1),
        lambda: array_then.set_size(9, b"xx"),
        lambda: obj_then.update(b"d", [(b"a", b"3", 0, None)]),
        lambda: obj_then.punch(b"d", None),
        lambda: then.array_create(oid[0], 77, 2, 4),
        lambda: then.generate_oid(ObjectType.ARRAY, "SX"),
    )
    for act in acts:
        with pytest.raises(AccessError) as caught:
            act()
        assert caught.value.code is DER.NO_PERM


@pytest.mark.parametrize("size", [1, 4095, 4096, 65_537, 1 << 20, 1_500_001])
def test_big_arrays_come_back(container: _seam.ContainerCore, size: int) -> None:
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    array = made(container, 1)
    array.write(77, 1, data.data)
    assert array.size() == 77 + size
    room = np.empty(size, np.uint8)
    array.read_into(77, 1, room.data, b".")
    assert np.array_equal(room, data)
    array.write(80, 1, b"zz")
    data[3:5] = ord("z")
    array.read_into(77, 1, room.data, b".")
    assert np.array_equal(room, data)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chunk=st.integers(1, 12),
    acts=st.lists(
        st.tuples(
            st.sampled_from(["write", "punch", "resize"]), st.integers(0, 40), st.integers(1, 20), st.integers(1, 4)
        ),
        max_size=12,
    ),
)
def test_an_array_is_a_list_of_cells(
    container: _seam.ContainerCore, chunk: int, acts: list[tuple[str, int, int, int]]
) -> None:
    array = made(container, 1, chunk)
    model: dict[int, int] = {}
    for nth, (what, start, count, step) in enumerate(acts):
        if what == "write":
            array.write(start, step, bytes([nth] * count))
            model.update((start + n * step, nth) for n in range(count))
        elif what == "punch":
            array.punch(start, count)
            model = {at: cell for at, cell in model.items() if not start <= at < start + count}
        else:
            array.set_size(start, b"z")
            model = {at: cell for at, cell in model.items() if at < start}
            if start:
                model.setdefault(start - 1, ord("z"))
        assert array.size() == max(model, default=-1) + 1
    assert cells(array, 0, 130) == bytes(model.get(at, ord(".")) for at in range(130))


def single(obj: _seam.ObjectCore, dkey: bytes, akey: bytes) -> bytes | int | None:
    """Return a single value."""
    return obj.fetch(dkey, [(akey, None, 0, None)])[0]


def test_values_of_a_dkey_change_together(container: _seam.ContainerCore) -> None:
    obj = container.object(OID.hi, OID.lo)
    assert obj.fetch(b"d", [(b"a", None, 0, None), (b"w", None, 0, [])]) == [None, 0]
    obj.update(b"d", [(b"a", b"1", 0, None), (b"w", b"aabbcc", 2, [(5, 2), (9, 1)]), (b"e", b"", 0, None)])
    room, other = bytearray(12), bytearray(3)
    found = obj.fetch(
        b"d", [(b"a", None, 0, None), (b"w", room, 2, [(4, 6)]), (b"w", other, 3, [(5, 1)]), (b"x", None, 0, None)]
    )
    assert list(found) == [b"1", 2, 2, None]
    assert room == b"\0\0aabb\0\0\0\0cc"
    assert list(obj.fetch(b"d", [(b"w", None, 0, []), (b"e", None, 0, None)])) == [2, b""]
    obj.update(b"d", [(b"a", None, 0, None), (b"w", None, 0, [(6, 4)])])
    room = bytearray(12)
    assert list(obj.fetch(b"d", [(b"a", None, 0, None), (b"w", room, 2, [(4, 6)])])) == [None, 2]
    assert room == b"\0\0aa" + bytes(8)


def test_conditions(container: _seam.ContainerCore) -> None:
    obj = container.object(OID.hi, OID.lo)
    one, two = [(b"a", b"1", 0, None)], [(b"b", b"2", 0, None)]
    for flags in (_seam.COND_KEY_UPDATE, _seam.COND_AKEY_UPDATE):
        with pytest.raises(NotFoundError):
            obj.update(b"d", list(one), flags)
    obj.update(b"d", list(one), _seam.COND_KEY_INSERT | _seam.COND_AKEY_INSERT)
    acts: tuple[Callable[[], object], ...] = (
        lambda: obj.update(b"d", list(two), _seam.COND_KEY_INSERT),
        lambda: obj.update(b"d", [*two, *one], _seam.COND_AKEY_INSERT),
    )
    for act in acts:
        with pytest.raises(ExistsError):
            act()
    assert single(obj, b"d", b"b") is None
    with pytest.raises(NotFoundError):
        obj.update(b"d", [*two, *one], _seam.COND_AKEY_UPDATE)
    obj.update(b"d", list(two), _seam.COND_AKEY_INSERT | _seam.COND_KEY_UPDATE)
    for dkey, akeys in ((b"e", None), (b"d", [b"c"]), (b"e", [b"a"])):
        with pytest.raises(NotFoundError):
            obj.punch(dkey, akeys, _seam.COND_PUNCH)
        obj.punch(dkey, akeys)
    obj.punch(b"d", [b"a"], _seam.COND_PUNCH)
    assert single(obj, b"d", b"a") is None
    obj.punch(None, None, _seam.COND_PUNCH)
    with pytest.raises(NotFoundError):
        obj.punch(None, None, _seam.COND_PUNCH)


def test_an_akey_holds_one_kind(container: _seam.ContainerCore) -> None:
    obj = container.object(OID.hi, OID.lo)
    obj.update(b"d", [(b"s", b"1", 0, None), (b"w", b"aabb", 2, [(0, 2)])])
    acts: tuple[tuple[Callable[[], object], type[DaosError]], ...] = (
        (lambda: obj.update(b"d", [(b"x", b"1", 0, None), (b"w", b"1", 0, None)]), AccessError),
        (lambda: obj.update(b"d", [(b"x", b"1", 0, None), (b"s", b"1", 1, [(0, 1)])]), AccessError),
        (lambda: obj.update(b"d", [(b"x", b"1", 0, None), (b"w", b"1", 1, [(0, 1)])]), InvalidError),
        (lambda: single(obj, b"d", b"w"), AccessError),
        (lambda: obj.fetch(b"d", [(b"s", None, 0, [])]), AccessError),
    )
    for number, (act, cls) in enumerate(acts):
        with pytest.raises(cls):
            act()
        assert single(obj, b"d", b"x") is None, number
    # Without records the size is free again.
    obj.punch(b"d", [b"w"])
    obj.update(b"d", [(b"w", b"1", 1, [(0, 1)])])


def keys_of(obj: _seam.ObjectCore, dkey: bytes | None = None, *, reverse: bool = False, count: int = 3) -> list[bytes]:
    """Return all keys of a listing by small pages."""
    found: list[bytes] = []
    anchor: bytes | None = None
    for _ in range(1000):
        page, anchor = obj.list_keys(dkey, anchor, count, reverse)
        assert len(page) <= count
        found += page
        if anchor is None:
            return found
    raise AssertionError("the listing does not end")


def test_listings(container: _seam.ContainerCore) -> None:
    obj = container.object(OID.hi, OID.lo)
    names = [b"%02d" % number for number in range(20)]
    for name in names:
        obj.update(name, [(akey, b"1", 0, None) for akey in names[:7]])
    assert sorted(keys_of(obj)) == sorted(keys_of(obj, reverse=True)) == names
    assert keys_of(obj, b"05") == names[:7]
    assert keys_of(obj, b"05", reverse=True) == names[6::-1]
    assert keys_of(obj, b"nope") == []
    obj.punch(b"05", names[:7])
    assert sorted(keys_of(obj)) == [name for name in names if name != b"05"]


def number(value: int) -> bytes:
    """Return an integer key."""
    return value.to_bytes(8, "little")


def test_queries(container: _seam.ContainerCore) -> None:
    obj = container.object(NUMBERS.hi, NUMBERS.lo)
    assert obj.query(True, None, None, False, False) is None
    for dkey in (700, 5, 2**40, 300):
        obj.update(number(dkey), [(number(akey), b"x", 0, None) for akey in (9, 1000, 3)])
    obj.update(number(300), [(number(2000), b"aabb", 2, [(70, 1), (50, 1)])])
    assert obj.query(True, None, None, False, False) == (2**40, None, None, 0)
    assert obj.query(False, None, None, False, False) == (5, None, None, 0)
    assert obj.query(True, None, None, True, False) == (2**40, 1000, None, 0)
    assert obj.query(False, number(700), None, True, False) == (None, 3, None, 0)
    assert obj.query(True, None, number(2000), False, True) == (300, None, (70, 1), 2)
    assert obj.query(False, None, None, True, True) == (300, 2000, (50, 1), 2)
    assert obj.query(False, number(8), None, True, True) is None
    hashed = container.object(OID.hi, OID.lo)
    with pytest.raises(InvalidError):
        hashed.query(True, None, None, False, False)
    with pytest.raises(InvalidError):
        hashed.query(True, b"d", None, True, False)


def test_a_closed_system_refuses_arrays_and_objects(core: _seam.EmbeddedCore, container: _seam.ContainerCore) -> None:
    array, obj = made(container, 1), container.object(OID.hi, OID.lo)
    core.close()
    acts: tuple[Callable[[], object], ...] = (
        array.size,
        lambda: array.write(0, 1, b"x"),
        lambda: array.read_into(0, 1, bytearray(1), b"."),
        lambda: array.punch(0, 1),
        lambda: array.set_size(1, b"."),
        lambda: obj.update(b"d", [(b"a", b"1", 0, None)]),
        lambda: obj.fetch(b"d", [(b"a", None, 0, None)]),
        lambda: obj.punch(None, None),
        lambda: obj.list_keys(None, None, 1, False),
        lambda: obj.query(True, number(1), number(1), False, False),
        lambda: container.generate_oid(ObjectType.ARRAY, "SX"),
    )
    for act in acts:
        with pytest.raises(ClosedError) as caught:
            act()
        assert caught.value.code is DER.NO_HDL
