"""`dmg telemetry metrics list`."""

from __future__ import annotations

import click

from daos.cli._output import Reply, table
from daos.cli.dmg._base import admin_of
from daos.cli.dmg._base import command as make
from daos.cli.dmg._metrics import PORT, addresses_of, scraped

HOSTS = click.Option(["-l", "--host-list", "host_list"], metavar="HOSTS", help="Of these hosts, node[1-3,7].")
PORTS = click.Option(["-p", "--port"], metavar="PORT", default=str(PORT), help=f"Of metrics  [{PORT}].")


@make("list", HOSTS, PORTS)
@click.pass_context
def command(context: click.Context, host_list: str | None, port: str) -> Reply:
    """List the metrics that hosts have."""
    told = scraped(addresses_of(context, host_list, port), allow_proxy=admin_of(context).allow_proxy)
    lines = []
    for address, metrics in told.items():
        rows = [(metric.name, metric.type.capitalize(), metric.documentation) for metric in metrics]
        lines += [f"connecting to {address}...", *table(("Metric", "Type", "Description"), rows), ""]
    return Reply(
        lines,
        lambda: {
            "hosts": {
                address: {
                    "available_metric_sets": [
                        {"name": metric.name, "description": metric.documentation, "type": metric.type}
                        for metric in metrics
                    ]
                }
                for address, metrics in told.items()
            }
        },
    )
