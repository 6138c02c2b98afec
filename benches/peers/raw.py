"""A bare file: `pwrite`, and `fdatasync` where synced. The floor of what a put can cost; it finds nothing again."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, NoReturn

from benches.peers.base import Durability, Pairs, Store

if TYPE_CHECKING:
    from pathlib import Path

PREPARED_BYTES = 64 << 20


def version() -> str:
    """Return the kernel's release, which is what is measured."""
    return os.uname().release


def open_store(directory: Path, durability: Durability) -> Store:
    """Open a file that was filled with zeros before: a sync then writes data only, no file size."""
    return file_store(directory, durability, prepared_bytes=PREPARED_BYTES)


def file_store(directory: Path, durability: Durability, *, prepared_bytes: int) -> Store:
    """Open a file of some bytes that already have their place on the disk; it is written from its start."""
    path = directory / "file"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if os.fstat(fd).st_size < prepared_bytes:
        zeros = bytes(1 << 20)
        for offset in range(0, prepared_bytes, len(zeros)):
            os.pwrite(fd, zeros, offset)
        os.fsync(fd)
    elif not prepared_bytes:
        os.ftruncate(fd, 0)
    synced = durability is Durability.SYNCED
    lock = threading.Lock()
    end = 0

    def append(data: bytes) -> None:
        nonlocal end
        with lock:
            offset = end
            end += len(data)
        os.pwrite(fd, data, offset)
        if synced:
            os.fdatasync(fd)

    def put(key: bytes, value: bytes) -> None:
        append(key + value)

    def put_many(pairs: Pairs) -> None:
        append(b"".join(part for pair in pairs for part in pair))

    def none(*_: object) -> NoReturn:
        raise NotImplementedError("a bare file finds nothing again")

    return Store(put=put, put_many=put_many, get=none, view=none, scan=none, close=lambda: os.close(fd))
