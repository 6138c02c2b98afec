"""The superblock of an engine: what makes a directory its storage."""

from __future__ import annotations

from pathlib import Path

import msgspec
import yaml

from daos.errors import DER, CorruptionError, InvalidError, UnavailableError
from daos.model.labels import is_uuid
from daos.rsvc.files import write_durably

NAME = "superblock"
VERSION = 1
BYTES_MAX = 1 << 16


class Superblock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An engine's storage.

    Attributes:
        version: Of this file's form.
        uuid: Of the storage, drawn when it was formatted.
        system: Of which system.
        rank: That the system gave it; None as long as it never joined.
        domain: The fault domain when it was formatted.
        replace: Whether it is to take the rank of storage that is gone, when it first joins.
    """

    version: int = VERSION
    uuid: str
    system: str
    rank: int | None = None
    domain: tuple[str, ...] = ()
    replace: bool = False


def read(directory: Path) -> Superblock | None:
    """Return the superblock in an engine's directory; None if there is none.

    Raises:
        CorruptionError: `DER.DF_INVAL`: it cannot be read.
        InvalidError: `DER.DF_INCOMPT`: a newer release wrote it.
    """
    path = directory / NAME
    try:
        with path.open("rb") as file:
            data = file.read(BYTES_MAX)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UnavailableError(f"cannot read {path}: {error.strerror}", code=DER.IO) from None
    try:
        found = yaml.safe_load(data)
        version = found.get("version") if isinstance(found, dict) else None
        if isinstance(version, int) and version > VERSION:
            raise InvalidError(
                f"{path} has version {version}, this release knows {VERSION}",
                code=DER.DF_INCOMPT,
                hint="use the release that wrote it, or a later one",
            )
        block = msgspec.convert(found, Superblock)
        if not is_uuid(block.uuid):
            raise CorruptionError(f'{path}: "{block.uuid}" is no uuid', code=DER.DF_INVAL)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise CorruptionError(
            f"{path} is damaged: {reason}", code=DER.DF_INVAL, hint="format the storage with --force --replace"
        ) from None
    return block


def write(directory: Path, block: Superblock) -> None:
    """Write a superblock; durable at return.

    Raises:
        UnavailableError: `DER.IO`.
    """
    path = directory / NAME
    try:
        write_durably(path, yaml.safe_dump(msgspec.to_builtins(block), sort_keys=False).encode(), mode=0o644)
    except OSError as error:
        raise UnavailableError(f"cannot write {path}: {error.strerror}", code=DER.IO) from None
