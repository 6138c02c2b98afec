"""What the commands of arrays share: their words on a command line, how much they move at a time."""

from __future__ import annotations

import click

NAME = click.Argument(["name"], metavar="NAME")
START = click.Option(["-s", "--start"], type=click.IntRange(min=0), help="The first cell; 0 by default.")
BLOCK_BYTES = 4 << 20
"""What is read or written at a time."""


def block_cells(cell_size: int) -> int:
    """Return how many cells of so many bytes are moved at a time: at least one."""
    return max(1, BLOCK_BYTES // cell_size)
