"""Lists of a command line: `name:value,name:value` and `name,name`."""

from __future__ import annotations

from daos.errors import InvalidError


def parse_pairs(text: str | None, what: str) -> dict[str, str]:
    """Return the names and values of a list.

    Args:
        text: Pairs with commas between them; None for none.
        what: What each is, for the message.

    Raises:
        InvalidError: `DER.INVAL`: not of the form, or one given twice.
    """
    pairs: dict[str, str] = {}
    for pair in text.split(",") if text else ():
        name, _, value = pair.partition(":")
        if not name or not value:
            raise InvalidError(f'invalid {what} "{pair}" (must be key:val)', hint="such as a:1,b:2")
        if name in pairs:
            raise InvalidError(f'{what} "{name}" is given twice', hint="give it once")
        pairs[name] = value
    return pairs


def parse_names(text: str | None) -> list[str]:
    """Return the names of a list, each once; None for none."""
    return list(dict.fromkeys(text.split(","))) if text else []
