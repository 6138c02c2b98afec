"""Words of command lines that are lists: `name:value,...` and `name,...`."""

from __future__ import annotations

import click

from daos.cli._pairs import parse_names, parse_pairs
from daos.errors import InvalidError

PAIRS = click.Argument(["pairs"], metavar="KEY:VAL[,KEY:VAL...]")
NAMES = click.Argument(["names"], metavar="[KEY[,KEY...]]", required=False)
NAMES_NEEDED = click.Argument(["names"], metavar="KEY[,KEY...]")


def pairs_of(text: str, what: str) -> dict[str, str]:
    """Return names and values.

    Raises:
        InvalidError: `DER.INVAL`: none, not of the form, or one given twice.
    """
    pairs = parse_pairs(text, what)
    if not pairs:
        raise InvalidError(f'invalid {what} "{text}" (must be key:val)', hint="such as a:1,b:2")
    return pairs


def names_of(text: str | None) -> list[str]:
    """Return names, each once.

    Raises:
        InvalidError: `DER.INVAL`: one is empty.
    """
    names = parse_names(text)
    if not all(names):
        raise InvalidError(f'invalid list of names "{text}"', hint="such as a,b")
    return names
