"""The main job: real files and real numbers go in, are changed, a load is killed, and every byte is compared.

`Demo.steps` does it, a row of the table at a time; `lines` makes the table. Run as a script, this module is the load
that is killed: it tells its parent, by a line a note, which batch it begins and which is acknowledged.
"""

from __future__ import annotations

import hashlib
import os
import platform
import random
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from daos._build import build_info
from daos._demo_files import FileStore, batches, contents, digest, mask_rows, tree
from daos.client import open as open_pool
from daos.client import open_system
from daos.errors import (
    CorruptionError,
    DataLossError,
    ExistsError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from daos.client import KV, Container

__all__ = ["FULL", "QUICK", "Demo", "Plan", "Row", "clear", "lines"]

POOL = "demo"
TREE = "tree"
MASK = "mask"
READ_ENTRIES = 64
FACTS_SECONDS_MAX = 15.0
"""What the puts of small values may take: each waits for the disk, and some disks need 10 ms."""
MASK_FIRST_ROW = 3600
"""60 degrees north, in rows of 1/120 degree from the pole."""
CHILD_SECONDS_MAX = 45.0
KILL_DELAY_SECONDS_MAX = 0.004
"""A batch takes a few milliseconds; the kill falls at any time within."""


@dataclass(frozen=True)
class Plan:
    """How much is done.

    Attributes:
        name: What the child is told.
        files_max: Files of the tree; more are thinned out evenly.
        facts_max: Files whose facts are stored.
        mask_rows: Rows of the mask, 43,200 bytes each.
        batch_entries: Entries of a batch of files.
        kill_after: The least and the most acknowledged batches before the kill.
    """

    name: str
    files_max: int
    facts_max: int
    mask_rows: int
    batch_entries: int
    kill_after: tuple[int, int]


FULL = Plan("full", 1_000_000, 2000, 2400, 32, (24, 64))
QUICK = Plan("quick", 300, 50, 60, 8, (12, 30))
PLANS = {plan.name: plan for plan in (FULL, QUICK)}


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        step: What was done.
        entries: Keys that were put, read or removed; None where that means nothing.
        size: Bytes of their values.
        seconds: Spent in the store, without reading and summing the files.
        note: What else there is to say.
    """

    step: str
    entries: int | None = None
    size: int | None = None
    seconds: float | None = None
    note: str = ""

    def text(self) -> str:
        """Return the line."""
        entries = "" if self.entries is None else f"{self.entries:,}"
        size = "" if self.size is None else f"{self.size / 1e6:.1f}"
        seconds = "" if self.seconds is None else f"{self.seconds:.2f}"
        spent = max(self.seconds or 0.0, 1e-6)
        bandwidth = f"{self.size / 1e6 / spent:.1f}" if self.size and self.seconds else ""
        rate = f"{self.entries / spent:,.0f}" if self.entries and self.seconds else ""
        return line_of(self.step, entries, size, seconds, bandwidth, rate, self.note)


def line_of(step: str, *cells: str) -> str:
    """Return a line of the table: five cells of numbers, and a note."""
    *numbers, note = cells
    widths = (8, 8, 7, 8, 11)
    line = "".join(f"{cell:>{width}}" for cell, width in zip(numbers, widths, strict=True))
    return f"{step:<34}{line}  {note}".rstrip()


HEAD = line_of("step", "entries", "MB", "s", "MB/s", "entries/s", "")


@dataclass
class Meter:
    """Adds up what a step moves, and the time it spends in the store."""

    entries: int = 0
    size: int = 0
    seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time of a block."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - started

    def row(self, step: str, note: str = "") -> Row:
        """Return the line of the step."""
        return Row(step, self.entries, self.size, self.seconds, note)


# --- the load that is killed


class Note(msgspec.Struct):
    """What the child says of a batch.

    Attributes:
        begun: Keys and sums of the files it is about to store; empty: those it told of last are acknowledged.
    """

    begun: dict[str, str]


def second_load(path: str, plan: Plan) -> None:
    """Store all files, each time with another line at the end, until killed; say on standard output how far it is."""
    out = sys.stdout.buffer
    with open_pool(path, pool=POOL, create=False) as pool:
        store = FileStore(pool.container(TREE))
        files = tree(plan.files_max)
        for number in count(1):
            for batch in batches(contents(files, f"second load, round {number}"), plan.batch_entries):
                for begun in ({key: digest(data) for key, data in batch}, {}):
                    out.write(msgspec.json.encode(Note(begun)) + b"\n")
                    out.flush()
                    if begun:
                        store.put(batch)


@dataclass
class Killed:
    """What the parent knows of a load that it killed.

    Attributes:
        batches: How many were acknowledged.
        acknowledged: Keys and sums, of a file that was stored twice the last.
        in_flight: Of the batch that was begun last and not acknowledged.
    """

    batches: int = 0
    acknowledged: dict[str, str] = field(default_factory=dict)
    in_flight: dict[str, str] = field(default_factory=dict)

    def hear(self, note: Note) -> None:
        """Take in what the child says."""
        if note.begun:
            self.in_flight = note.begun
            return
        self.batches += 1
        self.acknowledged |= self.in_flight
        self.in_flight = {}


def load_and_kill(path: Path, plan: Plan) -> Killed:
    """Start a second load and kill it at a random time; return what it had said by then.

    Raises:
        UnavailableError: It ended by itself, or was too slow.
    """
    chance = random.SystemRandom()
    wanted = chance.randint(*plan.kill_after)
    killed = Killed()
    command = [sys.executable, "-m", "daos._demo", os.fspath(path), plan.name]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:
        deadline = threading.Timer(CHILD_SECONDS_MAX, child.kill)
        blow = threading.Timer(chance.uniform(0, KILL_DELAY_SECONDS_MAX), child.kill)
        deadline.start()
        try:
            for line in child.stdout or ():
                # The last line may be cut: then it says nothing.
                if line.endswith(b"\n"):
                    note = msgspec.json.decode(line, type=Note)
                    killed.hear(note)
                    if note.begun and killed.batches >= wanted and blow.ident is None:
                        blow.start()  # while this batch is stored, as a rule
        finally:
            deadline.cancel()
            child.kill()
            child.wait()
    if child.returncode != -signal.SIGKILL or killed.batches < wanted:
        slow = f"killed by another, or longer than {CHILD_SECONDS_MAX:.0f} s under way"
        how = slow if child.returncode == -signal.SIGKILL else f"status {child.returncode}"
        raise UnavailableError(f"the second load ended after {killed.batches} of {wanted} batches: {how}")
    return killed


# --- the job


def clear(path: Path) -> None:
    """Remove the system of a former run; nothing else.

    Raises:
        ExistsError: `DER.EXIST`: something else is there.
        BusyError: `DER.BUSY`: another process holds it.
    """
    if not os.path.lexists(path) or (path.is_dir() and not path.is_symlink() and not any(path.iterdir())):
        return
    refusal = ExistsError(
        f"{path} is there already, and was not made by the demo",
        hint="name another place with --path, or remove it yourself",
        context={"path": os.fspath(path)},
    )
    if path.is_symlink():
        raise refusal
    try:
        with open_system(path, create=False) as system:
            ours = [pool.label for pool in system.pools()] == [POOL] and {
                container.label for container in system.pool(POOL).containers()
            } <= {TREE, MASK}
    except (NotFoundError, InvalidError, CorruptionError) as error:
        raise refusal from error
    if not ours:
        raise refusal
    shutil.rmtree(path)


class Demo:
    """The job on one system.

    Attributes:
        path: The directory of the system.
        plan: How much is done.
        expected: What each file's sum should be at head.
        mask_sum: Of the rows of the mask; None if they were left out.
    """

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path = path
        self.plan = plan
        self.expected: dict[str, str] = {}
        self.mask_sum: str | None = None

    def steps(self) -> Iterator[Row]:
        """Do the job; yield a row when a step is done.

        Raises:
            CorruptionError: `DER.CSUM`: something read is not what was stored.
            DataLossError: `DER.DATA_LOSS`: something acknowledged is gone.
            DaosError: As `clear`, `load_and_kill`, and the SDK's.
        """
        clear(self.path)
        files = tree(self.plan.files_max)
        with open_pool(self.path, pool=POOL) as pool:
            container = pool.container(TREE, create=True)
            store = FileStore(container, create=True)
            yield self._load(store, "load every file, in batches", files)
            yield from self._facts(container.kv("facts", create=True), files)
            yield from self._mask(pool.container(MASK, create=True))
            third = dict(islice(files.items(), 0, None, 3))
            yield self._load(store, "change a third of them", third, mark="changed by the demo")
            yield self._remove(store, list(islice(self.expected, 1, None, 10)))
            yield self._read_back(store, "read all, compare by SHA-256")
        killed = load_and_kill(self.path, self.plan)
        yield Row("second load, ended by kill -9", note=f"after {killed.batches} acknowledged batches")
        yield from self._after(killed)
        on_disk = sum(file.stat().st_blocks * 512 for file in self.path.rglob("*") if file.is_file())
        yield Row("bytes on disk", size=on_disk)

    def _load(self, store: FileStore, step: str, files: Mapping[str, Path], mark: str = "") -> Row:
        """Store files."""
        meter = Meter()
        for batch in batches(contents(files, mark), self.plan.batch_entries):
            with meter.running():
                store.put(batch)
            for key, data in batch:
                self.expected[key] = digest(data)
                meter.entries += 1
                meter.size += len(data)
        split = sum(1 for _ in store.parts)
        return meter.row(step, f"long files in {split} parts" if split and not mark else "")

    def _facts(self, kv: KV[str], files: Mapping[str, Path]) -> Iterator[Row]:
        """Store small values, each by its own put, and read each by its own get."""
        facts: dict[str, bytes] = {}
        for key, path in islice(files.items(), self.plan.facts_max):
            if key in self.expected and path.exists():
                info = path.stat()
                facts[f"{key}/size"] = b"%d" % info.st_size
                facts[f"{key}/mtime"] = b"%d" % info.st_mtime
                facts[f"{key}/sha256"] = self.expected[key].encode()
        meter = Meter()
        for name, value in facts.items():
            with meter.running():
                kv[name] = value
            meter.entries += 1
            meter.size += len(value)
            if meter.seconds > FACTS_SECONDS_MAX:
                break
        yield meter.row("put small values, one by one", "size, mtime, sum of files; each synced")
        stored = dict(islice(facts.items(), meter.entries))
        meter = Meter()
        for name, value in stored.items():
            with meter.running():
                found = kv.get(name)
            if found != value:
                raise CorruptionError(f"the fact {name} is {found!r}, stored was {value!r}")
            meter.entries += 1
            meter.size += len(value)
        yield meter.row("get them, one by one", "equal")

    def _mask(self, container: Container) -> Iterator[Row]:
        """Store rows of the land mask by their numbers; read them back in order and compare the sum of all."""
        kv = container.kv("rows", create=True, keys="int")
        meter, source = Meter(), hashlib.sha256()
        rows = mask_rows(MASK_FIRST_ROW, self.plan.mask_rows)
        try:
            while batch := list(islice(rows, READ_ENTRIES)):
                for _, row in batch:
                    source.update(row)
                with meter.running():
                    kv.put_many(batch)
                meter.entries += len(batch)
                meter.size += sum(len(row) for _, row in batch)
        except (NotFoundError, OSError, zipfile.BadZipFile) as error:
            yield Row("put rows of the Earth's land mask", note=f"left out: {error}".replace("\n", "; "))
            return
        self.mask_sum = source.hexdigest()
        yield meter.row("put rows of the Earth's land mask", f"{meter.size // meter.entries:,} bytes each")
        yield self._read_mask(kv, "list and get the rows")

    def _read_mask(self, kv: KV[int], step: str) -> Row:
        """Read the rows in the order of their keys, and compare the sum of all."""
        meter, found = Meter(), hashlib.sha256()
        pairs = iter(kv.items())
        while True:
            with meter.running():
                page = list(islice(pairs, READ_ENTRIES))
            if not page:
                break
            for _, row in page:
                found.update(row)
            meter.entries += len(page)
            meter.size += sum(len(row) for _, row in page)
        if found.hexdigest() != self.mask_sum:
            raise CorruptionError(f"the mask reads as {found.hexdigest()}, stored was {self.mask_sum}")
        return meter.row(step, "SHA-256 equal")

    def _remove(self, store: FileStore, keys: list[str]) -> Row:
        """Remove files."""
        meter = Meter()
        for key in keys:
            with meter.running():
                store.remove(key)
            del self.expected[key]
            meter.entries += 1
        return meter.row("remove a tenth, one by one", "each synced")

    def _read_back(self, store: FileStore, step: str) -> Row:
        """Read every file, and compare it with what it should be."""
        meter = Meter()
        for key, found in self._found(store, set(self.expected), meter):
            if found != self.expected[key]:
                raise CorruptionError(
                    f"{key} reads as {found or 'nothing'}, stored was {self.expected[key]}", context={"key": key}
                )
        return meter.row(step, "all equal")

    def _found(self, store: FileStore, allowed: set[str], meter: Meter) -> Iterator[tuple[str, str | None]]:
        """Yield the keys that may be there and the sums of what is, None for nothing; refuse any other key."""
        with meter.running():
            extra = set(store.files) - allowed
        if extra:
            raise CorruptionError(f"{min(extra)} is there, and should not be", context={"keys": len(extra)})
        keys = iter(sorted(allowed))
        while page := list(islice(keys, READ_ENTRIES)):
            with meter.running():
                contents = store.read(page)
            for key, data in contents:
                yield key, None if data is None else digest(data)
                meter.entries += data is not None
                meter.size += len(data or b"")

    def _after(self, killed: Killed) -> Iterator[Row]:
        """Open again; all acknowledged must be there, and what was in flight be old or new."""
        meter = Meter()
        with meter.running():
            pool = open_pool(self.path, pool=POOL, create=False)
        yield Row("open it again", seconds=meter.seconds)
        with pool:
            store, meter, kept, new = FileStore(pool.container(TREE)), Meter(), 0, 0
            former = {**self.expected, **killed.acknowledged}
            for key, found in self._found(store, {*former, *killed.in_flight}, meter):
                if found is not None and found == killed.in_flight.get(key):
                    self.expected[key] = found
                    new += 1
                elif found != former.get(key):
                    raise self._loss(key, found, former.get(key), acknowledged=key in killed.acknowledged)
                elif found is not None:
                    self.expected[key] = found
                kept += key in killed.acknowledged
            yield Row("  acknowledged before the kill", len(killed.acknowledged))
            yield Row("  found after it", kept, note="nothing acknowledged is lost")
            old = len(killed.in_flight) - new
            yield Row("  in flight", len(killed.in_flight), note=f"{new} stored, {old} not; each is whole or old")
            yield meter.row("read all, compare by SHA-256", "all equal")
            if self.mask_sum is not None:
                rows = pool.container(MASK).kv("rows", keys="int")
                yield self._read_mask(rows, "list and get the rows of the mask")

    @staticmethod
    def _loss(key: str, found: str | None, stored: str | None, *, acknowledged: bool) -> Exception:
        """Return the error of a file that is not what it should be after the kill."""
        text = f"after the kill {key} reads as {found or 'nothing'}, stored was {stored or 'nothing'}"
        kind = DataLossError if acknowledged else CorruptionError
        return kind(text, context={"key": key})

    def next_command(self) -> str:
        """Return a command to try on the system that is left."""
        here = Path(sys.executable).parent / "daos"
        tool = "daos"
        if shutil.which("daos") != os.fspath(here) and here.is_file():
            tool = os.fspath(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here)
        key = "python/this.py"
        if key not in self.expected:
            key = next((name for name in self.expected if name.endswith(".py")), next(iter(self.expected)))
        return shlex.join([tool, "kv", "get", POOL, TREE, "files", key, "--system", os.fspath(self.path)])


def lines(demo: Demo) -> Iterator[str]:
    """Do the job; yield the lines of the table when they are known, and last the command to try next."""
    clear(demo.path)  # here too, so that a refusal stands alone
    info = build_info()
    started = time.monotonic()
    yield f"daos {info.version} on {info.target}, Python {platform.python_version()}; every put is synced"
    yield HEAD
    for row in demo.steps():
        yield row.text()
    yield f"passed in {time.monotonic() - started:.1f} s; the system stays in {demo.path}. Try next:"
    yield demo.next_command()


if __name__ == "__main__":
    second_load(sys.argv[1], PLANS[sys.argv[2]])
