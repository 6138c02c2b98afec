"""Snapshots of the native store against copies of a dict, over merges and reopenings; and what else they promise."""

from __future__ import annotations

import shutil
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import daos
from daos import AccessError, _core
from daos.client import system

STORES = st.sampled_from(["a", "b", "zoë"])
KEYS = st.sampled_from(["", "k", "l", "longer" * 40])
MEMTABLE_BYTES = 64 << 10


class Histories(RuleBasedStateMachine):
    """Changes, snapshots, merges, reopenings; each snapshot is a copy of the model."""

    @initialize(count=st.sampled_from([1, 3]))
    def make(self, count: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="daos-snapshots-"))
        self.targets = count
        self.now: dict[str, dict[str, bytes]] = {}
        self.then: dict[daos.Snapshot, dict[str, dict[str, bytes]]] = {}
        self.taken = 0
        self.open()

    def open(self) -> None:
        path = str(self.folder / "x.daos")
        core = _core.Embedded.open(path, create=True, targets=self.targets, durability=0, memtable_bytes=MEMTABLE_BYTES)
        self.system = system.System(core, path)
        self.cont = self.system.pool("p", create=True).container("c", create=True)

    @rule(store=STORES, items=st.dictionaries(KEYS.filter(bool), st.binary(max_size=300), min_size=1))
    def put(self, store: str, items: dict[str, bytes]) -> None:
        self.cont.kv(store, create=True).put_many(items)
        self.now.setdefault(store, {}).update(items)

    @rule(store=STORES, key=KEYS.filter(bool))
    def remove(self, store: str, key: str) -> None:
        if store in self.now:
            self.cont.kv(store).remove(key)
            self.now[store].pop(key, None)

    @rule(store=STORES)
    def destroy_store(self, store: str) -> None:
        if store in self.now:
            self.cont.destroy(store)
            del self.now[store]

    @rule(named=st.booleans())
    def snapshot(self, named: bool) -> None:
        self.taken += 1
        taken = self.cont.snapshot(f"number {self.taken}" if named else None)
        assert all(taken.epoch > before.epoch for before in self.then)
        self.then[taken] = {name: dict(content) for name, content in self.now.items()}

    @precondition(lambda self: self.then)
    @rule(data=st.data())
    def destroy_snapshot(self, data: st.DataObject) -> None:
        going = data.draw(st.sampled_from(list(self.then)))
        view = self.cont.at(going)
        self.cont.destroy_snapshot(going.name or going.epoch)
        del self.then[going]
        with pytest.raises(daos.NotFoundError):
            list(view.names())

    @precondition(lambda self: self.then)
    @rule(data=st.data())
    def rollback(self, data: st.DataObject) -> None:
        target = data.draw(st.sampled_from(list(self.then)))
        self.cont.rollback(target)
        self.now = {name: dict(content) for name, content in self.then[target].items()}

    @rule()
    def aggregate(self) -> None:
        self.cont.aggregate()

    @rule()
    def merge(self) -> None:
        # More than two memtables: writers merge the first before they go on.
        for number in range(3):
            self.put("filler", {"k": bytes([number]) * MEMTABLE_BYTES})

    @rule()
    def reopen(self) -> None:
        self.system.close()
        self.open()

    @rule()
    def check(self) -> None:
        assert self.cont.snapshots() == list(self.then)
        for taken, expected in self.then.items():
            found = self.cont.at(taken)
            assert found.as_of == taken
            assert content_of(found) == expected
        assert content_of(self.cont) == self.now

    def teardown(self) -> None:
        if hasattr(self, "system"):
            self.reopen()
            self.check()
            self.system.close()
            shutil.rmtree(self.folder)


def content_of(cont: daos.Container) -> dict[str, dict[str, bytes]]:
    """Return all that a container holds, by listings and by gets."""
    found: dict[str, dict[str, bytes]] = {}
    for named in cont.names():
        store = cont.kv(named.name)
        found[named.name] = dict(store.items())
        assert {key: store[key] for key in found[named.name]} == found[named.name]
    return found


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=40, stateful_step_count=30)


