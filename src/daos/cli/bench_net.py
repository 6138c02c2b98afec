"""`daos bench net`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, cast

import click

from daos._bench_net import measure
from daos.cli._base import POOL, connect_pool, for_running, session_of
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.cli.bench import SECONDS, lines

if TYPE_CHECKING:
    from daos.client.system import Durability


@make(
    "net",
    POOL,
    SECONDS,
    click.Option(
        ["-d", "--durability"],
        type=click.Choice(["synced", "interval", "buffered"]),
        default="synced",
        show_default=True,
        help="What a call has promised when it returns.",
    ),
)
@click.pass_context
def command(context: click.Context, pool: str, seconds: float, durability: str) -> Reply:
    """Measure POOL of a running system from this host: puts and gets, 1, 16 and 64 in one call, and blocks of 1 MiB.

    `native` is a loop without Python, so what the system does by itself; the others are calls from Python.

    Works in a new container and destroys it. p50 and p99 are of calls, rates of operations. Space for 64 MiB must be
    free. Each line is printed when it is measured.
    """
    for_running(context, "an embedded system has no network")
    promised = cast("Durability", durability)
    opened = context.with_resource(connect_pool(context, pool, writes=True, durability=promised))
    found = measure(opened, promised, seconds)
    if session_of(context).json:
        # In full before the container goes.
        rows = [{**asdict(one), "operations_per_s": one.per_s} for one in found]
        return Reply(response=lambda: rows)
    return Reply(lines(found))
