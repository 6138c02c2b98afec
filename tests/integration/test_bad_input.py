"""Bad input, as a table: what is told, and that nothing changed by it."""

# What is passed here is of the wrong type on purpose.
# mypy: disable-error-code="arg-type, assignment, call-overload, list-item"

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pytest

import daos
from daos import DER, _core
from tests.forking import in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CELL_LAST = (1 << 63) - 1
NOBODY = 65534
NAME_LONG = "x" * 1025


@dataclass
class Place:
    """A system with something of everything in it, and a folder for others."""

    folder: Path
    pool: daos.Pool
    cont: daos.Container
    kv: daos.KV[str]
    ints: daos.KV[int]
    arr: daos.Array
    obj: daos.Object
    lex: daos.Object

    def spent(self) -> daos.Transaction:
        """Return a transaction that has committed."""
        done = self.cont.transaction()
        done.commit()
        return done

    def stale(self) -> daos.Container:
        """Return the container as of a snapshot that is no more."""
        taken = self.cont.snapshot()
        then = self.cont.at(taken)
        self.cont.destroy_snapshot(taken)
        return then

    def gone(self) -> daos.Container:
        """Return a container that was destroyed."""
        made = self.pool.container("gone", create=True)
        self.pool.destroy_container("gone")
        return made

    def system_with(self, change: Callable[[bytearray], object]) -> Path:
        """Return a closed system whose first file was changed."""
        path = self.folder / "changed"
        daos.open(path).close()
        content = bytearray((path / "system").read_bytes())
        change(content)
        (path / "system").write_bytes(content)
        return path

    def state(self) -> object:
        """Return all that can be read of it."""
        return (
            [(entry.label, entry.uuid) for entry in self.pool.containers()],
            [(named.name, named.kind, named.oid) for named in self.cont.names()],
            list(self.cont.objects()),
            dict(self.kv.items()),
            dict(self.ints.items()),
            self.arr[:].tobytes(),
            self.obj.fetch("d", "a", r=daos.Range(0, 4))["r"].tobytes(),  # type: ignore[union-attr]
            [*self.obj.dkeys(), *self.lex.dkeys()],
            [taken.epoch for taken in self.cont.snapshots()],
            dict(self.cont.attributes),
        )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with daos.open(tmp_path / "x.daos") as pool:
        cont = pool.container("c", create=True)
        kv = cont.kv("kv", create=True)
        kv["a"] = b"1"
        ints = cont.kv("ints", create=True, keys="int")
        ints[7] = b"2"
        arr = cont.array("arr", "f8", create=True)
        arr[0:10] = np.arange(10.0)
        obj = cont.object("obj", create=True)
        obj.update("d", a=b"x", r=daos.Extent(0, np.arange(4, dtype="u4")))
        lex = cont.object("lex", create=True, type="multi_lexical")
        cont.snapshot("s")
        yield Place(tmp_path, pool, cont, kv, ints, arr, obj, lex)


