"""`dmg pool destroy`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.cli.dmg._base import POOL, asking, telling
from daos.cli.dmg._base import command as make
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb


@make(
    "destroy",
    POOL,
    click.Option(["-f", "--force"], is_flag=True, help="Also with open handles."),
    click.Option(["-r", "--recursive"], is_flag=True, help="Also with containers."),
)
@click.pass_context
def command(context: click.Context, pool: str, *, force: bool, recursive: bool) -> Reply:
    """Destroy a pool and all in it."""
    with telling(context, "Pool-destroy command"):
        asking(context, methods.POOL_DESTROY, pb.PoolDestroyRequest(pool=pool, force=force, recursive=recursive))
    return Reply(["Pool-destroy command succeeded"])
