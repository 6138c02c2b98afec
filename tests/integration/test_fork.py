"""Processes that fork while a system is open."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from typing import TYPE_CHECKING

import pytest

import daos
from tests.forking import in_child

if TYPE_CHECKING:
    from pathlib import Path


def test_a_child_keeps_its_own_lock_when_it_drops_what_it_inherited(tmp_path: Path) -> None:
    # What earlier tests left behind is dropped here: of some libraries it can only be dropped where it was made.
    gc.collect()
    inherited = [daos.open_system(tmp_path / "s")]
    ready, closed = os.pipe()

    def child() -> None:
        os.close(closed)
        os.read(ready, 1)
        with daos.open_system(tmp_path / "s", create=False):
            inherited.clear()
            gc.collect()

            def third() -> None:
                with pytest.raises(daos.BusyError):
                    daos.open_system(tmp_path / "s", create=False, share=False)

            assert in_child(third) == 0

    pid = os.fork()
    if not pid:
        status = 1
        try:
            child()
            status = 0
        except BaseException:  # noqa: BLE001 -- as above
            traceback.print_exc(file=sys.stderr)
        finally:
            os._exit(status)
    inherited[0].close()
    os.close(closed)
    os.close(ready)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_child_cannot_use_what_it_inherited_and_the_parent_goes_on(tmp_path: Path) -> None:
    with daos.open(tmp_path / "s") as pool:
        kv = pool.container("c", create=True).kv("k", create=True)
        kv["a"] = b"1"

        def child() -> None:
            with pytest.raises(daos.ForkedError) as caught:
                kv.get("a")
            assert caught.value.context["pid"] == os.getppid()
            with pytest.raises(daos.BusyError):
                daos.open(tmp_path / "s", share=False)

        assert in_child(child) == 0
        kv["b"] = b"2"
        assert dict(kv.items()) == {"a": b"1", "b": b"2"}


def test_a_child_cannot_commit_what_its_parent_began(tmp_path: Path) -> None:
    with daos.open(tmp_path / "s") as pool:
        cont = pool.container("c", create=True)
        cont.kv("k", create=True)
        tx = cont.transaction()
        kv = tx.kv("k")
        kv["a"] = b"1"

        def child() -> None:
            for use in (lambda: kv["a"], tx.commit, tx.abort, cont.transaction):
                with pytest.raises(daos.ForkedError):
                    use()

        assert in_child(child) == 0
        tx.commit()
        assert cont.kv("k")["a"] == b"1"
