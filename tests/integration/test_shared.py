"""Embedded systems that several processes use."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import daos
import daos.aio
from tests.forking import in_child

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_S = 60

WRITER = """
import sys, daos
pool = daos.open(sys.argv[1])
kv = pool.container("c", create=True).kv("k", create=True)
print("up", flush=True)
for number in range(1_000_000):
    key = f"{sys.argv[2]}{number}"
    try:
        kv[key] = b"v"
    except daos.UncertainError:
        print("unknown", key, flush=True)
    else:
        print("told", key, flush=True)
"""


class Told:
    """What a program prints, while it runs: its lines but for one that was cut short."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            with self._more:
                self.lines += [line.rstrip("\n")] if line.endswith("\n") else []
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    def wait_for_more(self, count: int) -> None:
        """Wait until it has printed some more."""
        with self._more:
            wanted = len(self.lines) + count
            self._more.wait_for(lambda: self._ended or len(self.lines) >= wanted, TIMEOUT_S)
            assert len(self.lines) >= wanted, f"{len(self.lines)} lines of {wanted}, ended: {self._ended}"

    def kill(self) -> list[str]:
        """Kill the program; return all it has printed."""
        self.process.kill()
        self._reader.join(TIMEOUT_S)
        assert not self._reader.is_alive()
        return self.lines


