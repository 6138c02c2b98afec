"""Objects over the fake core."""

from __future__ import annotations

import numpy as np
import pytest

import daos
from daos.client._names import ObjectType
from daos.errors import (
    DER,
    AccessError,
    ConflictError,
    DaosError,
    ExistsError,
    InvalidError,
    NotFoundError,
)
from tests.fake_core import FakeDisk
from tests.fake_objects import ObjectFake

DAY = "2026-11-22"


@pytest.fixture
def cont(disk: FakeDisk) -> daos.Container:
    return daos.open("x").container("c", create=True)


@pytest.fixture
def sensors(cont: daos.Container) -> daos.Object:
    return cont.object("sensors", create=True)


def records(obj: daos.Object, dkey: str, range_: daos.Range) -> list[object]:
    """Return records of the akey `wind`."""
    found = obj.fetch(dkey, wind=range_)["wind"]
    assert isinstance(found, np.ndarray)
    return list(found.tolist())


def test_single_values_and_arrays_lie_side_by_side(sensors: daos.Object) -> None:
    wind = np.arange(100.0)
    sensors.update(DAY, station=b"ABC", wind=daos.Extent(500, wind))
    found = sensors.fetch(DAY, "station", "nope", wind=daos.Range(500, 600, dtype="f8"))
    assert list(found) == ["station", "wind"]
    assert found["station"] == b"ABC"
    assert np.array_equal(found["wind"], wind)
    assert records(sensors, DAY, daos.Range(498, 502, "f8")) == [0, 0, 0, 1]
    raw = sensors.fetch(DAY, {"wind": daos.Range(501, 502)})["wind"]
    assert isinstance(raw, np.ndarray)
    assert (raw.dtype, raw.tobytes()) == (np.dtype("V8"), np.float64(1).tobytes())
    assert sensors.fetch(DAY, nope=daos.Range(0, 3)) == {}
    assert sensors.fetch(DAY, nope=daos.Range(0, 3, "f8")) == {}
    assert sensors.fetch("another day", "station") == {}
    assert sensors.fetch(DAY) == {}


def test_akeys_that_are_no_identifiers_are_in_a_mapping(sensors: daos.Object) -> None:
    sensors.update(DAY, {"a b": b"1", "c-d": daos.Extent(0, b"xyz")}, e=bytearray(b"2"))
    found = sensors.fetch(DAY, "a b", {"c-d": daos.Range(1, 3)}, "e")
    assert (found["a b"], found["e"]) == (b"1", b"2")
    assert np.asarray(found["c-d"]).tobytes() == b"yz"
    assert list(sensors.akeys(DAY)) == ["a b", "c-d", "e"]


def test_values_and_records_go(sensors: daos.Object) -> None:
    sensors.update(DAY, station=b"ABC", wind=daos.Extent(0, np.arange(5).astype("<M8[s]")))
    sensors.update(DAY, station=None, wind=daos.Hole(1, 3))
    assert sensors.fetch(DAY, "station") == {}
    assert records(sensors, DAY, daos.Range(0, 5, "i8")) == [0, 0, 0, 3, 4]
    sensors.punch(DAY, ["wind"])
    assert sensors.fetch(DAY, wind=daos.Range(0, 5)) == {}
    sensors.punch(DAY, [])
    sensors.punch("nope")
    with pytest.raises(NotFoundError):
        sensors.punch("nope", if_present=True)
    sensors.update("a", x=b"1")
    sensors.update("b", x=b"1")
    sensors.punch("a", if_present=True)
    assert list(sensors.dkeys()) == ["b"]
    assert sensors.exists()
    assert sensors.exists("b")
    assert not sensors.exists("a")
    sensors.punch()
    assert list(sensors.dkeys()) == []
    assert not sensors.exists()


def test_conditions(sensors: daos.Object) -> None:
    with pytest.raises(NotFoundError):
        sensors.update(DAY, x=b"1", if_dkey="present")
    sensors.update(DAY, x=b"1", if_dkey="absent")
    with pytest.raises(ExistsError):
        sensors.update(DAY, y=b"1", if_dkey="absent")
    with pytest.raises(ExistsError):
        sensors.update(DAY, x=b"2", y=b"2", if_akeys="absent")
    with pytest.raises(NotFoundError):
        sensors.update(DAY, x=b"2", y=b"2", if_akeys="present")
    assert sensors.fetch(DAY, "x", "y") == {"x": b"1"}
    sensors.update(DAY, y=b"2", if_akeys="absent", if_dkey="present")
    assert sensors.fetch(DAY, "x", "y") == {"x": b"1", "y": b"2"}


