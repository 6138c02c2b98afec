"""`daos dev kill`."""

from __future__ import annotations

import click

from daos.cli._base import command as make
from daos.cli._dev import DIRECTORY, dev_system
from daos.cli._output import Reply


@make("kill", click.Argument(["rank"], type=click.IntRange(min=0), metavar="RANK"), DIRECTORY)
def command(rank: int, directory: str) -> Reply:
    """Kill the engine of RANK by SIGKILL, as a crash would end it; its server starts it again."""
    pid = dev_system(directory).kill_rank(rank)
    return Reply([f"Killed rank {rank}, process {pid}"], lambda: {"rank": rank, "pid": pid})
