"""What a container is beside its files, kept in a file of the host while these are there, and given to another."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from daos.errors import DER, InvalidError
from daos.model.posix import Posix  # noqa: TC001 -- msgspec looks at annotations
from daos.model.properties import CONTAINER_PROPERTIES

if TYPE_CHECKING:
    from daos.dfs._dfs import DFS

__all__ = ["Kept", "kept_of", "read_kept", "write_kept"]

FORMAT_VERSION = 1
BYTES_MAX = 64 << 20
"""Of such a file: a container's attributes are far fewer."""


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Properties and attributes of a container with a file system.

    Attributes:
        version: Of this form.
        properties: Those that a container is made with.
        posix: How its file system was made; not whose it is.
        attributes: Its attributes.
    """

    version: int = FORMAT_VERSION
    properties: dict[str, str | int]
    posix: Posix
    attributes: dict[str, bytes]


class _Version(msgspec.Struct):
    version: int = 0


def kept_of(fs: DFS) -> Kept:
    """Return what the container of a file system is beside its files."""
    container = fs.container
    properties = {name: value for name, value in container.properties.items() if name in CONTAINER_PROPERTIES}
    return Kept(properties=properties, posix=fs.made_as(), attributes=dict(container.attributes.items()))


def write_kept(path: str, kept: Kept) -> None:
    """Write a file of it, whole or not at all, in the place of one that is there."""
    data = msgspec.json.format(msgspec.json.encode(kept, order="sorted"), indent=2) + b"\n"
    target = Path(path)
    # Of the user alone until it has its name: attributes may be anything.
    half = target.with_name(f".{target.name[:200]}.daos-{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        half.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            half.unlink()
        raise


def read_kept(path: str) -> Kept:
    """Return what a file of it says.

    Raises:
        InvalidError: `DER.INVAL`: it is none; `DER.DF_INCOMPT`: a newer release has written it.
        OSError: It cannot be read.
    """
    with Path(path).open("rb") as file:
        data = file.read(BYTES_MAX + 1)
    try:
        # What is too long is cut short, so that it is none.
        version = msgspec.json.decode(data[:BYTES_MAX], type=_Version).version
        if version == FORMAT_VERSION:
            return msgspec.json.decode(data[:BYTES_MAX], type=Kept)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidError(
            f"{path} tells no properties of a container: {error}",
            hint="daos fs copy --preserve-props writes one, when it copies out of a container",
        ) from None
    if version > FORMAT_VERSION:
        raise InvalidError(f"{path} is of a newer release", code=DER.DF_INCOMPT, hint="install a newer version of daos")
    raise InvalidError(f"{path} tells no properties of a container: it has no version", hint="is it of daos fs copy?")
