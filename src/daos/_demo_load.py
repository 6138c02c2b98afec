"""The load that is killed, and what its parent knows of it.

Run as a script, this module is the load: it tells its parent, by a line a note, which batch it begins and which is
acknowledged.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from daos._demo_files import Facts, FactStore, FileStore, batches, contents, digest, tree
from daos._demo_mask import ARRAY, Patch, patch
from daos.client import open as open_pool
from daos.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FULL", "POOL", "QUICK", "TREE", "Killed", "Note", "Plan", "load_and_kill"]

POOL = "demo"
TREE = "tree"
CHILD_SECONDS_MAX = 45.0
KILL_DELAY_SECONDS_MAX = 0.008
"""A batch takes some milliseconds; the kill falls at any time within."""


@dataclass(frozen=True)
class Plan:
    """How much is done.

    Attributes:
        name: What the child is told.
        files_max: Files of the tree; more are thinned out evenly.
        facts_max: Files whose facts are stored.
        mask_rows: Rows of the mask, 43,200 cells of a byte each.
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


class Note(msgspec.Struct):
    """What the child says of a batch; without files: the one it told of last is acknowledged.

    Attributes:
        files: Keys and sums of the files it is about to store.
        facts: The same of the facts of files.
        patch: What it is about to write to the array; None if there is no array.
    """

    files: dict[str, str] = {}
    facts: dict[str, str] = {}
    patch: Patch | None = None


def second_load(path: str, plan: Plan) -> None:
    """Store all files, each time with another line at the end, until killed; say on standard output how far it is.

    Each batch is some files, the facts of one of them, and a write to the array.
    """
    with open_pool(path, pool=POOL, create=False) as pool:
        container = pool.container(TREE)
        files, facts = FileStore(container), FactStore(container)
        mask = container.array(ARRAY) if ARRAY in container else None
        size = 0 if mask is None else mask.size
        sources = tree(plan.files_max)
        number = 0
        for turn in count(1):
            for batch in batches(contents(sources, f"second load, round {turn}"), plan.batch_entries):
                number += 1
                described, known = batch[0][0], Facts.of(batch[0][1])
                where = None if mask is None else patch(number, size)
                say(Note({key: digest(data) for key, data in batch}, {described: known.sum()}, where))
                files.put(batch)
                facts.put(described, known)
                if mask is not None and where is not None:
                    mask.write(where.start, np.full(where.stop - where.start, where.value, np.uint8))
                say(Note())


def say(note: Note) -> None:
    """Tell the parent."""
    sys.stdout.buffer.write(msgspec.json.encode(note) + b"\n")
    sys.stdout.buffer.flush()


@dataclass
class Killed:
    """What the parent knows of a load that it killed.

    Attributes:
        batches: How many were acknowledged.
        files: Keys and sums of what was acknowledged, of a file that was stored twice the last.
        facts: The same of facts.
        patches: Acknowledged writes to the array, in their order.
        in_flight: What was begun last and not acknowledged.
    """

    batches: int = 0
    files: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    patches: list[Patch] = field(default_factory=list)
    in_flight: Note = field(default_factory=Note)

    def hear(self, note: Note) -> None:
        """Take in what the child says."""
        if not note.files:
            self.batches += 1
            self.files |= self.in_flight.files
            self.facts |= self.in_flight.facts
            self.patches += [self.in_flight.patch] if self.in_flight.patch else []
        self.in_flight = note


def load_and_kill(path: Path, plan: Plan) -> Killed:
    """Start a second load and kill it at a random time; return what it had said by then.

    Raises:
        UnavailableError: It ended by itself, or was too slow.
    """
    chance = random.SystemRandom()
    wanted = chance.randint(*plan.kill_after)
    killed = Killed()
    command = [sys.executable, "-m", "daos._demo_load", os.fspath(path), plan.name]
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
                    if note.files and killed.batches >= wanted and blow.ident is None:
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


if __name__ == "__main__":
    second_load(sys.argv[1], PLANS[sys.argv[2]])
