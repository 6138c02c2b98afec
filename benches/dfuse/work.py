"""What is done in a directory, and how long it takes: a process of its own, which prints a rate a row."""

from __future__ import annotations

import os
import random
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from benches.turns import Rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1 << 20
PAGE = 4096
SEED = 1
FRESH_S = 1.1
"""After so long, what was kept of names and attributes is asked for again."""


class Work:
    """Measures in a directory.

    Args:
        directory: Where.
        mib: Of the big file.
        small: Small files.
        places: Random reads and writes.
    """

    def __init__(self, directory: Path, mib: int, small: int, places: int) -> None:
        self.rates: list[Rate] = []
        self.big = directory / "big"
        self.many = directory / "many"
        self.mib = mib
        self.names = [str(self.many / f"f{number:06}") for number in range(small)]
        draw = random.Random(SEED)
        self.places = [draw.randrange(mib * MIB // PAGE) * PAGE for _ in range(places)]
        self.block = os.urandom(MIB)

    def timed(self, row: str, operations: int, run: Callable[[], None]) -> None:
        """Run something and take note."""
        begun = time.perf_counter()
        run()
        self.rates.append(Rate(row, operations, time.perf_counter() - begun))

    @contextmanager
    def opened(self, flags: int) -> Iterator[int]:
        """Have the big file open."""
        descriptor = os.open(self.big, flags | os.O_CREAT, 0o644)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def forget(self) -> None:
        """Have the kernel drop what it has of the big file."""
        with self.opened(os.O_RDONLY) as descriptor:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def write(self) -> None:
        """Write the big file, to the disk."""
        with self.opened(os.O_WRONLY | os.O_TRUNC) as descriptor:
            for _ in range(self.mib):
                os.write(descriptor, self.block)
            os.fsync(descriptor)

    def read(self) -> None:
        """Read the big file."""
        piece = bytearray(MIB)
        with self.opened(os.O_RDONLY) as descriptor:
            while os.readv(descriptor, [piece]):
                pass

    def read_places(self) -> None:
        """Read pages of it, here and there."""
        with self.opened(os.O_RDONLY) as descriptor:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
            for place in self.places:
                os.pread(descriptor, PAGE, place)

    def write_places(self) -> None:
        """Write pages of it, here and there."""
        page = self.block[:PAGE]
        with self.opened(os.O_WRONLY) as descriptor:
            for place in self.places:
                os.pwrite(descriptor, page, place)

    def create(self) -> None:
        """Make the small files, empty."""
        for name in self.names:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))

    def fill(self) -> None:
        """Write a page to each of them."""
        page = self.block[:PAGE]
        for name in self.names:
            descriptor = os.open(name, os.O_WRONLY)
            os.write(descriptor, page)
            os.close(descriptor)

    def stat(self) -> None:
        """Ask for their attributes."""
        for name in self.names:
            os.stat(name)  # noqa: PTH116 -- the call itself is measured

    def get(self) -> None:
        """Read each of them."""
        for name in self.names:
            descriptor = os.open(name, os.O_RDONLY)
            os.read(descriptor, PAGE)
            os.close(descriptor)

    def list_and_stat(self) -> None:
        """List them with their attributes."""
        with os.scandir(self.many) as entries:
            for entry in entries:
                entry.stat()

    def unlink(self) -> None:
        """Remove them."""
        for name in self.names:
            os.unlink(name)  # noqa: PTH108 -- the call itself is measured

    def run(self) -> list[Rate]:
        """Do all of it; return the rates."""
        small, places = len(self.names), len(self.places)
        self.many.mkdir()
        self.timed("write 1MiB", self.mib, self.write)
        self.forget()
        self.timed("read 1MiB", self.mib, self.read)
        self.forget()
        self.timed("random read 4KiB", places, self.read_places)
        self.timed("random write 4KiB", places, self.write_places)
        self.timed("create", small, self.create)
        self.timed("write 4KiB files", small, self.fill)
        time.sleep(FRESH_S)
        self.timed("stat", small, self.stat)
        time.sleep(FRESH_S)
        self.timed("list and stat", small, self.list_and_stat)
        self.timed("read 4KiB files", small, self.get)
        self.timed("unlink", small, self.unlink)
        self.many.rmdir()
        self.big.unlink()
        return self.rates


if __name__ == "__main__":
    where, *sizes = sys.argv[1:]
    print(msgspec.json.encode(Work(Path(where), *map(int, sizes)).run()).decode())
