"""Kill a busy process with SIGKILL, round after round, and compare what is left with what it had been told.

Its memtables are small, so that merges run all the time and the kill comes in the middle of one.

`make torture ROUNDS=50` works on one system: in each round a process of many threads changes key-value stores, arrays,
objects and transactions of it, aggregates and takes snapshots, and is killed in the midst. Then the system is opened:
each change that was acknowledged must be there whole, and each that was under way whole or not at all.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np

import daos
from daos import _core
from daos.client import system

if TYPE_CHECKING:
    from collections.abc import Callable

WRITERS = ("kv", "batch", "array", "object", "transaction")
"""What the threads do, one each; each counts its changes."""
KEYS = 16
BLOCK_CELLS, BLOCKS = 4096, 32
AKEYS = ("a", "b", "c")
MEMTABLE_BYTES = 256 << 10
"""Enough for some eight changes of the array, of which there are hundreds a second."""


def kv(cont: daos.Container, number: int) -> None:
    """One key after the other, in turn, with values of very different lengths."""
    cont.kv("kv", create=True, keys="int")[number % KEYS] = b"%d " % number * (1 + number % 7 * number % 1500)


def batch(cont: daos.Container, number: int) -> None:
    """All keys in one batch: each is of this change or of one before."""
    with cont.batch() as changes:
        store = changes.kv("batch", keys="int")
        for key in range(KEYS):
            store[key] = b"%d" % number


def array(cont: daos.Container, number: int) -> None:
    """A block that does not begin where one did before, full of its number."""
    start = number % BLOCKS * BLOCK_CELLS + 13
    cont.array("array", "i8", create=True, chunk=1 << 20).write(start, np.full(BLOCK_CELLS, number, "i8"))


def object(cont: daos.Container, number: int) -> None:  # noqa: A001 -- the name of what it changes
    """Several akeys of a dkey at once: one of them an array."""
    cells = np.full(100 + number % 50, number, "i8")
    cont.object("object", create=True).update(
        f"{number % KEYS}", {"a": b"%d" % number, "b": b"%d" % number * 100, "c": daos.Extent(0, cells)}
    )


def transaction(cont: daos.Container, number: int) -> None:
    """The same number in two stores and a counter that is read, at once."""

    def change(tx: daos.Transaction) -> None:
        counters = tx.kv("counters")
        before = int(counters.get("count", b"0"))
        counters["count"] = b"%d" % (before + 1)
        for name in ("left", "right"):
            tx.kv(name, keys="int").put_many(dict.fromkeys(range(KEYS), b"%d" % number))

    cont.run(change)


ACTS: dict[str, Callable[[daos.Container, int], None]] = {
    act.__name__: act for act in (kv, batch, array, object, transaction)
}


def _open_core(path: str, *, create: bool, targets: int, durability: int, **_: int | None) -> _core.Embedded:
    """Open a system that merges often."""
    return _core.Embedded.open(
        path, create=create, targets=targets, durability=durability, memtable_bytes=MEMTABLE_BYTES
    )


def work(path: str, firsts: list[int]) -> None:
    """Change a system until somebody kills this process; print each change that was acknowledged."""
    import threading

    mock.patch.object(system, "_open_core", _open_core).start()
    pool = daos.open_system(path, targets=2).pool("default", create=True)
    cont = pool.container("c", create=True)
    for name in ("kv", "batch", "left", "right"):
        cont.kv(name, create=True, keys="int")
    cont.kv("counters", create=True)

    def run(name: str, number: int) -> None:
        while True:
            ACTS[name](cont, number)
            # One write a line: the lines of several threads do not mix.
            sys.stdout.write(f"{name} {number}\n")
            sys.stdout.flush()
            number += 1

    for name, first in zip(WRITERS, firsts, strict=True):
        threading.Thread(target=run, args=(name, first), daemon=True).start()
    while True:
        time.sleep(random.random() / 20)  # noqa: S311 -- chance, no secret
        cont.snapshot()
        if len(taken := cont.snapshots()) > len(WRITERS):
            cont.destroy_snapshots(0, taken[-2].epoch)
        cont.aggregate()


class LossError(Exception):
    """What was told is not there, or something is half there."""


def _check(what: str, found: int, told: int) -> None:
    """Refuse a number that is neither the last one told nor the one that was under way."""
    if found not in (told, told + 1):
        raise LossError(f"{what}: told of change {told}, found {found}")


def verify(path: str, told: dict[str, int], first: dict[str, int]) -> None:
    """Compare a system with the last changes that were told, and take note of a transaction that was not.

    Raises:
        LossError: Something differs.
    """
    with daos.open(path, create=False) as pool:
        cont = pool.container("c")
        _verify_keys(cont, told, first)
        _verify_array(cont, told["array"], first["array"])
        _verify_object(cont, told["object"], first["object"])
        left, right = ({int(value) for value in cont.kv(name, keys="int").values()} for name in ("left", "right"))
        if left != right or len(left) > 1:
            raise LossError(f"a transaction is half there: {left} and {right}")
        count = int(cont.kv("counters").get("count", b"0"))
        _check("transaction", max(left, default=-1), told["transaction"])
        if count != max(left, default=-1) + 1:
            raise LossError(f"{max(left, default=-1) + 1} transactions counted {count}")
        # But for this one, which counts.
        told["transaction"] = count - 1


def _last(told: int, key: int, keys: int) -> int:
    """Return the last change up to `told` that was of a key; -1 for none."""
    return max(-1, told - (told - key) % keys)


def _verify_keys(cont: daos.Container, told: dict[str, int], first: dict[str, int]) -> None:
    store = cont.kv("kv", keys="int")
    for key in range(KEYS):
        value = store.get(key)
        number = -1 if value is None else int(value.split()[0])
        if value is not None and value != b"%d " % number * (1 + number % 7 * number % 1500):
            raise LossError(f"value of key {key} is torn")
        # The one under way has a key of its own.
        if number not in (_last(told["kv"], key, KEYS), _last(told["kv"] + 1, key, KEYS)):
            raise LossError(f"key {key}: told of {told['kv']}, found {number}")
    batches = [int(value) for value in cont.kv("batch", keys="int").values()]
    for number in batches:
        _check("batch", number, told["batch"])
    if told["batch"] >= first["batch"] and len(batches) != KEYS:
        raise LossError(f"{len(batches)} keys of a batch")


def _verify_array(cont: daos.Container, told: int, first: int) -> None:
    if told < 0 and first == 0:
        return
    cells = cont.array("array")
    for block in range(BLOCKS):
        start = block * BLOCK_CELLS + 13
        found = cells[start : start + BLOCK_CELLS]
        numbers = {int(number) for number in found}
        if len(numbers) > 1:
            raise LossError(f"block {block} of the array is torn: {sorted(numbers)[:4]}")
        number = numbers.pop()
        if number not in {max(_last(told, block, BLOCKS), 0), max(_last(told + 1, block, BLOCKS), 0)}:
            raise LossError(f"block {block}: told of {told}, found {number}")


def _verify_object(cont: daos.Container, told: int, first: int) -> None:
    if told < 0 and first == 0:
        return
    stored = cont.object("object")
    for key in range(KEYS):
        found = stored.fetch(f"{key}", "a", "b", c=daos.Range(0, 100))
        if "a" not in found:
            if _last(told, key, KEYS) >= 0:
                raise LossError(f"dkey {key} is not there")
            continue
        number = int(bytes(found["a"]))
        cells = {int(cell) for cell in np.asarray(found["c"]).view("i8")}
        if bytes(found["b"]) != b"%d" % number * 100 or cells != {number}:
            raise LossError(f"dkey {key} is torn")
        if number not in (_last(told, key, KEYS), _last(told + 1, key, KEYS)):
            raise LossError(f"dkey {key}: told of {told}, found {number}")


def one_round(path: str, told: dict[str, int], seconds: float) -> Counter[str]:
    """Let a process work for about so many seconds, kill it, and verify; return how many changes of each kind it told.

    Raises:
        LossError: Something differs.
    """
    # A change that was under way is made again: it is the same.
    firsts = {name: told[name] + 1 for name in WRITERS}
    command = [sys.executable, "-m", "tools.kill_rounds", "--work", path, *map(str, firsts.values())]
    counted: Counter[str] = Counter()
    root = Path(__file__).resolve().parent.parent
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        started: float | None = None
        # What it wrote before it died was told, too; a line cut short was not.
        for line in process.stdout or ():
            if line.endswith("\n"):
                name, number = line.split()
                told[name] = int(number)
                counted[name] += 1
            started = started or time.monotonic()
            if time.monotonic() - started > seconds:
                process.kill()
    if not counted:
        raise LossError("the process told nothing")
    verify(path, told, firsts)
    return counted


def main(arguments: list[str]) -> int:
    """Run rounds, or be the process that is killed."""
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.work:
        work(asked.work[0], [int(first) for first in asked.work[1:]])
    seed = random.randrange(1 << 32) if asked.seed is None else asked.seed  # noqa: S311 -- chance, no secret
    chance = random.Random(seed)  # noqa: S311
    print(f"seed {seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="daos-kill-"))
    told = dict.fromkeys(WRITERS, -1)
    total: Counter[str] = Counter()
    for number in range(asked.rounds):
        try:
            total += one_round(str(folder / "x.daos"), told, chance.uniform(0.05, 1.5))
        except (LossError, daos.DaosError) as error:
            print(f"round {number + 1}: {error}; the system stays in {folder}", flush=True)
            return 1
        print(f"round {number + 1}: {dict(total)}", flush=True)
    shutil.rmtree(folder)
    print(f"{asked.rounds} rounds, {sum(total.values())} changes told, nothing lost, nothing torn")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