Act: TypeAlias = "Callable[[Place], object]"
Row: TypeAlias = "tuple[str, Act, type[daos.DaosError], DER, str, str]"
KEYS: list[Row] = [
    ("of another type", lambda at: at.kv.put(1, b""), daos.InvalidError, DER.INVAL, "are str, not int", 'keys="int"'),
    ("empty", lambda at: at.kv.put("", b""), daos.InvalidError, DER.INVAL, "not empty", "any other key"),
    (
        "too long",
        lambda at: at.kv.put("x" * 70000, b""),
        daos.InvalidError,
        DER.KEY2BIG,
        "70000 bytes",
        "at most 65536",
    ),
    ("no UTF-8", lambda at: at.kv.put("\ud800", b""), daos.InvalidError, DER.INVAL, "surrogate", 'keys="bytes"'),
    ("negative", lambda at: at.ints.put(-1, b""), daos.InvalidError, DER.INVAL, "-1 is out of range", "from 0 to"),
    ("beyond 64 bits", lambda at: at.ints.put(1 << 64, b""), daos.InvalidError, DER.INVAL, "out of range", "from 0 to"),
    ("not there", lambda at: at.kv["nope"], daos.KeyNotFoundError, DER.NONEXIST, "no key 'nope' in 'kv'", "get()"),
    ("not there to go", lambda at: at.kv.pop("nope"), daos.KeyNotFoundError, DER.NONEXIST, "no key 'nope'", "get"),
    ("dkey of another type", lambda at: at.obj.update(1, a=b""), daos.InvalidError, DER.INVAL, "str, not int", "type"),
    (
        "ordered and long",
        lambda at: at.lex.update("x" * 81, a=b""),
        daos.InvalidError,
        DER.KEY2BIG,
        "at most 80",
        "shorter",
    ),
]
VALUES: list[Row] = [
    ("text", lambda at: at.kv.put("k", "text"), daos.InvalidError, DER.INVAL, "bytes-like, not str", "encode"),
    ("None", lambda at: at.kv.put("k", None), daos.InvalidError, DER.INVAL, "not NoneType", "give bytes"),
    ("a number", lambda at: at.kv.put("k", 5), daos.InvalidError, DER.INVAL, "not int", "give bytes"),
    ("in pieces", lambda at: at.kv.put("k", np.arange(9)[::2]), daos.InvalidError, DER.INVAL, "contiguous", "copy it"),
    ("one of many", lambda at: at.kv.put_many({"k": b"1", "l": 5}), daos.InvalidError, DER.INVAL, "not int", "give"),
    ("no pairs", lambda at: at.kv.put_many([("a",)]), daos.InvalidError, DER.INVAL, "pairs", "a mapping"),
    ("of an akey", lambda at: at.obj.update("d", a=3.5), daos.InvalidError, DER.INVAL, "not float", "give bytes"),
    ("none at all", lambda at: at.obj.update("d"), daos.InvalidError, DER.INVAL, "no akeys", "object.update"),
    (
        "over a single value",
        lambda at: at.obj.update("d", b=b"new", a=daos.Extent(0, np.zeros(2))),
        daos.AccessError,
        DER.NO_PERM,
        "holds a single value",
        "the akey is punched first",
    ),
    (
        "read as an array",
        lambda at: at.obj.fetch("d", a=daos.Range(0, 2)),
        daos.AccessError,
        DER.NO_PERM,
        "holds a single value",
        "read it as that",
    ),
    (
        "records of another size",
        lambda at: at.obj.update("d", r=daos.Extent(0, np.zeros(2, "u8"))),
        daos.InvalidError,
        DER.INVAL,
        "records of 4 bytes, not 8; punch the akey first",
        "",
    ),
    (
        "there already",
        lambda at: at.obj.update("d", {"a": b"1"}, if_dkey="absent"),
        daos.ExistsError,
        DER.EXIST,
        "dkey exists",
        "",
    ),
]
ARRAYS: list[Row] = [
    ("no index", lambda at: at.arr["x"], daos.InvalidError, DER.INVAL, "no index", "a slice"),
    ("negative start", lambda at: at.arr.write(-1, [1.0]), daos.InvalidError, DER.INVAL, "cannot be -1", "at least 0"),
    ("the end", lambda at: at.arr.write(CELL_LAST, [1.0, 2.0]), daos.InvalidError, DER.OVERFLOW, "no cell", "at most"),
    ("text", lambda at: at.arr.write(0, ["a"]), daos.InvalidError, DER.INVAL, "does not become float64", "astype"),
    ("complex", lambda at: at.arr.write(0, [1j]), daos.InvalidError, DER.INVAL, "does not become float64", "astype"),
    ("square", lambda at: at.arr.write(0, np.zeros((2, 2))), daos.InvalidError, DER.INVAL, "2 dimensions", "ravel"),
    ("short buffer", lambda at: at.arr.read_into(bytearray(7)), daos.InvalidError, DER.IO_INVAL, "7 bytes", "whole"),
    ("fixed buffer", lambda at: at.arr.read_into(bytes(8)), daos.InvalidError, DER.INVAL, "cannot be written", "NumPy"),
    (
        "other length",
        lambda at: at.arr.__setitem__(slice(0, 3), [1.0, 2.0]),
        daos.InvalidError,
        DER.INVAL,
        "2 cells of data do not go into 3",
        "give as many",
    ),
    ("step 0", lambda at: at.arr[0:9:0], daos.InvalidError, DER.INVAL, "a step of 0", "at least 1"),
    ("backwards", lambda at: at.arr[9:0:-1], daos.InvalidError, DER.INVAL, "a step of -1", "[::-1]"),
    ("negative size", lambda at: at.arr.resize(-1), daos.InvalidError, DER.INVAL, "cannot be -1", "at least 0"),
    ("size", lambda at: at.arr.resize(1 << 63), daos.InvalidError, DER.OVERFLOW, "cannot be", "at most"),
    ("other dtype", lambda at: at.cont.array("arr", "f4"), daos.InvalidError, DER.INVAL, "float64, not", "fixed"),
    ("objects", lambda at: at.cont.array("n", "O", create=True), daos.InvalidError, DER.INVAL, "Python", "fixed size"),
    ("no dtype", lambda at: at.cont.array("n", "zz9", create=True), daos.InvalidError, DER.INVAL, "zz9", "such as"),
    ("fill", lambda at: at.cont.array("n", "u1", fill=300, create=True), daos.InvalidError, DER.INVAL, "fit", "larger"),
    ("chunk", lambda at: at.cont.array("n", "u1", chunk=0, create=True), daos.InvalidError, DER.INVAL, "chunks", "1"),
    ("extent", lambda _: daos.Extent(-1, np.zeros(2)), daos.InvalidError, DER.OVERFLOW, "cannot be -1", "from 0"),
    ("range", lambda _: daos.Range(5, 2), daos.InvalidError, DER.INVAL, "from 5 up to 2", "greater"),
    (
        "the last record",
        lambda at: at.obj.update("d", r=daos.Extent(CELL_LAST, np.zeros(2, "u4"))),
        daos.InvalidError,
        DER.INVAL,
        "2 records from 9223372036854775807 on: it holds at least one, and ends at 2^63 at most",
        "",
    ),
]
NAMES: list[Row] = [
    ("absent", lambda at: at.cont.kv("nope"), daos.NotFoundError, DER.NONEXIST, "no 'nope'", "create=True"),
    ("there", lambda at: at.cont.kv("kv", create="exclusive"), daos.ExistsError, DER.EXIST, "is in container c", ""),
    ("empty", lambda at: at.cont.kv("", create=True), daos.InvalidError, DER.INVAL, "not empty", "any text"),
    ("long", lambda at: at.cont.kv(NAME_LONG, create=True), daos.InvalidError, DER.KEY2BIG, "too long", "1024 bytes"),
    ("of a store", lambda at: at.cont.object("kv"), daos.InvalidError, DER.INVAL, "is a key-value store", ""),
    ("of an array", lambda at: at.cont.kv("arr"), daos.InvalidError, DER.INVAL, "is an array", ""),
    ("other keys", lambda at: at.cont.kv("ints", keys="str"), daos.InvalidError, DER.INVAL, "int, not str", "fixed"),
    ("type", lambda at: at.cont.object("n", type="zz", create=True), daos.InvalidError, DER.INVAL, "zz", "one of"),
    ("class", lambda at: at.cont.object("n", oclass="ZZ", create=True), daos.InvalidError, DER.INVAL, "ZZ", "S1"),
    (
        "ranks",
        lambda at: at.cont.object("n", oclass="RP_2G1", create=True),
        daos.InvalidError,
        DER.INVAL,
        "2 ranks",
        "S1",
    ),
    (
        "oid of marks",
        lambda at: at.cont.object(daos.ObjectId(0x0801_0001_0000_0001, 0)),
        daos.InvalidError,
        DER.INVAL,
        "marks on objects",
        "object_table",
    ),
    ("oid", lambda at: at.cont.object(daos.ObjectId(255 << 56, 1)), daos.InvalidError, DER.NOTYPE, "no id", "top byte"),
    ("to destroy", lambda at: at.cont.destroy("nope"), daos.NotFoundError, DER.NONEXIST, "no 'nope'", ""),
    ("label", lambda at: at.pool.container("a b", create=True), daos.InvalidError, DER.INVAL, "invalid", "letters"),
    (
        "long label",
        lambda at: at.pool.container("x" * 128, create=True),
        daos.InvalidError,
        DER.INVAL,
        "invalid",
        "127",
    ),
    ("property", lambda at: _made(at, nope=1), daos.InvalidError, DER.INVAL, '"nope" is not', "valid: "),
    ("its value", lambda at: _made(at, rd_fac=9), daos.InvalidError, DER.INVAL, "out of range", "from 0 to 4"),
    ("redundancy", lambda at: _made(at, rd_fac=1), daos.InvalidError, DER.INVAL, "fault domains", "one rank"),
    ("container", lambda at: at.pool.container("nope"), daos.NotFoundError, DER.NONEXIST, "nope", "create=True"),
    ("pool", lambda at: at.pool.system.pool("nope"), daos.NotFoundError, DER.NONEXIST, 'no pool "nope"', "create=True"),
    ("pool to destroy", lambda at: at.pool.system.destroy_pool("x"), daos.NotFoundError, DER.NONEXIST, "x", "list"),
    ("snapshot", lambda at: at.cont.snapshot("s"), daos.ExistsError, DER.EXIST, "has a snapshot", "another name"),
    ("a number", lambda at: at.cont.snapshot("12"), daos.InvalidError, DER.INVAL, "invalid snapshot", "no number"),
    ("no snapshot", lambda at: at.cont.at("nope"), daos.NotFoundError, DER.NONEXIST, "no snapshot", "list"),
    ("back to none", lambda at: at.cont.rollback("nope"), daos.NotFoundError, DER.NONEXIST, "no snapshot", "list"),
    ("since none", lambda at: at.cont.diff("nope"), daos.NotFoundError, DER.NONEXIST, "no snapshot", "list"),
    ("attribute", lambda at: at.cont.attributes.__setitem__("", b""), daos.InvalidError, DER.INVAL, "''", "511"),
    ("its type", lambda at: at.cont.attributes.__setitem__("x", 5), daos.InvalidError, DER.INVAL, "not int", "bytes"),
]
STATES: list[Row] = [
    (
        "a snapshot",
        lambda at: at.cont.at("s").kv("kv").put("a", b"2"),
        daos.AccessError,
        DER.NO_PERM,
        "snapshot",
        "itself",
    ),
    ("no snapshot", lambda at: list(at.stale().names()), daos.NotFoundError, DER.NONEXIST, "no snapshot", "list"),
    ("no container", lambda at: list(at.gone().names()), daos.NotFoundError, DER.NONEXIST, "container", ""),
    ("committed", lambda at: at.spent().kv("kv"), daos.AccessError, DER.NO_PERM, "has committed", "another"),
    ("twice", lambda at: at.spent().commit(), daos.ExistsError, DER.ALREADY, "already", ""),
    ("entered late", lambda at: at.spent().__enter__(), daos.AccessError, DER.NO_PERM, "committed", "another"),
    ("deadline", lambda at: at.cont.run(lambda _: 1, deadline=-1), daos.InvalidError, DER.INVAL, "-1", "seconds"),
    (
        "open here",
        lambda at: daos.open(at.folder / "x.daos", share=False),
        daos.BusyError,
        DER.BUSY,
        f"process {os.getpid()}",
        "close",
    ),
    ("targets", lambda at: daos.open(at.folder / "y", targets=0), daos.InvalidError, DER.INVAL, "targets 0", "1 to"),
    ("cache", lambda at: daos.open(at.folder / "y", cache=1 << 19), daos.InvalidError, DER.INVAL, "524288", "1 MiB"),
    (
        "cache",
        lambda at: daos.open(at.folder / "y", cache="much"),
        daos.InvalidError,
        DER.INVAL,
        "cache 'much'",
        "10GiB",
    ),
    (
        "durability",
        lambda at: daos.open(at.folder / "y", durability="no"),
        daos.InvalidError,
        DER.INVAL,
        "'no'",
        "one of",
    ),
    ("no path", lambda _: daos.open(5), daos.InvalidError, DER.INVAL, "not int", "a directory"),
    ("a file", lambda at: daos.open(_file(at)), daos.InvalidError, DER.NOTDIR, "not a directory", "directory"),
    ("other things", lambda at: daos.open(_file(at).parent), daos.InvalidError, DER.INVAL, "not a DAOS", "empty"),
    ("damaged", lambda at: daos.open(at.system_with(_flip)), daos.CorruptionError, DER.DF_INVAL, "system", "copy"),
    ("cut short", lambda at: daos.open(at.system_with(_cut)), daos.CorruptionError, DER.DF_INVAL, "system", "copy"),
    ("newer", lambda at: daos.open(at.system_with(_newer)), daos.InvalidError, DER.DF_INCOMPT, "format", "newer"),
]
TABLES = {"keys": KEYS, "values": VALUES, "arrays": ARRAYS, "names": NAMES, "states": STATES}
ROWS = [pytest.param(*row[1:], id=f"{table}: {row[0]}") for table, rows in TABLES.items() for row in rows]


