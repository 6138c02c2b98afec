"""`daos dev up`."""

from __future__ import annotations

import click

from daos.cli._base import command as make
from daos.cli._dev import DIRECTORY, dev_system, needing_extra, parse_bytes
from daos.cli._output import Reply

SERVERS = click.Option(["-n", "--servers"], type=int, default=None, help="Servers, each with an engine  [default: 3].")
TARGETS = click.Option(["-t", "--targets"], type=int, default=None, help="Targets of each engine  [default: 2].")
SIZE = click.Option(["-z", "--size"], default=None, metavar="SIZE", help="Storage of each engine  [default: 1GiB].")
INSECURE = click.Option(["-i", "--insecure"], is_flag=True, help="Without certificates.")


@make("up", DIRECTORY, SERVERS, TARGETS, SIZE, INSECURE)
def command(directory: str, servers: int | None, targets: int | None, size: str | None, *, insecure: bool) -> Reply:
    """Start a system on this machine: servers, engines, agent, with certificates; made if it is not there.

    It goes on until daos dev down. A system that is there keeps what it was made with.
    """
    with needing_extra():
        from daos.dev import Plan

    system = dev_system(directory)
    usual = Plan()
    plan = Plan(
        servers=usual.servers if servers is None else servers,
        targets=usual.targets if targets is None else targets,
        size=usual.size if size is None else parse_bytes(size),
        insecure=insecure,
    )
    made = system.up(plan)
    environment = system.environment()
    lines = [
        f"System {made.system}: {made.servers} servers, {made.servers * made.targets} targets, in {system.layout.root}",
        "",
        *(f"export {name}={value}" for name, value in environment.items() if name.startswith("DAOS_AGENT")),
        f'alias dmg="dmg -o {system.layout.control_config}"',
    ]
    return Reply(
        lines, lambda: {"system": made.system, "directory": str(system.layout.root), "environment": environment}
    )
