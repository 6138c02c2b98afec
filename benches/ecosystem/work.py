"""What is done to a file system of fsspec, and how long it takes: a process of its own, which prints a rate a row."""

from __future__ import annotations

import random
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import fsspec
import msgspec
import numpy as np
import zarr
from zarr.storage import FsspecStore

from benches.turns import Rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fsspec.asyn import AsyncFileSystem
    from zarr.abc.store import Store

    from daos.dfs.fsspec import DaosFileSystem

MIB = 1 << 20
SMALL = 4096
BATCH = 64
SEED = 1
CHUNKS = {"1MiB": MIB, "64KiB": 64 << 10}


class Side(msgspec.Struct, frozen=True):
    """A system that is measured.

    Attributes:
        protocol: `daos` or `s3`.
        options: What fsspec is given to reach it.
        top: A directory that is there, and empty.
        url: Of that directory, of ours.
    """

    protocol: str
    options: dict[str, object]
    top: str
    url: str = ""


class Work:
    """Measures a system.

    Args:
        side: Which.
        mib: How much is written and read of large files, and of arrays.
        files: How many small files.
    """

    def __init__(self, side: Side, mib: int, files: int) -> None:
        self._side = side
        self._mib = mib
        self._files = files
        self._fs: AsyncFileSystem = fsspec.filesystem(side.protocol, **side.options)
        self._rates: list[Rate] = []
        self._block = random.Random(SEED).randbytes(MIB)

    def run(self) -> list[Rate]:
        """Do all of it; return a rate a row."""
        self._large()
        self._small()
        self._zarr()
        return self._rates

    @contextmanager
    def _timed(self, row: str, operations: int) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._rates.append(Rate(row, operations, time.perf_counter() - started))

    def _large(self) -> None:
        names = [f"{self._side.top}/large/{number}" for number in range(self._mib)]
        with self._timed("fsspec write 1MiB", self._mib):
            for name in names:
                self._fs.pipe_file(name, self._block)
        with self._timed("fsspec read 1MiB", self._mib):
            for name in names:
                _check(self._fs.cat_file(name) == self._block, name)

    def _small(self) -> None:
        top = f"{self._side.top}/small"
        data = self._block[:SMALL]
        names = [f"{top}/{number % 10}/{number}" for number in range(self._files)]
        with self._timed("fsspec write 4KiB files", self._files):
            # As many at once as each has by itself.
            self._fs.pipe(dict.fromkeys(names, data))
        with self._timed("fsspec list", self._files):
            found = self._fs.find(top, detail=True)
        _check(len(found) == self._files, "list")
        random.Random(SEED).shuffle(names)
        read = self._reader(top)
        with self._timed("loader 4KiB samples", self._files):
            for at in range(0, self._files, BATCH):
                samples = read(names[at : at + BATCH])
                _check(all(one == data for one in samples), "samples")

    def _reader(self, top: str) -> Callable[[list[str]], list[object]]:
        """Return what reads a batch: our loader's set, and of others all files of the batch at once."""
        if self._side.protocol != "daos":
            return lambda names: list(self._fs.cat(names).values())
        from daos.torch import Dataset

        # A program has a system open once; who opens it again reaches it through a socket.
        cast("DaosFileSystem", self._fs).dfs.close()
        samples = Dataset(f"{self._side.url}{top.removeprefix(self._side.top)}")
        numbers = {path: number for number, path in enumerate(samples.paths)}
        return lambda names: samples.__getitems__([numbers[name] for name in names])

    def _store(self, name: str) -> Store:
        if self._side.protocol == "daos":
            from daos.zarr import DaosStore

            return DaosStore(f"{self._side.url}/{name}")
        options = {**self._side.options, "asynchronous": True}
        return FsspecStore(fsspec.filesystem(self._side.protocol, **options), path=f"{self._side.top}/{name}")

    def _zarr(self) -> None:
        data = np.random.default_rng(SEED).integers(0, 256, self._mib * MIB, dtype="u1")
        for name, size in CHUNKS.items():
            store = self._store(name)
            array = zarr.create_array(
                store, name="a", shape=data.shape, chunks=(size,), dtype="u1", compressors=None, filters=None
            )
            with self._timed(f"zarr write {name}", self._mib):
                array[:] = data
            again = zarr.open_array(store, path="a", mode="r")
            with self._timed(f"zarr read {name}", self._mib):
                found = again[:]
            _check(np.array_equal(np.asarray(found), data), name)


def _check(right: bool, what: str) -> None:  # noqa: FBT001 -- what is checked
    if not right:
        raise AssertionError(f"{what}: what was read is not what was written")


def main() -> int:
    """Measure what standard input names; print the rates as JSON."""
    side = msgspec.json.decode(sys.stdin.buffer.read(), type=Side)
    mib, files = map(int, sys.argv[1:])
    sys.stdout.buffer.write(msgspec.json.encode(Work(side, mib, files).run()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
