"""`daos_server dump-topology`."""

from __future__ import annotations

from pathlib import Path

import click

from daos.agent.topology import topology
from daos.cli._output import Reply
from daos.server.commands._base import command as make


@make("dump-topology", click.Option(["-O", "--output"], metavar="FILE", help="Write it there."))
def command(output: str | None) -> Reply:
    """Print the NUMA nodes of this host, and the devices at them."""
    found = topology()
    lines = found.lines()
    if output is not None:
        Path(output).write_text("\n".join([*lines, ""]))
        lines = []
    return Reply(lines, found.facts)
