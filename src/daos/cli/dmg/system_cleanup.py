"""`dmg system cleanup`."""

from __future__ import annotations

import click

from daos.cli._output import Reply, table
from daos.cli.dmg._base import asking
from daos.cli.dmg._base import command as make
from daos.errors import DER
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb


@make(
    "cleanup",
    click.Argument(["machine"], metavar="MACHINE NAME"),
    click.Option(["-v", "--verbose"], is_flag=True, help="A line for each pool."),
)
@click.pass_context
def command(context: click.Context, machine: str, *, verbose: bool) -> Reply:
    """Close all pool handles that were opened from MACHINE."""
    told = asking(context, methods.SYSTEM_CLEANUP, pb.SystemCleanupRequest(machine=machine))
    bad = [result for result in told.results if result.code]
    lines = [f"Pool {bad_one.label or bad_one.pool}: {_reason(bad_one)}" for bad_one in bad]
    if verbose:
        rows = [(result.label or result.pool, str(result.count)) for result in told.results if not result.code]
        lines += [*table(("Pool", "Handles Revoked"), rows), ""]
    if not bad:
        lines += ["System Cleanup Success"]
    return Reply(
        lines,
        lambda: {
            "results": [
                {"status": -result.code, "msg": result.message, "pool_id": result.pool, "count": result.count}
                for result in told.results
            ]
        },
        error=f"system cleanup failed on {len(bad)} of {len(told.results)} pools" if bad else None,
    )


def _reason(result: pb.CleanupResult) -> str:
    return result.message or str(DER.of(result.code))
