"""Key-value stores over the fake core: a mapping like any other, in few calls, clear where it refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable, MutableMapping

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import daos
from daos.client import kv as kv_module
from daos.client import system
from daos.client._keys import KEY_LEN_MAX
from daos.errors import DER, ExistsError, InvalidError, KeyNotFoundError, UncertainError
from tests.fake_core import FakeDisk


@pytest.fixture
def kv(disk: FakeDisk) -> daos.KV[str]:
    return daos.open("x").container("run7", create=True).kv("params", create=True)


def test_it_is_a_mutable_mapping(kv: daos.KV[str]) -> None:
    assert isinstance(kv, MutableMapping)
    kv["lr"] = b"0.1"
    assert kv["lr"] == b"0.1"
    assert kv.get("nope") is None
    assert kv.get("nope", b"d") == b"d"
    assert "lr" in kv
    assert "nope" not in kv
    assert dict(kv) == {"lr": b"0.1"} == kv
    assert kv.pop("lr") == b"0.1"
    assert kv.pop("lr", None) is None
    assert len(kv) == 0
    assert not kv
    kv.update(
        {"a": b"1"},
    )
    kv.update([("b", b"2")])
    assert kv.setdefault("a", b"9") == b"1"
    assert kv.setdefault("c", b"3") == b"3"
    assert kv.popitem()[0] in "abc"
    kv.clear()
    assert list(kv) == []


def test_a_missing_key_raises_what_a_dict_raises(kv: daos.KV[str]) -> None:
    for act in (lambda: kv["nope"], lambda: kv.pop("nope"), lambda: kv.__delitem__("nope")):
        with pytest.raises(KeyError) as caught:
            act()
        assert type(caught.value) is KeyNotFoundError
        assert caught.value.context == {"key": "nope", "kv": "params"}
    kv.remove("nope")


def test_conditions_are_checked_by_the_core_in_one_call(kv: daos.KV[str], disk: FakeDisk) -> None:
    kv.put("a", b"1", if_absent=True)
    with pytest.raises(ExistsError):
        kv.put("a", b"2", if_absent=True)
    kv.put("a", b"3", if_present=True)
    with pytest.raises(KeyNotFoundError):
        kv.put("b", b"4", if_present=True)
    assert dict(kv.items()) == {"a": b"3"}
    disk.calls.clear()
    del kv["a"]
    assert disk.calls == {"remove": 1}


@pytest.mark.parametrize(
    "value",
    [b"ab", bytearray(b"ab"), memoryview(b"ab"), np.frombuffer(b"ab", np.uint8), np.array([25185], np.uint16)],
    ids=lambda value: type(value).__name__,
)
def test_any_contiguous_buffer_is_a_value(kv: daos.KV[str], value: bytes) -> None:
    kv["k"] = value
    kv.put_many([("l", value)])
    assert kv["k"] == kv["l"] == b"ab"


def test_several_keys_cost_one_call(kv: daos.KV[str], disk: FakeDisk) -> None:
    disk.calls.clear()
    kv.put_many({"a": b"1", "b": b"2"})
    assert kv.get_many(["b", "nope", "a"]) == {"b": b"2", "nope": None, "a": b"1"}
    assert disk.calls == {"put_many": 1, "get_many": 1}


def test_an_endless_iterable_is_cut_into_batches(
    kv: daos.KV[str], disk: FakeDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kv_module, "BATCH_ITEMS_MAX", 10)
    disk.calls.clear()
    kv.put_many((f"{number:03}", b"x") for number in range(25))
    assert disk.calls == {"put_many": 3}
    assert len(kv) == 25
    kv.put_many([])
    assert disk.calls["put_many"] == 3


def test_listing_goes_by_pages_and_needs_no_values(
    kv: daos.KV[str], disk: FakeDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    kv.put_many({f"{number:03}": str(number).encode() for number in range(100)})
    monkeypatch.setattr(kv_module, "PAGE_KEYS", 7)
    disk.calls.clear()
    assert list(kv) == [f"{number:03}" for number in range(100)]
    assert set(disk.calls) == {"list_keys"}
    assert list(reversed(kv)) == [f"{number:03}" for number in reversed(range(100))]
    assert list(kv.values()) == [str(number).encode() for number in range(100)]
    assert [key for key, _ in kv.items()] == list(kv.keys()) == list(kv)
    assert ("003", b"3") in kv.items()
    assert b"3" in kv.values()
    disk.calls.clear()
    assert next(iter(kv)) == "000"
    assert kv
    assert disk.calls["list_keys"] == 4, "two pages each, one of them empty"


def test_integer_keys_are_listed_by_value(disk: FakeDisk) -> None:
    kv = daos.open("x").container("c", create=True).kv("n", create=True, keys="int")
    kv.put_many({256: b"a", 2: b"b", 2**64 - 1: b"c", 0: b"d"})
    assert list(kv) == [0, 2, 256, 2**64 - 1]
    assert list(reversed(kv)) == [2**64 - 1, 256, 2, 0]


def test_byte_keys_need_not_be_text(disk: FakeDisk) -> None:
    kv = daos.open("x").container("c", create=True).kv("b", create=True, keys="bytes")
    kv[b"\xff\x00"] = b"1"
    assert list(kv) == [b"\xff\x00"]


def test_pairs_are_listed_in_one_pass(kv: daos.KV[str], disk: FakeDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    kv.put_many({"a": b"1", "b": b"2", "c": b"3"})
    monkeypatch.setattr(kv_module, "PAGE_KEYS", 2)
    disk.calls.clear()
    pairs = iter(kv.items())
    assert next(pairs) == ("a", b"1")
    del kv["b"], kv["c"]
    assert list(pairs) == [("b", b"2")], "of a page, keys and values are of one moment"
    assert disk.calls == {"list_pairs": 3, "remove": 2}, "one page of them empty"
    assert list(kv.values()) == [b"1"]
    assert disk.calls["get_many"] == 0


def test_an_error_of_the_core_comes_through(kv: daos.KV[str], disk: FakeDisk) -> None:
    disk.fail["put"] = UncertainError("sync failed")
    with pytest.raises(UncertainError):
        kv["a"] = b"1"


def test_setdefault_survives_a_removal_in_between(kv: daos.KV[str], disk: FakeDisk) -> None:
    disk.fail["put"] = ExistsError("just removed by another thread")
    assert kv.setdefault("a", b"1") == b"1"
    assert kv["a"] == b"1"


def test_repr_is_short_and_honest(kv: daos.KV[str]) -> None:
    assert repr(kv) == "<daos.KV 'params' in run7, str keys>"
    assert (kv.name, kv.keys_are) == ("params", "str")
    assert str(kv.oid) == f"{kv.oid.hi}.{kv.oid.lo}"


KEYS = [
    ("str", b"a", DER.INVAL, 'made with keys="bytes"'),
    ("str", 1, DER.INVAL, 'made with keys="int"'),
    ("str", None, DER.INVAL, "convert it to str"),
    ("str", "", DER.INVAL, "any other key"),
    ("str", "\ud800", DER.INVAL, 'keys="bytes"'),
    ("str", "x" * (KEY_LEN_MAX + 1), DER.KEY2BIG, "at most 65536 bytes"),
    ("str", "é" * (KEY_LEN_MAX // 2 + 1), DER.KEY2BIG, "at most 65536 bytes"),
    ("bytes", "a", DER.INVAL, 'made with keys="str"'),
    ("bytes", bytearray(b"a"), DER.INVAL, "convert it to bytes"),
    ("bytes", b"", DER.INVAL, "any other key"),
    ("bytes", b"x" * (KEY_LEN_MAX + 1), DER.KEY2BIG, "at most 65536 bytes"),
    ("int", "1", DER.INVAL, 'made with keys="str"'),
    ("int", True, DER.INVAL, "convert it to int"),
    ("int", 1.0, DER.INVAL, "convert it to int"),
    ("int", -1, DER.INVAL, "from 0 to"),
    ("int", 2**64, DER.INVAL, "from 0 to"),
]


@pytest.mark.parametrize(("kind", "key", "code", "hint"), KEYS, ids=range(len(KEYS)))
def test_a_bad_key_is_refused_everywhere(disk: FakeDisk, kind: str, key: str, code: DER, hint: str) -> None:
    kv = daos.open("x").container("c", create=True).kv("k", create=True, keys=kind)  # type: ignore[call-overload]
    acts: tuple[Callable[[], object], ...] = (
        lambda: kv.get(key),
        lambda: kv[key],
        lambda: kv.__contains__(key),
        lambda: kv.put(key, b"1"),
        lambda: kv.put(key, b"1", if_absent=True),
        lambda: kv.__setitem__(key, b"1"),
        lambda: kv.__delitem__(key),
        lambda: kv.remove(key),
        lambda: kv.get_many([key]),
        lambda: kv.put_many([(key, b"1")]),
    )
    for act in acts:
        with pytest.raises(InvalidError) as caught:
            act()
        assert caught.value.code is code
        assert hint in (caught.value.hint or "")
        assert len(str(caught.value)) < 400, "no key of 64 KiB in a message"
    assert len(kv) == 0


def test_an_empty_value_is_a_value(kv: daos.KV[str]) -> None:
    kv["k"] = b""
    kv.put_many({"j": bytearray()})
    assert (kv["k"], kv.get("j"), "k" in kv) == (b"", b"", True)
    assert dict(kv.items()) == {"j": b"", "k": b""}
    del kv["k"]
    assert "k" not in kv


VALUES = [
    ("text", "encode it"),
    (None, "bytes or a NumPy array"),
    (7, "bytes or a NumPy array"),
    ([1], "bytes or a NumPy array"),
    (np.arange(10)[::2], "ascontiguousarray"),
    (memoryview(b"abcd")[::2], "ascontiguousarray"),
]


@pytest.mark.parametrize(("value", "hint"), VALUES, ids=range(len(VALUES)))
def test_a_bad_value_is_refused_everywhere(kv: daos.KV[str], value: bytes, hint: str) -> None:
    kv["k"] = b"old"
    acts: tuple[Callable[[], object], ...] = (
        lambda: kv.__setitem__("k", value),
        lambda: kv.put("k", value, if_present=True),
        lambda: kv.put_many({"j": b"1", "k": value}),
        lambda: kv.update([("j", b"1"), ("k", value)]),
    )
    for act in acts:
        with pytest.raises(InvalidError) as caught:
            act()
        assert hint in (caught.value.hint or "")
    assert dict(kv.items()) == {"k": b"old"}


def test_other_misuse(kv: daos.KV[str]) -> None:
    with pytest.raises(InvalidError, match="exclude each other"):
        kv.put("a", b"1", if_absent=True, if_present=True)
    with pytest.raises(InvalidError, match="needs a default"):
        kv.setdefault("a")
    for pairs in (["abc"], [7], [("a",)]):
        with pytest.raises(InvalidError, match="pairs of key and value"):
            kv.put_many(pairs)  # type: ignore[arg-type]


def test_threads_share_a_store(kv: daos.KV[str]) -> None:
    def work(number: int) -> None:
        for index in range(50):
            kv[f"{number}.{index}"] = b"x"

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kv) == 200


SOME_KEYS = st.sampled_from(["a", "b", "ab", "é", "\0", "long" * 50])
SOME_VALUES = st.binary(min_size=1, max_size=20)


class AgainstADict(RuleBasedStateMachine):
    """Any order of operations leaves what it leaves in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.opener = pytest.MonkeyPatch()
        self.opener.setattr(system, "_open_core", FakeDisk().open)
        self.kv = daos.open("x").container("c", create=True).kv("k", create=True)
        self.model: dict[str, bytes] = {}

    def teardown(self) -> None:
        self.opener.undo()

    @rule(key=SOME_KEYS, value=SOME_VALUES)
    def put(self, key: str, value: bytes) -> None:
        self.kv[key] = self.model[key] = value

    @rule(items=st.dictionaries(SOME_KEYS, SOME_VALUES))
    def put_many(self, items: dict[str, bytes]) -> None:
        self.kv.put_many(items)
        self.model.update(items)

    @rule(key=SOME_KEYS, value=SOME_VALUES)
    def setdefault(self, key: str, value: bytes) -> None:
        assert self.kv.setdefault(key, value) == self.model.setdefault(key, value)

    @rule(key=SOME_KEYS)
    def pop(self, key: str) -> None:
        assert self.kv.pop(key, None) == self.model.pop(key, None)

    @rule(keys=st.lists(SOME_KEYS))
    def get_many(self, keys: list[str]) -> None:
        assert self.kv.get_many(keys) == {key: self.model.get(key) for key in keys}

    @rule()
    def clear(self) -> None:
        self.kv.clear()
        self.model.clear()

    @invariant()
    def they_agree(self) -> None:
        assert self.kv == self.model
        assert list(self.kv) == sorted(self.model, key=str.encode)
        assert len(self.kv) == len(self.model)
        assert bool(self.kv) == bool(self.model)


TestAgainstADict = AgainstADict.TestCase
