"""Attributes and labels of pools and containers, natively."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import daos
from daos.client.attributes import TOGETHER_MAX

if TYPE_CHECKING:
    from daos.client._seam import AttributesCore


@pytest.fixture(params=["pool", "container"])
def attributes(request: pytest.FixtureRequest) -> daos.Attributes:
    pool = daos.open(":memory:")
    cont = pool.container("c", create=True)
    return pool.attributes if request.param == "pool" else cont.attributes


def test_they_are_a_mutable_mapping(attributes: daos.Attributes) -> None:
    assert isinstance(attributes, MutableMapping)
    assert not attributes
    attributes["b"] = b"2"
    attributes.update({"a": b"1", "é": b""})
    attributes.update([("c", b"3")])
    assert attributes == {"a": b"1", "b": b"2", "c": b"3", "é": b""}
    assert list(attributes) == ["a", "b", "c", "é"]
    assert attributes.get("nope") is None
    assert "é" in attributes
    assert "nope" not in attributes
    assert attributes.get_many(["c", "a"]) == {"c": b"3", "a": b"1"}
    assert attributes.pop("c") == b"3"
    del attributes["b"]
    for act in (lambda: attributes["b"], lambda: attributes.__delitem__("b"), lambda: attributes.get_many(["a", "b"])):
        with pytest.raises(daos.KeyNotFoundError) as caught:
            act()
        assert caught.value.context == {"name": "b"}
    attributes.remove(["a", "b"])
    assert dict(attributes) == {"é": b""}
    attributes.clear()
    attributes.clear()
    assert len(attributes) == 0


class Counting:
    """The core of attributes, and how often it is asked."""

    def __init__(self, core: AttributesCore) -> None:
        self._core = core
        self.calls = 0

    def __getattr__(self, name: str) -> object:
        self.calls += 1
        return getattr(self._core, name)


def test_many_are_read_in_few_calls(attributes: daos.Attributes, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {f"{number:03}": str(number).encode() for number in range(2 * TOGETHER_MAX + 1)}
    assert (dict(attributes.items()), list(attributes.values())) == ({}, [])
    attributes.update(wanted)
    counting = Counting(attributes._core)
    monkeypatch.setattr(attributes, "_core", counting)
    assert dict(attributes.items()) == wanted
    # The names, and three times values.
    assert counting.calls == 4
    assert list(attributes.values()) == list(wanted.values())
    # A list asks how many there are, too.
    assert counting.calls == 9
    assert (("001", b"1") in attributes.items(), ("001", b"2") in attributes.items()) == (True, False)


BAD: list[tuple[object, object, daos.DER, str]] = [
    ("", b"v", daos.DER.INVAL, "1 to 511 bytes"),
    ("x" * 512, b"v", daos.DER.INVAL, "1 to 511 bytes"),
    ("a\0b", b"v", daos.DER.INVAL, "without NUL"),
    ("\ud800", b"v", daos.DER.INVAL, "UTF-8"),
    (b"a", b"v", daos.DER.INVAL, "1 to 511 bytes"),
    ("a", "text", daos.DER.INVAL, "text.encode()"),
    ("a", 7, daos.DER.INVAL, "give bytes"),
    ("a", bytes(65_537), daos.DER.REC2BIG, "key-value store"),
]


@pytest.mark.parametrize(("name", "value", "code", "hint"), BAD)
def test_what_is_none_is_refused_with_all_that_comes_with_it(
    attributes: daos.Attributes, name: str, value: bytes, code: daos.DER, hint: str
) -> None:
    with pytest.raises(daos.InvalidError) as caught:
        attributes.update({"good": b"1", name: value})
    assert caught.value.code is code
    assert hint in (caught.value.hint or "")
    assert dict(attributes) == {}


def test_the_largest_last_over_a_reopening(tmp_path: Path) -> None:
    name, value = "é" * 255, bytes(range(256)) * 256
    with daos.open(tmp_path / "x.daos", durability="buffered") as pool:
        cont = pool.container("c", create=True)
        cont.attributes[name] = value
        pool.attributes["p"] = b"1"
        cont.set_properties({"label": "d", "status": "healthy"})
        pool.set_properties({"label": "pond"})
        assert (pool.label, cont.label) == ("pond", "d")
        assert repr(cont.attributes) == "<daos.Attributes of container d>"
        other = pool.container("other", create=True)
        assert dict(other.attributes) == {}
    with daos.open(tmp_path / "x.daos", pool="pond", create=False) as pool:
        assert dict(pool.attributes) == {"p": b"1"}
        assert dict(pool.container("d").attributes) == {name: value}
        pool.destroy_container("d")
        pool.container("d", create=True)
        assert dict(pool.container("d").attributes) == {}
        with pytest.raises(daos.NotFoundError):
            pool.system.pool("default")


def test_too_many_at_a_time_are_refused_whole(attributes: daos.Attributes) -> None:
    with pytest.raises(daos.InvalidError) as caught:
        attributes.update({f"{number}": bytes(65_536) for number in range(64)})
    assert (caught.value.code, caught.value.hint) == (daos.DER.REC2BIG, "set fewer at a time")
    assert dict(attributes) == {}
    attributes.update({f"{number}": bytes(65_536) for number in range(63)})
    assert len(attributes) == 63


def test_a_snapshot_has_none() -> None:
    with daos.open(":memory:") as pool:
        cont = pool.container("c", create=True)
        cont.attributes["a"] = b"1"
        cont.snapshot("s")
        with pytest.raises(daos.InvalidError) as caught:
            cont.at("s").attributes  # noqa: B018 -- the property raises
        assert (caught.value.code, caught.value.hint) == (daos.DER.NOTSUPPORTED, "ask the container itself")


PROPERTIES: list[tuple[object, type[daos.DaosError], daos.DER, str]] = [
    ({"label": "taken"}, daos.ExistsError, daos.DER.EXIST, "another label"),
    ({"label": "bad/label"}, daos.InvalidError, daos.DER.INVAL, "letters, digits"),
    ({"label": 7}, daos.InvalidError, daos.DER.INVAL, "letters, digits"),
    ({"label": "new", "ec_pda": 1}, daos.AccessError, daos.DER.NO_PERM, "settable are: label"),
    ({"global_version": 1}, daos.AccessError, daos.DER.NO_PERM, "settable are: label"),
    ({"label": "new", "acl": "x"}, daos.InvalidError, daos.DER.NOTSUPPORTED, "settable are: label"),
    ({"nope": 1}, daos.InvalidError, daos.DER.INVAL, "settable are: label"),
    ([("label", "new")], daos.InvalidError, daos.DER.INVAL, "such as"),
]


@pytest.mark.parametrize("kind", ["pool", "container"])
@pytest.mark.parametrize(("given", "cls", "code", "hint"), PROPERTIES)
def test_properties_that_are_refused_change_nothing(
    kind: str, given: dict[str, object], cls: type[daos.DaosError], code: daos.DER, hint: str
) -> None:
    with daos.open_system(":memory:") as system:
        pool = system.create_pool("p")
        cont = pool.container("c", create=True)
        system.create_pool("taken")
        pool.container("taken", create=True)
        act: dict[str, Callable[[dict[str, object]], None]] = {
            "pool": pool.set_properties,
            "container": cont.set_properties,
        }
        with pytest.raises(cls) as caught:
            act[kind](given)
        assert caught.value.code is code
        assert hint in (caught.value.hint or "")
        assert (pool.label, cont.label) == ("p", "c")
        assert [listed.label for listed in system.pools()] == ["p", "taken"]
        assert [listed.label for listed in pool.containers()] == ["c", "taken"]


def test_what_a_container_alone_refuses() -> None:
    with daos.open(":memory:") as pool:
        cont = pool.container("c", create=True)
        for given, cls in (({"rf": 1}, daos.AccessError), ({"status": "unclean"}, daos.InvalidError)):
            with pytest.raises(cls):
                cont.set_properties(given)
        with pytest.raises(daos.AccessError):
            cont.at(cont.snapshot()).set_properties({"label": "d"})
        assert cont.label == "c"
