"""What is measured: each function opens a store, does one kind of work on it and returns what it saw.

They run in a process of their own (`benches.child`); what is before and after the measured part is not in the times.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benches.array_workloads import ARRAY_WORKLOADS
from benches.data import VALUES, keys, picks, value_of, values
from benches.frame import Measured, Outcome, Task
from benches.peers import embedded, open_store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import daos.aio
    from benches.peers.base import Pairs, Store

LOAD_BATCH = 4096
CLOCK_EVERY = 1024
"""Puts between two looks at the clock, where a time limit holds."""
CHECKED_MAX = 1000
"""Keys that are read back after a crash."""
T = TypeVar("T")


def bytes_written() -> int:
    """Return the bytes this process has caused to be written to the disk, by the kernel's count of dirtied pages."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))


def memory(name: str) -> int:
    """Return a line of this process's memory figures, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))


def disk_bytes(directory: Path) -> int:
    """Return what the files of a folder occupy; holes do not count."""
    return sum(path.stat().st_blocks * 512 for path in directory.rglob("*") if path.is_file())


def pairs_of(first: int, count: int, size: int) -> Pairs:
    """Return the pairs of the keys numbered from `first`."""
    some = values(size)
    return [(key, some[(first + i) % VALUES]) for i, key in enumerate(keys(first, count))]


def chunks(pairs: Pairs, size: int) -> list[Pairs]:
    """Return them in lists of `size`."""
    return [pairs[i : i + size] for i in range(0, len(pairs), size)]


def fill(task: Task) -> Outcome:
    """Put `count` keys one by one and close; the store stays for other workloads.

    Past the time limit the rest goes in sorted, by batches: the rate is then that of the part before, and what is said
    of the disk is of a mixture (`one_by_one` says of how many).
    """
    store = _open(task)
    pairs = pairs_of(task.first, task.count, task.value_size)
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory starts again
    memory_before, written_before = memory("VmRSS"), bytes_written()
    put, done, slowest = store.put, 0, 0.0
    with Measured() as measured:
        started = last = time.perf_counter()
        for start in range(0, task.count, CLOCK_EVERY):
            for key, value in pairs[start : start + CLOCK_EVERY]:
                put(key, value)
            done = min(start + CLOCK_EVERY, task.count)
            now = time.perf_counter()
            slowest, last = max(slowest, now - last), now
            if now - started > task.seconds_max:
                break
    for chunk in chunks(sorted(pairs[done:]), LOAD_BATCH):
        store.put_many(chunk)
    peak, anonymous = memory("VmHWM"), memory("RssAnon")
    closing = time.perf_counter()
    store.close()
    outcome = measured.outcome(done, one_by_one=done, slowest_1024_puts_s=slowest)
    size = sum(len(key) + len(value) for key, value in pairs)
    outcome.facts |= {
        "close_s": time.perf_counter() - closing,
        "user_bytes": size,
        "written_bytes": bytes_written() - written_before,
        "disk_bytes": disk_bytes(Path(task.directory)),
        "peak_memory_bytes": peak - memory_before,
        "anonymous_memory_bytes": anonymous,
    }
    outcome.facts["write_amplification"] = outcome.facts["written_bytes"] / size
    outcome.facts["disk_bytes_per_entry"] = outcome.facts["disk_bytes"] / task.count
    return outcome


def put(task: Task) -> Outcome:
    """Put new keys one by one, from one thread or several."""
    store = _open(task)
    pairs = pairs_of(task.first, task.count, task.value_size)
    shares = [pairs[i :: task.threads] for i in range(task.threads)]

    def work(share: Pairs) -> None:
        put = store.put
        for key, value in share:
            put(key, value)

    measured = _in_threads(shares, work)
    store.close()
    return measured.outcome(task.count)


def put_many(task: Task) -> Outcome:
    """Put new keys, `batch` to a call and so to a sync."""
    store = _open(task)
    batches = chunks(pairs_of(task.first, task.count, task.value_size), task.batch)
    put_many = store.put_many
    with Measured() as measured:
        for batch in batches:
            put_many(batch)
    store.close()
    return measured.outcome(task.count)


def get(task: Task) -> Outcome:
    """Get random keys of a store that was read once, each newest at its call."""
    store = _open(task)
    _warm(store)
    outcome = _get_all(task, store.get)
    store.close()
    return outcome


def get_view(task: Task) -> Outcome:
    """Get random keys as `get`, by the fastest repeated read a library has: LMDB's within one transaction."""
    store = _open(task)
    _warm(store)
    with store.view() as get:
        outcome = _get_all(task, get)
    store.close()
    return outcome


