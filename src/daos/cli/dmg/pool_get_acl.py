"""`dmg pool get-acl`."""

from __future__ import annotations

from pathlib import Path

import click

from daos.cli._output import Reply
from daos.cli.dmg._acl import acl_json, acl_lines, acl_reply
from daos.cli.dmg._base import POOL, asking
from daos.cli.dmg._base import command as make
from daos.errors import ExistsError
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb


@make(
    "get-acl",
    POOL,
    click.Option(["-O", "--outfile"], metavar="FILE", help="Write it there."),
    click.Option(["-f", "--force"], is_flag=True, help="Also if that file is there."),
    click.Option(["-v", "--verbose"], is_flag=True, help="Say in words what each entry allows."),
)
@click.pass_context
def command(context: click.Context, pool: str, outfile: str | None, *, force: bool, verbose: bool) -> Reply:
    """Print the access list of a pool."""
    request = pb.PoolGetAclRequest(pool=pool)
    if outfile is None:
        return acl_reply(context, "Pool-get-ACL command", methods.POOL_GET_ACL, request, verbose=verbose)
    if not force and Path(outfile).exists():
        raise ExistsError(f"file already exists: {outfile}", hint="--force writes over it")
    told = asking(context, methods.POOL_GET_ACL, request)
    with Path(outfile).open("w" if force else "x", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in acl_lines(told, verbose=verbose))
    return Reply([f"Wrote ACL to output file: {outfile}"], lambda: acl_json(told.entries, told.owner, told.group))
