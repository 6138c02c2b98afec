"""`daos array read`."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daos.cli._array import NAME, START, array_of, block_cells
from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.cli._progress import Progress
from daos.cli._snapshots import SNAP, as_of
from daos.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from daos import Array

COUNT = click.Option(["-c", "--count"], type=click.IntRange(min=0), help="How many cells; all that follow by default.")
OUTPUT = click.Option(["-o", "--output"], metavar="FILE", help="Write the cells to FILE, not to standard output.")
TEXT = click.Option(["-t", "--text"], is_flag=True, help="Print numbers, a cell a line, not bytes.")


@make("read", POOL, CONTAINER, NAME, START, COUNT, OUTPUT, TEXT, SNAP)
@click.pass_context
def command(
    context: click.Context,
    pool: str,
    container: str,
    name: str,
    start: int | None,
    count: int | None,
    output: str | None,
    snap: str | None,
    *,
    text: bool,
) -> Reply:
    """Print cells of the array NAME, byte for byte, up to its end; in JSON they are base64.

    Holes read as the array's fill value.
    """
    if text and output is not None:
        raise InvalidError("text does not go to a file", hint="redirect standard output, or leave --text out")
    array = array_of(as_of(open_container(context, pool, container), snap), name)
    size = array.size
    first = min(start or 0, size)
    cells = range(first, size if count is None else min(size, first + count))
    facts = {"name": name, "dtype": str(array.dtype), "start": first, "count": len(cells)}
    if output is not None:
        with Path(output).open("wb") as file:
            _copy(array, cells, file)
        return Reply(response=lambda: facts)
    if text:
        lines = (str(cell) for piece in _blocks(array, cells) for cell in array[piece.start : piece.stop].tolist())
        return Reply(lines, lambda: {**facts, "cells": list(lines)})
    raw = _pieces(array, cells)
    return Reply(raw=raw, response=lambda: {**facts, "data": base64.b64encode(b"".join(raw)).decode()})


def _copy(array: Array, cells: range, file: BinaryIO) -> None:
    """Write the bytes of cells to a file."""
    done = 0
    with Progress("reading", len(cells) * array.dtype.itemsize) as progress:
        for piece in _pieces(array, cells):
            file.write(piece)
            done += len(piece)
            progress.at(done)


def _blocks(array: Array, cells: range) -> Iterator[range]:
    """Yield the cells in blocks."""
    step = block_cells(array.dtype.itemsize)
    return (cells[at : at + step] for at in range(0, len(cells), step))


def _pieces(array: Array, cells: range) -> Iterator[bytes]:
    """Yield the bytes of cells, a block at a time."""
    return (array[block.start : block.stop].tobytes() for block in _blocks(array, cells))