def test_listings_go_both_ways_by_pages(sensors: daos.Object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daos.client.object.PAGE_KEYS", 3)
    names = [f"{number:02}" for number in range(10)]
    for name in names:
        sensors.update(name, dict.fromkeys(names, b"1"))
    assert list(sensors.dkeys()) == list(sensors.akeys("05")) == names
    assert list(sensors.dkeys(reverse=True)) == list(sensors.akeys("05", reverse=True)) == names[::-1]
    assert list(sensors.akeys("nope")) == []


def test_keys_are_what_the_type_says(cont: daos.Container) -> None:
    numbers = cont.object("n", create=True, type="multi_uint64")
    numbers.update(300, {7: b"x", 2**64 - 1: daos.Extent(40, b"yz")})
    numbers.update(2, {0: b"z"})
    assert list(numbers.dkeys()) == [2, 300]
    assert list(numbers.akeys(300)) == [7, 2**64 - 1]
    assert numbers.fetch(300, 7) == {7: b"x"}
    assert numbers.query("max") == daos.Extreme(300, None, None, None)
    assert numbers.query("min", akey=...) == daos.Extreme(2, 0, None, None)
    assert numbers.query("max", dkey=300, akey=2**64 - 1, records=True) == daos.Extreme(None, None, 41, 1)
    assert numbers.query("min", akey=..., records=True) == daos.Extreme(300, 2**64 - 1, 40, 1)
    assert numbers.query("max", akey=8) is None
    raw = cont.object("raw", create=True, keys="bytes")
    raw.update(b"\xff", {b"\0": b"1"})
    assert list(raw.dkeys()) == [b"\xff"]
    assert list(raw.akeys(b"\xff")) == [b"\0"]
    mixed = cont.object("mixed", create=True, type="dkey_uint64")
    mixed.update(5, text=b"1")
    assert mixed.fetch(5, "text") == {"text": b"1"}


def test_an_object_is_found_by_name_and_by_id(cont: daos.Container) -> None:
    with pytest.raises(NotFoundError):
        cont.object("o")
    made = cont.object("o", create="exclusive", type="dkey_lexical", oclass="S1", keys="bytes")
    made.update(b"d", {b"a": b"1"})
    assert (made.name, made.oid.type_number) == ("o", ObjectType.DKEY_LEXICAL)
    assert cont.object("o", type="dkey_lexical", keys="bytes").fetch(b"d", b"a") == {b"a": b"1"}
    by_id = cont.object(made.oid)
    assert by_id.name is None
    assert by_id.fetch("d", "a") == {"a": b"1"}
    assert cont.object(made.oid, keys="bytes").exists(b"d")
    assert repr(made) == "<daos.Object 'o' in c>"
    assert repr(by_id) == f"<daos.Object {made.oid} in c>"
    with pytest.raises(ExistsError):
        cont.object("o", create="exclusive")
    assert [(named.name, named.kind, named.oid) for named in cont.names()] == [("o", "object", made.oid)]
    cont.destroy("o")
    assert not by_id.exists()
    assert "o" not in cont


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        ({"oclass": "RP_2G1"}, DER.INVAL, "S1 to SX"),
        ({"oclass": "EC_2P1GX"}, DER.INVAL, "S1 to SX"),
        ({"oclass": "S5"}, DER.INVAL, "S1 to SX"),
        ({"type": "kv_hashed"}, DER.INVAL, "multi_hashed"),
        ({"type": "x"}, DER.INVAL, "multi_hashed"),
        ({"keys": "int"}, DER.INVAL, "integers"),
        ({"create": 1.0}, DER.INVAL, "exclusive"),
        ({"name_or_oid": ""}, DER.INVAL, "empty"),
        ({"name_or_oid": 7}, DER.INVAL, "text"),
        ({"name_or_oid": "k"}, DER.INVAL, ""),
        ({"name_or_oid": daos.ObjectId(200 << 56, 1)}, DER.NOTYPE, "type"),
        ({"name_or_oid": daos.ObjectId(1 << 56, 1)}, DER.NOTYPE, "type"),
        ({"name_or_oid": daos.ObjectId(2 << 56, 1), "type": "multi_hashed"}, DER.INVAL, "leave"),
    ],
)
def test_bad_objects_are_not_made(cont: daos.Container, arguments: dict[str, object], code: DER, hint: str) -> None:
    cont.kv("k", create=True)
    with pytest.raises(InvalidError) as caught:
        cont.object(**{"name_or_oid": "o", "create": True, **arguments})  # type: ignore[arg-type]
    assert caught.value.code is code
    assert hint in (caught.value.hint or "")
    assert [named.name for named in cont.names()] == ["k"]


