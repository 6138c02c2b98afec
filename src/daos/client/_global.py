"""Handles of running systems as bytes, for other processes: what is in them, and how it is read. Pure.

The bytes are drawn in `docs/formats/handles.md`. Whoever has them has the handle: they hold the UUID that nobody can
guess, and by which engines know what is allowed.
"""

from __future__ import annotations

import math
import struct
import zlib
from typing import TYPE_CHECKING, ClassVar, TypeVar

import msgspec

from daos._packed import decode
from daos.errors import DER, InvalidError
from daos.model.snapshots import EPOCH_MAX, NAME_BYTES_MAX, Snapshot

if TYPE_CHECKING:
    from typing import Self

MAGIC = b"DAOSHDL\0"
VERSION = 1
BYTES_MAX = 16 << 20
"""Of all: a pool of a million targets has half."""
ACCESSES = frozenset({1, 2, 4})
DURABILITIES = range(3)
TIMEOUT_S_MAX = 1e9
SYSTEM_BYTES_MAX = 255
SERVICES_MAX = 1024
TARGETS_MAX = 1 << 20
_UUID_BYTES = 16
_HEAD = struct.Struct("<8sHHII")
"""Magic, version, kind, bytes of the body, CRC-32 of all else."""
_HINT = "give the bytes as local2global() returned them"

_G = TypeVar("_G", bound="Global")


class Global(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A handle."""

    KIND: ClassVar[int]
    WHAT: ClassVar[str]

    def encode(self) -> bytes:
        """Return it as bytes."""
        body = msgspec.msgpack.encode(self)
        if len(body) + _HEAD.size > BYTES_MAX:
            raise InvalidError(f"a handle of {len(body)} bytes", code=DER.REC2BIG, hint=f"at most {BYTES_MAX}")
        return _head(self.KIND, body) + body

    @classmethod
    def decode(cls, raw: bytes | bytearray | memoryview) -> Self:
        """Return the handle that bytes hold.

        Raises:
            InvalidError: `DER.INVAL`: they hold none, or another; `DER.DF_INCOMPT`: of another version.
        """
        return _decode(cls, raw)

    def check(self) -> str:
        """Return what is wrong with it; nothing where all is well."""
        raise NotImplementedError


class PoolGlobal(Global, frozen=True):
    """A handle of a pool.

    Attributes:
        system: The name of the system.
        pool: The pool's uuid.
        handle: The handle's uuid.
        services: The ranks of the pool's service.
        access: How it was opened: 1 to read, 2 to read and write, 4 exclusively.
        durability: What a change promises: 0 buffered, 1 interval, 2 synced.
        timeout_s: Seconds that a call may take.
        targets: How many targets the pool has.
        core: What the native core has to tell of it.
    """

    KIND: ClassVar[int] = 1
    WHAT: ClassVar[str] = "a pool"

    system: str
    pool: bytes
    handle: bytes
    services: tuple[int, ...]
    access: int
    durability: int
    timeout_s: float
    targets: int
    core: bytes

    def check(self) -> str:
        """Return what is wrong with it; nothing where all is well."""
        if not 0 < len(self.system.encode()) <= SYSTEM_BYTES_MAX or not self.system.isprintable():
            return "no name of a system"
        if len(self.pool) != _UUID_BYTES or len(self.handle) != _UUID_BYTES:
            return "no uuid"
        if not 0 < len(self.services) <= SERVICES_MAX or not all(_is_rank(rank) for rank in self.services):
            return "no ranks of a service"
        if self.access not in ACCESSES or self.durability not in DURABILITIES:
            return "no access or durability"
        if not 0 < self.timeout_s <= TIMEOUT_S_MAX or math.isnan(self.timeout_s):
            return "no time-out"
        return "" if 0 < self.targets <= TARGETS_MAX else "no number of targets"


class ContainerGlobal(Global, frozen=True):
    """A handle of a container.

    Attributes:
        pool_handle: The uuid of the pool's handle that it was opened by.
        epoch: The snapshot that it is read at; None for now.
        name: The snapshot's, if it has one.
        core: What the native core has to tell of it, its handle too.
    """

    KIND: ClassVar[int] = 2
    WHAT: ClassVar[str] = "a container"

    pool_handle: bytes
    epoch: int | None
    name: str | None
    core: bytes

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot that it is read at; None for now."""
        return None if self.epoch is None else Snapshot(self.epoch, self.name)

    def check(self) -> str:
        """Return what is wrong with it; nothing where all is well."""
        if len(self.pool_handle) != _UUID_BYTES:
            return "no uuid"
        if self.epoch is None:
            return "" if self.name is None else "a snapshot without an epoch"
        if not 0 < self.epoch < EPOCH_MAX:
            return "no epoch"
        named = self.name is None or (0 < len(self.name.encode()) <= NAME_BYTES_MAX and self.name.isprintable())
        return "" if named else "no name of a snapshot"


_KINDS: dict[int, str] = {kind.KIND: kind.WHAT for kind in (PoolGlobal, ContainerGlobal)}


def _is_rank(rank: int) -> bool:
    return 0 <= rank < (1 << 32)


def _head(kind: int, body: bytes) -> bytes:
    bare = _HEAD.pack(MAGIC, VERSION, kind, len(body), 0)
    return _HEAD.pack(MAGIC, VERSION, kind, len(body), zlib.crc32(body, zlib.crc32(bare)))


def _decode(wanted: type[_G], given: bytes | bytearray | memoryview) -> _G:
    if not isinstance(given, bytes | bytearray | memoryview):
        raise InvalidError(f"a handle is bytes, not {type(given).__name__}", hint=_HINT)
    if memoryview(given).nbytes > BYTES_MAX:
        raise InvalidError("too many bytes for a handle", hint=_HINT)
    raw = bytes(given)
    if len(raw) < _HEAD.size or not raw.startswith(MAGIC):
        raise InvalidError("these bytes are no handle", hint=_HINT)
    _, version, kind, length, _ = _HEAD.unpack_from(raw)
    if version != VERSION:
        raise InvalidError(
            f"a handle of version {version}, where this release knows {VERSION}",
            code=DER.DF_INCOMPT,
            hint="install the same release of daos in all processes",
        )
    body = raw[_HEAD.size :]
    if len(body) < length:
        raise InvalidError(f"a handle of which {length - len(body)} bytes are missing", hint=_HINT)
    if _head(kind, body) != raw[: _HEAD.size]:
        raise InvalidError("a handle that was altered on its way", hint=_HINT)
    if kind != wanted.KIND:
        what = _KINDS.get(kind, "something else")
        raise InvalidError(
            f"a handle of {what}, not of {wanted.WHAT}",
            hint="daos.global2local() takes those of pools, Pool.global2local() those of containers",
        )
    try:
        handle = decode(body, wanted)
        wrong = handle.check()
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise _no_handle(wanted, str(error)) from None
    if wrong:
        raise _no_handle(wanted, wrong)
    return handle


def _no_handle(wanted: type[_G], why: str) -> InvalidError:
    return InvalidError(f"what is no handle of {wanted.WHAT}: {why}", hint=_HINT)
