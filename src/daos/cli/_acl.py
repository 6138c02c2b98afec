"""Access lists, as `daos` takes and shows them; files of entries and their text, which are also those of `dmg`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from daos.cli._output import Reply
from daos.errors import InvalidError
from daos.model.acl import Ace, Permission, PrincipalType

if TYPE_CHECKING:
    from daos import AccessList, Container
    from daos.model.acl import AccessListLike

FILE = click.Option(["-f", "--acl-file"], metavar="FILE", help="Of entries, one a line.")
FILE_BYTES_MAX = 1 << 20
"""Of a file: more than an access list can hold, comments too."""
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
_HINT = "an entry a line, such as A::alice@:rw"


def entries_of(path: str) -> list[str]:
    """Return the entries of a file.

    Raises:
        InvalidError: `DER.INVAL`: it cannot be read, or has none.
    """
    try:
        with Path(path).open(encoding="utf-8") as file:
            text = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise InvalidError(f"opening ACL file: open {path}: {reason}", hint="name a file of entries") from None
    except UnicodeDecodeError:
        raise InvalidError(f"ACL file '{path}' is no text", hint=_HINT) from None
    if len(text) > FILE_BYTES_MAX:
        raise InvalidError(f"ACL file '{path}' is too long", hint=f"at most {FILE_BYTES_MAX} characters")
    lines = [line.strip() for line in text.splitlines()]
    entries = [line for line in lines if line and not line.startswith("#")]
    if not entries:
        raise InvalidError(f"ACL file '{path}' contains no entries", hint=_HINT)
    return entries


def text_of(told: AccessListLike, none: str, *, verbose: bool = False) -> list[str]:
    """Return an access list as text, which is also the form of a file.

    Args:
        told: The access list.
        none: The line of an empty one.
        verbose: Say in words what each entry allows.
    """
    lines = [f"# Owner: {told.owner}", f"# Owner Group: {told.group}", "# Entries:"]
    for entry in told.entries:
        if verbose:
            lines.append(_explained(entry))
        lines.append(entry)
    return lines if told.entries else [*lines, none]


def _explained(text: str) -> str:
    entry = Ace.parse(text)
    kind = entry.principal.kind
    flag = "Group" if kind in (PrincipalType.OWNER_GROUP, PrincipalType.GROUP) else ""
    words = [word for letter, word in _WORDS.items() if Permission[letter] in entry.permissions]
    return f"# Allow:{flag}:{_KINDS.get(kind, entry.principal.name)}:{'/'.join(words) or 'None'}"


def acl_lines(told: AccessList, *, verbose: bool = False) -> list[str]:
    """Return the access list of a container as text."""
    return text_of(told, "", verbose=verbose)


def acl_json(told: AccessList) -> dict[str, object]:
    """Return an access list as JSON has it: an empty one as an entry without letters, as DAOS does."""
    return {"entries": list(told.entries) or [""], "owner_user": told.owner, "owner_group": told.group}


def acl_reply(container: Container, *, verbose: bool = False) -> Reply:
    """Tell the access list of a container."""
    told = container.acl.get()
    return Reply(acl_lines(told, verbose=verbose), lambda: acl_json(told))