@contextmanager
def running(source: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program of another process; it is killed at the end."""
    command = [sys.executable, "-c", source, *args]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            yield process
        finally:
            process.kill()


@contextmanager
def telling(source: str, *args: str) -> Iterator[Told]:
    """Run a program of another process, and listen to it; it is killed at the end."""
    with running(source, *args) as process:
        told = Told(process)
        try:
            yield told
        finally:
            told.kill()


HOLDER = """
import sys, daos
pool = daos.open(sys.argv[1], durability="synced")
cont = pool.container("c", create=True)
kv = cont.kv("k", create=True)
kv["from"] = b"holder"
print("up", flush=True)
sys.stdin.readline()
pool.close()
print("closed", flush=True)
sys.stdin.readline()
"""


def test_another_process_works_as_the_holder_does(tmp_path: Path) -> None:
    with running(HOLDER, str(tmp_path / "s")), daos.open(tmp_path / "s") as pool:
        assert pool.system.targets == 1
        assert pool.system.space().free > 0
        assert [listed.label for listed in pool.system.pools()] == ["default"]
        cont = pool.container("c")
        kv = cont.kv("k")
        assert kv["from"] == b"holder"
        kv.put_many({f"key {number}": bytes([number]) * (number * 1000) for number in range(100)})
        assert len(kv) == 101
        assert kv["key 99"] == bytes([99]) * 99_000
        with pytest.raises(daos.KeyNotFoundError):
            kv["none"]
        with cont.transaction() as tx:
            inside = tx.kv("k")
            inside["t"] = inside["from"] + b" and guest"
            assert "t" not in kv
        assert kv["t"] == b"holder and guest"
        array = cont.array("a", create=True)
        array[1000:2000] = range(1000)
        assert array.size == 2000
        assert array[999:1003].tolist() == [0, 0, 1, 2]
        snapshot = cont.snapshot("before")
        kv["from"] = b"guest"
        assert cont.at("before").kv("k")["from"] == b"holder"
        assert cont.snapshots() == [snapshot]
        assert len(list(cont.diff("before"))) == 1
        pool.attributes["owner"] = b"me"
        cont.attributes["kind"] = b"test"
        assert (dict(pool.attributes), dict(cont.attributes)) == ({"owner": b"me"}, {"kind": b"test"})
        pool.set_properties({"scrub": "timed"})
        assert pool.properties["scrub"] == "timed"
        cont.set_properties({"label": "d"})
        assert [listed.label for listed in pool.containers()] == ["d"]
        assert cont.check().damaged == ()
        assert cont.stat().objects > 0
        cont.rollback("before")
        assert kv["from"] == b"holder"
        cont.aggregate()
        pool.destroy_container("d")
        with pytest.raises(daos.NotFoundError):
            kv.get("from")


def test_who_stays_goes_on_when_the_holder_closes(tmp_path: Path) -> None:
    with running(HOLDER, str(tmp_path / "s")) as holder, daos.open(tmp_path / "s") as pool:
        cont = pool.container("c")
        kv = cont.kv("k")
        snapshot = cont.snapshot("before")
        then = cont.at(snapshot).kv("k")
        kv["mine"] = b"1"
        holder.communicate("\n", timeout=TIMEOUT_S)
        assert kv["mine"] == b"1"
        kv["mine"] = b"2"
        assert (then["from"], "mine" in then) == (b"holder", False)
        assert cont.attributes.get("x") is None
        # This process has the files by now.
        child = subprocess.run(
            [sys.executable, "-c", WRITER.replace("1_000_000", "1"), tmp_path / "s", "c"], check=True
        )
        assert child.returncode == 0
        assert kv["c0"] == b"v"


@pytest.mark.parametrize("killed", [1, 2])
def test_nothing_that_was_told_is_lost_when_holders_are_killed(tmp_path: Path, killed: int) -> None:
    path = str(tmp_path / "s")
    with telling(WRITER, path, "a") as first, telling(WRITER, path, "b") as second, telling(WRITER, path, "c") as third:
        writers = (first, second, third)
        for nth in range(killed):
            for writer in writers[nth:]:
                writer.wait_for_more(100)
            writers[nth].kill()
        left = writers[killed:]
        for writer in left:
            writer.wait_for_more(100)
        printed = [line.split() for writer in writers for line in writer.kill()]
    # What was under way when its holder was killed is sent again, and happens once.
    assert {what for what, _ in printed} == {"told"}
    with daos.open(path, create=False) as pool:
        kv = pool.container("c").kv("k")
        assert {key for _, key in printed} <= set(kv)


MANY = """
import sys, daos
pool = daos.open(sys.argv[1])
kv = pool.container("c", create=True).kv("k", create=True)
print("up", flush=True)
for number in range(1_000_000):
    kv.put_many({f"{sys.argv[2]}{number}-{nth}": b"v" for nth in range(100)})
    print(number, flush=True)
"""


def test_many_puts_in_one_call_happen_once_though_their_holder_dies(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with telling(MANY, path, "a") as first, telling(MANY, path, "b") as second:
        second.wait_for_more(5)
        first.kill()
        second.wait_for_more(10)
        told = int(second.kill()[-1])
    with daos.open(path, create=False) as pool:
        keys = set(pool.container("c").kv("k"))
    assert {f"b{number}-{nth}" for number in range(told + 1) for nth in range(100)} <= keys


CLOSER = """
import sys, threading, daos
pool = daos.open(sys.argv[1])
pool.container("c", create=True).kv("k", create=True)
print("up", flush=True)
sys.stdin.readline()
together = threading.Barrier(8)
def close():
    together.wait()
    pool.system.close()
closers = [threading.Thread(target=close) for _ in range(8)]
for closer in closers: closer.start()
for closer in closers: closer.join()
# Whoever has closed it may open it at once.
daos.open(sys.argv[1]).close()
print("closed", flush=True)
"""


@pytest.mark.parametrize("turn", range(4))
def test_a_holder_that_is_closed_by_several_threads_at_once_lets_others_go_on(tmp_path: Path, turn: int) -> None:
    path = str(tmp_path / "s")
    failed: list[BaseException] = []
    done = [0, 0]
    with running(CLOSER, path) as holder, daos.open(path) as pool:
        kv = pool.container("c").kv("k")
        stop = threading.Event()

        def write(nth: int) -> None:
            try:
                while not stop.is_set():
                    kv[f"{nth}-{done[nth]}"] = b"v"
                    done[nth] += 1
            except BaseException as error:  # noqa: BLE001 -- shown below
                failed.append(error)

        writers = [threading.Thread(target=write, args=(nth,)) for nth in range(2)]
        for writer in writers:
            writer.start()
        try:
            said, _ = holder.communicate("\n", timeout=TIMEOUT_S)
        finally:
            stop.set()
            for writer in writers:
                writer.join(TIMEOUT_S)
        assert said == "closed\n"
        assert not failed, failed
        assert set(kv) == {f"{nth}-{number}" for nth in range(2) for number in range(done[nth])}


def test_a_transaction_under_way_ends_with_its_holder_and_is_run_again(tmp_path: Path) -> None:
    with running(HOLDER, str(tmp_path / "s")) as holder, daos.open(tmp_path / "s") as pool:
        cont = pool.container("c")
        tx = cont.transaction()
        kv = tx.kv("k")
        kv["a"] = b"1"
        holder.kill()
        holder.wait()
        # A change may wait for the commit; a read cannot.
        kv["b"] = b"1"
        with pytest.raises(daos.ConflictError):
            kv.get("b")
        with pytest.raises(daos.DaosError):
            tx.commit()
        assert "a" not in cont.kv("k")

        def change(tx: daos.Transaction) -> None:
            tx.kv("k")["a"] = b"2"

        cont.run(change)
        assert cont.kv("k")["a"] == b"2"


def test_a_commit_that_finds_its_holder_gone_is_to_be_run_again(tmp_path: Path) -> None:
    with running(HOLDER, str(tmp_path / "s")) as holder, daos.open(tmp_path / "s") as pool:
        cont = pool.container("c")
        tx = cont.transaction()
        tx.kv("k")["a"] = b"1"
        holder.kill()
        holder.wait()
        # Nothing was sent: whoever gets this knows that nothing of it happened.
        with pytest.raises(daos.ConflictError):
            tx.commit()
        assert "a" not in cont.kv("k")


COUNTER = """
import sys, daos
pool = daos.open(sys.argv[1])
cont = pool.container("c", create=True)
print("up", flush=True)

def add(tx):
    kv = tx.kv("count", create=True)
    kv[sys.argv[2]] = str(int(kv.get(sys.argv[2], b"0")) + 1).encode()

for number in range(1_000_000):
    cont.run(add, deadline=30)
    print(number + 1, flush=True)
"""


def test_each_transaction_that_commits_while_holders_die_is_counted_once(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with (
        telling(COUNTER, path, "a") as first,
        telling(COUNTER, path, "b") as second,
        telling(COUNTER, path, "c") as third,
    ):
        for counter in (first, second):
            third.wait_for_more(5)
            counter.kill()
        third.wait_for_more(5)
        told = int(third.kill()[-1])
    with daos.open(path, create=False) as pool:
        counted = int(pool.container("c").kv("count")["c"])
    # The last one may have committed and not been told.
    assert counted in (told, told + 1)


CHANGER = """
import sys, daos
pool = daos.open(sys.argv[1])
cont = pool.container("c", create=True)
kv = cont.kv("k", create=True)
print("up", flush=True)

def change(tx):
    inside = tx.kv("k")
    for part in range(3):
        inside[f"{sys.argv[2]}{number}-{part}"] = b"v"

for number in range(1_000_000):
    cont.run(change, deadline=30)
    print(number, flush=True)
"""


def test_transactions_that_only_change_happen_as_a_whole_while_holders_die(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with telling(CHANGER, path, "a") as first, telling(CHANGER, path, "b") as second:
        second.wait_for_more(5)
        first.kill()
        second.wait_for_more(20)
        told = int(second.kill()[-1])
    with daos.open(path, create=False) as pool:
        keys = {key for key in pool.container("c").kv("k") if key.startswith("b")}
    parts = {key.split("-")[0] for key in keys}
    assert keys == {f"{number}-{part}" for number in parts for part in range(3)}
    assert {f"b{number}" for number in range(told + 1)} <= parts


def test_a_transaction_that_begins_when_its_holder_has_gone_is_run_again(tmp_path: Path) -> None:
    with running(HOLDER, str(tmp_path / "s")) as holder, daos.open(tmp_path / "s") as pool:
        cont = pool.container("c")
        holder.kill()
        holder.wait()

        def change(tx: daos.Transaction) -> None:
            tx.kv("k")["a"] = b"2"

        cont.run(change, deadline=30)
        assert cont.kv("k")["a"] == b"2"


def test_a_child_opens_what_its_parent_has_open(tmp_path: Path) -> None:
    with daos.open(tmp_path / "s") as pool:
        kv = pool.container("c", create=True).kv("k", create=True)
        kv["a"] = b"1"

        def child() -> None:
            with pytest.raises(daos.ForkedError):
                kv.get("a")
            with daos.open(tmp_path / "s") as own:
                mine = own.container("c").kv("k")
                assert mine["a"] == b"1"
                mine["b"] = b"2"

                def grandchild() -> None:
                    with pytest.raises(daos.ForkedError):
                        mine.get("a")
                    with daos.open(tmp_path / "s") as third:
                        third.container("c").kv("k")["c"] = b"3"

                assert in_child(grandchild) == 0
                assert mine["c"] == b"3"

        assert in_child(child) == 0
        assert dict(kv.items()) == {"a": b"1", "b": b"2", "c": b"3"}


def test_a_process_may_open_it_twice(tmp_path: Path) -> None:
    with daos.open(tmp_path / "s") as one, daos.open(tmp_path / "s") as other:
        one.container("c", create=True).kv("k", create=True)["a"] = b"1"
        kv = other.container("c").kv("k")
        assert kv["a"] == b"1"
        one.close()
        kv["a"] = b"2"
        assert kv["a"] == b"2"
    with pytest.raises(daos.ClosedError):
        kv.get("a")


def test_who_does_not_share_has_it_alone(tmp_path: Path) -> None:
    with daos.open(tmp_path / "s", share=False), pytest.raises(daos.BusyError) as caught:
        daos.open(tmp_path / "s")
    assert caught.value.context["pid"] == os.getpid()
    with daos.open(tmp_path / "s"), pytest.raises(daos.BusyError):
        daos.open(tmp_path / "s", share=False)
    with daos.open(tmp_path / "s"), pytest.raises(daos.BusyError, match="size"):
        daos.open(tmp_path / "s", size="1GiB")


def test_what_a_dead_holder_left_behind_is_no_obstacle(tmp_path: Path) -> None:
    with running(HOLDER, str(tmp_path / "s")) as holder:
        holder.kill()
        holder.wait()
        assert (tmp_path / "s" / "socket").exists()
    with daos.open(tmp_path / "s", share=False):
        assert not (tmp_path / "s" / "socket").exists()


def test_the_socket_is_for_its_user_alone_and_goes_with_the_holder(tmp_path: Path) -> None:
    with daos.open(tmp_path / "s"):
        assert (tmp_path / "s" / "socket").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["lock", "store", "system"]


def test_a_path_may_be_longer_than_an_address(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 100) / ("y" * 100)
    with daos.open(path) as one, daos.open(path) as other:
        one.container("c", create=True)
        assert [listed.label for listed in other.containers()] == ["c"]


def test_a_holder_that_stands_still_is_waited_for(tmp_path: Path) -> None:
    with running(HOLDER, str(tmp_path / "s")) as holder, daos.open(tmp_path / "s") as pool:
        kv = pool.container("c").kv("k")
        begun = time.monotonic()
        holder.send_signal(signal.SIGSTOP)
        pid = os.fork()
        if not pid:
            time.sleep(1)
            os.kill(holder.pid, signal.SIGCONT)
            os._exit(0)
        kv["a"] = b"1"
        assert time.monotonic() - begun >= 1
        os.waitpid(pid, 0)
        assert kv["a"] == b"1"


def test_awaitable_guests(tmp_path: Path) -> None:
    async def main(holder: subprocess.Popen[str]) -> None:
        async with daos.aio.open(tmp_path / "s") as pool:
            cont = await pool.container("c")
            kv = await cont.kv("k")
            await kv.put_many({f"{number}": b"v" for number in range(50)})
            holder.kill()
            holder.wait()
            assert await kv.get("7") == b"v"
            await kv.put("8", b"w")
            assert await kv.get("8") == b"w"

    with running(HOLDER, str(tmp_path / "s")) as holder:
        asyncio.run(asyncio.wait_for(main(holder), TIMEOUT_S))
