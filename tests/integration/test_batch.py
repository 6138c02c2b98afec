"""Batches over the native store: in order, all done at the end, every failure told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import daos
from daos.client import batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def cont(tmp_path: Path) -> Iterator[daos.Container]:
    with daos.open(tmp_path / "s") as pool:
        yield pool.container("c", create=True)


def changes_of(cont: daos.Container, *changes: Callable[[batch.BatchKV[str]], None]) -> None:
    """Make changes in one batch."""
    with cont.batch() as sent:
        kv = sent.kv("k", create=True)
        for change in changes:
            change(kv)


def delete(key: str) -> Callable[[batch.BatchKV[str]], None]:
    return lambda kv: kv.__delitem__(key)


CHANGES = st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.binary(max_size=10)), max_size=40)


@settings(max_examples=30)
@given(st.lists(CHANGES, max_size=3))
def test_what_is_left_is_what_a_dict_would_hold(batches: list[list[tuple[bool, int, bytes]]]) -> None:
    with daos.open(":memory:", targets=2) as pool:
        cont = pool.container("c", create=True)
        model: dict[int, bytes] = {}
        for changes in batches:
            with cont.batch() as sent:
                kv = sent.kv("k", create=True, keys="int")
                for is_put, key, value in changes:
                    if is_put:
                        kv[key] = value
                        model[key] = value
                    else:
                        kv.remove(key)
                        model.pop(key, None)
            assert dict(cont.kv("k", create=True, keys="int").items()) == model


def test_many_kinds_of_stores_and_buffers(cont: daos.Container) -> None:
    value = bytearray(b"3")
    with cont.batch() as sent:
        texts = sent.kv("texts", create=True)
        texts["a"] = b"1"
        texts.put("b", memoryview(b"2"))
        texts.put("c", value)
        value[:] = b"?"  # copied when it was sent
        texts.put_many({"d": b"4"})
        del texts["d"]
        sent.kv("bytes", create=True, keys="bytes").put_many([(b"x", b"5")])
        assert repr(texts) == "<daos.BatchKV 'texts'>"
    assert dict(cont.kv("texts").items()) == {"a": b"1", "b": b"2", "c": b"3"}
    assert dict(cont.kv("bytes", keys="bytes").items()) == {b"x": b"5"}


def test_failures_are_told_when_all_is_done(cont: daos.Container) -> None:
    with pytest.raises(daos.KeyNotFoundError) as caught:
        changes_of(cont, lambda kv: kv.put("a", b"1"), delete("x"), delete("y"), lambda kv: kv.put("b", b"2"))
    assert caught.value.context == {"key": "x", "kv": "k"}
    assert caught.value.__notes__ == [
        "del of key 'x' in 'k'; 2 of 4 changes of the batch failed; the others are done",
    ]
    assert dict(cont.kv("k").items()) == {"a": b"1", "b": b"2"}


def test_an_error_in_the_block_goes_first(cont: daos.Container) -> None:
    def wrong(kv: batch.BatchKV[str]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        changes_of(cont, lambda kv: kv.put("a", b"1"), delete("x"), wrong)
    assert "1 of 2 changes of the batch failed" in caught.value.__notes__[0]
    assert cont.kv("k")["a"] == b"1"


@pytest.mark.parametrize(
    ("wrong", "error", "code"),
    [
        (lambda kv: kv.put("", b"1"), daos.InvalidError, daos.DER.INVAL),
        (lambda kv: kv.put("k" * 70_000, b"1"), daos.InvalidError, daos.DER.KEY2BIG),
        (lambda kv: kv.put("k", "text"), daos.InvalidError, daos.DER.INVAL),
        (lambda kv: kv.put_many([("k",)]), daos.InvalidError, daos.DER.INVAL),
        (lambda kv: kv.remove(7), daos.InvalidError, daos.DER.INVAL),
        (lambda kv: kv.__delitem__(b"k"), daos.InvalidError, daos.DER.INVAL),
    ],
)
def test_what_is_wrong_is_told_at_once_and_not_sent(
    cont: daos.Container, wrong: Callable[[batch.BatchKV[str]], None], error: type[daos.DaosError], code: daos.DER
) -> None:
    with cont.batch() as sent:
        kv = sent.kv("k", create=True)
        with pytest.raises(error) as caught:
            wrong(kv)
        assert (caught.value.code, bool(caught.value.hint)) == (code, True)
        kv["fine"] = b"1"
    assert list(cont.kv("k")) == ["fine"]


def test_a_batch_ends(cont: daos.Container) -> None:
    with cont.batch() as sent:
        kv = sent.kv("k", create=True)
    with pytest.raises(daos.ClosedError, match="the batch has ended, or not begun"):
        kv["a"] = b"1"
    with pytest.raises(daos.ClosedError), sent:
        kv["a"] = b"1"
    unbegun = cont.batch().kv("k")
    with pytest.raises(daos.ClosedError):
        unbegun["a"] = b"1"
    with pytest.raises(daos.NotFoundError):
        cont.batch().kv("nope")
    assert list(cont.kv("k")) == []


def test_a_long_batch_waits_for_room(cont: daos.Container, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "OPERATIONS_MAX", 8)
    monkeypatch.setattr(batch, "BYTES_MAX", 1000)
    with cont.batch() as sent:
        kv = sent.kv("k", create=True, keys="int")
        for number in range(500):
            kv[number] = b"%d" % number * 50
            assert sent._sending.queue.in_flight <= 8
        kv[500] = bytes(5000)  # larger than the bound, alone
    assert list(cont.kv("k", keys="int")) == list(range(501))


def test_the_system_may_be_closed_under_it(tmp_path: Path) -> None:
    with daos.open(tmp_path / "s") as pool:
        cont = pool.container("c", create=True)
        kv = cont.kv("k", create=True)

        def close(changes: batch.BatchKV[str]) -> None:
            while not kv.get("a"):
                pass
            pool.close()

        with pytest.raises(daos.ClosedError) as caught:
            changes_of(cont, lambda kv: kv.put("a", b"1"), close, lambda kv: kv.put("b", b"2"))
        assert "1 of 2 changes of the batch failed" in caught.value.__notes__[0]
    with daos.open(tmp_path / "s") as pool:
        assert dict(pool.container("c").kv("k").items()) == {"a": b"1"}
