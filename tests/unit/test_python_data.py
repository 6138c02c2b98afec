"""What the modules for other libraries decide, without a store."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import daos.torch
from daos.dfs._fsspec_files import split_url, url_of
from daos.dfs._mount import Address
from daos.dfs._source import address_of
from daos.errors import DER, InvalidError
from daos.tensorflow._order import Share, groups, order
from daos.torch._dataset import stretch
from pydaos import DDict, DObjNotFound, ObjClassID, PyDError
from pydaos._errors import told

ORDERS = [[5, 2, 1, 6, 4, 0, 3, 7], [1, 3, 6, 5, 4, 7, 0, 2], [4, 3, 0, 7, 1, 2, 5, 6]]


def test_nothing_is_loaded_before_it_is_used() -> None:
    program = """
import sys, daos, daos.tensorflow, daos.torch, pydaos
print(*sorted({name.partition('.')[0] for name in sys.modules}))
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=30)
    assert not {"tensorflow", "torch", "zarr", "pyarrow", "pandas", "fsspec", "upath"} & set(done.stdout.split())


def test_names_of_torch_are_told_and_no_others() -> None:
    assert "StorageWriter" in dir(daos.torch)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        daos.torch.Nothing  # noqa: B018


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 8, 9, 100])
@pytest.mark.parametrize("count", [0, 1, 7, 8, 99, 100])
def test_stretches_are_all_of_it_once(count: int, workers: int) -> None:
    parts = [stretch(count, worker, workers) for worker in range(workers)]
    assert [number for first, last in parts for number in range(first, last)] == list(range(count))
    assert max(last - first for first, last in parts) == -(-count // workers)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("tank", "home", None), Address("tank", "home", "/")),
        (("tank", "home", "a/b/"), Address("tank", "home", "/a/b")),
        (("daos://tank/home/a", None, "/b"), Address("tank", "home", "/a/b")),
        (("daos:///x/s.daos//tank/home?snap=s", None, None), Address("tank", "home", "/", "/x/s.daos", "s")),
        (("daos://tank/home?system=other", None, "c"), Address("tank", "home", "/c", "other")),
    ],
)
def test_directories_have_addresses(
    given: tuple[str, str | None, str | None], expected: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAOS_SYSTEM", raising=False)
    assert address_of(*given) == expected


def test_the_environment_names_an_embedded_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAOS_SYSTEM", "/x/s.daos")
    assert address_of("tank", "home", "a") == Address("tank", "home", "/a", "/x/s.daos")
    assert address_of("daos://tank/home", None, None) == Address("tank", "home", "/")


@pytest.mark.parametrize(
    "given", [(None, None, None), ("", "home", None), ("tank", None, None), ("daos://t/h", "h", "")]
)
def test_what_has_no_address_is_refused(given: tuple[str | None, str | None, str | None]) -> None:
    with pytest.raises(InvalidError):
        address_of(*given)


@pytest.mark.parametrize(
    "url", ["daos://t/h", "daos://t/h/a b/c?d", "daos:///x/s//t/h/a?snap=s", "daos://t/h/a?snap=s&system=o"]
)
def test_urls_come_back_as_they_went(url: str) -> None:
    assert url_of(split_url(url)) == url


def test_errors_of_pydaos_have_words_and_numbers() -> None:
    assert str(PyDError("it failed", -1005)) == (
        'it failed: DAOS error code -1005 (DER_NONEXIST): "The specified entity does not exist"'
    )
    assert "(DER_UNKNOWN)" in str(PyDError("it failed", 2))
    assert str(DObjNotFound("x")) == "Failed to open 'x'"
    with pytest.raises(PyDError) as caught, told("it failed"):
        raise InvalidError("no", code=DER.INVAL, hint="do so")
    assert (caught.value.rc, caught.value.__cause__ and caught.value.__cause__.args) == (-1003, ("no",))


def test_pairs_are_looked_at_before_they_are_stored() -> None:
    assert DDict.pairs_of({"a": "ä", b"b": b"\0", "c": None}) == [(b"a", "ä".encode()), (b"b", b"\0"), (b"c", b"")]
    for wrong in ({"a": 1}, {1: "a"}, [("a", "b")], {"a": bytearray(b"b")}, None):
        with pytest.raises(TypeError):
            DDict.pairs_of(wrong)
    with pytest.raises(PyDError):
        DDict.pairs_of({"": "a"})


def test_classes_have_the_numbers_of_daos() -> None:
    known = {"OC_UNKNOWN": 0, "OC_MAX": 54, "OC_S4": 0x01000004, "OC_RP_3GX": 0x0900FFFF, "OC_RP_128G1": 0x14000001,
             "OC_EC_2P1G1": 0x20000001}  # fmt: skip
    assert {name: ObjClassID[name].value for name in known} == known
    with pytest.raises(KeyError):
        ObjClassID["OC_S3"]


@pytest.mark.parametrize("count", [0, 1, 7, 100])
@pytest.mark.parametrize("workers", [1, 2, 7])
def test_shares_are_all_of_an_epoch_once(count: int, workers: int) -> None:
    numbers = order(count, 3, 5)
    parts = [Share(worker, workers).of(numbers).tolist() for worker in range(workers)]
    assert sorted(one for part in parts for one in part) == list(range(count))
    even = [Share(worker, workers, drop_remainder=True).of(numbers).tolist() for worker in range(workers)]
    assert {len(part) for part in even} == {count // workers}


def test_an_order_never_changes() -> None:
    """Workers of other versions have the same one: else samples would be lost."""
    assert order(8, None, 9).tolist() == list(range(8))
    assert order(8, 1, 0).tolist() == ORDERS[0]
    assert order(8, 1, 1).tolist() == ORDERS[1]
    assert order(8, (1 << 64) - 1, 1 << 40).tolist() == ORDERS[2]


def test_groups_are_bounded() -> None:
    numbers = np.array([3, 0, 1, 2, 4])
    sizes = [5, 5, 100, 1, 0]
    assert groups(numbers, sizes, files_max=2, bytes_max=10).tolist() == [[3, 0], [1, -1], [2, -1], [4, -1]]
    assert groups(numbers, sizes, files_max=9, bytes_max=11).tolist() == [[3, 0, 1], [2, -1, -1], [4, -1, -1]]
    assert groups(numbers, sizes, files_max=1, bytes_max=11).tolist() == [[3], [0], [1], [2], [4]]
    assert groups(numbers[:0], sizes, files_max=1, bytes_max=11).shape == (0, 0)
