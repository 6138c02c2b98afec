"""Access lists, as `dmg` takes and shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from daos.cli._acl import text_of
from daos.cli._output import Reply
from daos.cli.dmg._base import admin_of, asking, failed
from daos.errors import DaosError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daos.mgmt.methods import Method, Request
    from daos.mgmt.proto import daos_mgmt_pb2 as pb

FILE = click.Option(["-a", "--acl-file"], metavar="FILE", help="Of entries, one a line.")


def acl_lines(told: pb.AccessList, *, verbose: bool = False) -> list[str]:
    """Return the access list of a pool as text."""
    return text_of(told, "#   None", verbose=verbose)


def acl_json(entries: Sequence[str], owner: str, group: str) -> dict[str, object]:
    """Return an access list as JSON has it."""
    return {"ACL": {"entries": list(entries) or None, "owner_user": owner, "owner_group": group}}


def acl_reply(
    context: click.Context,
    what: str,
    method: Method[Request, pb.AccessList],
    request: Request,
    done: str | None = None,
    *,
    verbose: bool = False,
) -> Reply:
    """Ask for an access list, or change it, and tell it; JSON has an empty one where that failed."""
    try:
        told = asking(context, method, request)
    except DaosError as error:
        return failed(error, lambda: acl_json((), "", ""), f"{what} failed", as_json=admin_of(context).json)
    head = [] if done is None else [done]
    return Reply([*head, *acl_lines(told, verbose=verbose)], lambda: acl_json(told.entries, told.owner, told.group))
