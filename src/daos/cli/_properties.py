"""What the commands for properties of pools and of containers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click

from daos.cli._output import Reply, table
from daos.cli._pairs import parse_names, parse_pairs
from daos.errors import InvalidError

PAIRS = click.Argument(["pairs"], metavar="[KEY:VALUE,...]", required=False)
KEYS = click.Argument(["keys"], metavar="[KEY,...]", required=False)
PROPERTIES = click.Option(["--properties", "option"], metavar="...", help="The same as the last word.")


@dataclass(frozen=True)
class Shown:
    """A property as the tools show it.

    Attributes:
        name: As programs write it.
        title: As people read it.
        value: As JSON has it.
        text: As people read it.
    """

    name: str
    title: str
    value: str | int
    text: str


def given(word: str | None, option: str | None) -> str | None:
    """Return the list of a command line, which may be the last word or an option.

    Raises:
        InvalidError: `DER.INVAL`: it is both.
    """
    if word is not None and option is not None:
        raise InvalidError("properties are given twice", hint="as the last word or by --properties")
    return option if word is None else word


def to_set(word: str | None, option: str | None) -> dict[str, str]:
    """Return the properties that a command line sets.

    Raises:
        InvalidError: `DER.INVAL`: none, or not of the form.
    """
    pairs = parse_pairs(given(word, option), "property")
    if not pairs:
        raise InvalidError("no properties given", hint="such as label:next")
    return pairs


def get_reply(title: str, shown: Sequence[Shown], keys: str | None) -> Reply:
    """Tell properties by their names, all where none is named.

    Raises:
        InvalidError: `DER.INVAL`: there is none of a name.
    """
    by_name = {prop.name: prop for prop in sorted(shown, key=lambda prop: prop.name)}
    names = parse_names(keys)
    for name in names:
        if name not in by_name:
            raise InvalidError(f'unknown property "{name}"', hint=f"valid: {', '.join(by_name)}")
    chosen = [by_name[name] for name in names or by_name]
    return Reply(
        [title, *table(("Name", "Value"), [(f"{prop.title} ({prop.name})", prop.text) for prop in chosen])],
        lambda: [{"value": prop.value, "name": prop.name, "description": prop.title} for prop in chosen],
    )
