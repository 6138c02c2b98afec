"""Run the benchmark: interleaved, each run in a process of its own, a line of JSON a run; then the table.

Exits with 1 if a target is missed that is not known to be.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

import msgspec

from benches import peers, setup
from benches.frame import Outcome, Task
from benches.net import redis_server
from benches.net import report as net_report
from benches.net.run import REPETITIONS as NET_REPETITIONS
from benches.net.run import SECONDS, SECONDS_QUICK, NetRunner
from benches.net.run import rows as net_rows
from benches.peers import cells
from benches.plan import ALONE, FILLED_WHOLE, Stage, Step, embedded
from benches.syncs import count_syncs
from tools import bench_report
from tools.build import ROOT

Facts: TypeAlias = "dict[str, object]"
RESULTS = ROOT / "benches" / "results"
STORES = ROOT / "target" / "bench"
RUN_S_MAX = 600
REPETITIONS, REPETITIONS_QUICK = 5, 3
SYNC_CHECK_CALLS = {"put": 128, "put_many": 24}
SYNC_CHECK_BATCH = 64
NEW_KEYS = 100_000_000
"""Number of the first key that is put after the fill; every step has a range of its own above it."""
# NumPy's threads spin for a while after its import, on the cores that are measured.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def machine() -> Facts:
    """Return what of the machine bears on the figures."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    inside = [mount for mount in mounts if STORES.resolve().is_relative_to(mount[1])]
    device, folder, kind = max(inside, key=lambda mount: len(mount[1]))[:3]
    return {
        "cpu": model[0].split(":")[1].strip() if model else platform.machine(),
        "cores": os.cpu_count() or 0,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": os.uname().release,
        "file_system": f"{kind} on {device} at {folder}",
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
    }


