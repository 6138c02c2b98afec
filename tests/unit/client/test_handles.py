"""Systems, pools and containers over the fake core."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import pytest

import daos
from daos.client._memory import default_cache
from daos.client._names import ROOT, Entry, Kind, ObjectId, ObjectType
from daos.errors import (
    DER,
    BusyError,
    ClosedError,
    CorruptionError,
    DaosError,
    ExistsError,
    InvalidError,
    NoSpaceError,
    NotFoundError,
)
from tests.fake_core import FakeDisk


def test_the_first_use_makes_all_and_the_second_finds_it(disk: FakeDisk) -> None:
    with daos.open("./scratch.daos") as pool:
        cont = pool.container("run7", create=True, properties={"cksum": "crc32c"})
        cont.kv("params", create=True)["lr"] = b"0.1"
        assert (pool.label, cont.label) == ("default", "run7")
        first = cont.uuid
    with daos.open("./scratch.daos") as pool:
        cont = pool.container("run7", create=True)
        assert cont.uuid == first
        assert cont.properties["cksum"] == "crc32"
        assert cont.properties["rd_fac"] == 0
        assert cont.layout == "PYTHON"
        assert cont.kv("params")["lr"] == b"0.1"


def test_closing_the_pool_closes_all_and_again_is_no_error(disk: FakeDisk) -> None:
    pool = daos.open("x")
    kv = pool.container("c", create=True).kv("k", create=True)
    with pytest.raises(BusyError) as caught:
        daos.open("x")
    assert caught.value.context == {"pid": 7}
    pool.close()
    pool.close()
    for act in (kv.keys().__len__, pool.containers, lambda: pool.container("c"), lambda: kv.get("a")):
        with pytest.raises(ClosedError):
            act()
    daos.open("x").close()


def test_a_pool_of_a_system_does_not_close_it(disk: FakeDisk) -> None:
    with daos.open_system("x") as system:
        with system.create_pool("tank") as pool:
            pool.container("c", create=True)
        assert [pool.label for pool in system.pools()] == ["tank"]
        assert system.pool("tank").containers()[0].label == "c"
        assert system.pool(system.pools()[0].uuid.upper()).label == "tank"
        with pytest.raises(ExistsError):
            system.create_pool("tank")
        with pytest.raises(NotFoundError):
            system.pool("other")
        assert system.pool("other", create=True).label == "other"
        assert [pool.label for pool in system.pools()] == ["other", "tank"]


def test_what_fails_after_the_system_is_open_closes_it(disk: FakeDisk) -> None:
    disk.fail["pool_open"] = NoSpaceError("full")
    with pytest.raises(NoSpaceError):
        daos.open("x")
    daos.open("x").close()


def test_the_core_gets_what_was_asked(disk: FakeDisk) -> None:
    daos.open(Path("dir") / "x", targets=4, durability="interval", create=True, size="10GB", cache="2MiB")
    asked = {"path": "dir/x", "create": True, "targets": 4, "durability": 1, "size": 10**10, "cache_bytes": 2 << 20}
    assert disk.opened == asked | {"share": True}
    daos.open(":memory:", durability="buffered", share=False)
    asked = {"path": ":memory:", "create": True, "targets": 1, "durability": 0, "size": None}
    assert disk.opened == asked | {"cache_bytes": default_cache(), "share": False}


def test_nothing_is_made_unless_asked(disk: FakeDisk) -> None:
    with pytest.raises(NotFoundError):
        daos.open("x", create=False)
    pool = daos.open("x")
    with pytest.raises(NotFoundError) as caught:
        pool.container("c")
    assert (caught.value.code, caught.value.hint) == (DER.NONEXIST, "create=True makes it")
    cont = pool.container("c", create="exclusive")
    with pytest.raises(ExistsError):
        pool.container("c", create="exclusive")
    with pytest.raises(NotFoundError):
        cont.kv("k")
    cont.kv("k", create="exclusive")
    with pytest.raises(ExistsError):
        cont.kv("k", create="exclusive")
    with pytest.raises(NotFoundError):
        pool.container("00000000-0000-0000-0000-000000000000", create=True)


def test_two_threads_make_the_same_thing(disk: FakeDisk) -> None:
    pool = daos.open("x")
    cont = pool.container("c", create=True)
    cont.kv("k", create=True)["a"] = b"1"
    # As if pool, container and name had appeared between the look and the making.
    disk.fail["pool_open"] = NotFoundError("not yet")
    assert pool.system.pool("default", create=True).uuid == pool.uuid
    disk.fail["container_open"] = NotFoundError("not yet")
    assert pool.container("c", create=True).uuid == cont.uuid
    entry, made = cont._insert(b"k", Entry(ObjectId(1, 2), Kind.KV))
    assert entry.oid == cont.kv("k").oid
    assert not made


def test_the_kind_of_keys_is_fixed_when_a_store_is_made(disk: FakeDisk) -> None:
    cont = daos.open("x").container("c", create=True)
    cont.kv("n", create=True, keys="int")[1] = b"x"
    assert cont.kv("n").keys_are == "int"
    assert cont.kv("n", create=True, keys="int").keys_are == "int"
    with pytest.raises(InvalidError, match="keys of 'n' are int, not str"):
        cont.kv("n", keys="str")
    assert cont.kv("n").oid.hi >> 56 == ObjectType.KV_UINT64


def test_names_are_listed_and_destroyed(disk: FakeDisk) -> None:
    cont = daos.open("x").container("c", create=True)
    for name in ("zoë", "b", "a"):
        cont.kv(name, create=True)["k"] = b"v"
    assert [(entry.name, entry.kind) for entry in cont.names()] == [("a", "kv"), ("b", "kv"), ("zoë", "kv")]
    assert len({entry.oid for entry in cont.names()}) == 3
    handle = cont.kv("b")
    cont.destroy("b")
    assert "b" not in cont
    assert "a" in cont
    assert len(handle) == 0
    with pytest.raises(NotFoundError):
        cont.destroy("b")
    assert not cont.kv("b", create=True)


def test_a_container_goes_with_all_in_it(disk: FakeDisk) -> None:
    pool = daos.open("x")
    pool.container("c", create=True)
    pool.destroy_container("c")
    assert pool.containers() == []
    with pytest.raises(NotFoundError):
        pool.destroy_container("c")


def test_a_pool_goes_with_all_in_it(disk: FakeDisk) -> None:
    with daos.open_system("x") as system:
        system.create_pool("tank")
        system.destroy_pool("tank")
        assert system.pools() == []
        with pytest.raises(NotFoundError):
            system.destroy_pool("tank")


def test_a_store_keeps_its_system_open(disk: FakeDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # natively: collection closes
    kv = daos.open(tmp_path / "x.daos").container("c", create=True).kv("k", create=True)
    gc.collect()
    kv["a"] = b"1"
    assert kv["a"] == b"1"
    with pytest.raises(BusyError):
        daos.open(tmp_path / "x.daos", share=False)
    del kv
    gc.collect()
    daos.open(tmp_path / "x.daos", create=False).close()


def test_reprs(disk: FakeDisk) -> None:
    pool = daos.open("./scratch.daos")
    assert repr(pool) == "<daos.Pool 'default' of ./scratch.daos>"
    assert repr(pool.system) == "<daos.System ./scratch.daos>"
    cont = pool.container("c", create=True)
    assert repr(cont) == "<daos.Container 'c' in pool default>"
    assert repr(cont.at(cont.snapshot("s"))) == "<daos.Container 'c' at 's' in pool default>"
    assert repr(cont.at(cont.snapshot())) == "<daos.Container 'c' at '0x1000010000000000' in pool default>"


def test_the_stored_layout_of_names() -> None:
    entry = Entry(ObjectId(2, 3), Kind.KV)
    assert entry.encode() == bytes([2] + [0] * 7 + [3] + [0] * 15)
    assert Entry.decode(entry.encode() + b"later") == replace(entry, extra=b"later")
    assert str(ROOT) == "576742231575101440.0"
    for bad in (b"", b"x" * 23, b"\xff" * 24):
        with pytest.raises(CorruptionError) as caught:
            Entry.decode(bad)
        assert caught.value.code is DER.DF_INVAL


def test_damaged_properties_are_not_taken_for_defaults(disk: FakeDisk) -> None:
    pool = daos.open("x")
    pool.container("c", create=True)
    disk.systems["x"].pools[0].containers[0].props = b"junk"
    with pytest.raises(CorruptionError):
        pool.container("c")


BAD: list[tuple[str, dict[str, object], type[DaosError], DER, str]] = [
    ("open", {"path": 7}, InvalidError, DER.INVAL, "a directory"),
    ("open", {"path": b"x"}, InvalidError, DER.INVAL, "a directory"),
    ("open", {"path": ""}, InvalidError, DER.INVAL, "a directory"),
    ("open", {"path": "a\0b"}, InvalidError, DER.INVAL, "a directory"),
    ("open", {"path": "daos://tank"}, InvalidError, DER.NOTSUPPORTED, "later release"),
    ("open", {"path": "x", "pool": "bad label"}, InvalidError, DER.INVAL, "letters, digits"),
    ("open", {"path": "x", "pool": None}, InvalidError, DER.INVAL, "letters, digits"),
    ("open", {"path": "x", "targets": 0}, InvalidError, DER.INVAL, "from 1 to 64"),
    ("open", {"path": "x", "targets": 65}, InvalidError, DER.INVAL, "from 1 to 64"),
    ("open", {"path": "x", "targets": True}, InvalidError, DER.INVAL, "from 1 to 64"),
    ("open", {"path": "x", "targets": 1.0}, InvalidError, DER.INVAL, "from 1 to 64"),
    ("open", {"path": "x", "durability": "safe"}, InvalidError, DER.INVAL, "synced"),
    ("container", {"label": "bad label"}, InvalidError, DER.INVAL, "letters, digits"),
    ("container", {"label": ""}, InvalidError, DER.INVAL, "letters, digits"),
    ("container", {"label": "x" * 128}, InvalidError, DER.INVAL, "letters, digits"),
    ("container", {"label": "naïve"}, InvalidError, DER.INVAL, "letters, digits"),
    ("container", {"label": 7}, InvalidError, DER.INVAL, "letters, digits"),
    (
        "container",
        {"label": "00000000-0000-0000-0000-000000000000", "create": "exclusive"},
        InvalidError,
        DER.INVAL,
        "UUID",
    ),
    ("container", {"label": "c", "create": "yes"}, InvalidError, DER.INVAL, "exclusive"),
    ("container", {"label": "c", "create": 1}, InvalidError, DER.INVAL, "exclusive"),
    ("container", {"label": "c", "create": True, "properties": [1]}, InvalidError, DER.INVAL, "cksum"),
    ("container", {"label": "c", "create": True, "properties": {"x": 1}}, InvalidError, DER.INVAL, "valid: cksum"),
    ("container", {"label": "c", "create": True, "properties": {"rf": 1}}, InvalidError, DER.INVAL, "one rank"),
    (
        "container",
        {"label": "c", "create": True, "properties": {"compression": "lz4"}},
        InvalidError,
        DER.NOTSUPPORTED,
        "one of: off",
    ),
    ("container", {"label": "c"}, NotFoundError, DER.NONEXIST, "create=True"),
    ("kv", {"name": ""}, InvalidError, DER.INVAL, "any text"),
    ("kv", {"name": b"k"}, InvalidError, DER.INVAL, "any text"),
    ("kv", {"name": "\ud800"}, InvalidError, DER.INVAL, "UTF-8"),
    ("kv", {"name": "é" * 513}, InvalidError, DER.KEY2BIG, "1024 bytes"),
    ("kv", {"name": "k", "keys": "float"}, InvalidError, DER.INVAL, '"str", "bytes", "int"'),
    ("kv", {"name": "k", "create": None}, InvalidError, DER.INVAL, "exclusive"),
    ("kv", {"name": "k"}, NotFoundError, DER.NONEXIST, "create=True"),
    ("snapshot", {"name": ""}, InvalidError, DER.INVAL, "1 to 128 bytes"),
    ("snapshot", {"name": "7"}, InvalidError, DER.INVAL, "no number"),
    ("snapshot", {"name": 7}, InvalidError, DER.INVAL, "1 to 128 bytes"),
    ("at", {"snapshot": "nope"}, NotFoundError, DER.NONEXIST, "list the snapshots"),
    ("at", {"snapshot": 7}, NotFoundError, DER.NONEXIST, "list the snapshots"),
    ("at", {"snapshot": daos.Snapshot(7)}, NotFoundError, DER.NONEXIST, "list the snapshots"),
    ("at", {"snapshot": "7"}, InvalidError, DER.INVAL, "no number"),
    ("at", {"snapshot": None}, InvalidError, DER.INVAL, "from 0 to"),
    ("at", {"snapshot": -1}, InvalidError, DER.INVAL, "from 0 to"),
    ("rollback", {"snapshot": "nope"}, NotFoundError, DER.NONEXIST, "list the snapshots"),
    ("destroy_snapshot", {"snapshot": "nope"}, NotFoundError, DER.NONEXIST, "list the snapshots"),
    ("destroy_snapshots", {"first": 2, "last": 1}, InvalidError, DER.INVAL, "the smaller one first"),
    ("destroy_snapshots", {"first": 1, "last": 1 << 64}, InvalidError, DER.INVAL, "from 0 to"),
]


@pytest.mark.parametrize(("method", "arguments", "cls", "code", "hint"), BAD, ids=range(len(BAD)))
def test_bad_input(
    disk: FakeDisk, method: str, arguments: dict[str, object], cls: type[DaosError], code: DER, hint: str
) -> None:
    with daos.open("there") as pool:
        cont = pool.container("there", create=True)
        act = {
            "open": daos.open,
            "container": pool.container,
            "kv": cont.kv,
            "snapshot": cont.snapshot,
            "at": cont.at,
            "rollback": cont.rollback,
            "destroy_snapshot": cont.destroy_snapshot,
            "destroy_snapshots": cont.destroy_snapshots,
        }[method]
        with pytest.raises(cls) as caught:
            act(**arguments)  # type: ignore[operator]
        assert caught.value.code is code
        assert hint in (caught.value.hint or "")
        # Nothing was made.
        assert [entry.label for entry in pool.containers()] == ["there"]
        assert list(cont.names()) == []
        assert cont.snapshots() == []
        assert list(disk.systems) == ["there"]


def test_a_name_of_something_else_is_no_store(disk: FakeDisk) -> None:
    cont = daos.open("x").container("c", create=True)
    cont._root.put(b"arr", Entry(ObjectId(1, 2), Kind.ARRAY).encode())
    with pytest.raises(InvalidError, match="'arr' is an array"):
        cont.kv("arr")
