"""`daos dev logs`."""

from __future__ import annotations

import click

from daos.cli._base import command as make
from daos.cli._dev import DIRECTORY, dev_system
from daos.cli._output import Reply


@make(
    "logs",
    click.Argument(["name"], required=False, metavar="[NAME]"),
    DIRECTORY,
    click.Option(
        ["-n", "--lines"], type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="Of each log."
    ),
)
def command(name: str | None, directory: str, lines: int) -> Reply:
    """Print the end of the logs of NAME: server0 and so on, or agent; of all of them without a name."""
    system = dev_system(directory)
    names = [process.name for process in system.processes()] if name is None else [name]
    found = {
        str(path): path.read_text(errors="replace").splitlines()[-lines:]
        for each in names
        for path in system.logs(each)
    }
    text = [line for path, end in found.items() for line in (f"==> {path} <==", *end, "")]
    return Reply(text, lambda: found)
