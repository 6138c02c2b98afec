"""What differs between two states of a container, against copies of a model; and which objects it has."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

import daos
from daos import _core
from daos.client import system
from daos.client._names import ROOT

STORES = ("kv", "ints", "obj", "cells")
CHUNK = 100
Place: TypeAlias = tuple[str, object, object]
State: TypeAlias = dict[Place, object]
MEMTABLE_BYTES = 64 << 10


class World:
    """A container and what it should hold: by name, dkey, akey; of the array by cells."""

    def __init__(self, folder: Path, seed: int) -> None:
        core = _core.Embedded.open(
            str(folder / "x.daos"), create=True, targets=3, durability=0, memtable_bytes=MEMTABLE_BYTES
        )
        self.system = system.System(core, str(folder))
        self.cont = self.system.pool("p", create=True).container("c", create=True)
        self.random = random.Random(seed)  # noqa: S311 -- a test, not a secret
        self.state: State = {}
        self.touched: set[Place] = set()
        self.kv = self.cont.kv("kv", create=True)
        self.ints = self.cont.kv("ints", create=True, keys="int")
        self.obj = self.cont.object("obj", create=True)
        self.cells = self.cont.array("cells", "u2", create=True, chunk=CHUNK)

    def put(self, place: Place, value: object) -> None:
        self.touched.add(place)
        if value is None:
            self.state.pop(place, None)
        else:
            self.state[place] = value

    def change(self) -> None:
        number = self.random.randrange(1, 1000)
        key = f"key {self.random.randrange(30)}"
        acts = (self.change_kv, self.change_object, self.change_array, self.fill)
        self.random.choice(acts)(number, key)

    def change_kv(self, number: int, key: str) -> None:
        match number % 3:
            case 0:
                self.kv[key] = b"%d" % number
                self.put(("kv", key, None), number)
            case 1:
                self.kv.remove(key)
                self.put(("kv", key, None), None)
            case _:
                self.ints[number % 20] = b"x" * number
                self.put(("ints", number % 20, None), number)

    def change_object(self, number: int, key: str) -> None:
        match number % 3:
            case 0:
                self.obj.update(key, {"a": b"%d" % number, "long" * 60: b"%d" % number})
                for akey in ("a", "long" * 60):
                    self.put(("obj", key, akey), number)
            case 1:
                self.obj.punch(key)
                for akey in ("a", "long" * 60, "recs"):
                    self.put(("obj", key, akey), None)
            case _:
                start = self.random.randrange(40)
                self.obj.update(key, recs=daos.Extent(start, np.full(5, number, "u4")))
                self.put(("obj", key, "recs"), (start, number, *self._before(("obj", key, "recs"))))

    def change_array(self, number: int, _: str) -> None:
        start, count = self.random.randrange(1000), self.random.randrange(1, 150)
        self.cells[start : start + count] = np.full(count, number, "u2")
        for cell in range(start, start + count):
            self.put(("cells", cell, None), number)

    def fill(self, number: int, _: str) -> None:
        # More than the memtable takes now and then.
        self.kv["filler"] = bytes(MEMTABLE_BYTES // 4)
        self.put(("kv", "filler", None), (number, self.random.random()))

    def _before(self, place: Place) -> tuple[object, ...]:
        value = self.state.get(place, ())
        assert isinstance(value, tuple)
        return value


def told(cont: daos.Container, since: daos.Snapshot) -> dict[Place, str]:
    """Return what is told to differ, by places."""
    found: dict[Place, str] = {}
    for one in cont.diff(since):
        assert one.name in STORES
        places: list[Place] = [(one.name, one.dkey, one.akey)]
        if one.name == "cells":
            assert one.dkey is one.akey is None
            assert one.records
            places = [("cells", cell, None) for part in one.records for cell in part]
        for place in places:
            assert place not in found, "told twice"
            found[place] = one.kind
        if one.akey == "recs" and one.kind == "added":
            assert one.records
    return found


def check(found: dict[Place, str], before: State, after: State, written: set[Place]) -> None:
    for place, kind in found.items():
        if place[0] == "cells":
            # A chunk may be new and a cell of it not, or the other way round.
            assert place in written
            continue
        expected = "changed" if place in before and place in after else "added" if place in after else "removed"
        assert (place, kind) == (place, expected)
        assert place in written
    for place in before.keys() | after.keys():
        if before.get(place) != after.get(place):
            assert place in found, place


@pytest.mark.parametrize("seed", range(6))
def test_what_differs_is_told_and_nothing_that_was_not_written(tmp_path: Path, seed: int) -> None:
    world = World(tmp_path, seed)
    cont = world.cont
    taken = [(cont.snapshot(), dict(world.state))]
    written: list[set[Place]] = []
    for _ in range(4):
        world.touched = set()
        for _ in range(world.random.randrange(60)):
            world.change()
        written.append(world.touched)
        taken.append((cont.snapshot(), dict(world.state)))
        if world.random.random() < 0.5:
            cont.aggregate()
    for first, (before, was) in enumerate(taken):
        for last, (after, then) in enumerate(taken[first:], first):
            found = told(cont.at(after), before)
            check(found, was, then, set().union(*written[first:last]))
            assert found or first == last or not any(written[first:last])
    cont.rollback(taken[1][0])
    assert list(cont.diff(taken[1][0])) == []
    check(told(cont, taken[0][0]), taken[0][1], taken[1][1], written[0])
    backwards = told(cont, taken[3][0])
    check(backwards, taken[3][1], taken[1][1], set().union(*written[1:3]))
    world.system.close()


def test_names_that_come_and_go() -> None:
    with daos.open(":memory:", targets=2) as pool:
        cont = pool.container("c", create=True)
        kept = cont.kv("kept", create=True)
        gone = cont.kv("gone", create=True)
        kept["a"] = gone["b"] = b"1"
        cont.snapshot("before")
        cont.destroy("gone")
        new = cont.array("new", "f4", create=True)
        found = set(cont.diff("before"))
        assert found == {
            daos.Difference("removed", gone.oid, "gone"),
            daos.Difference("removed", gone.oid, "gone", "b"),
            daos.Difference("added", new.oid, "new"),
        }
        new[5:8] = np.ones(3, "f4")
        assert daos.Difference("added", new.oid, "new", records=(range(5, 8),)) in set(cont.diff("before"))
        assert new[:].tolist() == [0] * 5 + [1] * 3


def test_objects_without_a_name_have_keys_in_bytes() -> None:
    with daos.open(":memory:") as pool:
        cont = pool.container("c", create=True)
        oid = cont.object("o", create=True, type="dkey_uint64").oid
        other = daos.ObjectId(oid.hi, oid.lo + 1000)
        taken = cont.snapshot()
        cont.object(other).update(7, a=b"x")
        assert list(cont.diff(taken)) == [daos.Difference("added", other, None, 7, b"a")]


def test_diff_asks_the_later_state() -> None:
    with daos.open(":memory:") as pool:
        cont = pool.container("c", create=True)
        cont.snapshot("a")
        cont.snapshot("b")
        with pytest.raises(daos.InvalidError) as caught:
            cont.at("a").diff("b")
        assert "ask the later state" in (caught.value.hint or "")
        with pytest.raises(daos.NotFoundError):
            cont.diff("c")
        found = cont.at("b").diff("a")
        cont.destroy_snapshot("a")
        with pytest.raises(daos.NotFoundError):
            list(found)


def test_objects_are_those_that_were_changed_and_not_destroyed() -> None:
    with daos.open(":memory:", targets=4) as pool:
        cont = pool.container("c", create=True)
        assert list(cont.objects()) == []
        oids = set()
        for number in range(300):
            wide = cont.object(f"wide {number}", create=True)
            for dkey in range(8):
                wide.update(str(dkey), a=b"x")
            oids.add(wide.oid)
        # A name alone stores nothing of its object.
        cont.kv("never written", create=True)
        cont.snapshot("all")
        gone = cont.object("wide 7").oid
        cont.destroy("wide 7")
        emptied = cont.object("wide 8")
        for dkey in range(8):
            emptied.punch(str(dkey))
        listed = list(cont.objects())
        assert listed == sorted(listed)
        assert set(listed) == oids - {gone} | {ROOT}
        assert set(cont.at("all").objects()) == oids | {ROOT}
        page, after = cont._core.objects(None, 7)
        assert [daos.ObjectId(*pair) for pair in page] == listed[:7]
        assert cont._core.objects(after, 2)[0] == [(oid.hi, oid.lo) for oid in listed[7:9]]
