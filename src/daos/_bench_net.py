"""What `daos bench net` measures: how fast a pool of a running system is from this host."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from daos._bench import BLOCK_BYTES, Measured, Work, _measured, summary
from daos.client._load import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from daos.client.container import Container
    from daos.client.pool import Pool
    from daos.client.system import Durability

    Act = Callable[[int], object]

DEPTHS = (1, 16, 64)
SIZES = {64: "64 B", 4096: "4 KiB"}
KEYS = 4096
"""Of each store: they are put again and again, and are there before gets. A multiple of every depth."""
BLOCKS = 16
"""Of the array that is read and written: it is written over again and again."""


def _put(size: int, depth: int) -> Callable[[Container], Act]:
    def make(cont: Container) -> Act:
        kv = cont.kv(f"put {size}", create=True, keys="int")
        value = bytes(size)
        if depth == 1:
            return lambda number: kv.put(number % KEYS, value)
        return lambda number: kv.put_many({(number * depth + nth) % KEYS: value for nth in range(depth)})

    return make


def _get(size: int, depth: int) -> Callable[[Container], Act]:
    def make(cont: Container) -> Act:
        kv = cont.kv(f"get {size}", create=True, keys="int")
        kv.put_many(dict.fromkeys(range(KEYS), bytes(size)))
        if depth == 1:
            return lambda number: kv.get(number * 7919 % KEYS)
        return lambda number: kv.get_many((number * depth + nth) * 7919 % KEYS for nth in range(depth))

    return make


def _write(cont: Container) -> Act:
    array = cont.array("blocks", "u1", create=True)
    block = np.zeros(BLOCK_BYTES, "u1")
    return lambda number: array.write(number % BLOCKS * BLOCK_BYTES, block)


def _read(cont: Container) -> Act:
    array = cont.array("blocks", "u1", create=True)
    block = np.zeros(BLOCK_BYTES, "u1")
    for number in range(BLOCKS):
        array.write(number * BLOCK_BYTES, block)
    return lambda number: array.read_into(block, start=number % BLOCKS * BLOCK_BYTES)


def _native(work: Work, verb: str, size: int, cont: Container, seconds: float) -> Measured:
    """Put or get in a loop without Python."""
    kv = cont.kv(f"native {verb} {size}", create=True, keys="bytes")
    keys, value = [number.to_bytes(8) for number in range(KEYS)], bytes(size)
    kv.put_many(dict.fromkeys(keys, value))
    put = value if verb == "put" else None
    done, took, times = load(kv, keys, put, depth=work.operations, seconds=seconds)
    return summary(work, [times], done // work.operations, took)


def natives(durability: Durability) -> Iterator[tuple[Work, str, int]]:
    """Yield what a loop without Python does: the kind of work, its verb and the bytes of a value."""
    for work in works(durability)[: -len(BULK)]:
        verb, size = work.name.split()[0], work.operation_bytes
        yield replace(work, name=f"native {work.name}"), verb, size


def works(durability: Durability) -> tuple[Work, ...]:
    """Return all kinds of work from Python; those with a depth do so many operations in one call."""
    values = [
        Work(
            f"{verb} {words}" if depth == 1 else f"{verb} {words}, {depth} a call",
            durability,
            make(size, depth),
            operations=depth,
            operation_bytes=size,
        )
        for verb, make in (("put", _put), ("get", _get))
        for size, words in SIZES.items()
        for depth in DEPTHS
    ]
    bulk = [Work(f"{verb} 1 MiB", durability, make, operation_bytes=BLOCK_BYTES) for verb, make in BULK]
    return (*values, *bulk)


BULK: tuple[tuple[str, Callable[[Container], Act]], ...] = (("write", _write), ("read", _read))


def measure(pool: Pool, durability: Durability, seconds: float) -> Iterator[Measured]:
    """Yield what each kind of work does in so many seconds, in a new container, which is destroyed.

    Args:
        pool: Opened for writing, with this durability.
        durability: What a call has promised when it returns.
        seconds: Of each kind of work.

    Raises:
        DaosError: As the operations.
    """
    with _scratch(pool) as container:
        for work, verb, size in natives(durability):
            yield _native(work, verb, size, container, seconds)
        for work in works(durability):
            yield _measured(work, work.make(container), seconds)


@contextmanager
def _scratch(pool: Pool) -> Iterator[Container]:
    label = f"bench-{uuid.uuid4().hex[:12]}"
    try:
        yield pool.container(label, create="exclusive")
    finally:
        if any(listed.label == label for listed in pool.containers()):
            pool.destroy_container(label, force=True)
