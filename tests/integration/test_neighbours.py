"""An embedded system that is opened more than once in one process."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import daos
import daos.aio
from tests.forking import in_child

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT_S = 60

WRITER = """
import sys, daos
with daos.open(sys.argv[1]) as pool:
    pool.container("c").kv("k")["b"] = b"v"
"""


ANOTHER_USER = """
import os, sys, daos
with daos.open(sys.argv[1]):
    # Who is asked for the socket has longer to wait for nothing.
    os.unlink(sys.argv[1] + "/socket")
    os.seteuid(65534)
    try:
        daos.open(sys.argv[1], create=False)
    except daos.DaosError:
        print("refused")
    os.seteuid(0)
    daos.open(sys.argv[1]).close()
"""


def wait_until(there: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + TIMEOUT_S
    while not there():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_who_opens_it_again_in_its_process_needs_no_socket(tmp_path: Path) -> None:
    path, again = tmp_path / "s", tmp_path / "again"
    again.symlink_to(path)
    with daos.open(path) as one:
        (path / "socket").unlink()
        with daos.open(again, durability="buffered") as other:
            one.container("c", create=True).kv("k", create=True)["a"] = b"1"
            cont = other.container("c")
            kv = cont.kv("k")
            kv["b"] = kv["a"] + b"2"
            kv.put_many({f"{number}": bytes(1000) for number in range(500)})
            array = cont.array("array", create=True)
            array[:3] = [1, 2, 3]
            with cont.transaction() as tx:
                tx.kv("k")["c"] = b"3"
            snapshot = cont.snapshot("s")
            del kv["a"]
            assert (cont.at(snapshot).kv("k")["a"], len(kv)) == (b"1", 502)
            other.attributes["owner"] = b"me"
            with pytest.raises(daos.ExistsError):
                other.container("c", create="exclusive")
        with pytest.raises(daos.ClosedError):
            kv.get("b")
        # Who closes what he opened closes nothing of the holder's.
        assert (one.attributes["owner"], one.container("c").kv("k")["b"]) == (b"me", b"12")
        assert one.container("c").array("array")[:].tolist() == [1, 2, 3]


def test_a_neighbour_stays_when_who_opened_it_first_is_forgotten(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    one = daos.open(path)
    one.container("c", create=True).kv("k", create=True)
    with daos.open(path) as other:
        kv = other.container("c").kv("k")
        del one
        gc.collect()
        kv["a"] = b"1"
        # Others are still let in.
        subprocess.run([sys.executable, "-c", WRITER, path], check=True, timeout=TIMEOUT_S)
        assert (kv["a"], kv["b"]) == (b"1", b"v")
    del kv
    daos.open(path, share=False).close()


@pytest.mark.parametrize("turn", range(4))
def test_neighbours_go_on_while_the_holder_closes(tmp_path: Path, turn: int) -> None:
    failed: list[BaseException] = []
    done = [0, 0, 0]
    one = daos.open(tmp_path / "s")
    one.container("c", create=True).kv("k", create=True)["n"] = b"0"
    with daos.open(tmp_path / "s") as two, daos.open(tmp_path / "s") as three:
        stop = threading.Event()

        def write(nth: int, cont: daos.Container) -> None:
            kv = cont.kv("k")

            def add(tx: daos.Transaction) -> None:
                inside = tx.kv("k")
                inside["n"] = str(int(inside["n"]) + 1).encode()

            try:
                while not stop.is_set():
                    kv[f"{nth}-{done[nth]}"] = b"v"
                    cont.run(add, deadline=30)
                    done[nth] += 1
            except BaseException as error:  # noqa: BLE001 -- shown below
                failed.append(error)

        pools = (two, three, three)
        writers = [threading.Thread(target=write, args=(nth, pools[nth].container("c"))) for nth in range(3)]
        for writer in writers:
            writer.start()
        try:
            wait_until(lambda: all(done) or bool(failed))
            one.close()
            before = list(done)
            wait_until(lambda: all(now > then for now, then in zip(done, before, strict=True)) or bool(failed))
        finally:
            stop.set()
            for writer in writers:
                writer.join(TIMEOUT_S)
        assert not failed, failed
        kv = three.container("c").kv("k")
        # Each happened, and once.
        assert int(kv["n"]) == sum(done)
        assert set(kv) == {"n"} | {f"{nth}-{number}" for nth in range(3) for number in range(done[nth])}


def test_a_transaction_of_a_neighbour_ends_with_the_holder(tmp_path: Path) -> None:
    one = daos.open(tmp_path / "s")
    one.container("c", create=True).kv("k", create=True)
    with daos.open(tmp_path / "s") as other:
        cont = other.container("c")
        begun, ready, given_up = cont.transaction(), cont.transaction(), cont.transaction()
        for tx in (begun, ready, given_up):
            tx.kv("k")["a"] = b"1"
        one.close()
        with pytest.raises(daos.ConflictError):
            begun.kv("k")["b"] = b"1"
        with pytest.raises(daos.ConflictError):
            ready.commit()
        given_up.abort()
        assert "a" not in cont.kv("k")

        def change(tx: daos.Transaction) -> None:
            tx.kv("k")["a"] = b"2"

        cont.run(change, deadline=30)
        assert cont.kv("k")["a"] == b"2"


def test_a_forked_child_has_no_neighbour(tmp_path: Path) -> None:
    with daos.open(tmp_path / "s") as one, daos.open(tmp_path / "s") as other:
        one.container("c", create=True).kv("k", create=True)["a"] = b"1"
        kv = other.container("c").kv("k")

        def child() -> None:
            with pytest.raises(daos.ForkedError):
                kv.get("a")
            with daos.open(tmp_path / "s") as own, daos.open(tmp_path / "s") as own_again:
                assert own.container("c").kv("k")["a"] == b"1"
                own_again.container("c").kv("k")["b"] = b"2"

        assert in_child(child) == 0
        one.close()
        assert (kv["a"], kv["b"]) == (b"1", b"2")
        assert in_child(child) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be another user for a while")
def test_who_has_become_another_user_is_no_neighbour() -> None:
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "s"
        path.mkdir()
        for directory in (path, path.parent):
            directory.chmod(0o755)
        said = subprocess.run(
            [sys.executable, "-c", ANOTHER_USER, path], check=True, timeout=TIMEOUT_S, stdout=subprocess.PIPE, text=True
        )
    assert said.stdout == "refused\n"


@pytest.mark.parametrize("turn", range(4))
def test_awaitable_neighbours_outlive_the_holder(tmp_path: Path, turn: int) -> None:
    one = daos.open(tmp_path / "s")
    one.container("c", create=True).kv("k", create=True)

    async def main() -> None:
        async with daos.aio.open(tmp_path / "s") as other:
            cont = await other.container("c")
            stores = [await cont.kv(name, create=True) for name in "abc"]
            puts = [asyncio.ensure_future(stores[nth % 3].put(f"{nth}", b"v")) for nth in range(3000)]
            await puts[turn * 200]
            # The workers owe the log for what they did, to the system that is closed, and go on with it.
            closer = threading.Thread(target=one.close)
            closer.start()
            await asyncio.gather(*puts)
            closer.join(TIMEOUT_S)
            assert [len([key async for key in keys]) for keys in [kv.keys() for kv in stores]] == [1000] * 3

    asyncio.run(asyncio.wait_for(main(), TIMEOUT_S))
