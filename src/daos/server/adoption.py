"""The mark of an adoption: an embedded system that is being made the storage of an engine."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

import msgspec

from daos.errors import DER, BusyError, CorruptionError, DaosError, UnavailableError
from daos.rsvc.files import sync_directory, write_durably

NAME = "adopting"
VERSION = 1
STORE = Path("engine", "store")
"""Where an engine has its system, below the directory of its metadata."""


class Mark(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said of an adoption until it has ended.

    Attributes:
        version: Of this file's form.
        source: Where the embedded system is, or was.
        uuid: Of the engine's storage.
    """

    version: int = VERSION
    source: str
    uuid: str


class Stage(Enum):
    """How far an adoption is. The move of the embedded system divides it: before, it is embedded; after, served."""

    NONE = "none"
    BEFORE = "before"
    MOVED = "moved"


def stage(directory: Path) -> Stage:
    """Return how far the adoption into the directory of an engine's metadata is.

    Raises:
        UnavailableError: `DER.IO`: it cannot be told.
    """
    try:
        if not _there(directory / NAME):
            return Stage.NONE
        return Stage.MOVED if _there(directory / STORE) else Stage.BEFORE
    except OSError as error:
        raise _io(error, f"cannot look into {directory}") from None


def read(directory: Path) -> Mark:
    """Return the mark in a directory that has one.

    Raises:
        CorruptionError: `DER.DF_INVAL`: it cannot be read.
    """
    path = directory / NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Mark)
    except OSError as error:
        raise _io(error, f"cannot read {path}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptionError(
            f"{path}: {error}", code=DER.DF_INVAL, hint=f"delete it, and what else is in {directory}"
        ) from None


def write(directory: Path, mark: Mark) -> None:
    """Write a mark; durable at return.

    Raises:
        UnavailableError: `DER.IO`.
    """
    try:
        write_durably(directory / NAME, msgspec.json.encode(mark))
    except OSError as error:
        raise _io(error, f"cannot write {directory / NAME}") from None


def remove(directory: Path) -> None:
    """Delete a mark: all that it told of has been done, or undone. There may be none.

    Raises:
        UnavailableError: `DER.IO`.
    """
    try:
        (directory / NAME).unlink(missing_ok=True)
        sync_directory(directory)
    except OSError as error:
        raise _io(error, f"cannot delete {directory / NAME}") from None


def end(directory: Path) -> None:
    """End an adoption that has moved its system: once the move is durable, the mark goes.

    Raises:
        UnavailableError: `DER.IO`.
    """
    try:
        sync_directory((directory / STORE).parent)
    except OSError as error:
        raise _io(error, f"cannot sync {(directory / STORE).parent}") from None
    remove(directory)


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Hold an engine's directory, so that no adoption into it is under way but the caller's.

    Whoever adopts holds it, and then looks that no server listens; a server listens, and then looks that nobody holds
    it. So of two that begin at the same instant one at least sees the other.

    Raises:
        BusyError: `DER.BUSY`: somebody holds it.
        UnavailableError: `DER.IO`: it cannot be told.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _io(error, f"cannot open {directory}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BusyError(f"an adoption into {directory} is under way", code=DER.BUSY, hint="wait for it") from None
        yield
    finally:
        os.close(descriptor)


def check_none(directory: Path) -> None:
    """Return if no adoption into a directory is under way, by a server that listens: from now on none begins.

    Raises:
        BusyError: `DER.BUSY`: one is, or was cut short.
        DaosError: It cannot be told.
    """
    if directory.is_dir():
        with alone(directory):
            settle(directory)


def settle(directory: Path) -> None:
    """End an adoption whose last step was cut short, before the engine starts.

    Raises:
        BusyError: `DER.BUSY`: it was cut short earlier: the storage is embedded yet.
        DaosError: The mark cannot be read or deleted.
    """
    match stage(directory):
        case Stage.MOVED:
            end(directory)
        case Stage.BEFORE:
            source = read(directory).source
            raise BusyError(
                f"the adoption of {source} into {directory} was cut short",
                code=DER.BUSY,
                hint=f"daos_server adopt {source} ends it; to give it up, delete what is in {directory}",
            )


def _there(path: Path) -> bool:
    """Tell whether a path is there; `Path.exists` would take what it may not look at for missing."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _io(error: OSError, what: str) -> DaosError:
    return UnavailableError(f"{what}: {error.strerror}", code=DER.IO)