def test_an_object_is_opened_as_it_was_made(cont: daos.Container) -> None:
    cont.object("o", create=True)
    for arguments in ({"type": "multi_uint64"}, {"keys": "bytes"}):
        with pytest.raises(InvalidError):
            cont.object("o", create=True, **arguments)  # type: ignore[arg-type]


def test_what_is_bad_is_told_and_changes_nothing(sensors: daos.Object) -> None:
    sensors.update(DAY, station=b"ABC", wind=daos.Extent(0, np.arange(3.0)))
    acts: list[tuple[object, type[DaosError], DER]] = [
        (lambda: sensors.update(5, x=b"1"), InvalidError, DER.INVAL),
        (lambda: sensors.update(b"d", x=b"1"), InvalidError, DER.INVAL),
        (lambda: sensors.update("", x=b"1"), InvalidError, DER.INVAL),
        (lambda: sensors.update("x" * 70_000, x=b"1"), InvalidError, DER.KEY2BIG),
        (lambda: sensors.update(DAY, {b"x": b"1"}), InvalidError, DER.INVAL),
        (lambda: sensors.update(DAY, {"": b"1"}), InvalidError, DER.INVAL),
        (lambda: sensors.update(DAY, b"1"), InvalidError, DER.INVAL),  # type: ignore[arg-type]
        (lambda: sensors.update(DAY), InvalidError, DER.INVAL),
        (lambda: sensors.update(DAY, {"x": b"1"}, x=b"2"), InvalidError, DER.INVAL),
        (lambda: sensors.update(DAY, x="text"), InvalidError, DER.INVAL),  # type: ignore[arg-type]
        (lambda: sensors.update(DAY, x=7), InvalidError, DER.INVAL),  # type: ignore[arg-type]
        (lambda: sensors.update(DAY, x=np.arange(6)[::2]), InvalidError, DER.INVAL),
        (lambda: sensors.update(DAY, x=daos.Extent(0, "text")), InvalidError, DER.INVAL),  # type: ignore[arg-type]
        (lambda: sensors.update(DAY, x=daos.Extent(0, b"")), InvalidError, DER.INVAL),
        (lambda: sensors.update(DAY, x=daos.Extent(0, np.empty(0))), InvalidError, DER.INVAL),
        (lambda: sensors.update(DAY, x=daos.Extent(0, np.arange(6)[::2])), InvalidError, DER.INVAL),
        (lambda: sensors.update(DAY, x=daos.Extent(0, np.array([None]))), InvalidError, DER.INVAL),
        (lambda: sensors.update(DAY, x=b"1", if_dkey="no"), InvalidError, DER.INVAL),  # type: ignore[arg-type]
        (lambda: sensors.update(DAY, x=b"1", if_akeys=True), InvalidError, DER.INVAL),  # type: ignore[arg-type]
        (lambda: sensors.update(DAY, x=b"1", wind=b"2"), AccessError, DER.NO_PERM),
        (lambda: sensors.update(DAY, x=b"1", wind=daos.Extent(0, b"2")), InvalidError, DER.INVAL),
        (lambda: sensors.update(DAY, station=daos.Extent(0, b"2")), AccessError, DER.NO_PERM),
        (lambda: sensors.fetch(DAY, "wind"), AccessError, DER.NO_PERM),
        (lambda: sensors.fetch(DAY, station=daos.Range(0, 1)), AccessError, DER.NO_PERM),
        (lambda: sensors.fetch(DAY, wind=daos.Range(0, 1, "f4")), InvalidError, DER.REC_SIZE),
        (lambda: sensors.fetch(DAY, wind=daos.Range(0, 1, "O")), InvalidError, DER.INVAL),
        (lambda: sensors.fetch(DAY, wind=b"x"), InvalidError, DER.INVAL),  # type: ignore[arg-type]
        (lambda: sensors.fetch(DAY, "x", "x"), InvalidError, DER.INVAL),
        (lambda: sensors.fetch(DAY, "wind", wind=daos.Range(0, 1)), InvalidError, DER.INVAL),
        (lambda: sensors.fetch(DAY, 5), InvalidError, DER.INVAL),
        (lambda: sensors.punch(akeys=["wind"]), InvalidError, DER.INVAL),
        (lambda: sensors.punch(DAY, "wind"), InvalidError, DER.INVAL),
        (lambda: sensors.punch(DAY, ["wind", 5]), InvalidError, DER.INVAL),
        (lambda: sensors.punch(DAY, ["wind", "nope"], if_present=True), NotFoundError, DER.NONEXIST),
        (lambda: sensors.query("max"), InvalidError, DER.INVAL),
        (lambda: sensors.query("most"), InvalidError, DER.INVAL),  # type: ignore[arg-type]
        (lambda: sensors.query("max", dkey=DAY), InvalidError, DER.INVAL),
        (lambda: sensors.query("max", dkey=DAY, akey=...), InvalidError, DER.INVAL),
        (lambda: sensors.query("max", dkey=DAY, records=True), InvalidError, DER.INVAL),
        (lambda: daos.Extent(-1, b"x"), InvalidError, DER.OVERFLOW),
        (lambda: daos.Extent(2**64, b"x"), InvalidError, DER.OVERFLOW),
        (lambda: daos.Extent(1.0, b"x"), InvalidError, DER.INVAL),  # type: ignore[arg-type]
        (lambda: daos.Extent(True, b"x"), InvalidError, DER.INVAL),
        (lambda: daos.Range(3, 3), InvalidError, DER.INVAL),
        (lambda: daos.Range(4, 3), InvalidError, DER.INVAL),
        (lambda: daos.Hole(4, 2**64), InvalidError, DER.OVERFLOW),
    ]
    for number, (act, cls, code) in enumerate(acts):
        with pytest.raises(cls) as caught:
            act()  # type: ignore[operator]
        assert caught.value.code is code, number
    assert list(sensors.dkeys()) == [DAY]
    assert list(sensors.akeys(DAY)) == ["station", "wind"]
    assert records(sensors, DAY, daos.Range(0, 3, "f8")) == [0, 1, 2]


