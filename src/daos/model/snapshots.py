"""Snapshots of a container: what one is, its name, the time its epoch stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from daos.errors import InvalidError

NAME_BYTES_MAX = 128
"""Bytes of the UTF-8 form of a snapshot's name (DAOS: 128)."""
EPOCH_MAX = (1 << 64) - 1

_START = datetime(2021, 1, 1, tzinfo=UTC)
_LOGICAL_MASK = 0x3FFFF
_TICKS_PER_US = 16_000
_NUMBER = re.compile(r"\d+|0x[0-9a-f]+", re.ASCII | re.IGNORECASE)
_RULE = f"1 to {NAME_BYTES_MAX} bytes of printable text that is no number"


@dataclass(frozen=True, repr=False)
class Snapshot:
    """A snapshot of a container. Made by `Container.snapshot`; an equal one may be made by hand.

    Attributes:
        epoch: What was written up to this epoch is visible in it. A stamp of the hybrid logical clock: 1/16 ns since
            2021-01-01T00:00:00Z, the low 18 bits logical.
        name: Unique in the container; None for one without a name.
    """

    epoch: int
    name: str | None = None

    @property
    def created(self) -> datetime:
        """When it was taken, in UTC, by the clock of the system that took it; exact to some 16 us."""
        return epoch_time(self.epoch)

    def __repr__(self) -> str:
        name = "" if self.name is None else f"{self.name!r}, "
        return f"<daos.Snapshot {name}epoch {self.epoch:#x}, {self.created.isoformat(timespec='milliseconds')}>"


def epoch_time(epoch: int) -> datetime:
    """Return the time that an epoch stands for, in UTC."""
    return _START + timedelta(microseconds=(epoch & ~_LOGICAL_MASK) // _TICKS_PER_US)


def check_snapshot_name(name: object) -> str:
    """Return a name that a snapshot can have.

    Raises:
        InvalidError: `DER.INVAL`; the hint tells the rule.
    """
    if not isinstance(name, str):
        raise InvalidError(f"a snapshot's name is a str, not {type(name).__name__}", hint=_RULE)
    if not name or not name.isprintable() or len(name.encode()) > NAME_BYTES_MAX or parse_epoch(name) is not None:
        shown = name if len(name) <= NAME_BYTES_MAX else f"{name[:37]}..."
        raise InvalidError(f"invalid snapshot name {shown!r}", hint=_RULE, context={"length": len(name)})
    return name


def parse_epoch(word: str) -> int | None:
    """Return the epoch that a word writes, decimal or with `0x`; None for a word that is no number.

    Raises:
        InvalidError: `DER.INVAL`: a number that no epoch is.
    """
    if not _NUMBER.fullmatch(word):
        return None
    return check_epoch(int(word, 16 if word[:2].lower() == "0x" else 10))


def check_epoch(epoch: object) -> int:
    """Return a number that an epoch may be.

    Raises:
        InvalidError: `DER.INVAL`.
    """
    if not isinstance(epoch, int) or isinstance(epoch, bool) or not 0 <= epoch <= EPOCH_MAX:
        raise InvalidError(f"invalid epoch {epoch!r}", hint="a whole number from 0 to 2**64 - 1")
    return epoch
