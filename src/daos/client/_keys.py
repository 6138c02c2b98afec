"""Keys of a key-value store: from Python to bytes and back. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from daos.client._names import KeyKind, ObjectType
from daos.errors import DER, CorruptionError, InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEY_LEN_MAX = 64 << 10
"""Bytes of a key: it must fit into a log record beside its value, and into one reply."""
INT_KEY_MAX = (1 << 64) - 1
_INT_BYTES = 8

K = TypeVar("K", str, bytes, int)


@dataclass(frozen=True)
class KeyCodec(Generic[K]):
    """How one kind of keys is stored.

    Attributes:
        kind: As the name's entry has it.
        name: As the caller writes it: `str`, `bytes` or `int`.
        object_type: Of the object that holds such keys.
        encode: From a key to its stored bytes; raises `InvalidError` for what is no such key.
        decode: Back.
    """

    kind: KeyKind
    name: str
    object_type: ObjectType
    encode: Callable[[K], bytes]
    decode: Callable[[bytes], K]


def _encode_str(key: str) -> bytes:
    if isinstance(key, str):
        try:
            stored = key.encode()
        except UnicodeEncodeError:
            raise InvalidError(f"key {key!r} holds half of a surrogate pair", hint='use keys="bytes"') from None
        if 0 < len(stored) <= KEY_LEN_MAX:
            return stored
    raise _refusal(key, "str")


def _decode_str(stored: bytes) -> str:
    try:
        return stored.decode()
    except UnicodeDecodeError as error:
        raise CorruptionError(f"key {stored!r} is no UTF-8: {error.reason}", code=DER.DF_INVAL) from None


def _encode_bytes(key: bytes) -> bytes:
    if isinstance(key, bytes) and 0 < len(key) <= KEY_LEN_MAX:
        return key
    raise _refusal(key, "bytes")


def _encode_int(key: int) -> bytes:
    if isinstance(key, int) and not isinstance(key, bool) and 0 <= key <= INT_KEY_MAX:
        return key.to_bytes(_INT_BYTES, "little")
    raise _refusal(key, "int")


def _decode_int(stored: bytes) -> int:
    if len(stored) != _INT_BYTES:
        raise CorruptionError(f"integer key of {len(stored)} bytes", code=DER.DF_INVAL)
    return int.from_bytes(stored, "little")


def _refusal(key: object, name: str) -> InvalidError:
    """Return the error of a key that is none of this kind."""
    kinds = (str, bytes, int)
    if type(key).__name__ != name:
        other = type(key).__name__
        hint = f'a store of such keys is made with keys="{other}"' if type(key) in kinds else f"convert it to {name}"
        return InvalidError(f"keys of this store are {name}, not {other}", hint=hint)
    if isinstance(key, int):
        return InvalidError(f"key {key} is out of range", hint=f"from 0 to {INT_KEY_MAX}")
    size = len(key.encode()) if isinstance(key, str) else len(key) if isinstance(key, bytes) else 0
    if size == 0:
        return InvalidError("a key is not empty", hint="any other key will do")
    return InvalidError(
        f"a key of {size} bytes is too long",
        code=DER.KEY2BIG,
        hint=f"at most {KEY_LEN_MAX} bytes; put long names into the value",
        context={"bytes": size},
    )


def _same(stored: bytes) -> bytes:
    return stored


STR_KEYS = KeyCodec(KeyKind.STR, "str", ObjectType.KV_HASHED, _encode_str, _decode_str)
BYTES_KEYS = KeyCodec(KeyKind.BYTES, "bytes", ObjectType.KV_HASHED, _encode_bytes, _same)
INT_KEYS = KeyCodec(KeyKind.INT, "int", ObjectType.KV_UINT64, _encode_int, _decode_int)

AnyCodec = KeyCodec[str] | KeyCodec[bytes] | KeyCodec[int]
CODECS: Mapping[str, AnyCodec] = {"str": STR_KEYS, "bytes": BYTES_KEYS, "int": INT_KEYS}
"""By what a caller writes."""
CODEC_OF: Mapping[KeyKind, AnyCodec] = {KeyKind.STR: STR_KEYS, KeyKind.BYTES: BYTES_KEYS, KeyKind.INT: INT_KEYS}
"""By what an entry holds."""
