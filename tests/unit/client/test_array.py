"""Arrays over the fake core: against NumPy itself."""

from __future__ import annotations

import array as standard
import warnings
from functools import partial
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import daos
from daos.client import _dtypes
from daos.client._names import ROOT, Entry, Kind, ObjectId, ObjectType
from daos.client.array import CELLS_MAX
from daos.errors import (
    DER,
    CorruptionError,
    DaosError,
    ExistsError,
    InvalidError,
    NoSpaceError,
    NotFoundError,
    OutOfRangeError,
)
from tests.fake_core import ContainerFake, FakeDisk

STRUCTURED = np.dtype([("at", "<M8[s]"), ("wind", "<f4", (2,)), ("name", "S3"), ("in", [("x", "u1")])], align=True)


@pytest.fixture
def cont(disk: FakeDisk) -> daos.Container:
    return daos.open("x").container("c", create=True)


@pytest.fixture
def temp(cont: daos.Container) -> daos.Array:
    return cont.array("temp", create=True)


def test_an_array_is_written_and_read_as_numpy_does(cont: daos.Container) -> None:
    temp = cont.array("temp", dtype="f8", create=True)
    data = np.linspace(0, 1, 1000)
    temp[1000:2000] = data
    assert temp.size == len(temp) == 2000
    assert np.array_equal(temp[1000:2000], data)
    assert not temp[0:10].any()
    assert temp[1500] == data[500]
    assert temp[-1] == 1.0
    assert np.array_equal(temp[1990:5000], data[-10:])
    assert np.array_equal(temp[-10:], data[-10:])
    assert np.array_equal(temp[...], temp[:])
    assert np.array_equal(temp[1001:2000:3], data[1::3])
    assert temp[5000:].size == 0
    assert temp.dtype == np.float64
    assert temp.fill == 0
    assert repr(temp) == "<daos.Array 'temp' in c, float64>"


def test_what_is_written_may_lie_behind_the_end(temp: daos.Array) -> None:
    temp[5] = 1
    temp[7:10] = [1, 2, 3]
    temp[12:18:2] = np.float32(4)
    temp[20:] = np.arange(2.0)
    temp[-1] = 9
    temp[-3:-1] = [7, 8]
    temp[::4] = -1
    temp[3:3] = 5
    temp[30:20] = []
    expected = [-1, 0, 0, 0, -1, 1, 0, 1, -1, 3, 0, 0, -1, 0, 4, 0, -1, 0, 0, 7, -1, 9]
    assert temp[:].tolist() == expected
    temp[1:3] = np.array([6.0])
    temp[:] = 2
    assert temp[:].tolist() == [2] * 22
    temp[0:] = np.array([1.0])
    assert temp[0] == 1
    assert temp.size == 22


def test_other_ways_to_read_and_write(temp: daos.Array) -> None:
    temp.write(2, [1.5, 2.5])
    temp.write(10, 3, step=2)
    temp.write(20, np.arange(3.0), step=3)
    assert temp.size == 27
    assert temp.append([8, 9]) == 27
    buffer = np.full(4, np.nan)
    temp.read_into(buffer, start=26)
    assert buffer.tolist() == [2, 8, 9, 0]
    raw = bytearray(16)
    temp.read_into(raw, 2)
    assert raw == np.array([1.5, 2.5]).tobytes()
    temp.read_into(bytearray(), 5)
    square = np.empty((2, 2))
    temp.read_into(square, 27)
    assert square.tolist() == [[8, 9], [0, 0]]
    assert [block.size for block in temp.blocks(10)] == [10, 10, 9]
    assert list(temp) == temp[:].tolist()
    assert np.array_equal(np.asarray(temp), temp[:])
    assert np.asarray(temp, dtype="f4").dtype == np.float32
    with pytest.raises(ValueError, match="copy"):
        temp.__array__(copy=False)
    assert temp.chunk == (1 << 20) // 8


def test_sizes_change(temp: daos.Array) -> None:
    temp[0:10] = 1
    temp.resize(4)
    assert temp[:].tolist() == [1] * 4
    temp.resize(8)
    assert temp[:].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    temp.punch(1, 3)
    assert temp[:].tolist() == [1, 0, 0, 1, 0, 0, 0, 0]
    temp.punch(2)
    assert temp[:].tolist() == [1]
    temp.punch(0)
    assert temp.size == 0
    assert temp[:].size == 0
    assert list(temp) == []


