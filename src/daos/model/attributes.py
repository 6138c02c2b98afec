"""User attributes: what may be a name and a value."""

from __future__ import annotations

from daos.errors import DER, InvalidError

NAME_BYTES_MAX = 511
"""Bytes of the UTF-8 form of a name (DAOS: 511)."""
VALUE_BYTES_MAX = 64 << 10
"""Bytes of a value."""

_NAME_RULE = f"1 to {NAME_BYTES_MAX} bytes of UTF-8 without NUL"


def check_attribute_name(name: object) -> str:
    """Return a name that an attribute can have.

    Raises:
        InvalidError: `DER.INVAL`; the hint tells the rule.
    """
    if not isinstance(name, str):
        raise InvalidError(f"an attribute's name is a str, not {type(name).__name__}", hint=_NAME_RULE)
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidError(f"attribute name {name!r} holds half of a surrogate pair", hint=_NAME_RULE) from None
    if not 1 <= size <= NAME_BYTES_MAX or "\0" in name:
        shown = name if size <= NAME_BYTES_MAX else f"{name[:37]}..."
        raise InvalidError(f"invalid attribute name {shown!r}", hint=_NAME_RULE, context={"bytes": size})
    return name


def check_attribute_value(value: object) -> bytes:
    """Return a value that an attribute can have.

    Raises:
        InvalidError: `DER.INVAL`, or `DER.REC2BIG` for one that is too long.
    """
    if not isinstance(value, bytes):
        hint = "encode it, such as text.encode()" if isinstance(value, str) else "give bytes"
        raise InvalidError(f"an attribute's value is bytes, not {type(value).__name__}", hint=hint)
    if len(value) > VALUE_BYTES_MAX:
        raise InvalidError(
            f"an attribute's value has at most {VALUE_BYTES_MAX} bytes, this one {len(value)}",
            code=DER.REC2BIG,
            hint="keep it in a key-value store",
        )
    return value
