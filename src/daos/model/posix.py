"""How file systems in containers are made, and the form in which containers keep it.

Source: DAOS's public user guide, on creating POSIX containers.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from daos.errors import DER, CorruptionError, InvalidError
from daos.model.sizes import parse_size

__all__ = ["CHECKSUM_SIZE", "Consistency", "Posix"]

Consistency = Literal["relaxed", "balanced"]
ID_MAX = (1 << 32) - 2
"""The largest number of a user or group: the next one stands for nobody."""
CHUNK_SIZE_MAX = 1 << 40
CHECKSUM_SIZE = 8 << 10
"""Bytes of a file that one sum stands for, unless its container is given another `cksum_size`: programs read pages here
and there, and whatever a sum stands for is read with them."""
PERMISSIONS_MAX = 0o7777


class Posix(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A file system that is to be made in a container.

    Attributes:
        chunk_size: Bytes of a file that lie together on one target, as an int or a text such as `4MiB`; 1 MiB without.
        oclass: The object class of all that is made in it, such as `S1` or `SX`.
        dir_oclass: That of directories; `S1` if neither is given.
        file_oclass: That of files; `SX` if neither is given.
        hints: What to choose where no class is given: `file:single`, `file:max`, `dir:single`, `dir:max`, with commas.
        mode: How several mounts meet: `relaxed` or `balanced`.
        uid: Number of the user who owns its root directory; the caller without.
        gid: Number of that directory's group; the caller's without.
        permissions: Of that directory.
    """

    chunk_size: int | str | None = None
    oclass: str | None = None
    dir_oclass: str | None = None
    file_oclass: str | None = None
    hints: str = ""
    mode: Consistency = "relaxed"
    uid: int | None = None
    gid: int | None = None
    permissions: int = 0o755

    def checked(self) -> Posix:
        """Return the same with its size as a number.

        Raises:
            InvalidError: `DER.INVAL`: no size, mode, number or text where one has to be. Of classes and hints the core
                decides.
        """
        if self.mode not in {"relaxed", "balanced"}:
            raise InvalidError(f"mode cannot be {self.mode!r}", hint='"relaxed" or "balanced"')
        for name in ("oclass", "dir_oclass", "file_oclass", "hints"):
            value = getattr(self, name)
            if not isinstance(value, str) and (value is not None or name == "hints"):
                raise InvalidError(f"{name} is a str, not {type(value).__name__}")
        for name in ("uid", "gid"):
            value = getattr(self, name)
            if value is not None and not _is_number(value, ID_MAX):
                raise InvalidError(f"{name} cannot be {value!r}", hint=f"from 0 to {ID_MAX}")
        if not _is_number(self.permissions, PERMISSIONS_MAX):
            raise InvalidError(f"permissions cannot be {self.permissions!r}", hint="such as 0o755")
        size = None if self.chunk_size is None else parse_size(self.chunk_size, "chunk_size")
        if size is not None and not 1 <= size <= CHUNK_SIZE_MAX:
            raise InvalidError(f"chunks of {size} bytes", hint="from 1 byte to 1 TiB, such as 4MiB")
        return msgspec.structs.replace(self, chunk_size=size)

    def encode(self) -> str:
        """Return the stored form."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def decode(cls, stored: object) -> Posix:
        """Return what a stored form says; of a container without one, the defaults.

        Raises:
            CorruptionError: `DER.DF_INVAL`: it says nothing.
        """
        try:
            return cls() if stored is None else _POSIX.decode(str(stored)).checked()
        except (msgspec.DecodeError, InvalidError) as error:
            raise CorruptionError(f"how the file system is made: {error}", code=DER.DF_INVAL) from None


def _is_number(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


_POSIX = msgspec.json.Decoder(Posix)
