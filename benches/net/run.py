"""Measure running systems beside Redis: groups of points, system after system, in an order that turns."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from benches.net import control, redis_server, system
from benches.net.job import Job
from benches.net.meter import Sample
from benches.net.plan import NATIVE, OURS, REDIS, Group, groups
from daos.errors import DaosError
from tools.build import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from benches.net.redis_server import Server
    from benches.net.system import Running

    Write: TypeAlias = "Callable[[dict[str, object]], None]"

REPETITIONS = 5
SECONDS, SECONDS_QUICK = 0.5, 0.1
IDLE_S = 3.0
JOB_S_MAX = 300.0
REDIS_PORTS = {"synced": (32_100, 32_101), "interval": (32_102, 32_103)}
"""Above those of systems for development, below those that the kernel gives to clients."""
FILES_MIN = 4096


def rows() -> list[str]:
    """Return the names of all rows."""
    points = [point.row for group in groups() for point in group.points]
    one, three = control.container_rows(), control.container_rows(control.THREE)
    others = ["net pool_create 3 ranks", *one, *three, "net idle_engine", f"net connect {control.CLIENTS} clients"]
    return points + others


class NetRunner:
    """Runs what was asked for, and writes what was seen.

    Args:
        write: Appends a line to the results.
        wanted: Tells whether a row was asked for.
        stores: A folder for files of all systems, removed at the end.
        seconds: Of each point.
    """

    def __init__(self, write: Write, wanted: Callable[[str], bool], stores: Path, seconds: float) -> None:
        self._write = write
        self._wanted = wanted
        self._stores = stores
        self._seconds = seconds
        self._rates: dict[str, float] = {}

    def run(self) -> None:
        """Start the systems and measure; they are stopped at the end."""
        shutil.rmtree(self._stores, ignore_errors=True)
        self._stores.mkdir(parents=True)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        # The daemons inherit it: an engine has a descriptor for each connection.
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, FILES_MIN)), hard))
        try:
            self._values()
            self._three_ranks()
        finally:
            shutil.rmtree(self._stores, ignore_errors=True)

    def _values(self) -> None:
        asked = [group for group in map(self._asked, groups()) if group.points]
        others = [row for row in rows() if row.startswith(("net idle", "net connect"))]
        alone = [*control.container_rows(), *others]
        if not asked and not any(map(self._wanted, alone)):
            return
        if not redis_server.available():
            print(redis_server.MISSING, flush=True)
        with ExitStack() as stack:
            ours = {
                secure: stack.enter_context(system.Running(self._stores / f"tls{secure:d}", secure=secure))
                for secure in (True, False)
            }
            if self._wanted("net idle_engine"):
                self._told("net idle_engine", OURS, 0, lambda: [control.idle(ours[False], IDLE_S)])
            servers = self._redis(stack, ours[True].certificates) if redis_server.available() else {}
            started = time.monotonic()
            for repetition in range(REPETITIONS):
                for group in asked:
                    for name in _turned(group.systems, repetition):
                        self._group(group, name, repetition, ours[group.secure], servers.get(group.durability))
                if any(map(self._wanted, control.container_rows())):
                    work = lambda: control.containers(ours[False], repetition, self._seconds)  # noqa: E731, B023 -- called at once
                    self._told("net container", OURS, repetition, work)
                print(f"repetition {repetition + 1} of {REPETITIONS}: {time.monotonic() - started:.0f} s", flush=True)
            if self._wanted(f"net connect {control.CLIENTS} clients"):
                self._told("net connect", OURS, 0, lambda: [control.connects(ours[False])])

    def _asked(self, group: Group) -> Group:
        return replace(group, points=tuple(point for point in group.points if self._wanted(point.row)))

    def _redis(self, stack: ExitStack, certificates: Path) -> dict[str, Server]:
        return {
            durability: stack.enter_context(
                redis_server.running(durability, self._stores / f"redis-{durability}", ports, certificates)
            )
            for durability, ports in REDIS_PORTS.items()
        }

    def _three_ranks(self) -> None:
        pools = self._wanted("net pool_create 3 ranks")
        containers = any(map(self._wanted, control.container_rows(control.THREE)))
        if not (pools or containers):
            return
        with system.Running(self._stores / "three", servers=3, secure=True) as three:
            for repetition in range(REPETITIONS):
                if pools:
                    self._told("net pool_create", OURS, repetition, lambda: [control.pools(three)])
                if containers:
                    work = lambda: control.containers(three, repetition, self._seconds, control.THREE)  # noqa: E731, B023 -- called at once
                    self._told("net container 3 ranks", OURS, repetition, work)

    def _group(self, group: Group, name: str, repetition: int, ours: Running, server: Server | None) -> None:
        if name in (REDIS, NATIVE) and server is None:
            return
        if name == NATIVE and server is not None:
            self._told("net", NATIVE, repetition, lambda: self._native(group, server))
            return
        job = Job(name, group.durability, group.points, self._seconds, directory=str(self._stores))
        if name == OURS:
            job = replace(job, server=ours.engine, agent=str(ours.agent))
        elif name == REDIS and server is not None:
            port, ca = (server.tls_port, str(server.ca)) if group.secure else (server.port, "")
            job = replace(job, server=server.pid, port=port, ca=ca)
        self._told(f"net {group.durability}", name, repetition, lambda: self._child(job))

    def _native(self, group: Group, server: Server) -> Iterable[Sample]:
        for point in group.points:
            if point.workload.endswith("get"):
                redis_server.fill(server, point.size)
            # As many as ours did in that time: what the one and the other take is told by their clocks.
            operations = int(self._rates.get(point.row, 2000.0) * self._seconds)
            yield redis_server.load(server, point, operations)

    def _child(self, job: Job) -> Iterable[Sample]:
        command = [sys.executable, "-m", "benches.net.job", msgspec.json.encode(job).decode()]
        done = subprocess.run(
            command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=JOB_S_MAX, env=dict(os.environ)
        )
        samples = [msgspec.json.decode(line, type=Sample) for line in done.stdout.splitlines()]
        yield from samples
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
            raise RuntimeError(lines[-1])

    def _told(self, what: str, name: str, repetition: int, work: Callable[[], Iterable[Sample]]) -> None:
        """Write a line for each sample; a failure is a line too."""
        # What was written before would go to the disk during this.
        os.sync()
        try:
            for sample in work():
                if name == OURS:
                    self._rates[sample.row] = sample.operations / sample.seconds
                self._write(
                    {
                        "row": sample.row,
                        "system": name,
                        "repetition": repetition,
                        "operations": sample.operations,
                        "seconds": sample.seconds,
                        "cpu_seconds": sample.cpu_seconds,
                        "facts": sample.facts,
                    }
                )
        except (DaosError, OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
            print(f"FAILED {what}, {name}: {error}", flush=True)
            self._write({"row": what, "system": name, "repetition": repetition, "error": str(error)})


def _turned(names: tuple[str, ...], repetition: int) -> tuple[str, ...]:
    cut = repetition % len(names)
    return names[cut:] + names[:cut]
