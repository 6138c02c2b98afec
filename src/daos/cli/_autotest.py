"""Steps that try out a pool: each stores something, and reads it back.

Numbers and order are those of DAOS's own test where it has the step.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daos.errors import DER, CorruptionError, DaosError, TimedOutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from daos import KV, Container, Pool

TOGETHER = 64
"""Values that are stored or read by one call."""
BIG_BYTES_MAX = 16 << 20
"""Of the step with big values: small pools are tried out, too."""


@dataclass(frozen=True)
class Outcome:
    """What came of a step.

    Attributes:
        number: Of the step.
        name: What it does.
        status: `PASS`, `FAIL` or `SKIP`.
        seconds: It took.
        comment: How much it did, or why it failed.
    """

    number: int
    name: str
    status: str
    seconds: float
    comment: str = ""


@dataclass(frozen=True)
class Step:
    """A step.

    Attributes:
        number: Of the step.
        name: What it does.
        run: Does it; returns a comment. It is given what the steps share, and tells the percentage that is done.
        big: It takes room and time, and can be left out.
    """

    number: int
    name: str
    run: Callable[[Trial, Callable[[int], None]], str]
    big: bool = False


class Trial:
    """What the steps share.

    Args:
        pool: The pool.
        label: Of the container that is made, used and destroyed.
        deadline: Of the monotonic clock, for all of them.
        count: How many small values are stored.
    """

    def __init__(self, pool: Pool, label: str, deadline: float, count: int) -> None:
        self.pool, self.label, self.deadline, self.count = pool, label, deadline, count
        self._container: Container | None = None

    @property
    def container(self) -> Container:
        """The container."""
        if self._container is None:
            self._container = self.pool.container(self.label)
        return self._container

    def each(self, count: int, told: Callable[[int], None], together: int = TOGETHER) -> Iterator[range]:
        """Yield the numbers below a count, some at a time, until the deadline.

        Raises:
            TimedOutError: It has passed.
        """
        for first in range(0, count, together):
            if time.monotonic() > self.deadline:
                raise TimedOutError(f"the time is over at {first * 100 // count} %", hint="a longer --deadline-limit")
            told(first * 100 // count)
            yield range(first, min(first + together, count))

    def forget(self) -> None:
        """Destroy the container if it was made."""
        if any(each.label == self.label for each in self.pool.containers()):
            self.pool.destroy_container(self.label, force=True)


def _value(number: int, size: int) -> bytes:
    """Return the value of a number: another for each, the same in each run."""
    return random.Random(number).randbytes(size)  # noqa: S311 -- nothing secret


def _rate(count: int, began: float) -> str:
    per_second = count / max(time.perf_counter() - began, 1e-9)
    return f"{per_second / 1000:.2f}K IO/sec" if per_second >= 1000 else f"{per_second:.2f} IO/sec"  # noqa: PLR2004


def _query(trial: Trial, _: Callable[[int], None]) -> str:
    info = trial.pool.info(space=False)
    return f"{info.active} of {info.targets} targets in use"


def _create(trial: Trial, _: Callable[[int], None]) -> str:
    trial.pool.container(trial.label, create="exclusive")
    return ""


def _open(trial: Trial, _: Callable[[int], None]) -> str:
    return f"type {trial.container.layout}"


def _layouts(oclass: str, count: int) -> Callable[[Trial, Callable[[int], None]], str]:
    def run(trial: Trial, told: Callable[[int], None]) -> str:
        container, targets = trial.container, trial.pool.system.targets
        made = container.object(f"layouts {oclass}", create=True, oclass=oclass)
        began, used = time.perf_counter(), set()
        from daos import ObjectId

        for numbers in trial.each(count, told):
            for number in numbers:
                # Another number of the same class lies elsewhere.
                used.update(container.object(ObjectId(made.oid.hi, number + 1)).layout)
        if not used <= set(range(targets)):
            raise CorruptionError(f"objects lie on targets {sorted(used)}, there are {targets}", code=DER.MISC)
        return f"{_rate(count, began)}, on {len(used)} of {targets} targets"

    return run


def _store(trial: Trial, size: int, *, create: bool) -> KV[str]:
    return trial.container.kv(f"values of {size} bytes", create="exclusive" if create else False)


def _insert(size: int, share: int = 1) -> Callable[[Trial, Callable[[int], None]], str]:
    def run(trial: Trial, told: Callable[[int], None]) -> str:
        store, count, began = _store(trial, size, create=True), max(trial.count // share, 1), time.perf_counter()
        for numbers in trial.each(count, told):
            store.put_many({f"{number:08}": _value(number, size) for number in numbers})
        return _rate(count, began)

    return run


def _read(size: int, share: int = 1) -> Callable[[Trial, Callable[[int], None]], str]:
    def run(trial: Trial, told: Callable[[int], None]) -> str:
        store, count, began = _store(trial, size, create=False), max(trial.count // share, 1), time.perf_counter()
        for numbers in trial.each(count, told):
            keys = [f"{number:08}" for number in numbers]
            found = store.get_many(keys)
            for number, key in zip(numbers, keys, strict=True):
                if found[key] != _value(number, size):
                    raise CorruptionError(f"key {key} reads back otherwise than it was stored")
        return _rate(count, began)

    return run


def _punch(size: int) -> Callable[[Trial, Callable[[int], None]], str]:
    def run(trial: Trial, _: Callable[[int], None]) -> str:
        name = f"values of {size} bytes"
        trial.container.destroy(name)
        if trial.container.find(name) is not None:
            raise CorruptionError("what was punched is still there")
        return ""

    return run


def _big(trial: Trial) -> int:
    """Return how many values of 1 MB are stored: a sixteenth of what is free, at most 16 MiB."""
    free = sum(tier.free for tier in trial.pool.info().tiers)
    return max(1, min(BIG_BYTES_MAX, free // 16) >> 20)


def _insert_big(trial: Trial, told: Callable[[int], None]) -> str:
    store, count, began = _store(trial, 1 << 20, create=True), _big(trial), time.perf_counter()
    for numbers in trial.each(count, told, together=1):
        for number in numbers:
            store[f"{number:08}"] = _value(number, 1 << 20)
    return _rate(count, began)


def _read_big(trial: Trial, told: Callable[[int], None]) -> str:
    store, began = _store(trial, 1 << 20, create=False), time.perf_counter()
    count = len(list(store))
    for numbers in trial.each(count, told, together=1):
        for number in numbers:
            if store[f"{number:08}"] != _value(number, 1 << 20):
                raise CorruptionError(f"value {number} reads back otherwise than it was stored")
    return _rate(count, began)


def _snapshot(trial: Trial, _: Callable[[int], None]) -> str:
    store = trial.container.kv("snapshot", create=True)
    store["key"] = b"before"
    taken = trial.container.snapshot()
    store["key"] = b"after"
    seen = trial.container.at(taken).kv("snapshot")["key"], store["key"]
    if seen != (b"before", b"after"):
        raise CorruptionError(f"snapshot and present read {seen}")
    return f"epoch {taken.epoch:#x}"


def _check(trial: Trial, _: Callable[[int], None]) -> str:
    report = trial.container.check()
    if report.damaged:
        raise CorruptionError(f"{len(report.damaged)} damaged: {report.damaged[0].what}", code=DER.CSUM)
    return f"{report.objects} objects, {report.entries} entries"


def _destroy(trial: Trial, _: Callable[[int], None]) -> str:
    trial.forget()
    return ""


DESTROY = Step(98, "Destroying container", _destroy)
STEPS = (
    Step(1, "Querying pool", _query),
    Step(2, "Creating container", _create),
    Step(3, "Opening container", _open),
    Step(10, "Generating 10K S1 layouts", _layouts("S1", 10_000)),
    Step(11, "Generating 1K SX layouts", _layouts("SX", 1_000)),
    Step(20, "Inserting 128B values", _insert(128)),
    Step(21, "Reading 128B values back", _read(128)),
    Step(23, "Punching object", _punch(128)),
    Step(24, "Inserting 4KB values", _insert(4096, share=4)),
    Step(25, "Reading 4KB values back", _read(4096, share=4)),
    Step(26, "Punching object", _punch(4096)),
    Step(27, "Inserting 1MB values", _insert_big, big=True),
    Step(28, "Reading 1MB values back", _read_big, big=True),
    Step(30, "Reading a snapshot", _snapshot),
    Step(40, "Checking container", _check),
)


def run(
    trial: Trial, *, skip_big: bool, told: Callable[[Step, int], None], steps: tuple[Step, ...] = STEPS
) -> Iterator[Outcome]:
    """Yield what comes of each step; after one that fails the others are skipped, but for the last, which cleans up.

    Args:
        trial: What they share.
        skip_big: Leave out steps that take room and time.
        told: Told the percentage of a step that is done.
        steps: Which.
    """
    failed = None
    for step in steps:
        if failed is not None:
            yield Outcome(step.number, step.name, "SKIP", 0.0, f"step {failed} failed")
        elif step.big and skip_big:
            yield Outcome(step.number, step.name, "SKIP", 0.0, "asked for")
        elif time.monotonic() > trial.deadline:
            failed = step.number
            yield Outcome(step.number, step.name, "FAIL", 0.0, "the time is over")
        else:
            outcome = _run(step, trial, told)
            failed = step.number if outcome.status == "FAIL" else None
            yield outcome
    yield _run(DESTROY, trial, told)


def _run(step: Step, trial: Trial, told: Callable[[Step, int], None]) -> Outcome:
    began = time.perf_counter()
    try:
        comment = step.run(trial, lambda percent: told(step, percent))
    except DaosError as error:
        return Outcome(step.number, step.name, "FAIL", time.perf_counter() - began, f"{error.message}: {error.code}")
    return Outcome(step.number, step.name, "PASS", time.perf_counter() - began, comment)
