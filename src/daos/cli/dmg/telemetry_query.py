"""`dmg telemetry metrics query`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from daos.cli._output import Reply, table
from daos.cli.dmg._attributes import names_of
from daos.cli.dmg._base import admin_of
from daos.cli.dmg._base import command as make
from daos.cli.dmg._metrics import addresses_of, chosen, number, scraped
from daos.cli.dmg.telemetry_list import HOSTS, PORTS

if TYPE_CHECKING:
    from collections.abc import Mapping


@make(
    "query",
    HOSTS,
    PORTS,
    click.Option(["-m", "--metrics"], metavar="NAMES", help="These only, a,b."),
)
@click.pass_context
def command(context: click.Context, host_list: str | None, port: str, metrics: str | None) -> Reply:
    """Print metrics of hosts."""
    names = names_of(metrics)
    gathered = scraped(addresses_of(context, host_list, port), allow_proxy=admin_of(context).allow_proxy)
    told = {address: chosen(found, names) for address, found in gathered.items()}
    lines = []
    for address, found in told.items():
        lines.append(f"connecting to {address}...")
        for metric in found:
            rows = [
                (sample.name, f"({_labels(sample.labels)})" if sample.labels else "", str(number(sample.value)))
                for sample in metric.samples
            ]
            lines += [f"- Metric Set: {metric.name} (Type: {metric.type.capitalize()})", f"  {metric.documentation}"]
            lines += [*table(("Metric", "Labels", "Value"), rows, indent="    "), ""]
    return Reply(
        lines,
        lambda: {
            "hosts": {
                address: {
                    "metric_sets": [
                        {
                            "name": metric.name,
                            "description": metric.documentation,
                            "type": metric.type,
                            "metrics": [
                                {"name": sample.name, "labels": dict(sample.labels), "value": number(sample.value)}
                                for sample in metric.samples
                            ],
                        }
                        for metric in found
                    ]
                }
                for address, found in told.items()
            }
        },
    )


def _labels(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in labels.items())
