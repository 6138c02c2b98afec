"""`dmg storage query list-devices`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.cli.dmg._base import HOSTS
from daos.cli.dmg._base import command as make
from daos.cli.dmg._hosts import groups, headed, hosts_reply, storage_json, telling_hosts
from daos.cli.dmg._storage import health_json, health_lines
from daos.errors import InvalidError
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb

RANK = click.Option(["-r", "--rank"], metavar="RANK", help="Of this rank only.")


def rank_of(text: str | None) -> int | None:
    """Return the rank of a command line.

    Raises:
        InvalidError: `DER.INVAL`: it is no number.
    """
    if text is not None and (not text.isascii() or not text.isdecimal() or int(text) >= 1 << 32):
        raise InvalidError(f'invalid argument for flag `-r, --rank\': invalid rank "{text}"', hint="such as 0")
    return None if text is None else int(text)


@make(
    "list-devices",
    HOSTS,
    RANK,
    click.Option(["-b", "--health"], is_flag=True, help="With their health."),
    click.Option(["-u", "--uuid"], metavar="UUID", help="This device only."),
    click.Option(["-e", "--show-evicted"], is_flag=True, help="Those only that were taken out of use."),
)
@click.pass_context
def command(
    context: click.Context,
    host_list: str | None,
    rank: str | None,
    uuid: str | None,
    *,
    health: bool,
    show_evicted: bool,
) -> Reply:
    """List the devices that engines use."""
    request = pb.StorageQueryDevicesRequest(
        rank=rank_of(rank), uuid=(uuid or "").lower(), health=health, evicted=show_evicted
    )
    told = telling_hosts(context, host_list, methods.STORAGE_QUERY_DEVICES, request)
    found = groups(told.answers)
    lines = []
    for hosts, answer in found:
        lines += headed(told.name(hosts))
        lines += ["  Devices"] if answer.devices else ["  No devices found"]
        for device in answer.devices:
            roles = f" Roles:{','.join(device.roles)}" if device.roles else ""
            targets = f"Targets:[{' '.join(map(str, device.targets))}]"
            lines += [
                f"    UUID:{device.uuid} [TrAddr:{device.address}]",
                f"      {targets} Rank:{device.rank} State:{device.state} LED:{device.led}{roles}",
            ]
            if device.HasField("health"):
                lines += ["      Health Stats:", *health_lines(device.health, "        ")]
    sets = [(hosts, {"smd_info": {"devices": _json(answer)}}) for hosts, answer in found]
    return hosts_reply(context, told, lines, lambda: {"HostStorage": storage_json(sets)})


def _json(answer: pb.StorageQueryDevicesResponse) -> list[dict[str, object]]:
    return [
        {
            "uuid": device.uuid,
            "tgt_ids": list(device.targets),
            "rank": device.rank,
            "role": ",".join(device.roles),
            "total_bytes": device.size,
            "avail_bytes": device.free,
            "ctrlr": {
                "pci_addr": device.address,
                "dev_state": device.state,
                "led_state": device.led,
                "health_stats": health_json(device.health) if device.HasField("health") else None,
            },
        }
        for device in answer.devices
    ]
