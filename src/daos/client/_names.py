"""Names in a container: entries of its root key-value store. Pure.

An entry's key is the name in UTF-8; its value is 24 bytes, little-endian, then what the kind adds (of an array, what
`daos.client._dtypes` makes of its dtype and fill value):

====== ====== ==========================================================
offset bytes  content
====== ====== ==========================================================
0      8      object id, high half
8      8      object id, low half
16     4      kind: 0 key-value store, 1 array, 2 object
20     4      of a key-value store or object, its keys: 0 str, 1 bytes, 2 int
====== ====== ==========================================================
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from daos.errors import DER, CorruptionError

_ENTRY = struct.Struct("<QQII")
_REPLICATED_ONCE = 1
"""The redundancy ordinal of classes S1 to SX."""
_USER_HI_BITS = 32
_TYPE_SHIFT = 56
_GROUPS_MASK = (1 << 16) - 1
_HALF_MAX = (1 << 64) - 1


class ObjectType(IntEnum):
    """How an object's keys are compared; the top byte of its id."""

    MULTI_HASHED = 0
    DKEY_UINT64 = 2
    AKEY_UINT64 = 3
    MULTI_UINT64 = 4
    DKEY_LEXICAL = 5
    AKEY_LEXICAL = 6
    MULTI_LEXICAL = 7
    KV_HASHED = 8
    KV_UINT64 = 9
    KV_LEXICAL = 10
    ARRAY = 11
    ARRAY_ATTR = 12
    ARRAY_BYTE = 13

    @property
    def has_int_dkeys(self) -> bool:
        """Whether its dkeys are 64-bit integers."""
        return self in _INT_DKEYS

    @property
    def has_int_akeys(self) -> bool:
        """Whether its akeys are 64-bit integers."""
        return self in {ObjectType.AKEY_UINT64, ObjectType.MULTI_UINT64}


_INT_DKEYS = frozenset(
    {
        ObjectType.DKEY_UINT64,
        ObjectType.MULTI_UINT64,
        ObjectType.KV_UINT64,
        ObjectType.ARRAY,
        ObjectType.ARRAY_ATTR,
        ObjectType.ARRAY_BYTE,
    }
)


class Kind(IntEnum):
    """What a name stands for."""

    KV = 0
    ARRAY = 1
    OBJECT = 2


class KeyKind(IntEnum):
    """What the keys of a key-value store or an object are in Python."""

    STR = 0
    BYTES = 1
    INT = 2


@dataclass(frozen=True, order=True)
class ObjectId:
    """An object's id; prints as DAOS's tools do, `hi.lo`."""

    hi: int
    lo: int

    @classmethod
    def make(cls, kind: ObjectType, groups: int, lo: int) -> ObjectId:
        """Return the id of a type and a number of redundancy groups without replicas."""
        return cls((kind << _TYPE_SHIFT) | (_REPLICATED_ONCE << 48) | (groups << _USER_HI_BITS), lo)

    @property
    def type_number(self) -> int:
        """The number of the object's type, which `ObjectType` may not know."""
        return self.hi >> _TYPE_SHIFT

    @property
    def oclass(self) -> str:
        """The name of its object class: as many redundancy groups as it has, without replicas."""
        return f"S{self.hi >> _USER_HI_BITS & _GROUPS_MASK}"

    @classmethod
    def parse(cls, text: str) -> ObjectId | None:
        """Return the id that a text writes as `hi.lo`, None if it writes none."""
        halves = text.split(".")
        if len(halves) != len(("hi", "lo")) or not all(half.isascii() and half.isdecimal() for half in halves):
            return None
        hi, lo = map(int, halves)
        return cls(hi, lo) if max(hi, lo) <= _HALF_MAX else None

    def __str__(self) -> str:
        return f"{self.hi}.{self.lo}"


ROOT = ObjectId.make(ObjectType.KV_HASHED, 1, 0)
"""The root key-value store; numbers of `alloc_oids` start at 1, so that no other object has its id."""


@dataclass(frozen=True)
class Entry:
    """What a name stands for.

    Attributes:
        oid: The object.
        kind: What it is used as.
        keys: Of a key-value store or an object, what its keys are where their level does not say.
        extra: What the kind adds.
    """

    oid: ObjectId
    kind: Kind
    keys: KeyKind = KeyKind.STR
    extra: bytes = b""

    def encode(self) -> bytes:
        """Return the stored form."""
        return _ENTRY.pack(self.oid.hi, self.oid.lo, self.kind, self.keys) + self.extra

    @classmethod
    def decode(cls, stored: bytes) -> Entry:
        """Return the entry of a stored form.

        Raises:
            CorruptionError: `DER.DF_INVAL`: too short, or of a kind that is not known.
        """
        try:
            hi, lo, kind, keys = _ENTRY.unpack_from(stored)
            return cls(ObjectId(hi, lo), Kind(kind), KeyKind(keys), bytes(stored[_ENTRY.size :]))
        except (struct.error, ValueError) as error:
            raise CorruptionError(
                f"entry of the root key-value store: {error}", code=DER.DF_INVAL, context={"stored": bytes(stored)}
            ) from None