def _made(at: Place, **properties: object) -> daos.Container:
    return at.pool.container("n", create=True, properties=properties)


def _file(at: Place) -> Path:
    path = at.folder / "some" / "file"
    path.parent.mkdir()
    path.write_bytes(b"x")
    return path


def _flip(content: bytearray) -> None:
    content[20] ^= 1


def _cut(content: bytearray) -> None:
    del content[10:]


def _newer(content: bytearray) -> None:
    content[8] = 2
    content[36:] = _core.crc32c(bytes(content[:36])).to_bytes(4, "little")


@pytest.mark.parametrize(("act", "cls", "code", "message", "hint"), ROWS)
def test_bad_input_is_told_and_changes_nothing(
    place: Place, act: Callable[[Place], object], cls: type[daos.DaosError], code: DER, message: str, hint: str
) -> None:
    before = place.state()
    with pytest.raises(daos.DaosError) as caught:
        act(place)
    error = caught.value
    assert (type(error), error.code) == (cls, code)
    assert message in error.message
    assert hint in (error.hint or "")
    assert place.state() == before


def test_a_path_without_permission() -> None:
    with tempfile.TemporaryDirectory(prefix="daos-closed-") as folder:
        Path(folder).chmod(0o555)

        def refused() -> None:
            if os.geteuid() == 0:
                # Root may do everything: somebody else may not.
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            with pytest.raises(daos.AccessError) as caught:
                daos.open(Path(folder) / "x.daos")
            assert folder in caught.value.message

        assert in_child(refused) == 0
        assert list(Path(folder).iterdir()) == []