def commit() -> str:
    """Return the commit, marked if files differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    return done.stdout.strip() or "unknown"


class Runner:
    """Runs tasks and writes what they did."""

    def __init__(self, results: Path, environment: Facts, wanted: str) -> None:
        self._results = results
        self._environment = environment
        self._wanted = wanted

    def wants(self, step: Step, entries: int) -> bool:
        """Tell whether a step was asked for."""
        return asked_for(self._wanted, step.row(entries))

    def run(self, row: str, task: Task, repetition: int) -> None:
        """Run a task in a process of its own and write its line; a failure is a line too."""
        command = [sys.executable, "-m", "benches.child", msgspec.json.encode(task).decode()]
        env = dict(os.environ, **ENVIRONMENT)
        # What the run before left to be written would be written during this one.
        os.sync()
        done = subprocess.run(
            command, cwd=ROOT, env=env, check=False, capture_output=True, text=True, timeout=RUN_S_MAX
        )
        if task.workload == "crash" and done.returncode == -signal.SIGKILL:
            return
        line: Facts = {"row": row, "system": task.system, "repetition": repetition}
        if done.returncode == 0:
            outcome = msgspec.json.decode(done.stdout, type=Outcome)
            line |= {
                "operations": outcome.operations,
                "seconds": outcome.seconds,
                "cpu_seconds": outcome.cpu_seconds,
                "facts": outcome.facts,
            }
        else:
            reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
            print(f"FAILED {row}, {task.system}: {reason}", flush=True)
            line["error"] = reason
        self.write(line)

    def write(self, line: Facts) -> None:
        """Append a line."""
        with self._results.open("ab") as file:
            file.write(msgspec.json.encode({**line, "environment": self._environment}) + b"\n")

    def stage(self, stage: Stage, repetition: int) -> None:
        """Make the stores of a stage and do its steps on them, system after system in each."""
        steps = [step for step in stage.steps if self.wants(step, stage.entries)]
        filling = Step("fill", stage.entries)
        if not steps and not (stage.entries and self.wants(filling, stage.entries)):
            return
        shutil.rmtree(STORES, ignore_errors=True)
        for system in turned(peers.STORES, repetition) if stage.entries else ():
            task = Task("fill", system, str(STORES / system), count=stage.entries)
            if system not in FILLED_WHOLE:
                task = replace(task, seconds_max=stage.fill_seconds_max)
            self.run(filling.row(stage.entries), task, repetition)
        for number, step in enumerate(steps):
            for system in turned(step.systems, repetition):
                self.step(stage, step, number, system, repetition)
        shutil.rmtree(STORES, ignore_errors=True)

    def step(self, stage: Stage, step: Step, number: int, system: str, repetition: int) -> None:
        """Run one step on one system."""
        task = Task(
            step.workload,
            system,
            str(STORES / system),
            durability=step.durability,
            value_size=step.value_size,
            count=step.count,
            entries=stage.entries,
            first=NEW_KEYS * (number + 1),
            threads=step.threads,
            depth=step.depth,
        )
        if step.workload in ALONE:
            task = replace(task, directory=str(STORES / f"{system}-{number}"))
        if step.workload == "reopen":
            task = replace(task, directory=str(STORES / f"{system}-killed"), entries=step.count, first=0)
            self.run(step.row(stage.entries), replace(task, workload="crash"), repetition)
        self.run(step.row(stage.entries), task, repetition)
        if step.workload in ALONE:
            shutil.rmtree(task.directory, ignore_errors=True)

    def syncs(self, steps: list[Step]) -> None:
        """Check, once a system and kind of put, that both sides of a comparison sync alike."""
        kinds = {(step.workload, step.durability) for step in steps if step.workload in ("put", "put_many")}
        for workload, durability in sorted(kinds):
            for system in (*peers.STORES, peers.RAW[0]):
                directory = STORES / "syncs"
                shutil.rmtree(directory, ignore_errors=True)
                directory.mkdir(parents=True)
                batch = SYNC_CHECK_BATCH if workload == "put_many" else 1
                count = SYNC_CHECK_CALLS[workload] * batch
                task = Task(workload, system, str(directory), durability=durability, count=count, batch=batch)
                line: Facts = {"row": f"syncs {workload} {durability}", "system": system, "repetition": 0}
                self.write({**line, "syncs_per_call": count_syncs(task, directory)})
        shutil.rmtree(STORES, ignore_errors=True)


def asked_for(wanted: str, row: str) -> bool:
    """Tell whether a row is among those asked for: all, or those that begin with one of the texts between commas."""
    whole = "net" if row.startswith("net ") else "embedded"
    return wanted in ("", whole) or any(row.startswith(text.strip()) for text in wanted.split(","))


def turned(systems: tuple[str, ...], repetition: int) -> tuple[str, ...]:
    """Return them beginning with another one each time, so that none always runs after the same."""
    cut = repetition % len(systems)
    return systems[cut:] + systems[:cut]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--only",
        default="",
        help="`embedded`, `net`, `dfuse`, `ecosystem`, or how names of rows begin: `put 64B synced,scan`",
    )
    parser.add_argument("--quick", action="store_true", help="fewer operations, 3 repetitions")
    parser.add_argument("--huge", action="store_true", help="stores of 10^7 entries too")
    parser.add_argument("--profile", choices=setup.PROFILES, default="fast", help="of the native core's build")
    return parser.parse_args()


APART = ("dfuse", "ecosystem")
"""What is measured by itself: `dfuse` takes the right to mount, `ecosystem` an object server."""


def apart(what: str, *, quick: bool, profile: str) -> int:
    """Measure one of these; print the table and the targets. Return 1 if one is missed that is not known to be."""
    if what == "ecosystem":
        setup.install_peers()
    setup.build_core(profile)
    # What is measured is the core that was just built.
    module = import_module(f"benches.{what}.run")

    RESULTS.mkdir(parents=True, exist_ok=True)
    repetitions = REPETITIONS_QUICK
    environment: Facts = {**machine(), "profile": profile, "commit": commit(), "quick": quick}
    results = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}-{what}.ndjson"
    runner = Runner(results, {**environment, "repetitions": repetitions}, what)
    module.run(runner.write, STORES, repetitions=repetitions, quick=quick)
    run = bench_report.read(results)
    medians = {row.removeprefix(f"{what} "): run.rates(row) for row in run.samples}
    text, reached = bench_report.judgement(run, bench_report.targets())
    print(f"{module.table(medians)}\n\n{text}\nresults: {results}")
    return 0 if reached else 1


def main() -> int:
    """Run what was asked for, print the table."""
    asked = arguments()
    if asked.only in APART:
        return apart(asked.only, quick=asked.quick, profile=asked.profile)
    stages = embedded(quick=asked.quick, huge=asked.huge)
    embedded_rows = [row for stage in stages for row in stage.rows()]
    if not any(asked_for(asked.only, row) for row in (*embedded_rows, *net_rows())):
        print(f"no row begins with {asked.only!r}; there are:", file=sys.stderr)
        print(*embedded_rows, *net_rows(), sep="\n", file=sys.stderr)
        return 2
    stores_asked = any(asked_for(asked.only, row) for row in embedded_rows)
    net_asked = any(asked_for(asked.only, row) for row in net_rows())
    setup.install_peers()
    setup.build_core(asked.profile)
    RESULTS.mkdir(parents=True, exist_ok=True)
    STORES.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    results = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.ndjson"
    repetitions = REPETITIONS_QUICK if asked.quick else REPETITIONS
    environment: Facts = {
        **machine(),
        "versions": {system: peers.version(system) for system in (*peers.STORES, "raw")}
        | {system: cells.version(system) for system in ("memmap", "zarr")}
        | ({"redis": redis_server.version()} if redis_server.available() else {}),
        "profile": asked.profile,
        "commit": commit(),
        "quick": asked.quick,
        "repetitions": repetitions if stores_asked else NET_REPETITIONS,
    }
    runner = Runner(results, environment, asked.only)
    runner.syncs([step for stage in stages for step in stage.steps if runner.wants(step, stage.entries)])
    for repetition in range(repetitions if stores_asked else 0):
        for stage in stages:
            runner.stage(stage, repetition)
        print(f"repetition {repetition + 1} of {repetitions}: {time.monotonic() - started:.0f} s", flush=True)
    if net_asked:
        seconds = SECONDS_QUICK if asked.quick else SECONDS
        NetRunner(runner.write, lambda row: asked_for(asked.only, row), STORES, seconds).run()
    status = bench_report.main([str(results)])
    if net_asked:
        print(f"\n{net_report.costs(bench_report.read(results))}")
    return status


if __name__ == "__main__":
    sys.exit(main())