def test_a_big_scalar_goes_in_blocks(temp: daos.Array, disk: FakeDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daos.client.array.BLOCK_BYTES", 80)
    temp[3:28] = 7
    assert disk.calls["array_write"] == 3
    assert temp[:].tolist() == [0, 0, 0] + [7] * 25
    temp[0:28:2] = 1
    assert temp[0:5].tolist() == [1, 0, 1, 7, 1]
    assert len(list(temp.blocks())) == 3


def test_data_of_the_dtype_is_not_copied(temp: daos.Array, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    data = np.arange(100.0)

    def address(*arguments: object) -> None:
        seen.append(np.asarray(arguments[2]).__array_interface__["data"][0])

    core = temp._core
    monkeypatch.setattr(type(core), "write", lambda _, *arguments: address(*arguments))
    monkeypatch.setattr(type(core), "read_into", lambda _, *arguments: address(*arguments))
    temp[5:105] = data
    temp.write(5, data.data)
    temp.read_into(data)
    assert seen == [data.__array_interface__["data"][0]] * 3


@pytest.mark.parametrize("dtype", ["u1", ">i4", "?", "f2", "c16", "S4", "<U3", "V3", "<M8[ms]", STRUCTURED], ids=str)
def test_without_a_fill_value_holes_are_zero(cont: daos.Container, dtype: object) -> None:
    made = cont.array("a", dtype=np.dtype(dtype), create=True)  # type: ignore[call-overload]
    made.resize(3)
    assert made[0:3].tobytes() == bytes(3 * made.dtype.itemsize)


@pytest.mark.parametrize(
    ("dtype", "fill", "data"),
    [
        ("u1", 255, [0, 7]),
        (">i4", -3, [1, -2]),
        ("?", True, [False, True]),
        ("f2", float("nan"), [0.5, 2.0]),
        ("c16", 1j, [1 + 2j, 3]),
        ("S4", b"none", [b"ab", b"cdef"]),
        ("<U3", "xyz", ["a", "bcd"]),
        ("V3", b"abc", [b"123", b"456"]),
        ("<M8[ms]", np.datetime64("NaT"), ["2026-11-22", "2026-11-23"]),
        ("<m8[s]", np.timedelta64(5, "s"), [np.timedelta64(1, "m"), 7]),
        (STRUCTURED, np.zeros((), STRUCTURED), [("2026-11-22", (1, 2), b"ab", (3,))] * 2),
    ],
    ids=str,
)
def test_every_dtype_of_a_fixed_size(cont: daos.Container, dtype: object, fill: object, data: list[int]) -> None:
    made = cont.array("a", dtype=np.dtype(dtype), fill=fill, create=True)  # type: ignore[call-overload]
    made[2:4] = data
    again = cont.array("a")
    assert again.dtype == made.dtype == np.dtype(dtype)  # type: ignore[call-overload]
    expected = np.full(4, fill, again.dtype)
    expected[2:4] = data
    # As text, because NaN is unlike itself, and padding is whatever it is.
    assert repr(again[0:4]) == repr(expected)
    assert repr(again.fill) == repr(expected[0])
    cont.array("a", dtype=np.dtype(dtype), fill=fill)  # type: ignore[call-overload]
    buffer = np.empty(2, again.dtype)
    again.read_into(buffer, 2)
    assert repr(buffer) == repr(expected[2:])


@pytest.mark.parametrize(
    ("given", "dtype", "expected"),
    [
        ([1, 2], "f4", [1, 2]),
        ([1, 255], "u1", [1, 255]),
        (7, "u8", 7),
        ([True, False], "i2", [1, 0]),
        (np.arange(3, dtype="i8"), "i2", [0, 1, 2]),
        (np.arange(6)[::2], "i8", [0, 2, 4]),
        (standard.array("h", [1, 2]), "f8", [1, 2]),
        (memoryview(b"ab"), "u1", [97, 98]),
        (b"ab", "u1", [97, 98]),
        (bytearray(b"ab"), "i4", [97, 98]),
        (range(3), "i4", [0, 1, 2]),
        ([], "i4", []),
        (np.arange(2, dtype=">i4"), "<i4", [0, 1]),
    ],
)
def test_data_becomes_cells(given: object, dtype: str, expected: object) -> None:
    cells = _dtypes.as_cells(given, np.dtype(dtype))
    assert cells.dtype == np.dtype(dtype)
    assert cells.tolist() == expected
    assert cells.ndim == 0 or cells.flags.c_contiguous


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        ([1, 256], "u1"),
        (-1, "u8"),
        (2**70, "i8"),
        (1.5, "i4"),
        ([1.0], "i4"),
        (np.arange(3, dtype="i8"), "u8"),
        (1j, "f8"),
        ("text", "f8"),
        (None, "f8"),
        ([[1], [2]], "f8"),
        ([[1], 2], "f8"),
        (object(), "u1"),
        ({"a": 1}, "f8"),
        (b"abc", "?"),
        ("not a time", "M8[s]"),
        ([(1, 2, 3, 4, 5)], STRUCTURED),
    ],
)
def test_data_that_does_not_become_the_dtype_is_refused(given: object, dtype: object) -> None:
    with pytest.raises(InvalidError) as caught:
        _dtypes.as_cells(given, np.dtype(dtype))  # type: ignore[call-overload]
    assert caught.value.code is DER.INVAL


