"""The object classes that DAOS has names for."""

from __future__ import annotations

from enum import Enum
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ObjClassID"]

_ORDINAL_SHIFT = 24
_ALL_GROUPS = 0xFFFF
_GROUPS = {"1": 1, "2": 2, "4": 4, "6": 6, "8": 8, "12": 12, "16": 16, "32": 32, "X": _ALL_GROUPS}
_REPLICAS = {2: 8, 3: 9, 4: 10, 5: 11, 6: 12}
_REPLICAS_OF_ONE_GROUP = {12: 14, 16: 15, 24: 16, 32: 17, 48: 18, 64: 19, 128: 20}
_CODES = {
    "2P1": 32,
    "2P2": 33,
    "4P1": 34,
    "4P2": 35,
    "8P1": 36,
    "8P2": 37,
    "16P1": 38,
    "16P2": 39,
    "4P3": 40,
    "8P3": 41,
    "16P3": 42,
}
_SYMBOLIC = {
    "TINY": 51,
    "SMALL": 52,
    "LARGE": 53,
    "MAX": 54,
    "RP_TINY": 60,
    "RP_SMALL": 61,
    "RP_LARGE": 62,
    "RP_MAX": 63,
    "RP_SF_TINY": 70,
    "RP_SF_SMALL": 71,
    "RP_SF_LARGE": 72,
    "RP_SF_MAX": 73,
    "RP_XSF": 80,
    "EC_TINY": 100,
    "EC_SMALL": 101,
    "EC_LARGE": 102,
    "EC_MAX": 103,
}


def _all() -> Iterator[tuple[str, int]]:
    yield "OC_UNKNOWN", 0
    yield from ((f"OC_{name}", number) for name, number in _SYMBOLIC.items())
    for name, groups in _GROUPS.items():
        yield f"OC_S{name}", 1 << _ORDINAL_SHIFT | groups
    for (replicas, ordinal), (name, groups) in product(_REPLICAS.items(), _GROUPS.items()):
        yield f"OC_RP_{replicas}G{name}", ordinal << _ORDINAL_SHIFT | groups
    for replicas, ordinal in _REPLICAS_OF_ONE_GROUP.items():
        yield f"OC_RP_{replicas}G1", ordinal << _ORDINAL_SHIFT | 1
    for (code, ordinal), (name, groups) in product(_CODES.items(), _GROUPS.items()):
        yield f"OC_EC_{code}G{name}", ordinal << _ORDINAL_SHIFT | groups


# As many names as are made.
ObjClassID = Enum("ObjClassID", dict(_all()), module=__name__)  # type: ignore[misc]
"""Names and numbers of all object classes. Which a pool can hold, it says when an object is made."""
