"""`daos dev down`."""

from __future__ import annotations

import click

from daos.cli._base import command as make
from daos.cli._dev import DIRECTORY, dev_system
from daos.cli._output import Reply


@make("down", DIRECTORY, click.Option(["--destroy"], is_flag=True, help="Delete all of it, too."))
def command(directory: str, *, destroy: bool) -> Reply:
    """Stop the system; daos dev up starts it again, with all that was stored."""
    system = dev_system(directory)
    system.down(destroy=destroy)
    what = "destroyed" if destroy else "stopped"
    return Reply([f"System {what}"], lambda: {"directory": str(system.layout.root), "destroyed": destroy})