def bad_acts(temp: daos.Array) -> list[tuple[object, type[DaosError], DER]]:
    """Return calls that are wrong, their error and its code."""
    read_only = np.arange(3.0)
    read_only.flags.writeable = False
    acts: list[tuple[object, type[DaosError], DER]] = [
        (lambda: temp[3], OutOfRangeError, DER.NONEXIST),
        (lambda: temp[-4], OutOfRangeError, DER.NONEXIST),
        (lambda: temp.__setitem__(-4, 1), OutOfRangeError, DER.NONEXIST),
        (lambda: temp.read_into(np.empty(3, "i8")), InvalidError, DER.INVAL),
        (lambda: temp.read_into(np.empty(6)[::2]), InvalidError, DER.INVAL),
        (lambda: temp.read_into(read_only), InvalidError, DER.INVAL),
        (lambda: temp.read_into(b"12345678"), InvalidError, DER.INVAL),
        (lambda: temp.read_into("text"), InvalidError, DER.INVAL),  # type: ignore[arg-type]
        (lambda: temp.read_into(bytearray(7)), InvalidError, DER.IO_INVAL),
        (lambda: temp.read_into(bytearray(8), -1), InvalidError, DER.INVAL),
        (lambda: temp.read_into(bytearray(8), CELLS_MAX), InvalidError, DER.OVERFLOW),
        (lambda: temp.__setitem__(slice(0, 3), [1, 2]), InvalidError, DER.INVAL),
        (lambda: temp.__setitem__(1, [1, 2]), InvalidError, DER.INVAL),
        (lambda: temp.__setitem__(slice(5, 2), [1, 2]), InvalidError, DER.INVAL),
        (lambda: temp.__setitem__(CELLS_MAX, 1), InvalidError, DER.OVERFLOW),
        (lambda: temp.__setitem__(2**70, 1), InvalidError, DER.OVERFLOW),
        (lambda: temp.__setitem__(slice(0, 2**70), 1), InvalidError, DER.OVERFLOW),
        (lambda: temp.__setitem__(slice(2**70, None), [1]), InvalidError, DER.OVERFLOW),
        (lambda: temp.write(-1, [1]), InvalidError, DER.INVAL),
        (lambda: temp.write(1.5, [1]), InvalidError, DER.INVAL),  # type: ignore[arg-type]
        (lambda: temp.write(1, [1], step=0), InvalidError, DER.INVAL),
        (lambda: temp.write(5, [1, 2], step=CELLS_MAX), InvalidError, DER.OVERFLOW),
        (lambda: temp.append("x"), InvalidError, DER.INVAL),
        (lambda: temp.resize(-1), InvalidError, DER.INVAL),
        (lambda: temp.resize(2**63), InvalidError, DER.OVERFLOW),
        (lambda: temp.punch(3, 2), InvalidError, DER.INVAL),
        (lambda: temp.punch(-1), InvalidError, DER.INVAL),
        (lambda: next(temp.blocks(0)), InvalidError, DER.INVAL),
    ]
    slices = [slice(None, None, -1), slice(None, None, 0), slice(1.5, 3), slice("a", None)]
    for index in (*slices, True, np.True_, 1.0, None, "a", [1, 2], (1, 2), np.array([True])):
        bad = cast("int", index)
        acts.append((partial(temp.__getitem__, bad), InvalidError, DER.INVAL))
        acts.append((partial(temp.__setitem__, bad, 1), InvalidError, DER.INVAL))
    return acts


