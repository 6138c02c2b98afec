"""Floors, no peers: blocks over a bare socket into memory of another process, and into a bare file."""

from __future__ import annotations

import multiprocessing
import os
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benches.net.clients import BLOCKS, block_of_bytes
from benches.net.plan import BULK, SYNCED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benches.net.plan import Point

JOIN_S = 10.0
TIMEOUT_S = 30.0


@contextmanager
def opened(point: Point, directory: str) -> Iterator[Callable[[int], object]]:
    """Return what moves the block of a number."""
    if point.durability == SYNCED:
        with _file(Path(directory)) as act:
            yield act
        return
    with _socket(sends=point.workload == "bulk_write") as act:
        yield act


@contextmanager
def _file(directory: Path) -> Iterator[Callable[[int], object]]:
    """Write into a file whose blocks are there already, so that a sync writes data only."""
    block = block_of_bytes()
    path = directory / "bare"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for number in range(BLOCKS):
            os.pwrite(descriptor, block, number * BULK)
        os.fsync(descriptor)

        def act(number: int) -> None:
            os.pwrite(descriptor, block, number % BLOCKS * BULK)
            os.fdatasync(descriptor)

        yield act
    finally:
        os.close(descriptor)
        path.unlink()


@contextmanager
def _socket(*, sends: bool) -> Iterator[Callable[[int], object]]:
    """Send a block and wait for one byte, or send one byte and wait for a block."""
    listener = socket.create_server(("127.0.0.1", 0))
    peer = multiprocessing.get_context("fork").Process(target=_answer, args=(listener, sends), daemon=True)
    peer.start()
    block = bytearray(block_of_bytes())
    with socket.create_connection(listener.getsockname(), timeout=TIMEOUT_S) as connection:
        listener.close()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def act(_number: int) -> None:
            connection.sendall(block if sends else b"?")
            _fill(connection, bytearray(1) if sends else block)

        yield act
    peer.join(JOIN_S)


def _answer(listener: socket.socket, receives: bool) -> None:  # noqa: FBT001 -- of a process
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    block = bytearray(block_of_bytes())
    while _fill(connection, block if receives else bytearray(1)):
        connection.sendall(b"!" if receives else block)


def _fill(connection: socket.socket, buffer: bytearray) -> bool:
    """Fill a buffer; False if the other end has closed."""
    view = memoryview(buffer)
    while view:
        count = connection.recv_into(view)
        if not count:
            return False
        view = view[count:]
    return True
