"""Labels of pools and containers, and names of what is in a container.

Source: DAOS's public administration guide, on labels.
"""

from __future__ import annotations

import re

from daos.errors import DER, InvalidError

LABEL_LEN_MAX = 127
"""Characters of a label (DAOS: 127)."""
NAME_BYTES_MAX = 1024
"""Bytes of the UTF-8 form of an object's name: a listing page of a thousand names stays about a megabyte."""

_LABEL = re.compile(r"[A-Za-z0-9._:-]+")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_RULE = f"use 1 to {LABEL_LEN_MAX} of letters, digits, and . _ : -, and nothing of the form of a UUID"


def is_uuid(text: str) -> bool:
    """Tell whether a text has the form of a UUID, and so cannot be a label."""
    return _UUID.fullmatch(text) is not None


def check_label(label: object, what: str) -> str:
    """Return a label that follows the rules.

    Args:
        label: What the caller gave.
        what: `pool` or `container`, for the message.

    Raises:
        InvalidError: `DER.INVAL`; the hint tells the rule.
    """
    if not isinstance(label, str):
        raise InvalidError(f"a {what} label is a str, not {type(label).__name__}", hint=_RULE)
    if len(label) > LABEL_LEN_MAX or not _LABEL.fullmatch(label) or is_uuid(label):
        raise InvalidError(f'invalid {what} label "{_shorten(label)}"', hint=_RULE, context={"length": len(label)})
    return label


def check_reference(reference: object, what: str) -> str:
    """Return what names an existing pool or container: its label, or its UUID in lower case.

    Raises:
        InvalidError: `DER.INVAL`.
    """
    if isinstance(reference, str) and is_uuid(reference):
        return reference.lower()
    return check_label(reference, what)


def check_name(name: object) -> bytes:
    """Return the stored form of the name of a key-value store, array or object in a container.

    Raises:
        InvalidError: `DER.INVAL`, or `DER.KEY2BIG` for one that is too long.
    """
    if not isinstance(name, str):
        raise InvalidError(f"a name is a str, not {type(name).__name__}", hint="any text but the empty one will do")
    if not name:
        raise InvalidError("a name is not empty", hint="any text but the empty one will do")
    try:
        stored = name.encode()
    except UnicodeEncodeError:
        raise InvalidError(f"name {name!r} holds half of a surrogate pair", hint="names are stored as UTF-8") from None
    if len(stored) > NAME_BYTES_MAX:
        raise InvalidError(
            f"the name {_shorten(name)!r} is too long",
            code=DER.KEY2BIG,
            hint=f"a name has at most {NAME_BYTES_MAX} bytes of UTF-8",
            context={"bytes": len(stored)},
        )
    return stored


def _shorten(text: str) -> str:
    """Return a text short enough to print."""
    return text if len(text) <= 40 else f"{text[:37]}..."  # noqa: PLR2004 -- a line of a terminal holds it
