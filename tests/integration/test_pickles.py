"""Embedded systems in pickles: by their path, to be shared."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
from typing import TYPE_CHECKING

import pytest

import daos
from daos.errors import DER, InvalidError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path


def put_one(kv: daos.KV[str], index: int) -> int:
    kv[str(index)] = b"x"
    return os.getpid()


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_use_a_system_that_is_shared(tmp_path: Path, method: str) -> None:
    with daos.open(tmp_path / "s") as pool:
        kv = pool.container("c", create=True).kv("k", create=True)
        with multiprocessing.get_context(method).Pool(2) as workers:
            pids = workers.starmap(put_one, [(kv, index) for index in range(8)])
        assert os.getpid() not in pids
        assert sorted(kv) == sorted(map(str, range(8)))


def test_all_of_it_comes_back_in_the_same_process_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with daos.open("s", durability="buffered") as pool:
        cont = pool.container("c", create=True)
        kv, array = cont.kv("k", create=True, keys="bytes"), cont.array("a", "i2", create=True, fill=-1)
        kv[b"a"], array[1] = b"1", 5
        cont.snapshot("then")
        then = cont.at("then").kv("k")
        kv[b"a"] = b"2"
        obj = cont.object("o", create=True)
        obj.update("d", x=b"y")
        raw = pickle.dumps((pool, cont, kv, array, then, obj))
        # Wherever the other process is.
        monkeypatch.chdir("/")
        again, of, store, cells, before, found = pickle.loads(raw)
        assert (again.label, again.uuid, of.pool is again, store.keys_are) == (pool.label, pool.uuid, True, "bytes")
        assert (store[b"a"], before[b"a"], cells[:3].tolist(), found.fetch("d", "x")) == (
            b"2",
            b"1",
            [-1, 5],
            {"x": b"y"},
        )
        store[b"b"] = b"3"
        again.close()
        assert kv[b"b"] == b"3", "what was unpickled is closed by itself"


def test_attributes_and_the_access_list_come_with_whose_they_are(tmp_path: Path) -> None:
    with daos.open(tmp_path / "s") as pool:
        cont = pool.container("c", create=True)
        pool.attributes["a"], cont.attributes["b"] = b"1", b"2"
        of_pool, of_cont, acl = pickle.loads(pickle.dumps((pool.attributes, cont.attributes, cont.acl)))
        assert (dict(of_pool), dict(of_cont)) == ({"a": b"1"}, {"b": b"2"})
        of_cont["c"] = b"3"
        assert dict(cont.attributes) == {"b": b"2", "c": b"3"}
        assert (repr(of_pool), repr(of_cont)) == (repr(pool.attributes), repr(cont.attributes))
        assert repr(acl) == repr(cont.acl)
        with pytest.raises(KeyError, match="no attribute 'x' of container c"):
            of_cont["x"]
        # An embedded system has no access lists, in a pickle neither.
        with pytest.raises(InvalidError) as caught:
            acl.get()
        assert caught.value.code is DER.NOTSUPPORTED
    with daos.open(":memory:") as pool:
        for part in (pool.attributes, pool.container("c", create=True).attributes):
            with pytest.raises(InvalidError, match="in memory cannot be pickled"):
                pickle.dumps(part)


def test_attributes_keep_the_system_open_that_they_are_of(tmp_path: Path) -> None:
    attributes = daos.open(tmp_path / "s").container("c", create=True).attributes
    gc.collect()
    attributes["a"] = b"1"
    assert attributes["a"] == b"1"


def test_what_no_other_process_can_have_is_refused(tmp_path: Path) -> None:
    with daos.open(":memory:") as pool, pytest.raises(InvalidError, match="in memory cannot be pickled") as caught:
        pickle.dumps(pool.container("c", create=True))
    assert caught.value.code is DER.NOTSUPPORTED
    with daos.open(tmp_path / "s", share=False) as pool, pytest.raises(InvalidError, match="share=False"):
        pickle.dumps(pool)
    with daos.open(tmp_path / "s") as pool:
        cont = pool.container("c", create=True)
        with pytest.raises(InvalidError, match="a transaction cannot be pickled"), cont.transaction() as tx:
            pickle.dumps(tx.kv("k", create=True))
        with cont.batch() as batch, pytest.raises(InvalidError, match="a batch cannot be pickled"):
            pickle.dumps(batch)
        with pytest.raises(InvalidError) as caught:
            pool.local2global()
        assert caught.value.code is DER.NOTSUPPORTED
        for act in (cont.local2global, lambda: pool.global2local(b"")):
            with pytest.raises(InvalidError, match=r"no handles for other processes|has none of this"):
                act()


def test_a_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    with daos.open(tmp_path / "s") as pool:
        raw = pickle.dumps(pool)
    (tmp_path / "s").rename(tmp_path / "t")
    with pytest.raises(NotFoundError):
        pickle.loads(raw)
