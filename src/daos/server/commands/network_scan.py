"""`daos_server network scan`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.server import host
from daos.server.commands._base import command as make


@make("scan", click.Option(["-p", "--provider"], default="", help="Of this provider only; all for all."))
def command(provider: str) -> Reply:
    """List the network interfaces that engines may use."""
    found = [one for one in host.interfaces() if host.serves(one, provider)]
    found.sort(key=lambda one: (one.numa_node, one.name))
    width = max([len(one.name) for one in found], default=9)
    lines = [f"{'NUMA':4} {'Provider':8} {'Interface':{width}} Address"]
    lines += [f"{one.numa_node:<4} {host.PROVIDER:8} {one.name:{width}} {', '.join(one.addresses)}" for one in found]
    return Reply(
        lines if found else ["no network interface serves this provider"],
        lambda: [
            {
                "name": one.name,
                "provider": host.PROVIDER,
                "numa_node": one.numa_node,
                "net_class": one.net_class,
                "speed": one.speed,
                "addresses": list(one.addresses),
            }
            for one in found
        ],
    )
