"""Sets of ranks and of hosts, as people write and read them: `0,2-5`, `node[1-3,7]:10001`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from daos.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RANKS_MAX = 1 << 20
"""Ranks of a set, ranges counted out."""
HOSTS_MAX = 65_536
"""Hosts of a set, ranges counted out."""
PORT_MAX = 65_535

_RANK_HINT = "such as 0,2-5"
_HOST_HINT = "such as node[1-3,7],other:10001"
_SPLIT = re.compile(r",(?![^\[]*\])")
_RANGES = re.compile(r"([^\[\]]*)\[([0-9,-]+)\](.*)")
_V6 = re.compile(r"\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\](:\d+)?")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_NUMBERED = re.compile(r"(.*?)(\d+)((?:\.[^:]*)?)")


def parse_ranks(text: str) -> list[int]:
    """Return the ranks of a set, in order, each once.

    Raises:
        InvalidError: `DER.INVAL`: it is none, or empty.
    """
    bare = text.strip()
    if bare.startswith("[") and bare.endswith("]"):
        bare = bare[1:-1]
    ranks: set[int] = set()
    for part in bare.split(","):
        low, dash, high = part.strip().partition("-")
        if not _number(low) or (dash and not _number(high)):
            raise InvalidError(f'invalid rank set "{text}"', hint=_RANK_HINT)
        first, last = int(low), int(high or low)
        if last < first or last - first >= RANKS_MAX or last >= 1 << 32:
            raise InvalidError(f'invalid rank set "{text}"', hint=_RANK_HINT)
        ranks.update(range(first, last + 1))
    return sorted(ranks)


def _number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def format_ranks(ranks: Iterable[int]) -> str:
    """Return a set as it is printed: `3`, `[0-2,5]`, and nothing for none."""
    found = sorted(set(ranks))
    text = ",".join(_ranges(found, 0))
    return f"[{text}]" if len(found) > 1 else text


def _ranges(numbers: list[int], width: int) -> Iterator[str]:
    """Yield sorted numbers as ranges, with zeros in front up to a width."""
    start = 0
    for index in range(1, len(numbers) + 1):
        if index == len(numbers) or numbers[index] != numbers[index - 1] + 1:
            first, last = numbers[start], numbers[index - 1]
            yield f"{first:0{width}d}" if first == last else f"{first:0{width}d}-{last:0{width}d}"
            start = index


def parse_hosts(text: str, port: int) -> list[str]:
    """Return the hosts of a set as `host:port`, in its order, each once.

    Args:
        text: The set.
        port: Of hosts that are given without one.

    Raises:
        InvalidError: `DER.INVAL`: it is none, or empty.
    """
    found: dict[str, None] = {}
    for part in _SPLIT.split(text):
        for host in _expanded(part.strip(), text):
            found[_with_port(host, port, text)] = None
            if len(found) > HOSTS_MAX:
                raise InvalidError(f'"{text[:40]}" names more than {HOSTS_MAX} hosts', hint=_HOST_HINT)
    return list(found)


def _expanded(part: str, text: str) -> Iterator[str]:
    match = None if _V6.fullmatch(part) else _RANGES.fullmatch(part)
    if match is None:
        yield part
        return
    before, ranges, after = match.groups()
    for piece in ranges.split(","):
        low, dash, high = piece.partition("-")
        if not _number(low) or (dash and not _number(high)) or int(high or low) < int(low):
            raise InvalidError(f'invalid host set "{text[:80]}"', hint=_HOST_HINT)
        if int(high or low) - int(low) >= HOSTS_MAX:
            raise InvalidError(f'"{text[:40]}" names more than {HOSTS_MAX} hosts', hint=_HOST_HINT)
        for number in range(int(low), int(high or low) + 1):
            # node[01-03] keeps its zeros.
            for rest in _expanded(after, text):
                yield f"{before}{number:0{len(low)}d}{rest}"


def _with_port(host: str, port: int, text: str) -> str:
    if _V6.fullmatch(host):
        name, number = (host, "") if host.endswith("]") else (host.rpartition(":")[0], host.rpartition(":")[2])
        valid = True
    else:
        name, colon, number = host.partition(":")
        valid = bool(_NAME.fullmatch(name)) and bool(number) == bool(colon)
    if not valid or (number and not (_number(number) and 0 < int(number) <= PORT_MAX)):
        raise InvalidError(f'invalid host "{host[:80]}" in "{text[:80]}"', hint=_HOST_HINT)
    return f"{name}:{number or port}"


def format_hosts(hosts: Iterable[str], *, ports: bool = True) -> str:
    """Return hosts as a set: `node[1-3]:10001,other:10002`.

    Args:
        hosts: Each `host:port`.
        ports: Leave the ports in; else they are left out where that loses nothing.
    """
    given = list(dict.fromkeys(hosts))
    names = [host.rpartition(":")[0] for host in given]
    if not ports and len(set(names)) == len(names):
        given = [f"{name}:" for name in names]
    # In the order of their first hosts: those that differ in a number only are written together.
    groups: dict[tuple[str, str, str, int], list[int]] = {}
    for host in given:
        name, _, port = host.rpartition(":")
        match = None if name.startswith("[") or _looks_like_address(name) else _NUMBERED.fullmatch(name)
        if match is None:
            groups[name, "", port, -1] = []
            continue
        before, number, after = match.groups()
        groups.setdefault((before, after, port, len(number) if number.startswith("0") else 0), []).append(int(number))
    return ",".join(_folded(*key, numbers) for key, numbers in groups.items())


def _folded(before: str, after: str, port: str, width: int, numbers: list[int]) -> str:
    ranges = ",".join(_ranges(sorted(numbers), width)) if numbers else ""
    return f"{before}{f'[{ranges}]' if len(numbers) > 1 else ranges}{after}{f':{port}' if port else ''}"


def _looks_like_address(name: str) -> bool:
    return all(_number(part) for part in name.split("."))
