"""What a path of the unified namespace says of its container: the value of an extended attribute. Pure.

Source: `docs/formats/namespace.md`.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from urllib.parse import quote, unquote

from daos.errors import InvalidError
from daos.model.labels import check_reference

__all__ = ["ATTRIBUTE", "MAKING", "POSIX", "VALUE_MAX", "Link", "word"]

ATTRIBUTE = "user.daos"
"""The extended attribute by which a path stands for a container."""
MAKING = "user.daos.making"
"""The one that a path has while its container is made: the URL by which that will be known."""
POSIX = "POSIX"
VALUE_MAX = 65_536
"""Bytes of an extended attribute, at most; file systems have limits of their own below."""
_VALUE = re.compile(
    r"DAOS\.(?P<type>[A-Z0-9_]{1,32})://(?:(?P<system>/[^?]+)//)?(?P<pool>[^/?]+)/(?P<container>[^/?]+)", re.IGNORECASE
)


@dataclass(frozen=True)
class Link:
    """What a path stands for.

    Attributes:
        pool: UUID; labels are read as well.
        container: The same.
        system: The directory of an embedded system; empty for a running one.
        type: Of the container: `POSIX`, `PYTHON`, `HDF5`, ...
    """

    pool: str
    container: str
    system: str = ""
    type: str = POSIX

    def encode(self) -> bytes:
        """Return the value of the attribute."""
        where = f"{quote(self.system, errors='surrogateescape')}//" if self.system else ""
        return f"DAOS.{self.type}://{where}{self.pool}/{self.container}".encode()

    @classmethod
    def decode(cls, value: bytes) -> Link:
        """Return what a value says; DAOS ends it with a NUL.

        Raises:
            InvalidError: `DER.INVAL`: nothing that can be understood.
        """
        text = value.rstrip(b"\0").decode("ascii", "backslashreplace")
        found = _VALUE.fullmatch(text) if len(value) <= VALUE_MAX else None
        if found is None:
            shown = text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}..."
            raise InvalidError(
                f"{ATTRIBUTE} is {shown!r}, which names no container", hint="DAOS.POSIX://POOL/CONTAINER"
            )
        return cls(
            check_reference(unquote(found["pool"]), "pool"),
            check_reference(unquote(found["container"]), "container"),
            unquote(found["system"] or "", errors="surrogateescape"),
            found["type"].upper(),
        )


def word(text: str) -> str:
    """Return a path as one word of a shell's line, however it is made; those of others can be made to be more."""
    return shlex.quote(text) if text.isprintable() else repr(text)


SHOWN_MAX = 100
"""Of a value that is none, so much is told."""
