"""What is written to and read from an object's akeys, other than single values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from daos.errors import DER, InvalidError

if TYPE_CHECKING:
    from daos.client._dtypes import DtypeLike
    from daos.client._seam import Value

RECORDS_MAX = (1 << 64) - 1
"""Records of an array value: indices are unsigned 64-bit numbers."""


@dataclass(frozen=True)
class Extent:
    """Records of an array value, to be written by `Object.update`.

    Attributes:
        start: The first record.
        data: One piece of at least one record: a record is an element of an array, a byte of other bytes.
    """

    start: int
    data: Value

    def __post_init__(self) -> None:
        _check(self.start, "start")


@dataclass(frozen=True)
class Hole:
    """Records of an array value, to be removed by `Object.update`: from `start` up to `stop`."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        _check_range(self.start, self.stop)


@dataclass(frozen=True)
class Range:
    """Records of an array value, to be read by `Object.fetch`: from `start` up to `stop`.

    Attributes:
        start: The first record.
        stop: The one behind the last.
        dtype: What they are; without it, they are read as so many bytes as they have, NumPy's `V`.
    """

    start: int
    stop: int
    dtype: DtypeLike | None = None

    def __post_init__(self) -> None:
        _check_range(self.start, self.stop)


@dataclass(frozen=True)
class Extreme:
    """The least or the greatest of what was asked of `Object.query`; None for what was not.

    Attributes:
        dkey: The dkey.
        akey: The akey.
        record: The record.
        record_size: Its bytes.
    """

    dkey: int | None
    akey: int | None
    record: int | None
    record_size: int | None


def _check(number: object, what: str) -> None:
    """Refuse what is no number of a record."""
    if not isinstance(number, int) or isinstance(number, bool):
        raise InvalidError(f"{what} is an int, not {type(number).__name__}", hint="convert it: int(...)")
    if not 0 <= number <= RECORDS_MAX:
        raise InvalidError(f"{what} cannot be {number}", code=DER.OVERFLOW, hint=f"from 0 to {RECORDS_MAX}")


def _check_range(start: object, stop: object) -> None:
    """Refuse what is no range of records, or an empty one."""
    _check(start, "start")
    _check(stop, "stop")
    if not start < stop:  # type: ignore[operator]  # both were seen to be integers
        raise InvalidError(f"no records from {start} up to {stop}", hint="stop is greater than start")
