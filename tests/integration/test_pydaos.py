"""`pydaos`, for programs that were written for DAOS: an embedded system and a running one."""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import daos
import pydaos
from pydaos import DaosClient, DArray, DCont, DDict, DObjNotFound, InvalidModeError, ObjClassID, PyDError
from tests.dev_pool import is_open, tank, until

_numbers = itertools.count()
NONEXIST = 'DAOS error code -1005 (DER_NONEXIST): "The specified entity does not exist"'


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("embedded") / "s.daos"
    with daos.open(path, pool="tank", targets=2) as pool:
        pool.container("home", create=True)
        pool.container("files", create=True, type="POSIX")
        yield f"daos://{path}//tank/home"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with tank(tmp_path_factory.mktemp("dev") / "s") as socket, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAOS_AGENT_DRPC_DIR", str(socket.parent))
        with daos.connect("daos://tank") as pool:
            pool.container("home", create=True)
            pool.container("files", create=True, type="POSIX")
        yield socket


@pytest.fixture(params=["embedded", "served"])
def path(request: pytest.FixtureRequest) -> str:
    if request.param == "embedded":
        return str(request.getfixturevalue("embedded"))
    request.getfixturevalue("agent")
    return "daos://tank/home"


@pytest.fixture
def cont(path: str) -> DCont:
    return DCont(path=path)


@pytest.fixture
def made(cont: DCont) -> DDict:
    return cont.dict(f"d{next(_numbers)}")


def refused(call: Callable[[], object], rc: int, text: str) -> None:
    with pytest.raises(PyDError) as caught:
        call()
    assert caught.value.rc == rc
    assert str(caught.value).startswith(text)


def test_a_dictionary_is_stored_and_found(path: str) -> None:
    name = f"d{next(_numbers)}"
    made = DCont(path=path).dict(name, {"a": "1", b"b": b"\x00\xff", "c": ""})
    assert dict(made.dump()) == {"a": b"1", "b": b"\x00\xff"}
    cont = DCont(path=path, open_mode="RO")
    found = cont[name]
    assert isinstance(found, DDict)
    assert (found.name, found.hi, found.lo, str(found)) == (name, made.hi, made.lo, name)
    assert repr(found) == f"[{hex(made.hi)}:{hex(made.lo)}]"
    assert found == made == {"a": b"1", "b": b"\x00\xff"}
    assert found != {"a": "1", "b": b"\x00\xff"}
    assert found != {"a": b"1"}
    assert found != 7
    with pytest.raises(TypeError, match="unhashable"):
        hash(found)


def test_keys_and_values_are_text_or_bytes(made: DDict) -> None:
    made["k"] = "äö"
    made[b"b"] = b"1"
    made.put("large", bytes(3 << 20))
    assert (made["k"], made["b"], made.get(b"k"), len(made.get("large"))) == (
        "äö".encode(),
        b"1",
        "äö".encode(),
        3 << 20,
    )
    made["k" * 5000] = "x"
    assert ("k" * 5000 in made, b"b" in made, "no" in made) == (True, True, False)
    with pytest.raises(KeyError, match="no"):
        made["no"]
    values: tuple[object, ...] = (bytearray(b"x"), memoryview(b"x"), 1, 1.0, [], True)
    for value in values:
        with pytest.raises(TypeError, match="value: expected bytes"):
            made["bad"] = value  # type: ignore[assignment]
    for key in (1, None, ("a",)):
        with pytest.raises(TypeError, match="key: expected bytes"):
            made[key] = "x"  # type: ignore[index]
    refused(lambda: made.put("", "x"), -1003, "failed to access KV")
    refused(lambda: made.put(b"\xff\xfe", "x"), -1003, "key")
    made["with\0nul"] = "whole"
    assert ("with" in made, made["with\0nul"]) == (False, b"whole")


@pytest.mark.parametrize("nothing", [None, "", b""])
def test_nothing_stored_removes_the_key(made: DDict, nothing: str | bytes | None) -> None:
    made["k"] = "v"
    made["k"] = nothing
    assert "k" not in made
    assert not made
    del made["k"]
    assert made.pop("k") is None  # type: ignore[func-returns-value]


def test_many_at_once(made: DDict) -> None:
    many = {f"k{number}": b"%d" % number for number in range(3000)}
    assert made.bput(many) is None  # type: ignore[func-returns-value]
    assert (len(made), bool(made)) == (3000, True)
    assert sorted(made) == sorted(many)
    assert all(type(key) is str for key in made)
    asked: dict[str, bytes | None] = {"k7": None, "no": b"old"}
    assert made.bget(asked) is asked
    assert asked == {"k7": b"7", "no": None}
    assert made.bget({"k8": None}, value_size=0) == {"k8": b"8"}
    made.bput({"k7": "", "k9": None, "k8": "eight"})
    assert (len(made), made["k8"], "k7" in made) == (2998, b"eight", False)
    made.bput(None)
    with pytest.raises(TypeError):
        made.bput({"new": "1", "bad": 7})  # type: ignore[arg-type]
    assert "new" not in made
    for call in (made.bput, made.bget):
        with pytest.raises(TypeError):
            call(["k"])  # type: ignore[arg-type,type-var]
    assert made.bget(None) is None


