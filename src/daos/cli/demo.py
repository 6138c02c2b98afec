"""`daos demo`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from daos._demo import FULL, QUICK, Demo, lines
from daos.cli._base import command as make
from daos.cli._dev import needing_extra
from daos.cli._output import Reply

PATH = click.Option(["--path"], metavar="DIR", default="demo.daos", show_default=True, help="Where the system is made.")
SERVED = click.Option(["--served"], is_flag=True, help="On servers that are started for it, and removed at the end.")
QUICK_RUN = click.Option(["--quick"], is_flag=True, help="Fewer files, a few seconds.")


@make("demo", PATH, QUICK_RUN, SERVED)
def command(path: str, *, quick: bool, served: bool) -> Reply:
    """Load real files and real numbers, kill a load half-way, and compare all that is left.

    Makes a new system (-S is not looked at) and leaves it there; the system of a former run is removed, nothing else.
    Ends with status 1 if anything stored is lost or wrong.
    """
    plan = QUICK if quick else FULL
    if served:
        with needing_extra():
            from daos._demo_served import ServedDemo
        demo: Demo = ServedDemo(Path(path), plan)
    else:
        demo = Demo(Path(path), plan)
    return Reply(
        lines(demo),
        lambda: {"steps": [asdict(row) for row in demo.steps()], "next": demo.next_command()},
    )
