"""Systems that do the same work in turns, each in a fresh directory, and how fast they were."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

RUN_S_MAX = 600.0
"""So long a process may work."""
Given = TypeVar("Given")


class Rate(msgspec.Struct, frozen=True):
    """How fast something went.

    Attributes:
        row: What.
        operations: How many, or MiB.
        seconds: How long.
    """

    row: str
    operations: int
    seconds: float


def in_turns(
    group: str,
    systems: Mapping[str, Callable[[Path], AbstractContextManager[Given]]],
    work: Callable[[str, Given], bytes],
    write: Callable[[dict[str, object]], None],
    scratch: Path,
    *,
    repetitions: int,
) -> None:
    """Measure, and write what was measured.

    Args:
        group: What the rows of the results begin with.
        systems: By their names; each is made in a directory.
        work: Does it, by the name of a system and what that gave; returns rates as JSON.
        write: Appends a line to the results.
        scratch: A directory on the file system that all of them use.
        repetitions: How often.
    """
    for repetition in range(repetitions):
        begun = time.monotonic()
        for name, system in systems.items():
            root = scratch / f"{name}-{repetition}"
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir(parents=True)
            # What the run before left to be written would be written during this one.
            os.sync()
            with system(root) as given:
                done = work(name, given)
            shutil.rmtree(root, ignore_errors=True)
            for rate in msgspec.json.decode(done, type=list[Rate]):
                write(
                    {
                        "row": f"{group} {rate.row}",
                        "system": name,
                        "repetition": repetition,
                        "operations": rate.operations,
                        "seconds": rate.seconds,
                    }
                )
        print(f"repetition {repetition + 1} of {repetitions}: {time.monotonic() - begun:.0f} s", flush=True)