def test_what_is_bad_is_told_and_changes_nothing(temp: daos.Array) -> None:
    temp[0:3] = [1, 2, 3]
    for number, (act, cls, code) in enumerate(bad_acts(temp)):
        with pytest.raises(cls) as caught:
            act()  # type: ignore[operator]
        assert caught.value.code is code, number
        assert isinstance(caught.value, IndexError) == (cls is OutOfRangeError)
        assert temp[:].tolist() == [1, 2, 3]


def test_a_read_that_does_not_fit_the_memory_is_told(temp: daos.Array) -> None:
    temp[2**62] = 1
    with pytest.raises(NoSpaceError) as caught:
        temp[:]
    assert caught.value.code is DER.NOMEM
    assert temp[2**62 - 1 :].tolist() == [0, 1]


def test_an_array_is_found_by_its_name(cont: daos.Container, disk: FakeDisk) -> None:
    with pytest.raises(NotFoundError):
        cont.array("a")
    made = cont.array("a", "i4", create="exclusive", fill=-1, chunk=10)
    made[3] = 5
    assert cont.array("a")[:].tolist() == [-1, -1, -1, 5]
    assert cont.array("a", np.int32, create=True, fill=-1, chunk=10).chunk == 10
    assert made.oid == cont.array("a").oid
    assert ObjectType(made.oid.type_number) is ObjectType.ARRAY
    assert [(named.name, named.kind) for named in cont.names()] == [("a", "array")]
    with pytest.raises(ExistsError):
        cont.array("a", create="exclusive")
    others: list[dict[str, object]] = [{"dtype": "f4"}, {"dtype": ">i4"}, {"fill": 0}, {"chunk": 11}]
    for other in others:
        with pytest.raises(InvalidError) as caught:
            cont.array("a", create=True, **other)  # type: ignore[arg-type]
        assert "fixed" in (caught.value.hint or "")
    with pytest.raises(InvalidError, match="'a' is an array, not a key-value store"):
        cont.kv("a")
    cont.kv("k", create=True)
    with pytest.raises(InvalidError, match="'k' is a key-value store, not an array"):
        cont.array("k", create=True)
    cont.destroy("a")
    assert "a" not in cont
    assert made.size == 0
    with pytest.raises(NotFoundError):
        cont.array("a")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ({"dtype": "O"}, "fixed size"),
        ({"dtype": [("a", "O")]}, "fixed size"),
        ({"dtype": "nonesuch"}, "numpy.float32"),
        ({"dtype": "S0"}, "1 to"),
        ({"dtype": "V2000000"}, "1 to"),
        ({"dtype": ("f8", (3,))}, "structured"),
        ({"dtype": np.dtypes.StringDType()}, "fixed size"),
        ({"fill": "x"}, ""),
        ({"fill": [1, 2]}, "scalar"),
        ({"dtype": "i4", "fill": 0.5}, "astype"),
        ({"dtype": "u1", "fill": 256}, "larger"),
        ({"chunk": 0}, "at least 1"),
        ({"chunk": -1}, "at least 0"),
        ({"chunk": "1"}, ""),
        ({"oclass": "RP_2G1"}, "S1 to SX"),
        ({"oclass": "S3"}, "S1 to SX"),
        ({"create": "yes"}, "exclusive"),
    ],
)
def test_bad_arrays_are_not_made(cont: daos.Container, arguments: dict[str, object], hint: str) -> None:
    with pytest.raises(InvalidError) as caught:
        cont.array("a", **{"create": True, **arguments})  # type: ignore[arg-type]
    assert caught.value.code in {DER.INVAL, DER.OVERFLOW}
    assert hint in (caught.value.hint or "")
    assert list(cont.names()) == []


