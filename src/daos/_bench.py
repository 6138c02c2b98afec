"""What `daos bench` measures: how fast this machine's disk and processor are for an embedded system."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from daos.client.system import open as open_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from daos.client.container import Container
    from daos.client.system import Durability

    Act: TypeAlias = "Callable[[int], object]"

THREADS = 4
PAIRS = 64
BLOCK_BYTES = 1 << 20
BLOCKS = 64
"""Of the array that is read and written: it is written over again and again."""
SAMPLES_MAX = 100_000
"""Times of single operations that are kept of each thread."""


@dataclass(frozen=True)
class Work:
    """One kind of work.

    Attributes:
        name: What is done.
        durability: What a call has promised when it returns.
        make: Makes the function that does the operation of a number, in a container.
        threads: How many do it at once.
        operations: How many operations one call is.
        operation_bytes: Bytes of values of one operation.
    """

    name: str
    durability: Durability
    make: Callable[[Container], Act]
    threads: int = 1
    operations: int = 1
    operation_bytes: int = 0


@dataclass(frozen=True)
class Measured:
    """What was measured of one kind of work.

    Attributes:
        name: What was done.
        durability: What a call had promised when it returned.
        threads: How many did it at once.
        operations: How many were done.
        seconds: They took.
        p50_us: The time of a call that half of them did not take, in microseconds.
        p99_us: The time that all but a hundredth did not take.
        bytes_per_s: Bytes of values a second.
    """

    name: str
    durability: str
    threads: int
    operations: int
    seconds: float
    p50_us: float
    p99_us: float
    bytes_per_s: float

    @property
    def per_s(self) -> float:
        """Operations a second."""
        return self.operations / self.seconds


def _put(size: int) -> Callable[[Container], Act]:
    def make(cont: Container) -> Act:
        kv = cont.kv(f"put {size}", create=True, keys="int")
        value = bytes(size)
        return lambda number: kv.put(number, value)

    return make


def _put_many(cont: Container) -> Act:
    kv = cont.kv("put_many", create=True, keys="int")
    return lambda number: kv.put_many({number * PAIRS + nth: bytes(64) for nth in range(PAIRS)})


def _get(cont: Container) -> Act:
    kv = cont.kv("get", create=True, keys="int")
    kv.put_many({number: bytes(64) for number in range(10_000)})
    return lambda number: kv.get(number * 7919 % 10_000)


def _transaction(cont: Container) -> Act:
    kv = cont.kv("accounts", create=True, keys="int")
    kv.put_many(dict.fromkeys(range(1000), b"0"))

    def move(number: int) -> None:
        with cont.transaction() as tx:
            accounts = tx.kv("accounts", keys="int")
            for account in (number % 1000, (number + 1) % 1000):
                accounts[account] = b"%d" % (int(accounts[account]) + 1)

    return move


def _write(cont: Container) -> Act:
    array = cont.array("blocks", "u1", create=True)
    block = np.zeros(BLOCK_BYTES, "u1")
    return lambda number: array.write(number % BLOCKS * BLOCK_BYTES, block)


def _read(cont: Container) -> Act:
    array = cont.array("blocks", "u1", create=True)
    block = np.zeros(BLOCK_BYTES, "u1")
    for number in range(BLOCKS):
        array.write(number * BLOCK_BYTES, block)
    return lambda number: array.read_into(block, start=number % BLOCKS * BLOCK_BYTES)


ALL = (
    Work("put 64 B", "synced", _put(64), operation_bytes=64),
    Work("put 64 B", "synced", _put(64), THREADS, operation_bytes=64),
    Work("put 64 B, 64 a call", "synced", _put_many, operations=PAIRS, operation_bytes=64),
    Work("put 4 KiB", "synced", _put(4096), operation_bytes=4096),
    Work("transaction", "synced", _transaction),
    Work("write 1 MiB", "synced", _write, operation_bytes=BLOCK_BYTES),
    Work("put 64 B", "buffered", _put(64), operation_bytes=64),
    Work("get 64 B", "buffered", _get, operation_bytes=64),
    Work("read 1 MiB", "buffered", _read, operation_bytes=BLOCK_BYTES),
)


def measure(folder: Path, seconds: float) -> Iterator[Measured]:
    """Yield what each kind of work does in so many seconds, on systems in a folder of their own, which is removed.

    Raises:
        DaosError: As `daos.open`, and as the operations.
    """
    with _scratch(folder) as scratch:
        for number, work in enumerate(ALL):
            with open_pool(scratch / f"{number}.daos", durability=work.durability) as pool:
                yield _measured(work, work.make(pool.container("bench", create=True)), seconds)
            shutil.rmtree(scratch / f"{number}.daos", ignore_errors=True)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    scratch = Path(tempfile.mkdtemp(prefix="daos-bench-", dir=folder))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _measured(work: Work, act: Act, seconds: float) -> Measured:
    numbers = count()
    times: list[list[float]] = [[] for _ in range(work.threads)]
    done = [0] * work.threads
    failed: list[BaseException] = []
    end = time.perf_counter() + seconds

    def run(thread: int) -> None:
        kept = times[thread]
        try:
            before = time.perf_counter()
            while before < end:
                act(next(numbers))
                after = time.perf_counter()
                done[thread] += 1
                if len(kept) < SAMPLES_MAX:
                    kept.append(after - before)
                before = after
        except BaseException as error:  # noqa: BLE001 -- raised again below, by the one who waits
            failed.append(error)

    started = time.perf_counter()
    threads = [threading.Thread(target=run, args=(thread,)) for thread in range(1, work.threads)]
    for thread in threads:
        thread.start()
    run(0)
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    if failed:
        raise failed[0]
    return summary(work, times, sum(done), took)


def summary(work: Work, times: list[list[float]], calls: int, took: float) -> Measured:
    """Return what calls of a work come to, by the times of some of them."""
    p50, p99 = np.percentile(np.concatenate([np.array(kept) for kept in times]), [50, 99]) * 1e6
    operations = calls * work.operations
    rate = operations * work.operation_bytes / took
    return Measured(work.name, work.durability, work.threads, operations, took, float(p50), float(p99), rate)
