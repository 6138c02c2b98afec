"""`daos container get-acl`."""

from __future__ import annotations

from pathlib import Path

import click

from daos.cli._acl import acl_lines, acl_reply
from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.errors import ExistsError


@make(
    "get-acl",
    POOL,
    CONTAINER,
    click.Option(["-O", "--outfile"], metavar="FILE", help="Write it there, too."),
    click.Option(["-f", "--force"], is_flag=True, help="Also if that file is there."),
    click.Option(["-V", "--verbose"], is_flag=True, help="Say in words what each entry allows."),
)
@click.pass_context
def command(
    context: click.Context, pool: str, container: str, outfile: str | None, *, force: bool, verbose: bool
) -> Reply:
    """Print the access list of CONTAINER in POOL."""
    if outfile is not None and not force and Path(outfile).exists():
        raise ExistsError(f"file already exists: {outfile}", hint="--force writes over it")
    opened = open_container(context, pool, container)
    if outfile is not None:
        told = opened.acl.get()
        with Path(outfile).open("w" if force else "x", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in acl_lines(told, verbose=verbose))
    return acl_reply(opened, verbose=verbose)
