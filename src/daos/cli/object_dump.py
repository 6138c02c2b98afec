"""`daos object dump`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import click

from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._object import OBJECT, object_of
from daos.cli._output import Reply
from daos.cli._snapshots import SNAP, as_of
from daos.errors import AccessError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daos import Object

COUNT_DEFAULT = 1000
COUNT_MAX = sys.maxsize
SKIP = click.Option(
    ["--skip"], type=click.IntRange(0, COUNT_MAX), default=0, help="Leave out so many dkeys at the beginning."
)
COUNT = click.Option(
    ["-c", "--count"],
    type=click.IntRange(1, COUNT_MAX),
    default=COUNT_DEFAULT,
    help=f"At most so many dkeys; {COUNT_DEFAULT} by default.",
)


@dataclass(frozen=True)
class Akey:
    """What an akey holds.

    Attributes:
        akey: The akey, as text.
        size: Bytes of the single value, or of a record.
        last: The last record of an array; None of a single value.
    """

    akey: str
    size: int
    last: int | None

    @property
    def line(self) -> str:
        """Its text."""
        kind = "single" if self.last is None else "array"
        return f"  akey: {self.akey} {kind} size: {self.size}" + ("" if self.last is None else f" last: {self.last}")

    @property
    def info(self) -> dict[str, object]:
        """Its JSON object."""
        last = {} if self.last is None else {"last": self.last}
        return {"akey": self.akey, "kind": "single" if self.last is None else "array", "size": self.size, **last}


@make("dump", POOL, CONTAINER, OBJECT, SKIP, COUNT, SNAP)
@click.pass_context
def command(
    context: click.Context, pool: str, container: str, which: str, skip: int, count: int, snap: str | None
) -> Reply:
    """List dkeys and akeys of OBJECT, a name or an id, and what the akeys hold.

    Of a single value its bytes, of an array the bytes of a record and the number of the last one. Keys are printed as
    Python writes them.
    """
    found = object_of(as_of(open_container(context, pool, container), snap), which)
    dkeys = islice(found.dkeys(), skip, None)
    shown = islice(dkeys, count)

    def lines() -> Iterator[str]:
        for dkey in shown:
            yield f"dkey: {_text(dkey)}"
            yield from (akey.line for akey in _akeys(found, dkey))
        if next(dkeys, None) is not None:
            yield f"There are more: --skip {skip + count}"

    def response() -> dict[str, object]:
        listed = [{"dkey": _text(dkey), "akeys": [akey.info for akey in _akeys(found, dkey)]} for dkey in shown]
        return {"oid": str(found.oid), "dkeys": listed, "more": next(dkeys, None) is not None}

    return Reply(lines(), response)


def _akeys(found: Object, dkey: str | bytes | int) -> Iterator[Akey]:
    """Yield what the akeys of a dkey hold, without those that went meanwhile."""
    for akey in found.akeys(dkey):
        try:
            value = found.fetch(dkey, akey).get(akey)
        except AccessError:
            # An array is there.
            extreme = found.query("max", dkey=dkey, akey=akey, records=True)
            if extreme is not None and extreme.record_size is not None:
                yield Akey(_text(akey), extreme.record_size, extreme.record)
            continue
        if isinstance(value, bytes):
            yield Akey(_text(akey), len(value), None)


def _text(key: str | bytes | int) -> str:
    """Return a key as Python writes it, text as text."""
    if isinstance(key, bytes):
        try:
            return repr(key.decode())
        except UnicodeDecodeError:
            return repr(key)
    return repr(key)
