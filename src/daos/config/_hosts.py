"""Hosts as configuration files and command lines write them."""

from __future__ import annotations

import re
from typing import NamedTuple

from daos.errors import InvalidError

HOSTS_MAX = 65_536
"""Of one list, ranges counted out."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_SPLIT = re.compile(r",(?![^\[]*\])")
_RANGE = re.compile(r"(.*?)\[([0-9,-]+)\](.*)")
_V6 = re.compile(r"\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\](?::(\d+))?")
_HINT = "host, host:port, node[1-3,7]; an IPv6 address in brackets"


class Host(NamedTuple):
    """A host and a port of it."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


def parse_host(text: str, port: int) -> Host:
    """Return one host; `port` is for one that names none.

    Raises:
        InvalidError: `DER.INVAL`.
    """
    six = _V6.fullmatch(text)
    if six:
        return Host(six[1].lower(), _port(six[2], text) if six[2] else port)
    name, colon, number = text.partition(":")
    if not _NAME.fullmatch(name):
        raise InvalidError(f'"{text}" is no host', hint=_HINT)
    return Host(name, _port(number, text) if colon else port)


def expand_hosts(text: str, port: int) -> tuple[Host, ...]:
    """Return the hosts of a host set, such as `node[1-3,7],other:10001`, in its order, each once.

    Raises:
        InvalidError: `DER.INVAL`; the hint tells the form.
    """
    found: dict[Host, None] = {}
    for part in _SPLIT.split(text):
        for one in _expand(part.strip()):
            found[parse_host(one, port)] = None
            if len(found) > HOSTS_MAX:
                raise InvalidError(f'"{text[:40]}" names more than {HOSTS_MAX} hosts', hint="check its ranges")
    return tuple(found)


def _expand(part: str) -> list[str]:
    match = None if _V6.fullmatch(part) else _RANGE.fullmatch(part)
    if match is None:
        return [part]
    before, ranges, after = match.groups()
    numbers: list[str] = []
    for piece in ranges.split(","):
        low, dash, high = piece.partition("-")
        if not low.isdigit() or (dash and (not high.isdigit() or int(high) < int(low))):
            raise InvalidError(f'"{part}" has no valid range', hint=_HINT)
        last = int(high) if dash else int(low)
        if last - int(low) >= HOSTS_MAX:
            raise InvalidError(f'"{part}" names more than {HOSTS_MAX} hosts', hint="check its ranges")
        # node[01-03] keeps its zeros.
        numbers += [f"{number:0{len(low)}d}" for number in range(int(low), last + 1)]
    heads = [before + number for number in numbers]
    tails = _expand(after)
    if len(heads) * len(tails) > HOSTS_MAX:
        raise InvalidError(f'"{part}" names more than {HOSTS_MAX} hosts', hint="check its ranges")
    return [head + tail for head in heads for tail in tails]


def _port(text: str, whole: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:  # noqa: PLR2004 -- the numbers of ports
        raise InvalidError(f'"{whole}" has no valid port', hint="1 to 65535")
    return int(text)
