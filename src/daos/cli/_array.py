"""What the commands of arrays share: their words on a command line, how much they move at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from daos.cli._base import hinting

if TYPE_CHECKING:
    from daos import Array, Container

NAME = click.Argument(["name"], metavar="NAME")
START = click.Option(["-s", "--start"], type=click.IntRange(min=0), help="The first cell; 0 by default.")
BLOCK_BYTES = 4 << 20
"""What is read or written at a time."""


def block_cells(cell_size: int) -> int:
    """Return how many cells of so many bytes are moved at a time: at least one."""
    return max(1, BLOCK_BYTES // cell_size)


def array_of(container: Container, name: str, dtype: str | None = None, *, create: bool = False) -> Array:
    """Return the array of a name.

    Raises:
        DaosError: As `Container.array`.
    """
    hint = "daos container list-objects -v lists arrays, daos array write --create makes one"
    with hinting(hint, unless=container.as_of is not None):
        return container.array(name, dtype, create=create)