def test_a_snapshot_has_all_that_was_acknowledged_before_it() -> None:
    # Each thread counts up in its key; what a count was before and after the snapshot bounds what it may show.
    with daos.open(":memory:") as pool:
        cont = pool.container("c", create=True)
        kv = cont.kv("k", create=True)
        acknowledged = [0] * 3
        stop = threading.Event()

        def count(number: int) -> None:
            while not stop.is_set():
                kv[f"{number}"] = b"%d" % (acknowledged[number] + 1)
                acknowledged[number] += 1

        threads = [threading.Thread(target=count, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(50):
                before = list(acknowledged)
                taken = cont.snapshot()
                after = list(acknowledged)
                then = cont.at(taken).kv("k")
                shown = [int(then.get(f"{number}", b"0")) for number in range(3)]
                for low, value, high in zip(before, shown, after, strict=True):
                    # One more may have been on its way, not yet counted.
                    assert low <= value <= high + 1
                assert [int(then.get(f"{number}", b"0")) for number in range(3)] == shown
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def test_a_snapshot_tells_when_it_was_taken() -> None:
    with daos.open(":memory:") as pool:
        cont = pool.container("c", create=True)
        before = datetime.now(UTC)
        taken = cont.snapshot()
        assert before - timedelta(milliseconds=1) <= taken.created <= datetime.now(UTC)
        assert f"epoch {taken.epoch:#x}" in repr(taken)


WRITES = {
    "put": lambda cont: cont.kv("k").put("a", b"2"),
    "set": lambda cont: cont.kv("k").__setitem__("a", b"2"),
    "put_many": lambda cont: cont.kv("k").put_many({"a": b"2"}),
    "delete": lambda cont: cont.kv("k").__delitem__("a"),
    "remove": lambda cont: cont.kv("k").remove("a"),
    "clear": lambda cont: cont.kv("k").clear(),
    "make": lambda cont: cont.kv("new", create=True),
    "make again": lambda cont: cont.kv("later", create=True),
    "destroy": lambda cont: cont.destroy("k"),
    "snapshot": lambda cont: cont.snapshot(),
    "rollback": lambda cont: cont.rollback("s"),
    "destroy_snapshot": lambda cont: cont.destroy_snapshot("s"),
    "destroy_snapshots": lambda cont: cont.destroy_snapshots(0, 2**64 - 1),
}


@pytest.mark.parametrize("what", WRITES)
def test_a_snapshot_takes_no_changes(what: str) -> None:
    with daos.open(":memory:") as pool:
        cont = pool.container("c", create=True)
        cont.kv("k", create=True)["a"] = b"1"
        taken = cont.snapshot("s")
        cont.kv("later", create=True)["a"] = b"1"
        view = cont.at("s")
        with pytest.raises(daos.AccessError) as caught:
            WRITES[what](view)
        assert caught.value.code is daos.DER.NO_PERM
        assert caught.value.hint == "snapshots do not change: write to the container itself"
        assert content_of(view) == {"k": {"a": b"1"}}
        assert content_of(cont) == {"k": {"a": b"1"}, "later": {"a": b"1"}}
        assert cont.snapshots() == view.snapshots() == [taken]


def test_what_came_later_is_not_in_it() -> None:
    with daos.open(":memory:") as pool:
        cont = pool.container("c", create=True)
        cont.snapshot("empty")
        cont.kv("k", create=True)["a"] = b"1"
        view = cont.at("empty")
        assert "k" not in view
        assert list(view.names()) == []
        with pytest.raises(daos.NotFoundError) as caught:
            view.kv("k")
        assert caught.value.hint == "it was not there when the snapshot was taken"
        assert cont.at("empty").at(cont.snapshot("full")).kv("k")["a"] == b"1"


def test_aggregation_removes_what_nobody_sees_and_nothing_else() -> None:
    with daos.open(":memory:") as pool:
        cont = pool.container("c", create=True)
        kv = cont.kv("k", create=True)
        for round_ in range(20):
            kv["a"] = str(round_).encode()
            if round_ == 9:
                cont.snapshot("middle")
        assert cont.aggregate() == 18
        assert (kv["a"], cont.at("middle").kv("k")["a"]) == (b"19", b"9")
        with pytest.raises(AccessError):
            cont.at("middle").aggregate()
