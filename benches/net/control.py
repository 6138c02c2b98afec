"""What is not the way of data: pools, containers, many clients at once, and an engine that has nothing to do."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from statistics import median
from typing import TYPE_CHECKING

import daos
from benches.net.meter import Meter, Sample, cpu_seconds, resident_bytes
from benches.net.system import POOL
from tools.build import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from benches.net.system import Running

THREADS = (1, 16)
THREE = "3 ranks "
"""What rows of a system of three ranks have in their names, where a row of one rank has nothing."""
POOLS, POOL_BYTES = 3, 128 << 20
CLIENTS, PROCESSES = 1000, 4
CONNECT_S_MAX = 120.0
SETTLE_S_MAX = 20.0
KEPT = """
import resource, sys, threading
import daos
agent, count = sys.argv[1], int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
threading.stack_size(256 << 10)
pools, failed, lock = [], [], threading.Lock()
def connect():
    try:
        pool = daos.connect("daos://tank", agent=agent, timeout=100)
        with lock:
            pools.append(pool)
    except Exception as error:
        with lock:
            failed.append(str(error))
threads = [threading.Thread(target=connect) for _ in range(count)]
print("ready", flush=True)
sys.stdin.readline()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(pools), failed[0] if failed else "", flush=True)
sys.stdin.readline()
for pool in pools:
    pool.close()
"""


def pools(system: Running) -> Sample:
    """Create pools on all ranks, one after the other."""
    took = system.timed_pools(POOLS, POOL_BYTES)
    return Sample("net pool_create 3 ranks", len(took), sum(took), 0.0, {"slowest_s": max(took)})


def container_rows(ranks: str = "") -> list[str]:
    """Return the names of the rows of `containers`."""
    return [f"net container_{what} {ranks}t{threads}" for what in ("create", "open") for threads in THREADS]


def containers(system: Running, repetition: int, seconds: float, ranks: str = "") -> list[Sample]:
    """Create containers (which opens them), and open one again and again, by one thread and by several.

    Args:
        system: The system.
        repetition: Which of several.
        seconds: Of each row.
        ranks: What the rows' names say of its ranks.
    """
    samples = []
    with daos.connect(f"daos://{POOL}", agent=str(system.agent)) as pool:
        numbers, made = count(), list[str]()
        pool.container("opened", create=True)

        def create() -> None:
            label = f"c{repetition}-{next(numbers)}"
            pool.container(label, create="exclusive")
            made.append(label)

        for threads in THREADS:
            row = f"net container_create {ranks}t{threads}"
            samples.append(_together(row, create, threads, seconds, system.engine))
        for threads in THREADS:
            row = f"net container_open {ranks}t{threads}"
            samples.append(_together(row, lambda: pool.container("opened"), threads, seconds, system.engine))
        with ThreadPoolExecutor(max(THREADS)) as workers:
            list(workers.map(lambda label: pool.destroy_container(label, force=True), made))
    return samples


def _together(row: str, act: Callable[[], object], threads: int, seconds: float, server: int) -> Sample:
    def run(end: float) -> int:
        done = 0
        while not done or time.perf_counter() < end:
            act()
            done += 1
        return done

    with ThreadPoolExecutor(threads) as workers, Meter(server) as meter:
        end = time.perf_counter() + seconds
        done = sum(future.result() for future in [workers.submit(run, end) for _ in range(threads)])
    return meter.sample(row, done)


def idle(system: Running, seconds: float) -> Sample:
    """Look at an engine that has a pool and no clients."""
    engine = system.engine
    before, used = time.perf_counter(), cpu_seconds(engine)
    time.sleep(seconds)
    took = time.perf_counter() - before
    share = (cpu_seconds(engine) - used) / took * 100
    facts = {"cpu_percent": share, "resident_bytes": float(resident_bytes(engine))}
    return Sample("net idle_engine", 1, took, 0.0, facts)


def connects(system: Running) -> Sample:
    """Have many clients connect at once, and stay; count those that cannot.

    The memory is the engine's, over what it had before, by the connections that it has more.
    """
    engine = system.engine
    each = CLIENTS // PROCESSES
    with ExitStack() as stack:
        command = [sys.executable, "-c", KEPT, str(system.agent), str(each)]
        clients = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
            )
            for _ in range(PROCESSES)
        ]
        for client in clients:
            _said(client)
        memory, connections = resident_bytes(engine), system.connections()
        with Meter(engine) as meter:
            for client in clients:
                _tell(client)
            answers = [_said(client).split(" ", 1) for client in clients]
        up = sum(int(answer[0]) for answer in answers)
        added = system.connections() - connections
        # What is freed after the work of connecting is not a connection's; the least of some looks.
        grown = min(_memory_seen(engine)) - memory
        for client in clients:
            _tell(client)
        for client in clients:
            client.wait(CONNECT_S_MAX)
    if up != CLIENTS:
        print(
            f"{CLIENTS - up} of {CLIENTS} clients did not connect: {max(answer[-1] for answer in answers)}", flush=True
        )
    facts = {"failed": CLIENTS - up, "connections": added, "bytes_per_connection": max(0, grown) / max(1, added)}
    return meter.sample(f"net connect {CLIENTS} clients", CLIENTS, **facts)


def _memory_seen(engine: int) -> list[int]:
    seen = []
    for _ in range(10):
        seen.append(resident_bytes(engine))
        time.sleep(0.1)
    return [int(median(seen)), seen[-1]]


def _said(client: subprocess.Popen[str]) -> str:
    assert client.stdout is not None  # noqa: S101 -- it is a pipe, as was asked
    line = client.stdout.readline().strip()
    if not line:
        raise RuntimeError(f"a client ended with status {client.wait(CONNECT_S_MAX)}")
    return line


def _tell(client: subprocess.Popen[str]) -> None:
    assert client.stdin is not None  # noqa: S101 -- as above
    client.stdin.write("\n")
    client.stdin.flush()
