"""Which runs make a benchmark: stages of stores of one size, steps on each of them."""

from __future__ import annotations

from dataclasses import dataclass

from benches.peers import GUEST, RAW, STORES
from benches.peers.base import Durability
from benches.peers.cells import SYSTEMS as ARRAYS

SYNCED, BUFFERED = Durability.SYNCED, Durability.BUFFERED
SMALL, BIG = 64, 4096
UNLIMITED_S = 120.0
DEPTHS = (1, 16, 64)
SIZED = frozenset({"array_write", "array_read", "part_aligned", "part_unaligned"})
"""Workloads whose rows say how long a block is."""
ALONE = SIZED | {"strided", "strided_each", "layers", "layers_aggregated", "transfer"}
"""Workloads that need no filled store."""
FILLED_WHOLE = ("daos", "rocksdb")
"""Systems that are always filled one by one: the sustained rates of these two have targets."""


@dataclass(frozen=True)
class Step:
    """A workload on every system that can do it.

    Attributes:
        workload: A key of `benches.workloads.WORKLOADS`.
        count: Operations.
        durability: Of its puts.
        value_size: Bytes of a value.
        threads: Threads that put.
        systems: Which.
        depth: Operations that one event loop has under way.
    """

    workload: str
    count: int
    durability: Durability = BUFFERED
    value_size: int = SMALL
    threads: int = 1
    systems: tuple[str, ...] = STORES
    depth: int = 1

    def row(self, entries: int) -> str:
        """Return its name in tables and targets, on stores of so many entries."""
        parts = [self.workload]
        if self.workload in ("put", "put_many"):
            parts += [f"{self.value_size}B", str(self.durability), f"{self.threads}t"]
        if self.workload == "aio_put":
            parts += [f"{self.value_size}B", str(self.durability)]
        if self.workload in ("aio_put", "aio_get"):
            parts.append(f"d{self.depth}")
        if self.workload in ALONE:
            size = f"{self.value_size >> 20}MiB" if self.value_size >> 20 else f"{self.value_size}B"
            return " ".join([self.workload, *([size] if self.workload in SIZED else []), str(self.durability)])
        # What a crash leaves is a store of its own.
        return " ".join([*parts, f"@{self.count if self.workload == 'reopen' else entries}"])


@dataclass(frozen=True)
class Stage:
    """Stores of a size, made anew in every repetition, and what is done on them, in this order.

    Attributes:
        entries: Keys they are filled with first; with none, each step has a directory of its own.
        fill_seconds_max: When a system stops to fill one by one, unless it is one of `FILLED_WHOLE`.
        steps: What follows, each in a process of its own.
    """

    entries: int
    fill_seconds_max: float
    steps: tuple[Step, ...]

    def rows(self) -> tuple[str, ...]:
        """Return the names of all its rows."""
        fill = (Step("fill", self.entries),) if self.entries else ()
        return tuple(step.row(self.entries) for step in (*fill, *self.steps))


