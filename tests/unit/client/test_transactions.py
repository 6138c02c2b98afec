"""Transactions of the SDK over a fake core: what the `with` block, `run` and `attempts` do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

import pytest

import daos
from daos.client import Container, Transaction, _attempts
from daos.errors import DER, UncertainError, error_from_der
from tests.fake_core import FakeDisk

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def cont(disk: FakeDisk) -> Container:
    container = daos.open(":memory:").container("c", create=True)
    container.kv("k", create=True)["a"] = b"1"
    disk.calls.clear()
    return container


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses, which take no time."""
    taken: list[float] = []
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def sleep(seconds: float) -> None:
        taken.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    return taken


def disturb(cont: Container) -> None:
    """Change what the transactions of these tests read."""
    kv = cont.kv("k")
    kv["a"] = kv["a"] + b"!"


def test_the_end_of_the_block_commits(cont: Container) -> None:
    with cont.transaction() as tx:
        kv = tx.kv("k")
        kv["b"] = kv["a"]
        assert not tx.is_done
        assert "b" not in cont.kv("k")
        tx.kv("new", create=True)["x"] = b"y"
        assert "new" not in cont
        assert repr(tx) == "<daos.Transaction of 'c' in pool default, open>"
    assert tx.is_done
    assert cont.kv("k")["b"] == b"1"
    assert cont.kv("new")["x"] == b"y"
    assert repr(tx) == "<daos.Transaction of 'c' in pool default, committed>"


