"""Access lists, as `dmg` takes and shows them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from daos.cli._output import Reply
from daos.cli.dmg._base import admin_of, asking, failed
from daos.errors import DaosError, InvalidError
from daos.model.acl import Ace, Permission, PrincipalType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daos.mgmt.methods import Method, Request
    from daos.mgmt.proto import daos_mgmt_pb2 as pb

FILE = click.Option(["-a", "--acl-file"], metavar="FILE", help="Of entries, one a line.")
FILE_BYTES_MAX = 1 << 20
"""Of an ACL file: more than an access list can hold, comments too."""

_WORDS = {
    "r": "Read",
    "w": "Write",
    "c": "Create-Container",
    "d": "Delete-Container",
    "t": "Get-Prop",
    "T": "Set-Prop",
    "a": "Get-ACL",
    "A": "Set-ACL",
    "o": "Set-Owner",
}
_KINDS = {
    PrincipalType.OWNER: "Owner",
    PrincipalType.OWNER_GROUP: "Owner-Group",
    PrincipalType.EVERYONE: "Everyone",
}


def entries_of(path: str) -> list[str]:
    """Return the entries of a file.

    Raises:
        InvalidError: `DER.INVAL`: it cannot be read, or has none.
    """
    try:
        with Path(path).open(encoding="utf-8") as file:
            text = file.read(FILE_BYTES_MAX)
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise InvalidError(f"opening ACL file: open {path}: {reason}", hint="name a file of entries") from None
    except UnicodeDecodeError:
        raise InvalidError(f"ACL file '{path}' is no text", hint="an entry a line, such as A::alice@:rw") from None
    lines = [line.strip() for line in text.splitlines()]
    entries = [line for line in lines if line and not line.startswith("#")]
    if not entries:
        raise InvalidError(f"ACL file '{path}' contains no entries", hint="an entry a line, such as A::alice@:rw")
    return entries


def acl_lines(told: pb.AccessList, *, verbose: bool = False) -> list[str]:
    """Return an access list as text, which is also the form of a file."""
    lines = [f"# Owner: {told.owner}", f"# Owner Group: {told.group}", "# Entries:"]
    for entry in told.entries:
        if verbose:
            lines.append(_explained(entry))
        lines.append(entry)
    return lines if told.entries else [*lines, "#   None"]


def _explained(text: str) -> str:
    entry = Ace.parse(text)
    kind = entry.principal.kind
    flag = "Group" if kind in (PrincipalType.OWNER_GROUP, PrincipalType.GROUP) else ""
    words = [word for letter, word in _WORDS.items() if Permission[letter] in entry.permissions]
    return f"# Allow:{flag}:{_KINDS.get(kind, entry.principal.name)}:{'/'.join(words) or 'None'}"


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
