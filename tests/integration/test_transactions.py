"""Transactions of the embedded system: what commits comes out as if it had run one after the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import daos
from daos.client import _seam, system
from daos.client._names import ObjectId, ObjectType
from daos.client.transaction import Transaction
from daos.errors import DaosError
from tests.fake_core import FakeDisk, TransactionFake

KEYS = [b"a", b"b", b"c", b"d"]
OID = ObjectId.make(ObjectType.KV_HASHED, 1, 1)
OPEN = 3
"""Transactions that are open at once."""


@dataclass(frozen=True)
class Operation:
    """What is done. A listing takes `pages` pages of `count` keys."""

    word: str
    key: bytes = b""
    value: bytes = b""
    flags: int = 0
    count: int = 0
    pages: int = 1
    reverse: bool = False

    @property
    def is_end(self) -> bool:
        """Whether it ends its transaction."""
        return self.word in ("commit", "abort")


def put(key: bytes, value: bytes, flags: int = 0) -> Operation:
    return Operation("put", key, value, flags)


def get(key: bytes) -> Operation:
    return Operation("get", key)


def remove(key: bytes, flags: int = 0) -> Operation:
    return Operation("remove", key, flags=flags)


def listing(count: int, pages: int = 1, *, reverse: bool = False) -> Operation:
    return Operation("list", count=count, pages=pages, reverse=reverse)


COMMIT, ABORT, DESTROY = Operation("commit"), Operation("abort"), Operation("destroy")


@pytest.fixture
def cont() -> Iterator[daos.Container]:
    with daos.open(":memory:") as pool:
        container = pool.container("c", create=True)
        container.kv("k", create=True).put_many({"a": b"1", "b": b"1"})
        yield container


# --- the check


class Model:
    """A key-value object as a dict; it does operations one after the other."""

    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}

    def put(self, key: bytes, value: bytes, flags: int = 0) -> None:
        if flags & _seam.COND_KEY_INSERT and key in self.data:
            raise daos.ExistsError("there")
        if flags & _seam.COND_KEY_UPDATE and key not in self.data:
            raise daos.NotFoundError("not there")
        self.data[key] = value

    def get(self, key: bytes) -> bytes | None:
        return self.data.get(key)

    def remove(self, key: bytes, flags: int = 0) -> None:
        if flags & _seam.COND_PUNCH and key not in self.data:
            raise daos.NotFoundError("not there")
        self.data.pop(key, None)

    def destroy(self) -> None:
        self.data.clear()


def do(kv: _seam.KVCore | Model, operation: Operation) -> object:
    """Do an operation; return its answer: a value, keys, or the code of an error."""
    try:
        match operation.word:
            case "put":
                kv.put(operation.key, operation.value, operation.flags)
            case "remove":
                kv.remove(operation.key, operation.flags)
            case "destroy":
                kv.destroy()
            case "get":
                return kv.get(operation.key)
            case _:
                return keys_of(kv, operation)
    except DaosError as error:
        return error.code.name
    return None


def keys_of(kv: _seam.KVCore | Model, operation: Operation) -> list[bytes]:
    """Return the keys of a listing."""
    wanted = operation.count * operation.pages
    if isinstance(kv, Model):
        return sorted(kv.data, reverse=operation.reverse)[:wanted]
    keys: list[bytes] = []
    anchor: bytes | None = None
    while len(keys) < wanted:
        page, anchor = kv.list_keys(anchor, operation.count, operation.reverse)
        keys += page
        if anchor is None:
            break
    return keys


@dataclass
class History:
    """Committed transactions in the order in which they count, each a list of operations with their answers."""

    done: list[tuple[int, bool, list[tuple[Operation, object]]]] = field(default_factory=list)
    changes: int = 0

    def committed(self, read_after: int, steps: list[tuple[Operation, object]]) -> None:
        """Take note of one that committed now; so many others had changed something before it read."""
        changed = any(operation.word in ("put", "remove", "destroy") and answer is None for operation, answer in steps)
        # One that changes nothing counts where it read.
        self.done.append((self.changes if changed else read_after, changed, steps))
        self.changes += changed

    def check(self) -> None:
        """Do all again, one after the other: the answers must be the same."""
        model = Model()
        for at, _, steps in sorted(self.done, key=lambda done: done[:2]):
            for operation, answer in steps:
                serially = do(model, operation)
                assert serially == answer, f"{operation} after {at} changes: {answer}, one after the other {serially}"


@dataclass
class Running:
    """An open transaction."""

    core: _seam.TransactionCore
    kv: _seam.KVCore
    read_after: int
    steps: list[tuple[Operation, object]] = field(default_factory=list)


def play(container: _seam.ContainerCore, events: list[tuple[int, Operation]]) -> tuple[int, int]:
    """Let transactions do things in turn, and check them; return how many committed and how many conflicted.

    Number `OPEN` stands for what is done without a transaction.
    """
    outside = container.kv(OID.hi, OID.lo)
    history, running = History(), dict[int, Running]()
    committed = conflicts = 0
    for who, operation in [*events, *((who, COMMIT) for who in range(OPEN))]:
        if who == OPEN:
            if not operation.is_end:
                history.committed(history.changes, [(operation, do(outside, operation))])
        elif not operation.is_end:
            if who not in running:
                core = container.transaction()
                running[who] = Running(core, core.container().kv(OID.hi, OID.lo), history.changes)
            running[who].steps.append((operation, do(running[who].kv, operation)))
        elif who in running:
            transaction = running.pop(who)
            if operation == ABORT:
                transaction.core.abort()
                continue
            try:
                transaction.core.commit()
            except daos.ConflictError:
                conflicts += 1
            else:
                committed += 1
                history.committed(transaction.read_after, transaction.steps)
    history.check()
    return committed, conflicts


KEY = st.sampled_from(KEYS)
VALUE = st.binary(min_size=1, max_size=2)
OPERATION: st.SearchStrategy[Operation] = st.one_of(
    st.builds(get, KEY),
    st.builds(put, KEY, VALUE, st.sampled_from([0, 0, 0, _seam.COND_KEY_INSERT, _seam.COND_KEY_UPDATE])),
    st.builds(remove, KEY, st.sampled_from([0, _seam.COND_PUNCH])),
    st.builds(listing, st.integers(1, 3), st.integers(1, 2), reverse=st.booleans()),
    st.just(DESTROY),
    st.sampled_from([COMMIT, COMMIT, ABORT]),
)


def fresh(*, of_fake: bool = False) -> _seam.ContainerCore:
    """Return an empty container, of the native module or the fake."""
    open_core = FakeDisk().open if of_fake else system._open_core
    core = open_core(":memory:", create=True, targets=1, durability=0)
    return core.pool_create("p", b"\x80").container_create("c", b"\x80")


@settings(max_examples=200, deadline=None)
@given(events=st.lists(st.tuples(st.integers(0, OPEN), OPERATION), max_size=40))
def test_what_committed_came_out_as_one_after_the_other(events: list[tuple[int, Operation]]) -> None:
    play(fresh(), events)


def race(
    before: list[Operation], first: list[Operation], second: list[Operation], container: _seam.ContainerCore
) -> tuple[int, int]:
    """Do all of the first and second transaction before either commits, then commit the second, then the first."""
    events = [(OPEN, operation) for operation in before]
    events += [(0, operation) for operation in first] + [(1, operation) for operation in second]
    return play(container, [*events, (1, COMMIT), (0, COMMIT)])


TWO: list[Operation] = [put(b"a", b"1"), put(b"b", b"1")]
ANOMALIES: list[tuple[str, list[Operation], list[Operation]]] = [
    ("lost update", [get(b"a"), put(b"a", b"2")], [get(b"a"), put(b"a", b"3")]),
    ("write skew", [get(b"a"), put(b"b", b"2")], [get(b"b"), put(b"a", b"2")]),
    ("phantom", [listing(9), put(b"a", b"2")], [put(b"c", b"1")]),
    ("phantom, descending", [listing(9, reverse=True), put(b"a", b"2")], [put(b"c", b"1")]),
    ("a listed key that went", [listing(1), put(b"b", b"2")], [remove(b"a")]),
    ("an absent key", [get(b"c"), put(b"a", b"2")], [put(b"c", b"1")]),
    (
        "a condition",
        [put(b"c", b"1", _seam.COND_KEY_INSERT)],
        [put(b"c", b"2", _seam.COND_KEY_INSERT)],
    ),
    (
        "a refusal",
        [put(b"a", b"2", _seam.COND_KEY_INSERT), put(b"c", b"2")],
        [remove(b"a")],
    ),
]


@pytest.mark.parametrize(("first", "second"), [case[1:] for case in ANOMALIES], ids=[case[0] for case in ANOMALIES])
def test_anomalies_conflict(first: list[Operation], second: list[Operation]) -> None:
    assert race(TWO, first, second, fresh()) == (1, 1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([get(b"a"), put(b"a", b"2")], [get(b"b"), put(b"b", b"2")]),
        ([put(b"a", b"2")], [put(b"a", b"3")]),
        ([listing(9), put(b"c", b"2")], [put(b"a", b"3")]),
        ([listing(1, reverse=True), put(b"c", b"2")], [remove(b"a")]),
        ([get(b"a"), listing(9)], [put(b"a", b"3"), put(b"c", b"3")]),
    ],
    ids=["other keys", "blind writes", "values of listed keys", "a key the page did not reach", "only reads"],
)
def test_what_need_not_conflict_does_not(first: list[Operation], second: list[Operation]) -> None:
    assert race(TWO, first, second, fresh()) == (2, 0)


def test_the_anomaly_of_a_reader_does_not_happen() -> None:
    # Two accounts: a withdrawal that overdraws both pays a fee, a deposit, and somebody who reads both in between.
    container = fresh()
    events: list[tuple[int, Operation]] = [
        (OPEN, put(b"a", b"0")),
        (OPEN, put(b"b", b"0")),
        (0, get(b"a")),
        (0, get(b"b")),
        (1, get(b"b")),
        (1, put(b"b", b"20")),
        (1, COMMIT),
        (2, get(b"a")),
        (2, get(b"b")),
        (2, COMMIT),
        (0, put(b"a", b"-11")),
        (0, COMMIT),
    ]
    assert play(container, events) == (2, 1)


@pytest.mark.parametrize(("first", "second"), [case[1:] for case in ANOMALIES], ids=[case[0] for case in ANOMALIES])
def test_the_check_finds_commits_that_look_at_nothing(
    first: list[Operation], second: list[Operation], monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(self: TransactionFake) -> None:
        live, before = self.inside.state.objects, self.objects.before or {}
        for oid in self.objects.touched:
            old, new = before.get(oid, {}), self.objects[oid]
            for key in old.keys() | new.keys():
                if key not in new:
                    live.setdefault(oid, {}).pop(key, None)
                elif new[key] != old.get(key):
                    live.setdefault(oid, {})[key] = new[key]
        self.state = "committed"

    monkeypatch.setattr(TransactionFake, "commit", blind)
    with pytest.raises(AssertionError, match="one after the other"):
        race(TWO, first, second, fresh(of_fake=True))


# --- threads and deaths


def test_money_moves_between_threads_and_none_is_made(cont: daos.Container) -> None:
    accounts, transfers, threads = 6, 60, 4
    kv = cont.kv("bank", create=True, keys="int")
    kv.put_many(dict.fromkeys(range(accounts), b"100"))
    wrong: list[object] = []
    done = threading.Event()

    def transfer(tx: Transaction, source: int, target: int) -> None:
        bank = tx.kv("bank", keys="int")
        amount = min(int(bank[source]), 7)
        bank[source] = b"%d" % (int(bank[source]) - amount)
        bank[target] = b"%d" % (int(bank[target]) + amount)

    def work(thread: int) -> None:
        try:
            for number in range(transfers):
                source = (thread + number) % accounts
                target = (source + 1 + number % (accounts - 1)) % accounts
                cont.run(lambda tx, s=source, t=target: transfer(tx, s, t), deadline=30.0)  # type: ignore[misc]
        except BaseException as error:  # noqa: BLE001 -- whatever it is, the test reports it
            wrong.append(error)

    def audit() -> None:
        while not done.is_set():
            with cont.transaction() as tx:
                total = sum(int(value) for value in tx.kv("bank", keys="int").values())
            if total != accounts * 100:
                wrong.append(total)

    auditor = threading.Thread(target=audit)
    workers = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
    for thread in [auditor, *workers]:
        thread.start()
    for thread in workers:
        thread.join(timeout=40)
    done.set()
    auditor.join(timeout=10)
    assert wrong == []
    assert sum(int(value) for value in kv.values()) == accounts * 100


def test_one_transaction_may_be_shared_by_threads(cont: daos.Container) -> None:
    with cont.transaction() as tx:
        kv = tx.kv("k")

        def put_some(thread: int) -> None:
            for number in range(50):
                kv.put(f"{thread}-{number}", b"x")

        threads = [threading.Thread(target=put_some, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=10)
    assert len(cont.kv("k")) == 202


def test_attempts_meet_their_deadline(cont: daos.Container) -> None:
    seen: list[Transaction] = []

    def never() -> None:
        for tx in cont.attempts(deadline=0.05):
            kv = tx.kv("k")
            kv["b"] = kv["a"]
            seen.append(tx)
            cont.kv("k")["a"] = b"%d" % len(seen)

    with pytest.raises(daos.ConflictError):
        never()
    assert len(seen) > 1
    assert cont.kv("k")["b"] == b"1"


def test_a_container_that_goes_takes_its_transactions_along() -> None:
    with daos.open(":memory:") as pool:
        cont = pool.container("c", create=True)
        cont.kv("k", create=True)
        tx = cont.transaction()
        tx.kv("k")["a"] = b"1"
        pool.destroy_container("c")
        with pytest.raises(daos.NotFoundError):
            tx.commit()
        with pytest.raises(daos.AccessError):
            tx.commit()
    with pytest.raises(daos.ClosedError):
        cont.transaction()


def test_a_closed_system_takes_its_transactions_along(tmp_path: Path) -> None:
    pool = daos.open(tmp_path / "x.daos")
    cont = pool.container("c", create=True)
    cont.kv("k", create=True)
    tx = cont.transaction()
    kv = tx.kv("k")
    kv["a"] = b"1"
    pool.system.close()
    for operation in (lambda: kv["a"], tx.commit, tx.abort):
        with pytest.raises(daos.ClosedError):
            operation()
    with daos.open(tmp_path / "x.daos") as pool:
        assert "a" not in pool.container("c").kv("k")


@pytest.mark.parametrize("size", [1 << 20, 16 << 20])
def test_large_values_are_changed_together(cont: daos.Container, size: int) -> None:
    large = bytes(range(256)) * (size // 256)
    with cont.transaction() as tx:
        kv = tx.kv("k")
        kv["a"] = large
        kv["c"] = kv["a"][::-1]
        assert kv["c"] == large[::-1]
        assert cont.kv("k")["a"] == b"1"
    assert (cont.kv("k")["a"], cont.kv("k")["c"]) == (large, large[::-1])


def test_what_is_too_much_is_refused_and_the_rest_commits(cont: daos.Container) -> None:
    with cont.transaction() as tx:
        kv = tx.kv("k", keys="str")

        def fill() -> None:
            for number in range(1000):
                kv[str(number)] = bytes(60_000)

        with pytest.raises(daos.InvalidError) as caught:
            fill()
        assert caught.value.code is daos.DER.OVERFLOW
        count = len(kv)
    assert len(cont.kv("k")) == count > 100


# --- arrays and objects


def test_arrays_and_objects_are_part_of_it(cont: daos.Container) -> None:
    with cont.transaction() as tx:
        temp = tx.array("temp", "i4", create=True, fill=-1)
        temp[2:5] = [1, 2, 3]
        assert temp.size == 5
        assert temp[0:6].tolist() == [-1, -1, 1, 2, 3]
        sensors = tx.object("sensors", create=True)
        sensors.update("today", station=b"ABC")
        assert sensors.fetch("today", "station") == {"station": b"ABC"}
        assert list(sensors.dkeys()) == ["today"]
        assert "temp" not in cont
        tx.destroy("k")
        assert [named.name for named in tx.names()] == ["sensors", "temp"]
        assert [named.name for named in cont.names()] == ["k"]
    assert cont.array("temp")[0:9].tolist() == [-1, -1, 1, 2, 3]
    assert cont.object("sensors").fetch("today", "station") == {"station": b"ABC"}
    assert "k" not in cont


def test_arrays_conflict_by_their_cells(cont: daos.Container) -> None:
    cont.array("temp", "i4", create=True)[0:100] = range(100)

    def add(first: int, disturbed: int) -> None:
        with cont.transaction() as tx:
            inside = tx.array("temp")
            inside[first : first + 2] = inside[first : first + 2] + 1
            cont.array("temp")[disturbed : disturbed + 2] = [0, 0]

    add(10, 12)
    assert cont.array("temp")[9:15].tolist() == [9, 11, 12, 0, 0, 14]
    with pytest.raises(daos.ConflictError):
        add(10, 11)

    def append() -> None:
        with cont.transaction() as tx:
            inside = tx.array("temp")
            inside[inside.size : inside.size + 1] = [7]
            cont.array("temp")[100:101] = [8]

    with pytest.raises(daos.ConflictError):
        append()
    assert cont.array("temp")[100:].tolist() == [8]


def test_what_an_open_transaction_reads_is_not_aggregated_away(cont: daos.Container) -> None:
    outside = cont.kv("k")
    tx = cont.transaction()
    kv = tx.kv("k")
    assert kv["a"] == b"1"
    for number in range(20):
        outside["a"] = outside["b"] = b"%d" % number
    del outside["b"]
    assert cont.aggregate() == 0
    assert dict(kv.items()) == {"a": b"1", "b": b"1"}
    tx.commit()
    assert cont.aggregate() > 20
    assert dict(outside.items()) == {"a": b"19"}