def test_an_exception_aborts(cont: Container) -> None:
    with pytest.raises(ZeroDivisionError), cont.transaction() as tx:
        tx.kv("k")["b"] = b"%d" % (1 // 0)
    assert tx.is_done
    assert "b" not in cont.kv("k")


def test_an_exception_is_told_even_if_nothing_can_be_aborted_any_more(cont: Container) -> None:
    def close_and_fail() -> None:
        with cont.transaction():
            cont.pool.system.close()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        close_and_fail()


@pytest.mark.parametrize("end", ["commit", "abort"])
def test_one_that_was_ended_inside_the_block_stays_so(cont: Container, end: str) -> None:
    with cont.transaction() as tx:
        tx.kv("k")["b"] = b"2"
        getattr(tx, end)()
    assert ("b" in cont.kv("k")) is (end == "commit")


def test_a_conflict_is_raised_at_the_end(cont: Container) -> None:
    tx = cont.transaction()

    def work() -> None:
        with tx:
            tx.kv("k")["b"] = tx.kv("k")["a"]
            disturb(cont)

    with pytest.raises(daos.ConflictError) as caught:
        work()
    assert caught.value.code is DER.TX_RESTART
    assert "failed" in repr(tx)
    assert "b" not in cont.kv("k")


def test_one_is_entered_once(cont: Container) -> None:
    with cont.transaction() as tx, pytest.raises(daos.AccessError, match="entered once, and this one was"), tx:
        pass
    done = cont.transaction()
    done.commit()
    with pytest.raises(daos.AccessError, match="this one has committed"), done:
        pass


OUTSIDE: list[Callable[[Transaction], object]] = [
    lambda tx: tx.attributes,
    lambda tx: tx.set_properties({"label": "d"}),
    lambda tx: tx.snapshot("s"),
    lambda tx: tx.snapshots(),
    lambda tx: tx.at("s"),
    lambda tx: tx.check(),
    lambda tx: tx.objects(),
    lambda tx: tx.diff("s"),
    lambda tx: tx.rollback("s"),
    lambda tx: tx.destroy_snapshot("s"),
    lambda tx: tx.destroy_snapshots(1, 2),
    lambda tx: tx.batch(),
    lambda tx: tx.aggregate(),
    lambda tx: tx.transaction(),
    lambda tx: tx.run(lambda _: None),
    lambda tx: tx.attempts(),
]


@pytest.mark.parametrize("use", OUTSIDE)
def test_what_is_not_part_of_transactions_is_refused(
    cont: Container, disk: FakeDisk, use: Callable[[Transaction], object]
) -> None:
    tx = cont.transaction()
    before = disk.calls.copy()
    with pytest.raises(daos.InvalidError) as caught:
        use(tx)
    assert (caught.value.code, caught.value.hint) == (DER.NOTSUPPORTED, "use the container itself")
    assert disk.calls == before


@pytest.mark.parametrize("deadline", [-1, float("nan"), float("inf"), "5", None, True])
def test_what_is_no_deadline_is_refused(cont: Container, deadline: object) -> None:
    for use in (
        lambda: cont.run(lambda _: None, deadline=cast("float", deadline)),
        lambda: cont.attempts(deadline=cast("float", deadline)),
    ):
        with pytest.raises(daos.InvalidError) as caught:
            use()
        assert caught.value.code is DER.INVAL


def test_run_tries_again_after_conflicts_and_returns_the_last_result(cont: Container, pauses: list[float]) -> None:
    seen: list[bytes] = []

    def work(tx: Transaction) -> int:
        kv = tx.kv("k")
        seen.append(kv["a"])
        kv["b"] = kv["a"]
        if len(seen) < 3:
            disturb(cont)
        return len(seen)

    assert cont.run(work) == 3
    assert seen == [b"1", b"1!", b"1!!"]
    assert len(pauses) == 2
    assert cont.kv("k")["b"] == b"1!!"


def test_run_gives_up_at_its_deadline(cont: Container, pauses: list[float]) -> None:
    def work(tx: Transaction) -> None:
        kv = tx.kv("k")
        kv["b"] = kv["a"]
        disturb(cont)

    with pytest.raises(daos.ConflictError):
        cont.run(work, deadline=0.5)
    assert 0 < sum(pauses) < 0.5
    pauses.clear()
    with pytest.raises(daos.ConflictError):
        cont.run(work, deadline=0)
    assert pauses == []
    assert "b" not in cont.kv("k")


def test_run_passes_other_errors_on_and_does_not_try_again(cont: Container, disk: FakeDisk) -> None:
    calls = 0

    def work(tx: Transaction) -> None:
        nonlocal calls
        calls += 1
        tx.kv("k")["b"] = b"2"
        disk.fail["commit"] = error_from_der(DER.TX_UNCERTAIN, "a sync failed")

    with pytest.raises(UncertainError):
        cont.run(work)
    assert calls == 1
    with pytest.raises(KeyError):
        cont.run(lambda tx: tx.kv("k")["nope"])


def test_a_function_may_end_its_transaction_itself(cont: Container) -> None:
    def work(tx: Transaction) -> str:
        tx.kv("k")["b"] = b"2"
        tx.abort()
        return "given up"

    assert cont.run(work) == "given up"
    assert "b" not in cont.kv("k")


def test_attempts_go_on_until_one_commits(cont: Container, pauses: list[float]) -> None:
    number = 0
    for number, tx in enumerate(cont.attempts(), 1):
        kv = tx.kv("k")
        kv["b"] = kv["a"]
        if number < 3:
            disturb(cont)
    assert number == 3
    assert len(pauses) == 2
    assert cont.kv("k")["b"] == b"1!!"


def test_who_leaves_the_loop_early_has_changed_nothing(cont: Container) -> None:
    for tx in cont.attempts():
        tx.kv("k")["b"] = b"2"
        break
    assert "b" not in cont.kv("k")

    def fail() -> None:
        for tx in cont.attempts():
            tx.kv("k")["b"] = b"%d" % (1 // 0)

    with pytest.raises(ZeroDivisionError):
        fail()
    assert "b" not in cont.kv("k")
    for tx in cont.attempts():
        tx.kv("k")["b"] = b"2"
        tx.commit()
        break
    assert cont.kv("k")["b"] == b"2"


def test_pauses_grow_to_a_bound() -> None:
    longest = [_attempts.pause(conflicts, 1.0) for conflicts in range(1, 100)]
    assert longest[:3] == [0.001, 0.002, 0.004]
    assert longest == sorted(longest)
    assert longest[-1] == _attempts.PAUSE_S_MAX
    assert _attempts.pause(50, 0.0) == 0