def test_records_whose_size_changes_while_they_are_read(sensors: daos.Object, monkeypatch: pytest.MonkeyPatch) -> None:
    sensors.update(DAY, wind=daos.Extent(0, b"abcd"))
    fetch = ObjectFake.fetch
    changes = [1]

    def meddled(core: ObjectFake, dkey: bytes, iods: list[object]) -> object:
        answer = fetch(core, dkey, iods)  # type: ignore[arg-type]
        if changes:
            sensors.punch(DAY)
            sensors.update(DAY, wind=daos.Extent(0, np.arange(changes.pop() + 1, dtype="i4")))
        return answer

    monkeypatch.setattr(ObjectFake, "fetch", meddled)
    found = sensors.fetch(DAY, wind=daos.Range(0, 2))["wind"]
    assert np.asarray(found).tobytes() == np.arange(2, dtype="i4").tobytes()
    # Without end, it is given up.
    sizes = ["i4", "i8"] * 20

    def always(core: ObjectFake, dkey: bytes, iods: list[object]) -> object:
        answer = fetch(core, dkey, iods)  # type: ignore[arg-type]
        sensors.punch(DAY)
        sensors.update(DAY, wind=daos.Extent(0, np.zeros(2, sizes.pop())))
        return answer

    monkeypatch.setattr(ObjectFake, "fetch", always)
    with pytest.raises(ConflictError):
        sensors.fetch(DAY, wind=daos.Range(0, 2))
