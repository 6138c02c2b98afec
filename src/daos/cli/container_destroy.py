"""`daos container destroy`."""

from __future__ import annotations

import click

from daos import uns
from daos.cli._base import CONTAINER, POOL, named_by_path, open_pool
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.errors import InvalidError, NotFoundError

FORCE = click.Option(
    ["-f", "--force"],
    is_flag=True,
    help="Also if others have it open: whoever uses it gets an error. Of a path: also if its container is gone.",
)


@make("destroy", POOL, CONTAINER, FORCE)
@click.pass_context
def command(context: click.Context, pool: str, container: str, *, force: bool) -> Reply:
    """Destroy CONTAINER in POOL, and all in it; a path that stands for it is removed with it."""
    named = named_by_path(context)
    if named is None or named.where is None:
        if named is not None and (named.path != "/" or named.snapshot is not None):
            raise InvalidError(f"{named.url()} is no whole container", hint="daos://POOL/CONTAINER")
        open_pool(context, pool, writes=True).destroy_container(container, force=force)
        return Reply([f"Successfully destroyed container {container}"])
    where = f"{named.where}{named.path.rstrip('/')}"
    try:
        opened = open_pool(context, pool, writes=True)
    except NotFoundError:
        if not force:
            raise
        uns.unlink(where)
    else:
        uns.destroy(where, pool=opened, force=force)
    return Reply([f"Successfully destroyed container {where}"])
