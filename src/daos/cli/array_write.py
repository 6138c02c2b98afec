"""`daos array write`."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from daos.cli._array import NAME, START, array_of, block_cells
from daos.cli._base import CONTAINER, POOL, making, open_container
from daos.cli._base import command as make
from daos.cli._input import standard_input
from daos.cli._output import Reply
from daos.cli._progress import Progress
from daos.errors import DER, InvalidError

if TYPE_CHECKING:
    from typing import BinaryIO

INPUT = click.Option(
    ["-i", "--input", "source"],
    metavar="FILE",
    default="-",
    help="Write what is in FILE; -, the default, is standard input.",
)
DTYPE = click.Option(
    ["-d", "--dtype"], metavar="DTYPE", help="What the cells are, as NumPy writes it; f8 if it is made."
)
CREATE = click.Option(["-c", "--create"], is_flag=True, help="Make the array if it is not there.")
APPEND = click.Option(["-a", "--append"], is_flag=True, help="Write behind the end.")


@make("write", POOL, CONTAINER, NAME, INPUT, START, APPEND, DTYPE, CREATE)
@click.pass_context
def command(
    context: click.Context,
    pool: str,
    container: str,
    name: str,
    source: str,
    start: int | None,
    dtype: str | None,
    *,
    append: bool,
    create: bool,
) -> Reply:
    """Write cells of the array NAME: the bytes of its dtype, one cell after the other.

    Blocks of 4 MiB are written one by one: after an error a part may be there, but not of an array that it has made.
    """
    if append and start is not None:
        raise InvalidError("give either --start or --append", hint="--append writes behind the end")
    # Before the array is made: a file that cannot be read changes nothing.
    with ExitStack() as stack:
        file = standard_input() if source == "-" else stack.enter_context(Path(source).open("rb"))
        opened = open_container(context, pool, container, writes=True)
        stack.enter_context(making(opened, name, create=create))
        array = array_of(opened, name, dtype, create=create)
        size = array.dtype.itemsize
        first = array.size if append else start or 0
        done = 0
        progress = stack.enter_context(Progress("writing", _length(file)))
        while block := file.read(block_cells(size) * size):
            if len(block) % size:
                raise InvalidError(
                    f"{len(block) % size} bytes behind the last whole cell, of {size} bytes",
                    code=DER.IO_INVAL,
                    hint=f"give whole cells of {array.dtype}",
                )
            array.write(first + done, np.frombuffer(block, array.dtype))
            done += len(block) // size
            progress.at(done * size)
    return Reply([f"{done} cells written from cell {first} on"], lambda: {"name": name, "start": first, "count": done})


def _length(file: BinaryIO) -> int | None:
    """Return the bytes of a file on a disk; None of anything else."""
    try:
        found = os.fstat(file.fileno())
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
