"""`daos container rollback`."""

from __future__ import annotations

import click

from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.cli._snapshots import epoch_of
from daos.errors import InvalidError

NAME = click.Option(["-s", "--snap", "name"], metavar="NAME", help="To the snapshot of this name.")
EPOCH = click.Option(["-e", "--epc", "epoch"], metavar="EPOCH", help="To the snapshot at this epoch.")


@make("rollback", POOL, CONTAINER, NAME, EPOCH)
@click.pass_context
def command(context: click.Context, pool: str, container: str, name: str | None, epoch: str | None) -> Reply:
    """Bring CONTAINER in POOL back to a snapshot.

    What was written since is no longer seen, all of it at once. Snapshots taken since stay: take one before, and you
    can come back.
    """
    if (name is None) == (epoch is None):
        raise InvalidError("give a snapshot: its name or its epoch", hint="container list-snaps lists them")
    chosen = name if name is not None else epoch_of(epoch or "")
    open_container(context, pool, container, writes=True).rollback(chosen)
    return Reply()