PRINTS_ANYWAY = """
import os, sys, daos
with daos.open(sys.argv[1]) as pool:
    kv = pool.container("c").kv("kv")
    kv["b"] = bytes(100_000)
    for number in range(3):
        try:
            assert "/store/" not in os.readlink(f"/proc/self/fd/{number}")
            os.write(number, b"somebody prints" * 1000)
        except OSError:
            continue
    kv["c"] = b"3"
"""


def test_a_process_without_standard_streams_prints_into_no_file_of_ours(place: Place) -> None:
    place.pool.close()
    path = place.folder / "x.daos"
    words = f"exec {sys.executable} -c '{PRINTS_ANYWAY}' {path} <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", words], check=False).returncode == 0
    with daos.open(path) as pool:
        cont = pool.container("c")
        assert dict(cont.kv("kv").items()) == {"a": b"1", "b": bytes(100_000), "c": b"3"}
        assert not cont.check().damaged


def test_handles_of_a_closed_system(place: Place) -> None:
    before = place.state()
    place.pool.close()
    for act in (
        lambda: place.kv["a"],
        lambda: place.kv.put("a", b"2"),
        lambda: list(place.kv),
        lambda: place.arr[0:3],
        lambda: place.arr.write(0, [1.0]),
        lambda: place.obj.fetch("d", "a"),
        place.cont.snapshot,
        lambda: place.cont.kv("kv"),
        place.cont.transaction,
        lambda: list(place.cont.objects()),
        lambda: place.pool.container("c"),
    ):
        with pytest.raises(daos.ClosedError) as caught:
            act()
        assert caught.value.code is DER.NO_HDL
        assert "open it again" in (caught.value.hint or "")
    with daos.open(place.folder / "x.daos") as pool:
        cont = pool.container("c")
        again = Place(
            place.folder, pool, cont, cont.kv("kv"), cont.kv("ints", keys="int"), cont.array("arr"),
            cont.object("obj"), cont.object("lex"),
        )  # fmt: skip
        assert again.state() == before