def scan(task: Task) -> Outcome:
    """Read all pairs in order, of a store that was read once."""
    store = _open(task)
    _warm(store)
    count, size = 0, 0
    with store.scan() as pairs, Measured() as measured:
        for _, value in pairs:
            count += 1
            size += len(value)
    if count < task.entries:
        raise ValueError(f"{task.system}: {count} pairs of {task.entries}")
    store.close()
    return measured.outcome(count)


def aio_put(task: Task) -> Outcome:
    """Put new keys from one event loop, `depth` at once."""
    pairs = pairs_of(task.first, task.count, task.value_size)
    return asyncio.run(_in_tasks(task, pairs, lambda kv, pair: kv.put(*pair)))


def aio_get(task: Task) -> Outcome:
    """Get random keys from one event loop, `depth` at once, of a store that was read once."""

    async def get(kv: daos.aio.KV[bytes], key: bytes) -> None:
        if await kv.get(key) is None:
            raise ValueError("a key that was put is not there")

    return asyncio.run(_in_tasks(task, picks(task.entries, task.count), get))


async def _in_tasks(task: Task, items: list[T], act: Callable[[daos.aio.KV[bytes], T], Awaitable[None]]) -> Outcome:
    left = iter(items)
    async with embedded.open_events(Path(task.directory), task.durability) as kv:
        async for _ in kv.items():
            pass

        async def work() -> None:
            for item in left:
                await act(kv, item)

        with Measured() as measured:
            await asyncio.gather(*(work() for _ in range(task.depth)))
    return measured.outcome(task.count)


def crash(task: Task) -> Outcome:
    """Fill a store and die by SIGKILL, with nothing closed."""
    store = _open(task)
    for batch in chunks(pairs_of(task.first, task.count, task.value_size), task.batch):
        store.put_many(batch)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("killed")


def reopen(task: Task) -> Outcome:
    """Open what a killed process left, and get one key; then see that what it had been told is there."""
    last = keys(task.entries - 1, 1)[0]
    with Measured() as measured:
        store = _open(task)
        found = store.get(last)
    if found != value_of(task.entries - 1, task.value_size):
        raise ValueError(f"{task.system} lost the last value")
    step = max(1, task.entries // CHECKED_MAX)
    expected = pairs_of(0, task.entries, task.value_size)[::step]
    lost = sum(store.get(key) != value for key, value in expected)
    if lost:
        raise ValueError(f"{task.system} lost {lost} of {len(expected)} values")
    store.close()
    return measured.outcome(1, disk_bytes=disk_bytes(Path(task.directory)))


WORKLOADS: dict[str, Callable[[Task], Outcome]] = {
    "fill": fill,
    "put": put,
    "put_many": put_many,
    "get": get,
    "get_view": get_view,
    "scan": scan,
    "aio_put": aio_put,
    "aio_get": aio_get,
    "crash": crash,
    "reopen": reopen,
    **ARRAY_WORKLOADS,
}


def _open(task: Task) -> Store:
    return open_store(task.system, Path(task.directory), task.durability)


def _warm(store: Store) -> None:
    with store.scan() as pairs:
        for _ in pairs:
            pass


def _get_all(task: Task, get: Callable[[bytes], bytes | None]) -> Outcome:
    wanted = picks(task.entries, task.count)
    with Measured() as measured:
        for key in wanted:
            get(key)
    _all_there(get, wanted)
    return measured.outcome(task.count)


def _all_there(get: Callable[[bytes], bytes | None], wanted: list[bytes]) -> None:
    """Raise unless a sample of what was got is there: a fast answer of None would win every race."""
    if any(get(key) is None for key in wanted[:: max(1, len(wanted) // CHECKED_MAX)]):
        raise ValueError("a key that was put is not there")


def _in_threads(shares: list[Pairs], work: Callable[[Pairs], None]) -> Measured:
    if len(shares) == 1:
        with Measured() as measured:
            work(shares[0])
        return measured
    go = threading.Event()
    failed: list[BaseException] = []

    def run(share: Pairs) -> None:
        go.wait()
        try:
            work(share)
        except BaseException as error:  # noqa: BLE001 -- raised again below
            failed.append(error)

    threads = [threading.Thread(target=run, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    with Measured() as measured:
        go.set()
        for thread in threads:
            thread.join()
    if failed:
        raise failed[0]
    return measured
