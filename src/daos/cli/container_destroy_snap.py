"""`daos container destroy-snap`."""

from __future__ import annotations

import click

from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.cli._snapshots import epoch_of
from daos.errors import InvalidError

NAME = click.Option(["-s", "--snap", "name"], metavar="NAME", help="The snapshot of this name.")
EPOCH = click.Option(["-e", "--epc", "epoch"], metavar="EPOCH", help="The snapshot at this epoch.")
RANGE = click.Option(["-r", "--epcrange", "span"], metavar="FIRST-LAST", help="All from one epoch to another.")


def parse_range(span: str) -> tuple[int, int]:
    """Return the epochs of a range.

    Raises:
        InvalidError: `DER.INVAL`: not of the form, or not in order.
    """
    first, dash, last = span.partition("-")
    if not dash:
        raise InvalidError(f'invalid range "{span}" (must be A-B)', hint="two epochs with a dash between them")
    begin, end = epoch_of(first), epoch_of(last)
    if begin >= end:
        raise InvalidError("range begin must be < end", hint="for one snapshot, give its epoch by --epc")
    return begin, end


@make("destroy-snap", POOL, CONTAINER, NAME, EPOCH, RANGE)
@click.pass_context
def command(
    context: click.Context, pool: str, container: str, name: str | None, epoch: str | None, span: str | None
) -> Reply:
    """Destroy snapshots of CONTAINER in POOL: one by its name or epoch, or all in a range."""
    given = [word for word in (name, epoch, span) if word is not None]
    if not given:
        raise InvalidError(
            "must specify one of snapshot name or epoch or epoch range", hint="container list-snaps lists them"
        )
    if len(given) > 1:
        raise InvalidError("cannot specify more than one of snapshot name, epoch, epoch range", hint="give one")
    chosen = parse_range(span) if span is not None else name if name is not None else epoch_of(given[0])
    opened = open_container(context, pool, container, writes=True)
    if isinstance(chosen, tuple):
        opened.destroy_snapshots(*chosen)
    else:
        opened.destroy_snapshot(chosen)
    return Reply()
