"""Arrays of bytes in every system that has them, and in bare files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from benches.peers.base import Durability

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    Block = npt.NDArray[np.uint8]

SYSTEMS = ("daos", "raw", "memmap", "zarr")
CHUNK_BYTES = 1 << 20


class _Sliced(Protocol):
    """What is asked of zarr."""

    def __getitem__(self, where: slice[int, int, None]) -> memoryview: ...
    def __setitem__(self, where: slice[int, int, None], block: object) -> None: ...


class _Zarr(Protocol):
    __version__: str

    def open_array(self, path: str, *, mode: str) -> _Sliced: ...
    def create_array(
        self, *, store: str, shape: tuple[int], chunks: tuple[int], dtype: str, compressors: None
    ) -> _Sliced: ...


def _library() -> _Zarr:
    return cast("_Zarr", import_module("zarr"))


@dataclass(frozen=True)
class Cells:
    """An open array of bytes, as the calls that are measured.

    Attributes:
        write: Write a block from a place on, durable on return as the array was opened for.
        read_into: Read from a place on into a block.
        close: Close it.
    """

    write: Callable[[int, Block], object]
    read_into: Callable[[int, Block], object]
    close: Callable[[], object]


def version(system: str) -> str:
    """Return what a system says its version is."""
    if system == "zarr":
        return _library().__version__
    return np.__version__ if system == "memmap" else os.uname().release


def open_cells(system: str, directory: Path, durability: Durability, size: int) -> Cells:
    """Open an array of `size` bytes in a directory, made if it is not there."""
    directory.mkdir(parents=True, exist_ok=True)
    return _OPENERS[system](directory, durability, size)


def _ours(directory: Path, durability: Durability, _: int) -> Cells:
    # Not before it is built.
    import daos

    pool = daos.open(directory / "store", durability="synced" if durability is Durability.SYNCED else "buffered")
    array = pool.container("bench", create=True).array("bench", "u1", create=True)

    def read_into(start: int, block: Block) -> None:
        array.read_into(block, start=start)

    return Cells(array.write, read_into, pool.close)


def _raw(directory: Path, durability: Durability, _: int) -> Cells:
    """A plain file, which grows as it is written."""
    fd = os.open(directory / "file", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    synced = durability is Durability.SYNCED

    def write(start: int, block: Block) -> None:
        os.pwrite(fd, block.data, start)
        if synced:
            os.fdatasync(fd)

    def read_into(start: int, block: Block) -> None:
        os.preadv(fd, [block.data], start)

    return Cells(write, read_into, lambda: os.close(fd))


def _memmap(directory: Path, durability: Durability, size: int) -> Cells:
    path = directory / "file"
    mapped = np.memmap(path, np.uint8, "r+" if path.exists() else "w+", shape=(size,))
    synced = durability is Durability.SYNCED

    def write(start: int, block: Block) -> None:
        mapped[start : start + block.size] = block
        if synced:
            mapped.flush()

    def read_into(start: int, block: Block) -> None:
        block[:] = mapped[start : start + block.size]

    return Cells(write, read_into, mapped.flush)


def _zarr(directory: Path, durability: Durability, size: int) -> Cells:
    """Chunks of 1 MiB in files, not compressed; it has no word for a sync."""
    if durability is Durability.SYNCED:
        raise ValueError("zarr does not sync")
    zarr = _library()
    path = str(directory / "array.zarr")
    if os.path.exists(path):  # noqa: PTH110 -- zarr takes text
        array = zarr.open_array(path, mode="r+")
    else:
        array = zarr.create_array(
            store=path, shape=(size,), chunks=(min(size, CHUNK_BYTES),), dtype="u1", compressors=None
        )

    def write(start: int, block: Block) -> None:
        array[start : start + block.size] = block

    def read_into(start: int, block: Block) -> None:
        block[:] = array[start : start + block.size]

    return Cells(write, read_into, lambda: None)


_OPENERS: dict[str, Callable[[Path, Durability, int], Cells]] = {
    "daos": _ours,
    "raw": _raw,
    "memmap": _memmap,
    "zarr": _zarr,
}
