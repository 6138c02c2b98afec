"""What is measured of arrays and of transactions; the frame is that of `benches.workloads`."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import daos
from benches.data import SEED
from benches.frame import Measured, Outcome, Task
from benches.peers.base import Durability
from benches.peers.cells import open_cells

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

BASE_BYTES = 64 << 20
"""Of the array in which parts are changed."""
CELL_BYTES, CELLS, STRIDE = 64, 1000, 4
"""Of strided writes: one in four cells."""
LAYERS, LAYER_BYTES, AREA_BYTES = 12, 64 << 10, 1 << 20
"""Writes over each other, before a read of the whole area."""
ACCOUNTS = 1000


def _block(size: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(SEED).integers(0, 256, size, np.uint8)


def _ours(task: Task) -> daos.Pool:
    folder = Path(task.directory)
    folder.mkdir(parents=True, exist_ok=True)
    return daos.open(folder / "store", durability="synced" if task.durability is Durability.SYNCED else "buffered")


def array_write(task: Task) -> Outcome:
    """Write blocks one behind the other into a new array."""
    cells = open_cells(task.system, Path(task.directory), task.durability, task.value_size * task.count)
    block = _block(task.value_size)
    with Measured() as measured:
        for number in range(task.count):
            cells.write(number * task.value_size, block)
    cells.close()
    return measured.outcome(task.count, bytes=task.count * task.value_size)


def array_read(task: Task) -> Outcome:
    """Write an array, open it again, read it whole, and then measured once more into a block that was touched."""
    folder = Path(task.directory)
    size = task.value_size * task.count
    cells = open_cells(task.system, folder, Durability.BUFFERED, size)
    block = _block(task.value_size)
    for number in range(task.count):
        cells.write(number * task.value_size, block)
    cells.close()
    cells = open_cells(task.system, folder, Durability.BUFFERED, size)
    found = np.zeros(task.value_size, np.uint8)
    for number in range(task.count):
        cells.read_into(number * task.value_size, found)
    with Measured() as measured:
        for number in range(task.count):
            cells.read_into(number * task.value_size, found)
    if not np.array_equal(found, block):
        raise ValueError(f"{task.system}: read something else than was written")
    cells.close()
    return measured.outcome(task.count, bytes=size)


def _parts(task: Task, offset: int) -> Outcome:
    """Overwrite parts of an array at random places."""
    cells = open_cells(task.system, Path(task.directory), task.durability, BASE_BYTES)
    for start in range(0, BASE_BYTES, AREA_BYTES):
        cells.write(start, _block(AREA_BYTES))
    places = np.random.default_rng(SEED).integers(0, BASE_BYTES // task.value_size - 1, task.count) * task.value_size
    starts = (places + offset).tolist()
    block = _block(task.value_size)
    write = cells.write
    with Measured() as measured:
        for start in starts:
            write(start, block)
    cells.close()
    return measured.outcome(task.count)


def part_aligned(task: Task) -> Outcome:
    """Parts at multiples of their size."""
    return _parts(task, 0)


def part_unaligned(task: Task) -> Outcome:
    """Parts of the same size anywhere."""
    return _parts(task, 1237)


def _strided(task: Task, *, at_once: bool) -> Outcome:
    """Write every fourth cell of stretches of an array; an operation is a cell."""
    pool = _ours(task)
    array = pool.container("bench", create=True).array("strided", f"V{CELL_BYTES}", create=True)
    cells = _block(CELL_BYTES * CELLS).view(f"V{CELL_BYTES}")
    rounds = max(1, task.count // CELLS)
    with Measured() as measured:
        for number in range(rounds):
            first = number * CELLS * STRIDE
            if at_once:
                array[first : first + CELLS * STRIDE : STRIDE] = cells
                continue
            for cell in range(CELLS):
                array.write(first + cell * STRIDE, cells[cell : cell + 1])
    pool.close()
    return measured.outcome(rounds * CELLS)


def strided(task: Task) -> Outcome:
    """In one call a stretch."""
    return _strided(task, at_once=True)


def strided_each(task: Task) -> Outcome:
    """In a call a cell."""
    return _strided(task, at_once=False)


def _layers(task: Task, *, aggregated: bool) -> Outcome:
    """Read 1 MiB that was written over in parts, again and again."""
    pool = _ours(task)
    container = pool.container("bench", create=True)
    array = container.array("layers", "u1", create=True)
    array.write(0, _block(AREA_BYTES))
    places = np.random.default_rng(SEED).integers(0, AREA_BYTES - LAYER_BYTES, LAYERS * 16)
    for start in places.tolist():
        array.write(start, _block(LAYER_BYTES))
    if aggregated:
        container.aggregate()
    found = np.zeros(AREA_BYTES, np.uint8)
    array.read_into(found)
    with Measured() as measured:
        for _ in range(task.count):
            array.read_into(found)
    pool.close()
    return measured.outcome(task.count, bytes=task.count * AREA_BYTES)


def layers(task: Task) -> Outcome:
    """As it was written."""
    return _layers(task, aggregated=False)


def layers_aggregated(task: Task) -> Outcome:
    """After versions that nobody sees were removed."""
    return _layers(task, aggregated=True)


def transfer(task: Task) -> Outcome:
    """Move amounts between two of a thousand accounts: two reads and two writes that happen as one."""
    pairs = np.random.default_rng(SEED).permuted(np.tile(np.arange(ACCOUNTS), (task.count, 1))[:, :64], axis=1)
    names = [(b"%04d" % one, b"%04d" % other) for one, other in pairs[:, :2].tolist()]
    move, close = (_transfers_ours if task.system == "daos" else _transfers_sqlite)(task)
    with Measured() as measured:
        for one, other in names:
            move(one, other)
    close()
    return measured.outcome(task.count)


def _transfers_ours(task: Task) -> tuple[Callable[[bytes, bytes], object], Callable[[], object]]:
    pool = _ours(task)
    container = pool.container("bench", create=True)
    store = container.kv("accounts", create=True, keys="bytes")
    store.put_many({b"%04d" % account: b"1000" for account in range(ACCOUNTS)})

    def move(one: bytes, other: bytes) -> None:
        with container.transaction() as tx:
            accounts = tx.kv("accounts", keys="bytes")
            accounts[one] = b"%d" % (int(accounts[one]) - 1)
            accounts[other] = b"%d" % (int(accounts[other]) + 1)

    return move, pool.close


def _transfers_sqlite(task: Task) -> tuple[Callable[[bytes, bytes], object], Callable[[], object]]:
    folder = Path(task.directory)
    folder.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(folder / "accounts.sqlite", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=" + ("FULL" if task.durability is Durability.SYNCED else "OFF"))
    db.execute("CREATE TABLE accounts (name BLOB PRIMARY KEY, amount INTEGER) WITHOUT ROWID")
    db.execute("BEGIN")
    db.executemany("INSERT INTO accounts VALUES (?, 1000)", [(b"%04d" % account,) for account in range(ACCOUNTS)])
    db.execute("COMMIT")

    def move(one: bytes, other: bytes) -> None:
        db.execute("BEGIN IMMEDIATE")
        for name, change in ((one, -1), (other, 1)):
            (amount,) = db.execute("SELECT amount FROM accounts WHERE name = ?", (name,)).fetchone()
            db.execute("UPDATE accounts SET amount = ? WHERE name = ?", (amount + change, name))
        db.execute("COMMIT")

    return move, db.close


ARRAY_WORKLOADS: dict[str, Callable[[Task], Outcome]] = {
    "array_write": array_write,
    "array_read": array_read,
    "part_aligned": part_aligned,
    "part_unaligned": part_unaligned,
    "strided": strided,
    "strided_each": strided_each,
    "layers": layers,
    "layers_aggregated": layers_aggregated,
    "transfer": transfer,
}