def put_steps(synced: int, buffered: int, *, quick: bool) -> tuple[Step, ...]:
    """Return every combination of puts, with so many operations; the quick ones are not of 4 KiB by several threads."""
    steps = []
    for size in (SMALL, BIG):
        for threads in (1,) if quick and size == BIG else (1, 4):
            raw = () if threads > 1 else RAW if size == SMALL else RAW[:1]
            steps.append(Step("put", synced, SYNCED, size, threads, STORES + raw))
            count = buffered if size == SMALL else buffered // 4
            steps.append(Step("put", count, BUFFERED, size, threads, STORES + raw))
    many = ((SYNCED, synced * 16),) if quick else ((SYNCED, synced * 16), (BUFFERED, buffered))
    steps += [Step("put_many", count // 64 * 64, how, SMALL, 1, (*STORES, RAW[0])) for how, count in many]
    return tuple(steps)


def guest_steps(synced: int, gets: int) -> tuple[Step, ...]:
    """Return what a process does on a store that another one holds."""
    guest = (GUEST,)
    return (
        Step("get", gets, systems=guest),
        Step("scan", 0, systems=guest),
        Step("put", synced, SYNCED, systems=guest),
        Step("put", gets, BUFFERED, systems=guest),
        Step("put_many", synced * 16, SYNCED, systems=guest),
    )


def event_steps(synced: int, gets: int, *, quick: bool) -> tuple[Step, ...]:
    """Return puts and gets from an event loop, one, some and many at once; the quick ones are those with targets."""
    ours = STORES[:1]
    steps = []
    for depth in DEPTHS:
        # One by one there are as many hand-overs.
        count = gets if depth > 1 else gets // 4
        steps.append(Step("aio_put", synced * min(depth, 16), SYNCED, depth=depth, systems=ours))
        if not quick:
            steps.append(Step("aio_put", count, BUFFERED, depth=depth, systems=ours))
        if not quick or depth == max(DEPTHS):
            steps.append(Step("aio_get", count, depth=depth, systems=ours))
    return tuple(steps)


def big_steps(synced: int, gets: int, crashed: int) -> tuple[Step, ...]:
    """Return what is done on a big store: reads, and the synced puts that have targets there."""
    return (
        Step("get", gets),
        Step("get_view", gets),
        Step("scan", 0),
        Step("put", synced, SYNCED, SMALL, 1, (*STORES, "raw")),
        Step("put", synced, SYNCED, SMALL, 4),
        Step("put_many", synced * 16 // 64 * 64, SYNCED, SMALL, 1, (*STORES, "raw")),
        *((Step("reopen", crashed),) if crashed else ()),
    )


def alone_steps(*, quick: bool) -> tuple[Step, ...]:
    """Return what is done of arrays and transactions, each on a store of its own."""
    mib = 1 << 20
    total = 64 if quick else 1024
    ours = STORES[:1]
    steps = []
    for size in (mib,) if quick else (mib, 64 * mib):
        count = total * mib // size
        steps.append(Step("array_write", count, SYNCED, size, systems=("daos", "raw", "memmap")))
        steps.append(Step("array_write", count, BUFFERED, size, systems=ARRAYS))
        steps.append(Step("array_read", count, BUFFERED, size, systems=ARRAYS))
    parts = 1_000 if quick else 8_000
    for durability, count in ((SYNCED, parts // 4), (BUFFERED, parts)):
        steps += [Step(name, count, durability, BIG, systems=ours) for name in ("part_aligned", "part_unaligned")]
        steps.append(Step("transfer", count, durability, systems=("daos", "sqlite")))
    steps += [Step("strided", 100_000, systems=ours), Step("strided_each", 5_000, systems=ours)]
    steps += [Step(name, 50, systems=ours) for name in ("layers", "layers_aggregated")]
    return tuple(steps)


def embedded(*, quick: bool, huge: bool) -> tuple[Stage, ...]:
    """Return the stages of the embedded store's benchmark."""
    gets = 20_000 if quick else 100_000
    synced, buffered = (512, 10_000) if quick else (4_096, 50_000)
    reads = (Step("get", gets), *(() if quick else (Step("get_view", gets),)), Step("scan", 0))
    guests = () if quick else guest_steps(synced, gets)
    stages = [
        Stage(
            10_000,
            UNLIMITED_S,
            (*reads, *put_steps(synced, buffered, quick=quick), *event_steps(synced, gets, quick=quick), *guests),
        ),
        # Between the others, and without a target of its own.
        *(() if quick else (Stage(100_000, UNLIMITED_S, reads),)),
        Stage(1_000_000, 1.0 if quick else UNLIMITED_S, big_steps(synced, gets, 200_000)),
    ]
    stages.append(Stage(0, UNLIMITED_S, alone_steps(quick=quick)))
    if huge:
        stages.append(Stage(10_000_000, UNLIMITED_S, big_steps(synced, gets, 0)))
    return tuple(stages)
