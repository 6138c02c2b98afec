"""Threads that share a system, also while it is closed under them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import daos

if TYPE_CHECKING:
    from pathlib import Path

THREADS = 4


def test_closing_waits_for_calls_and_loses_nothing(tmp_path: Path) -> None:
    system = daos.open_system(tmp_path / "s", durability="buffered")
    kv = system.pool("p", create=True).container("c", create=True).kv("k", create=True, keys="int")
    acknowledged: list[list[int]] = [[] for _ in range(THREADS)]
    others: list[BaseException] = []
    going = threading.Barrier(THREADS + 1)

    def put(thread: int) -> None:
        going.wait(timeout=10)
        for number in range(thread, 1_000_000, THREADS):
            try:
                kv.put(number, b"%d" % number)
            except daos.ClosedError:
                return
            except BaseException as error:  # noqa: BLE001 -- whatever it is, the test reports it
                others.append(error)
                return
            acknowledged[thread].append(number)

    threads = [threading.Thread(target=put, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    going.wait(timeout=10)
    while min(map(len, acknowledged)) < 200 and not others:
        threading.Event().wait(0.001)
    system.close()
    with daos.open_system(tmp_path / "s", create=False) as again:
        for thread in threads:
            thread.join(timeout=10)
        assert others == []
        found = dict(again.pool("p").container("c").kv("k", keys="int").items())
        expected = {number: b"%d" % number for numbers in acknowledged for number in numbers}
        assert found == expected, "every put was acknowledged or refused, none is in doubt"


def test_readers_see_what_writers_were_told(tmp_path: Path) -> None:
    with daos.open(tmp_path / "s", durability="buffered") as pool:
        kv = pool.container("c", create=True).kv("k", create=True)
        last = 0
        done = threading.Event()
        wrong: list[str] = []

        def read() -> None:
            while not done.is_set():
                before = last
                value = int(kv.get("counter") or b"0")
                if value < before:
                    wrong.append(f"{value} after {before} had been acknowledged")

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for number in range(1, 3000):
            kv["counter"] = b"%d" % number
            last = number
        done.set()
        for reader in readers:
            reader.join(timeout=10)
        assert wrong == []
