"""What the commands for attributes of pools and of containers share: they differ in what has them alone."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import click

from daos.cli._output import Reply, table
from daos.cli._pairs import parse_names, parse_pairs
from daos.errors import InvalidError

if TYPE_CHECKING:
    from daos import Attributes

PAIRS = click.Argument(["pairs"], metavar="[NAME:VALUE,...]", required=False)
NAMES = click.Argument(["names"], metavar="[NAME,...]", required=False)
ATTR = click.Option(["-a", "--attr"], metavar="NAME", help="One attribute, whatever is in its name.")
VALUE = click.Option(["-v", "--value"], metavar="VALUE", help="Its value.")
VERBOSE = click.Option(["-V", "--verbose"], is_flag=True, help="Print the values as well.")


def to_set(pairs: str | None, attr: str | None, value: str | None) -> dict[str, bytes]:
    """Return the attributes that a command line sets.

    Raises:
        InvalidError: `DER.INVAL`: none, or not of the form.
    """
    if (attr is None) != (value is None) or (pairs is None) == (attr is None):
        raise InvalidError("no attributes given", hint="give NAME:VALUE,..., or both --attr and --value")
    words = parse_pairs(pairs, "attribute")
    if attr is not None and value is not None:
        words[attr] = value
    return {name: word.encode(errors="surrogateescape") for name, word in words.items()}


def names_of(names: str | None, attr: str | None) -> list[str]:
    """Return the names that a command line gives.

    Raises:
        InvalidError: `DER.INVAL`: given in both ways.
    """
    if names is not None and attr is not None:
        raise InvalidError("attributes are given twice", hint="give NAME,... or --attr")
    return parse_names(names) if attr is None else [attr]


def set_reply(attributes: Attributes, what: str, items: dict[str, bytes]) -> Reply:
    """Set attributes of what is called `what`, such as `pool "tank"`."""
    attributes.update(items)
    return Reply([f"Attributes successfully set on {what}"])


def del_reply(attributes: Attributes, what: str, names: list[str]) -> Reply:
    """Remove attributes; those that are absent are no error, as in DAOS.

    Raises:
        InvalidError: `DER.INVAL`: no names.
    """
    if not names:
        raise InvalidError("no attributes given", hint="give NAME,... or --attr NAME")
    attributes.remove(names)
    return Reply([f"Attribute(s) {','.join(names)} successfully deleted on {what}"])


def get_reply(attributes: Attributes, what: str, names: list[str]) -> Reply:
    """Tell the values of attributes, of all where none is named."""
    found = attributes.get_many(names or attributes)
    infos = [{"name": name, "value": _base64(value)} for name, value in found.items()]
    return Reply(_lines(what, found), lambda: infos[0] if len(names) == 1 else infos)


def list_reply(attributes: Attributes, what: str, *, verbose: bool) -> Reply:
    """List attributes, where asked for with their values."""
    if verbose:
        found = attributes.get_many(attributes)
        return Reply(_lines(what, found), lambda: {name: _base64(value) for name, value in found.items()})
    names = list(attributes)
    lines = table(("Name",), [(name,) for name in names]) if names else ["  No attributes found."]
    return Reply([_title(what), *lines], lambda: names)


def _title(what: str) -> str:
    return f"Attributes for {what}:"


def _lines(what: str, found: dict[str, bytes]) -> list[str]:
    values = [(name, value.decode(errors="backslashreplace")) for name, value in found.items()]
    return [_title(what), *(table(("Name", "Value"), values) if values else ["  No attributes found."])]


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