def test_names_are_made_once_and_destroyed(cont: DCont) -> None:
    name = f"d{next(_numbers)}"
    made = cont.dict(name, {"k": "v"})
    refused(lambda: cont.dict(name), -1004, "failed to create DAOS dict: DAOS error code -1004 (DER_EXIST)")
    cont.destroy(name)
    refused(lambda: cont.destroy(name), -1005, f"failed to destroy DAOS dict: {NONEXIST}")
    with pytest.raises(DObjNotFound) as caught:
        cont.get(name)
    assert str(caught.value) == f"Failed to open '{name}'"
    assert len(made) == 0
    made["again"] = "1"
    assert made.dump() == {"again": b"1"}
    assert len(cont.dict(name)) == 0


def test_what_cannot_be_made_leaves_nothing(cont: DCont) -> None:
    for arguments, error in (
        ({"v": ["a"]}, TypeError),
        ({"v": {"a": 1}}, TypeError),
        ({"cid": "OC_NONE"}, KeyError),
        ({"cid": "OC_RP_2G1"}, PyDError),
    ):
        with pytest.raises(error):
            cont.dict("never", **arguments)
    for name, error in ((7, TypeError), ("", PyDError)):
        with pytest.raises(error):
            cont.dict(name)  # type: ignore[arg-type]
    with pytest.raises(DObjNotFound):
        cont.get("never")


def test_a_class_is_kept(cont: DCont) -> None:
    made = cont.dict(f"d{next(_numbers)}", {"k": "v"}, cid="OC_S1")
    assert (made.hi >> 32 & 0xFFFF, made["k"]) == (1, b"v")
    assert cont.dict(f"d{next(_numbers)}", cid="OC_UNKNOWN").hi >> 32 & 0xFFFF == 2
    numbers = {ObjClassID["OC_S1"]: 0x01000001, ObjClassID["OC_RP_2G1"]: 0x08000001, ObjClassID["OC_SX"]: 0x0100FFFF,
               ObjClassID["OC_EC_16P3GX"]: 0x2A00FFFF}  # fmt: skip
    assert {name: name.value for name in numbers} == numbers


def test_an_array_is_an_array(cont: DCont) -> None:
    name = f"a{next(_numbers)}"
    made = cont.array(name, [1, 2, 3])
    assert (made.dtype, len(made)) == (np.dtype("i8"), 3)
    made[3:5] = [4, 5]
    found = cont.get(name)
    assert isinstance(found, DArray)
    np.testing.assert_array_equal(np.asarray(found), [1, 2, 3, 4, 5])
    assert (found[1], np.asarray(found[1:3]).tolist(), repr(found)) == (2, [2, 3], repr(made))
    empty = cont.array(f"a{next(_numbers)}", cid="OC_S1")
    assert (empty.dtype, len(empty)) == (np.dtype("f8"), 0)
    refused(lambda: cont.array(name), -1004, "failed to create DAOS array")
    refused(lambda: cont.array("b", np.zeros((2, 2))), -1003, "an array has one dimension")
    cont.destroy(name)
    with pytest.raises(DObjNotFound):
        cont[name]


def test_daos_sees_the_same(cont: DCont, path: str) -> None:
    """What the one makes, the other opens; stores whose keys are bytes, too."""
    names = [f"n{next(_numbers)}" for _ in range(3)]
    cont.dict(names[0], {"k": "v"})
    container = cont._container
    assert dict(container.kv(names[0]).items()) == {"k": b"v"}
    raw = container.kv(names[1], create=True, keys="bytes")
    raw[b"\xff"] = b"1"
    found = cont.get(names[1])
    assert isinstance(found, DDict)
    assert (list(found), found[b"\xff"], found.dump()) == (["\udcff"], b"1", {"\udcff": b"1"})
    found.bput({b"\xfe": "2", b"\xff": None})
    assert dict(raw.items()) == {b"\xfe": b"2"}
    assert (len(found), bool(found), b"\xfe" in found) == (1, True, True)
    container.kv(names[2], create=True, keys="int")
    refused(lambda: cont.get(names[2]), -1003, f"failed to open '{names[2]}'")
    container.object("o", create=True)
    refused(lambda: cont.get("o"), -1003, "failed to open 'o'")


