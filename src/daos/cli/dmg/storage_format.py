"""`dmg storage format`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from daos.cli._output import Reply, table
from daos.cli.dmg._base import HOSTS
from daos.cli.dmg._base import command as make
from daos.cli.dmg._hosts import groups, headed, hosts_reply, storage_json, telling_hosts
from daos.cli.dmg._storage import NVME, SCM
from daos.errors import DER
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb


@make(
    "format",
    HOSTS,
    click.Option(["-v", "--verbose"], is_flag=True, help="Each device."),
    click.Option(["--force"], is_flag=True, help="Delete what is there."),
    click.Option(["--replace"], is_flag=True, help="Take the rank of storage that is gone."),
)
@click.pass_context
def command(context: click.Context, host_list: str | None, *, verbose: bool, force: bool, replace: bool) -> Reply:
    """Prepare the storage of hosts for their engines."""
    request = pb.StorageFormatRequest(force=force, replace=replace)
    told = telling_hosts(context, host_list, methods.STORAGE_FORMAT, request)
    found = groups(told.answers)
    bad = [host for host, answer in told.answers.items() if any(result.code for result in answer.results)]
    lines = []
    for hosts, answer in found:
        if verbose or any(result.code for result in answer.results):
            rows = [(_noun(result), result.address, _result(result)) for result in answer.results]
            lines += [*headed(told.name(hosts)), *table(("Media", "Device", "Format Result"), rows), ""]
    if found and not verbose:
        rows = [
            (
                told.name(hosts),
                str(_formatted(answer.results, SCM)),
                str(_formatted(answer.results, NVME)),
            )
            for hosts, answer in found
        ]
        lines += ["Format Summary:", *table(("Hosts", "SCM Devices", "NVMe Devices"), rows, indent="  "), ""]
    failure = f"storage format failed on hosts {told.name(bad)}" if bad else None
    return hosts_reply(
        context,
        told,
        lines,
        lambda: {"HostStorage": storage_json([(hosts, _json(answer)) for hosts, answer in found])},
        failure,
    )


def _noun(result: pb.FormatResult) -> str:
    return "SCM" if result.media == SCM else "NVMe"


def _result(result: pb.FormatResult) -> str:
    return f"CTL_FAILED: {result.message or DER.of(result.code)}" if result.code else "CTL_SUCCESS"


def _formatted(results: Sequence[pb.FormatResult], media: str) -> int:
    return sum(result.media == media and not result.code for result in results)


def _json(answer: pb.StorageFormatResponse) -> dict[str, object]:
    return {
        "results": [
            {
                "engine": result.engine,
                "media": result.media,
                "device": result.address,
                "status": -result.code,
                "error": result.message,
            }
            for result in answer.results
        ]
    }