def test_of_two_makers_one_wins(cont: daos.Container, disk: FakeDisk) -> None:
    won = cont.array("a", create=True)
    won[0] = 1
    lost = ObjectId(*cont._core.generate_oid(ObjectType.ARRAY, "SX"))
    cont._core.array_create(lost.hi, lost.lo, 8, None)
    entry, made = cont._insert(b"a", Entry(lost, Kind.ARRAY))
    assert (entry.oid, made) == (won.oid, False)
    with pytest.raises(NotFoundError):
        cont._core.array_open(lost.hi, lost.lo)
    assert won[0] == 1


def test_damaged_entries_are_told(cont: daos.Container, disk: FakeDisk) -> None:
    oid = cont.array("a", "i4", create=True).oid
    core = cont._core
    assert isinstance(core, ContainerFake)
    root = core.state.objects[ROOT.hi, ROOT.lo]
    good = Entry.decode(root[b"a"]).extra
    bad = [
        good[:3],
        good[:6],
        good[:-1],
        b"\xff" * 20,
        good.replace(b"<i4", b"<i8"),
        good.replace(b"<i4", b"<zz"),
        good.replace(b'"<i4"', b'"|O"  '[:5]),
        good.replace(b'"<i4"', b"[[1]]"),
        good.replace(b'"<i4"', b"{{{{{"),
        _dtypes.encode(np.dtype("i8"), bytes(8)),
    ]
    for extra in bad:
        root[b"a"] = Entry(oid, Kind.ARRAY, extra=extra).encode()
        with pytest.raises(CorruptionError) as caught:
            cont.array("a")
        assert caught.value.code is DER.DF_INVAL
    # Made by somebody who keeps no dtype: cells are bytes.
    root[b"a"] = Entry(oid, Kind.ARRAY).encode()
    assert cont.array("a").dtype == np.dtype("V4")


def test_no_warning_of_numpy_comes_through(temp: daos.Array) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        temp[0:2] = np.array([1e300, 2], "f8")
        cells = _dtypes.as_cells(np.array([True, False]), np.dtype("u1"))
    assert cells.tolist() == [1, 0]
    assert not caught


CELLS = st.lists(st.integers(-100, 100), min_size=1, max_size=12)


@settings(max_examples=60)
@given(
    acts=st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.integers(0, 40), st.integers(1, 4), CELLS),
            st.tuples(st.just("read"), st.integers(-50, 60), st.integers(-50, 60), st.integers(1, 5)),
            st.tuples(st.just("resize"), st.integers(0, 50)),
            st.tuples(st.just("fill"), st.integers(-50, 60), st.integers(0, 60), st.integers(-9, 9)),
        ),
        max_size=12,
    )
)
def test_slices_are_those_of_a_list(acts: list[tuple[object, ...]]) -> None:
    temp = FakeDisk().open("x", create=True, targets=1, durability=0).pool_create("p", b"").container_create("c", b"")
    array = daos.Array(temp.array_create(1, 1, 4, 3), np.dtype("i4"), b"\0\0\0\0", name="a", container=None, oid=ROOT)  # type: ignore[arg-type]
    model: list[int] = []
    for act in acts:
        match act:
            case ("write", int(start), int(step), list(cells)):
                array[start : start + step * len(cells) : step] = cells
                model += [0] * (start + step * (len(cells) - 1) + 1 - len(model))
                model[start : start + step * len(cells) : step] = cells
            case ("read", int(start), int(stop), int(step)):
                assert array[start:stop:step].tolist() == model[start:stop:step]
            case ("resize", int(size)):
                array.resize(size)
                model = (model + [0] * size)[:size]
            case ("fill", int(start), int(stop), int(value)):
                first = max(0, start + len(model)) if start < 0 else start
                array[start:stop] = value
                if stop > first:
                    model += [0] * (stop - len(model))
                    model[first:stop] = [value] * (stop - first)
    assert array[:].tolist() == model