def test_what_is_opened_to_read_is_not_changed(path: str, made: DDict) -> None:
    made["k"] = "v"
    reader = DCont(path=path, open_mode="RO")
    found = reader.get(made.name)
    assert isinstance(found, DDict)
    assert found["k"] == b"v"
    refused(lambda: found.put("k", "w"), -1001, "failed to store KV value: DAOS error code -1001 (DER_NO_PERM)")
    refused(lambda: reader.dict("x"), -1001, "failed to create DAOS dict")
    refused(lambda: reader.array("x"), -1001, "failed to create DAOS array")
    refused(lambda: reader.destroy(made.name), -1001, "failed to destroy DAOS dict")
    assert made["k"] == b"v"


def test_containers_have_names(cont: DCont, path: str) -> None:
    assert (str(cont), repr(cont)) == ("tank/home", path)
    by_uuid = DCont(path=path.replace("/home", f"/{cont._container.uuid}"))
    assert by_uuid._container.label == "home"
    with pytest.raises(TypeError):
        "x" in cont  # type: ignore[operator]  # noqa: B015
    assert DaosClient() is DaosClient() is cont._dc


def test_pool_and_container_are_enough(embedded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = embedded.removeprefix("daos://").partition("//")[0]
    monkeypatch.chdir(Path(directory).parent)
    monkeypatch.setenv("DAOS_SYSTEM", Path(directory).name)
    cont = DCont("tank", "home")
    assert repr(cont) == embedded
    name = f"d{next(_numbers)}"
    cont.dict(name, {"k": "v"})
    assert DCont(pool="tank", cont="home").get(name) == {"k": b"v"}


def test_what_is_no_container_is_refused(path: str) -> None:
    for url in (path.replace("/home", "/none"), path.replace("tank", "none")):
        refused(lambda url=url: DCont(path=url), -1005, f"failed to access container: {NONEXIST}")  # type: ignore[misc]
    refused(lambda: DCont(path=path.replace("/home", "/files")), -1003, "failed to access container")
    for arguments in ((), ("tank",), (None, "home"), ("", "home")):
        refused(lambda given=arguments: DCont(*given), -1003, "invalid pool or container UUID")  # type: ignore[misc]
    refused(lambda: DCont(path="daos://tank"), -1003, "invalid path")
    with pytest.raises(InvalidModeError):
        DCont(path=path, open_mode="rw")
    assert issubclass(InvalidModeError, ValueError)


def test_paths_of_the_unified_namespace(path: str, tmp_path: Path) -> None:
    if not path.startswith("daos://tank"):
        pytest.skip("a path names a container of a running system")
    cont = DCont(path=path)
    name = f"d{next(_numbers)}"
    cont.dict(name, {"k": "v"})
    link = tmp_path / "link"
    link.mkdir()
    value = f"DAOS.PYTHON://{cont._pool.uuid}/{cont._container.uuid}".encode()
    os.setxattr(link, "user.daos", value)
    assert DCont(path=str(link)).get(name) == {"k": b"v"}
    os.setxattr(link, "user.daos", b"DAOS.PYTHON://none")
    refused(lambda: DCont(path=str(link)), -1003, "path")


def test_a_missing_path_tells_its_number(tmp_path: Path) -> None:
    with pytest.raises(PyDError, match="DER_UNKNOWN") as caught:
        DCont(path=str(tmp_path / "missing"))
    assert caught.value.rc == 2


def test_a_container_is_checked(cont: DCont, path: str, made: DDict) -> None:
    made["k"] = "v"
    pydaos.check(path=path)
    with pytest.raises(PyDError):
        pydaos.check("tank", None)


def test_it_is_closed_when_it_is_collected(agent: Path) -> None:
    with daos.connect("daos://tank") as pool:
        pool.container("own", create=True)
    # What other tests had is collected, too: exceptions that they looked at hold frames.
    until(lambda: gc.collect() >= 0 and not is_open(agent), "handles of other tests are closed")
    cont = DCont("tank", "own")
    made = cont.dict("d", {"k": "v"})
    del cont
    gc.collect()
    assert made["k"] == b"v"  # what is open of it keeps it open
    assert is_open(agent)
    del made
    gc.collect()
    until(lambda: not is_open(agent), "closed")


def test_a_full_pool_is_told(tmp_path: Path) -> None:
    with daos.open(tmp_path / "s.daos", size="64MiB", pool="tank") as pool:
        pool.container("home", create=True)
        made = DCont(path=f"daos://{tmp_path}/s.daos//tank/home").dict("d")

        def fill() -> None:
            for number in range(200):
                made[f"k{number}"] = os.urandom(1 << 20)

        refused(fill, -1007, "failed to store KV value: DAOS error code -1007 (DER_NOSPACE)")
        assert made["k0"]
