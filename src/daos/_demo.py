"""The main job: real files and real numbers go in, are changed, a load is killed, and every byte is compared.

`Demo.steps` does it, a row of the table at a time; `lines` makes the table.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import sys
import time
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from daos._build import build_info
from daos._demo_files import Facts, FactStore, FileStore, batches, contents, digest, tree
from daos._demo_load import FULL, POOL, QUICK, TREE, Killed, Plan, load_and_kill
from daos._demo_mask import ARRAY, PIECE_CELLS, Mask
from daos.client import open as open_pool
from daos.client import open_system
from daos.dfs import mount
from daos.errors import DER, CorruptionError, DataLossError, ExistsError, InvalidError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from daos.client import Container, Pool

__all__ = ["FULL", "QUICK", "Demo", "Plan", "Row", "clear", "lines"]

BEFORE = "before"
"""The snapshot that is taken before anything is changed."""
FILES = "files"
"""The container of the file system."""
CHANGED = "changed by the demo"
READ_ENTRIES = 64
FACTS_SECONDS_MAX = 15.0
"""What describing the files may take: each waits for the disk, and some disks need 10 ms."""


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        step: What was done.
        entries: Keys, dkeys or pieces that were stored, read or removed; None where that means nothing.
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

    def add(self, size: int) -> None:
        """Count an entry of so many bytes."""
        self.entries += 1
        self.size += size

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
        with open_system(path, create=False, share=False) as system:
            ours = [pool.label for pool in system.pools()] == [POOL] and {
                container.label for container in system.pool(POOL).containers()
            } <= {TREE, FILES, "mask"}  # "mask" was made by earlier versions
    except (NotFoundError, InvalidError, CorruptionError) as error:
        raise refusal from error
    if not ours:
        raise refusal
    shutil.rmtree(path)


@dataclass
class State:
    """What the container should hold, now or at a snapshot.

    Attributes:
        files: The sum of each file.
        facts: The sum of the facts of each file that was described.
        mask_sum: Of the array; None if it was left out.
    """

    files: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    mask_sum: str | None = None


class Demo:
    """The job on one system.

    Attributes:
        path: The directory of the system.
        plan: How much is done.
        head: What should be there now.
        before: What should be there at the snapshot.
        mask: The cells of the array as they should be; None if they were left out.
    """

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path = path
        self.plan = plan
        self.head = State()
        self.before = State()
        self.mask: Mask | None = None
        self._known: dict[str, int] = {}

    @property
    def remains(self) -> str:
        """What is left when it has passed."""
        return f"the system stays in {self.path}"

    def clear(self) -> None:
        """Remove the system of a former run; nothing else; as `clear`."""
        clear(self.path)

    def steps(self) -> Iterator[Row]:
        """Do the job; yield a row when a step is done.

        Raises:
            CorruptionError: `DER.CSUM`: something read is not what was stored.
            DataLossError: `DER.DATA_LOSS`: something acknowledged is gone.
            DaosError: As `clear`, `load_and_kill`, and the SDK's.
        """
        self.clear()
        files = tree(self.plan.files_max)
        with open_pool(self.path, pool=POOL) as pool:
            container = pool.container(TREE, create=True)
            store, facts = FileStore(container, create=True), FactStore(container, create=True)
            yield self._load(store, "KV: load every file, in batches", files)
            described = dict(islice(files.items(), self.plan.facts_max))
            yield self._describe(facts, "object: describe files, one by one", described)
            yield self._write_mask(container)
            yield self._snapshot(container)
            yield self._load(store, "KV: change a third of the files", thirds(files), mark=CHANGED)
            yield self._describe(facts, "object: describe them again", thirds(described), mark=CHANGED)
            if self.mask is not None:
                yield self._change_mask(container, self.mask)
            yield self._remove(store, list(islice(self.head.files, 1, None, 10)))
            yield self._compare(container.at(BEFORE), "read all at the snapshot", self.before)
            yield self._compare(container, "read all as it is now", self.head)
            yield self._aggregate(container)
            yield self._file_system(pool, described)
        killed = load_and_kill(self.path, self.plan)
        yield Row("second load, ended by kill -9", note=f"after {killed.batches} acknowledged batches")
        yield from self._after(killed)
        on_disk = sum(file.stat().st_blocks * 512 for file in self.path.rglob("*") if file.is_file())
        yield Row("bytes on disk", size=on_disk)

    # --- what goes in

    def _load(self, store: FileStore, step: str, files: Mapping[str, Path], mark: str = "") -> Row:
        """Store files."""
        meter = Meter()
        for batch in batches(contents(files, mark), self.plan.batch_entries):
            with meter.running():
                store.put(batch)
            for key, data in batch:
                self.head.files[key] = digest(data)
                meter.add(len(data))
        split = sum(1 for _ in store.parts)
        return meter.row(step, f"long files in {split} parts" if split and not mark else "")

    def _describe(self, store: FactStore, step: str, files: Mapping[str, Path], mark: str = "") -> Row:
        """Store facts of files, of those that are described already the new ones only."""
        meter = Meter()
        for key, data in contents(files, mark):
            facts = Facts.of(data)
            with meter.running():
                store.put(key, facts, self._known.get(key, 0))
            self._known[key] = facts.starts.size
            self.head.facts[key] = facts.sum()
            meter.add(facts.stored_bytes)
            if meter.seconds > FACTS_SECONDS_MAX:
                break
        return meter.row(step, "size, sum, starts of lines: an update each")

    def _write_mask(self, container: Container) -> Row:
        """Write the land mask to an array, a piece at a time."""
        step, meter = "array: write the Earth's land mask", Meter()
        try:
            self.mask = Mask.load(self.plan.mask_rows)
        except (NotFoundError, OSError, zipfile.BadZipFile) as error:
            return Row(step, note=f"left out: {error}".replace("\n", "; "))
        array = container.array(ARRAY, "u1", create=True)
        for start, cells in self.mask.pieces():
            with meter.running():
                array.write(start, cells)
            meter.add(cells.nbytes)
        self.head.mask_sum = self.mask.sum()
        return meter.row(step, f"{self.plan.mask_rows} rows, in writes of {min(PIECE_CELLS, array.size):,} cells")

    def _file_system(self, pool: Pool, files: Mapping[str, Path]) -> Row:
        """Store files in a file system, move them, read them again, and check it."""
        meter = Meter()
        sums: dict[str, str] = {}
        with mount(pool.container(FILES, create=True, type="POSIX")) as fs:
            for key, data in contents(files):
                path = fs.path("loading", key)
                with meter.running():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
                sums[key] = digest(data)
                meter.add(len(data))
            with meter.running():
                fs.rename("/loading", "/tree")
                fs.sync()
            for key, sum_ in sums.items():
                with meter.running():
                    data = fs.read_bytes(f"/tree/{key}")
                if digest(data) != sum_:
                    raise CorruptionError(f"file {key} reads as {digest(data)}, stored was {sum_}")
            report = fs.check()
            if report.findings:
                raise CorruptionError(f"in the file system: {report.findings[0]}", code=DER.DF_INVAL)
        return meter.row("files: a tree, moved, read, checked", f"{report.directories} directories of a file system")

    def _snapshot(self, container: Container) -> Row:
        """Take the snapshot."""
        meter = Meter()
        with meter.running():
            container.snapshot(BEFORE)
        self.before = replace(self.head, files=dict(self.head.files), facts=dict(self.head.facts))
        return Row("snapshot", seconds=meter.seconds)

    def _change_mask(self, container: Container, mask: Mask) -> Row:
        """Overwrite parts of the array that begin and end anywhere, and one cell of each row."""
        array, meter = container.array(ARRAY), Meter()
        for start, cells in mask.flips():
            with meter.running():
                array.write(start, cells)
            meter.add(cells.nbytes)
        start, cells = mask.meridian()
        with meter.running():
            array.write(start, cells, step=mask.columns)
        meter.add(cells.size)
        self.head.mask_sum = mask.sum()
        return meter.row("array: overwrite parts of it", "unaligned; one is a cell of each row")

    def _remove(self, store: FileStore, keys: list[str]) -> Row:
        """Remove files."""
        meter = Meter()
        for key in keys:
            with meter.running():
                store.remove(key)
            del self.head.files[key]
            meter.add(0)
        return meter.row("KV: remove a tenth, one by one")

    def _aggregate(self, container: Container) -> Row:
        """Remove what neither the snapshot nor the present shows."""
        meter = Meter()
        with meter.running():
            meter.entries = container.aggregate()
        return meter.row("aggregate", "versions that nobody can read any more")

    # --- what comes out

    def _compare(self, container: Container, step: str, state: State) -> Row:
        """Read everything, and compare it with what it should be."""
        meter = Meter()
        for what, found, stored in self._read(container, state, meter):
            if found != stored:
                text = f"{what} reads as {found or 'nothing'}, stored was {stored}"
                raise CorruptionError(text, context={"key": what})
        return meter.row(step, "equal by SHA-256")

    def _read(self, container: Container, state: State, meter: Meter) -> Iterator[tuple[str, str | None, str]]:
        """Yield all there should be: what it is, the sum of what was read, and the sum of what was stored."""
        for key, found in self._found(FileStore(container), set(state.files), meter):
            yield key, found, state.files[key]
        facts = FactStore(container)
        for key, stored in state.facts.items():
            with meter.running():
                read = facts.read(key)
            meter.add(0 if read is None else read.stored_bytes)
            yield f"the facts of {key}", None if read is None else read.sum(), stored
        if state.mask_sum is not None:
            array, found_sum = container.array(ARRAY), hashlib.sha256()
            blocks = array.blocks(PIECE_CELLS)
            while True:
                with meter.running():
                    cells = next(blocks, None)
                if cells is None:
                    break
                found_sum.update(cells.data)
                meter.add(cells.nbytes)
            yield "the mask", found_sum.hexdigest(), state.mask_sum

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
                if data is not None:
                    meter.add(len(data))

    # --- the kill

    def _after(self, killed: Killed) -> Iterator[Row]:
        """Open again; all acknowledged must be there, and what was in flight be old or new."""
        meter = Meter()
        with meter.running():
            pool = open_pool(self.path, pool=POOL, create=False)
        yield Row("open it again", seconds=meter.seconds)
        with pool:
            container = pool.container(TREE)
            files, facts = self._files_after(container, killed), self._facts_after(container, killed)
            writes, cells = self._mask_after(container, killed)
            told = len(killed.files) + len(killed.facts) + len(killed.patches)
            what = f"files {len(killed.files)}, updates {len(killed.facts)}, array writes {len(killed.patches)}"
            yield Row("  acknowledged before the kill", told, note=what)
            yield Row("  found after it", files[0] + facts[0] + writes, note="nothing acknowledged is lost")
            flying = killed.in_flight
            note = f"new: files {files[1]}, updates {facts[1]}, cells {cells}; the rest is old, none is torn"
            yield Row("  in flight", len(flying.files) + len(flying.facts) + (flying.patch is not None), note=note)
            yield self._compare(container, "read all as it is now", self.head)
            yield self._compare(container.at(BEFORE), "read all at the snapshot", self.before)

    def _files_after(self, container: Container, killed: Killed) -> tuple[int, int]:
        """Take over what the kill left of the files; return how many are as acknowledged, and how many are new."""
        former, flying = {**self.head.files, **killed.files}, killed.in_flight.files
        found = dict(self._found(FileStore(container), {*former, *flying}, Meter()))
        new = settle(found, former, flying, killed.files)
        self.head.files = {key: sum_ for key, sum_ in found.items() if sum_ is not None}
        return sum(found.get(key) is not None for key in killed.files), new

    def _facts_after(self, container: Container, killed: Killed) -> tuple[int, int]:
        """Do the same for the facts."""
        former, flying = {**self.head.facts, **killed.facts}, killed.in_flight.facts
        store = FactStore(container)
        read = {key: store.read(key) for key in {*killed.facts, *flying}}
        found = {key: None if facts is None else facts.sum() for key, facts in read.items()}
        new = settle(found, former, flying, killed.facts)
        self.head.facts = former | {key: sum_ for key, sum_ in found.items() if sum_ is not None}
        return sum(found.get(key) is not None for key in killed.facts), new

    def _mask_after(self, container: Container, killed: Killed) -> tuple[int, int]:
        """Take over what the kill left of the array; return how many writes are there, and how many cells are new."""
        if self.mask is None:
            return 0, 0
        array, kept, new = container.array(ARRAY), 0, 0
        for done in killed.patches:
            self.mask.apply(done)
        if killed.in_flight.patch is not None:
            new = self.mask.adopt(array, killed.in_flight.patch)
        for done in killed.patches:
            if not self.mask.holds(array, done):
                text = f"after the kill cells {done.start} to {done.stop} of the mask are not what was stored"
                raise DataLossError(text, context={"start": done.start})
            kept += 1
        self.head.mask_sum = self.mask.sum()
        return kept, new

    def next_command(self) -> str:
        """Return a command to try on the system that is left."""
        here = Path(sys.executable).parent / "daos"
        tool = "daos"
        if shutil.which("daos") != os.fspath(here) and here.is_file():
            tool = os.fspath(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here)
        key = "python/this.py"
        if key not in self.head.files:
            key = next((name for name in self.head.files if name.endswith(".py")), next(iter(self.head.files)))
        return shlex.join([tool, "kv", "get", POOL, TREE, "files", key, "--system", os.fspath(self.path)])


def thirds(files: Mapping[str, Path]) -> dict[str, Path]:
    """Return each third file."""
    return dict(islice(files.items(), 0, None, 3))


def settle(
    found: Mapping[str, str | None], former: Mapping[str, str], flying: Mapping[str, str], told: Mapping[str, str]
) -> int:
    """See that all that was found after the kill is what may be there; return how much of it is new.

    Args:
        found: By key, the sum of what is there.
        former: What should be, but for what was in flight.
        flying: What was in flight, which may be there instead.
        told: What was acknowledged.

    Raises:
        DataLossError: `DER.DATA_LOSS`: something acknowledged is not there.
        CorruptionError: `DER.CSUM`: something else is not what it should be.
    """
    new = 0
    for key, sum_ in found.items():
        if sum_ is not None and sum_ == flying.get(key):
            new += 1
        elif sum_ != former.get(key):
            stored = former.get(key)
            text = f"after the kill {key} reads as {sum_ or 'nothing'}, stored was {stored or 'nothing'}"
            raise (DataLossError if key in told else CorruptionError)(text, context={"key": key})
    return new


def lines(demo: Demo) -> Iterator[str]:
    """Do the job; yield the lines of the table when they are known, and last the command to try next."""
    demo.clear()  # here too, so that a refusal stands alone
    info = build_info()
    started = time.monotonic()
    yield f"daos {info.version} on {info.target}, Python {platform.python_version()}; every write is synced"
    yield HEAD
    for row in demo.steps():
        yield row.text()
    yield f"passed in {time.monotonic() - started:.1f} s; {demo.remains}. Try next:"
    yield demo.next_command()
