"""`dmg network scan`."""

from __future__ import annotations

import click

from daos.cli._output import Reply, table
from daos.cli.dmg._base import HOSTS
from daos.cli.dmg._base import command as make
from daos.cli.dmg._hosts import groups, headed, hosts_reply, telling_hosts
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.sets import format_hosts


@make(
    "scan",
    HOSTS,
    click.Option(["-p", "--provider"], metavar="PROVIDER", help="Of this provider only, or of all."),
)
@click.pass_context
def command(context: click.Context, host_list: str | None, provider: str | None) -> Reply:
    """List the network interfaces of hosts."""
    request = pb.NetworkScanRequest(provider=provider or "")
    told = telling_hosts(context, host_list, methods.NETWORK_SCAN, request)
    found = groups(told.answers)
    lines = []
    for hosts, answer in found:
        lines += [*headed(told.name(hosts)), ""]
        for node in sorted({interface.numa_node for interface in answer.interfaces}):
            lines += [*headed(f"NUMA Socket {node}", "    "), ""]
            by_provider: dict[str, list[str]] = {}
            for interface in answer.interfaces:
                if interface.numa_node == node:
                    by_provider.setdefault(interface.provider, []).append(interface.name)
            rows = [(name, ", ".join(names)) for name, names in by_provider.items()]
            lines += [*table(("Provider", "Interfaces"), rows, indent="        "), ""]
        if not answer.interfaces:
            lines += ["    No network interfaces found", ""]
    return hosts_reply(
        context,
        told,
        lines,
        lambda: {"host_fabrics": [{"hosts": format_hosts(hosts), "fabric": _json(answer)} for hosts, answer in found]},
    )


def _json(answer: pb.NetworkScanResponse) -> dict[str, object]:
    return {
        "numa_count": answer.numa_nodes,
        "cores_per_numa": answer.cores_per_numa_node,
        "interfaces": [
            {
                "provider": interface.provider,
                "device": interface.name,
                "numa_node": interface.numa_node,
                "net_dev_class": interface.net_class,
                "speed_mbps": interface.speed,
                "addresses": list(interface.addresses),
            }
            for interface in answer.interfaces
        ],
    }
