"""Sizes in bytes, as people write and read them."""

from __future__ import annotations

import math
import re

from daos.errors import InvalidError

_UNITS = {"": 1, "b": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("kmgtp", 1)
    for suffix, base in (("", 1000), ("b", 1000), ("ib", 1024))
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", re.ASCII)
SIZE_MAX = (1 << 63) - 1
"""The largest size that an offset in a file can express."""


def parse_size(size: object, what: str) -> int:
    """Return a size in bytes.

    Args:
        size: A whole number of bytes, or a text such as `10GiB`, `1.5 TB`, `4096`. Units of a `B` alone are decimal.
        what: What has this size, for the message.

    Raises:
        InvalidError: `DER.INVAL`.
    """
    hint = "give bytes as an int, or a text such as 512MiB, 10GiB or 2TB"
    if isinstance(size, str):
        match = _SIZE.fullmatch(size.strip())
        if match is None or match[2].lower() not in _UNITS:
            raise InvalidError(f"invalid {what} {size!r}", hint=hint)
        number = float(match[1]) if "." in match[1] else int(match[1])
        size = int(number * _UNITS[match[2].lower()])
    elif not isinstance(size, int) or isinstance(size, bool):
        raise InvalidError(f"a {what} is an int or a str, not {type(size).__name__}", hint=hint)
    if not 0 <= size <= SIZE_MAX:
        raise InvalidError(f"{what} {size} is out of range", hint=f"from 0 to {SIZE_MAX} bytes")
    return size


def format_size(size: int) -> str:
    """Return a capacity in decimal units with one digit: `1.0 GB`, `0 B`."""
    return _format(size, 1000, ("B", "kB", "MB", "GB", "TB", "PB"))


def format_binary(size: int) -> str:
    """Return the size of a chunk or cell in binary units, with one digit below ten: `1.0 MiB`, `32 KiB`."""
    return _format(size, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"), whole_from=10)


def _format(size: int, base: int, units: tuple[str, ...], *, whole_from: float = math.inf) -> str:
    value, power = float(size), 0
    while value >= base and power < len(units) - 1:
        value, power = value / base, power + 1
    return f"{value:.{0 if round(value, 1) >= whole_from else 1}f} {units[power]}" if power else f"{size} {units[0]}"
