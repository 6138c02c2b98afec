"""`dmg storage scan`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from daos.cli._output import Reply, table
from daos.cli.dmg._base import HOSTS
from daos.cli.dmg._base import command as make
from daos.cli.dmg._hosts import groups, headed, hosts_reply, storage_json, telling_hosts
from daos.cli.dmg._storage import NVME, SCM, counted, health_lines, of_media, scan_json, scan_lines
from daos.errors import InvalidError
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb


@make(
    "scan",
    HOSTS,
    click.Option(["-v", "--verbose"], is_flag=True, help="Each device."),
    click.Option(["-n", "--nvme-health"], is_flag=True, help="The health of NVMe devices."),
)
@click.pass_context
def command(context: click.Context, host_list: str | None, *, verbose: bool, nvme_health: bool) -> Reply:
    """List the devices of hosts."""
    if verbose and nvme_health:
        raise InvalidError("cannot use --verbose with --nvme-health", hint="give one of them")
    told = telling_hosts(context, host_list, methods.STORAGE_SCAN, pb.StorageScanRequest(health=nvme_health))
    found = groups(told.answers)
    lines = []
    if verbose or nvme_health:
        for hosts, answer in found:
            lines += headed(told.name(hosts))
            lines += _health(answer.devices) if nvme_health else scan_lines(answer.devices)
    elif found:
        rows = [
            (
                told.name(hosts),
                counted(of_media(answer.devices, SCM), "namespace"),
                counted(of_media(answer.devices, NVME), "controller"),
            )
            for hosts, answer in found
        ]
        lines = [*table(("Hosts", "SCM Total", "NVMe Total"), rows), ""]
    return hosts_reply(
        context,
        told,
        lines,
        lambda: {"HostStorage": storage_json([(hosts, scan_json(answer.devices)) for hosts, answer in found])},
    )


def _health(devices: Sequence[pb.StorageDevice]) -> list[str]:
    lines = []
    for device in of_media(devices, NVME):
        lines += [f"PCI:{device.address} Model:{device.model} FW:{device.firmware} Socket:{device.numa_node}"]
        lines += health_lines(device.health, "  ") if device.HasField("health") else ["  Health Stats Unavailable"]
        lines.append("")
    return lines or ["No NVMe devices found", ""]
