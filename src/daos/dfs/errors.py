"""What calls of file systems raise.

All of it is an `OSError` with the number that POSIX gives it, so that what was written for files goes on working: of
what a file system itself refuses, the class that Python has for the number (`FileNotFoundError`), with the path as
`filename`. What the store below it could not do is at the same time the class of `daos.errors` that says what to do
about it: `except daos.CorruptionError` and `except OSError` both see a file that is damaged.
"""

from __future__ import annotations

import errno as numbers
import os
from typing import TYPE_CHECKING

from daos.errors import (
    DER,
    AccessError,
    BusyError,
    ClosedError,
    ConflictError,
    CorruptionError,
    DaosError,
    DataLossError,
    ExistsError,
    ForkedError,
    InternalError,
    InvalidError,
    NoSpaceError,
    NotFoundError,
    RetryableError,
    StaleError,
    TimedOutError,
    UnavailableError,
    UncertainError,
    error_from_der,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FileAccessError",
    "FileBusyError",
    "FileClosedError",
    "FileConflictError",
    "FileCorruptionError",
    "FileDataLossError",
    "FileForkedError",
    "FileInternalError",
    "FileInvalidError",
    "FileLostError",
    "FileNoSpaceError",
    "FileRetryableError",
    "FileStaleError",
    "FileTakenError",
    "FileTimedOutError",
    "FileUnavailableError",
    "FileUncertainError",
    "StoreError",
    "error_from_core",
]


class StoreError(DaosError, OSError):
    """What the store below a file system could not or would not do, about a file.

    Attributes:
        filename: The path; None where it is about the whole file system.
        filename2: The second path of a call that has two.
    """

    def about(self, errno: int, filename: str | None, filename2: str | None) -> StoreError:
        """Say which number it has, and which paths it is about; return it."""
        self.errno = errno
        self.strerror = self.message
        self.filename = filename
        self.filename2 = filename2
        return self

    def __str__(self) -> str:
        text = DaosError.__str__(self)
        return text if self.filename is None else f"{self.filename}: {text}"

    def __reduce__(self) -> tuple[object, ...]:
        facts = (self.errno, self.filename, self.filename2)
        notes = list(getattr(self, "__notes__", ()))
        state = {"__notes__": notes} if notes else None
        return (
            _rebuild,
            (type(self), self.message, self.code.value, self.hint, dict(self.context), facts),
            *([state] if state else []),
        )


class FileInvalidError(StoreError, InvalidError):
    """As `InvalidError`."""


class FileLostError(StoreError, NotFoundError):
    """As `NotFoundError`: the container, its snapshot or its pool is gone."""


class FileTakenError(StoreError, ExistsError):
    """As `ExistsError`."""


class FileAccessError(StoreError, AccessError):
    """As `AccessError`: the handle of the container does not allow it."""


class FileNoSpaceError(StoreError, NoSpaceError):
    """As `NoSpaceError`."""


class FileClosedError(StoreError, ClosedError):
    """As `ClosedError`: the file system was unmounted, or the system closed."""


class FileForkedError(StoreError, ForkedError):
    """As `ForkedError`."""


class FileRetryableError(StoreError, RetryableError):
    """As `RetryableError`."""


class FileStaleError(StoreError, StaleError):
    """As `StaleError`."""


class FileConflictError(StoreError, ConflictError):
    """As `ConflictError`."""


class FileBusyError(StoreError, BusyError):
    """As `BusyError`: others got in the way until the deadline."""


class FileTimedOutError(StoreError, TimedOutError):
    """As `TimedOutError`."""


class FileUnavailableError(StoreError, UnavailableError):
    """As `UnavailableError`."""


class FileUncertainError(StoreError, UncertainError):
    """As `UncertainError`."""


class FileCorruptionError(StoreError, CorruptionError):
    """As `CorruptionError`."""


class FileDataLossError(StoreError, DataLossError):
    """As `DataLossError`."""


class FileInternalError(StoreError, InternalError):
    """As `InternalError`."""


_BOTH: Mapping[type[DaosError], type[StoreError]] = {
    base: both for both in StoreError.__subclasses__() for base in both.__bases__ if base is not StoreError
}
_OWN = {DER.EXIST, DER.NONEXIST, DER.ENOENT}
"""By these the store answers what a file system asks it: they are its answers about names."""
_CLEAR = {
    numbers.ENOENT,
    numbers.EEXIST,
    numbers.ENOTDIR,
    numbers.EISDIR,
    numbers.ENOTEMPTY,
    numbers.EACCES,
    numbers.EROFS,
}
"""Numbers that, with the path, say all there is to say."""


def error_from_core(
    errno: int,
    der: int | None,
    message: str,
    hint: str | None,
    forked: bool,  # noqa: FBT001 -- the native module has no keywords
    path: str | None,
    other: str | None,
) -> OSError:
    """Return, not raise, the exception of a failure; called by the native module.

    Args:
        errno: Its number.
        der: What the store said, where it was asked.
        message: What failed, on what.
        hint: What the caller can do about it.
        forked: A child process used what its parent opened.
        path: What it is about.
        other: The second path of a call that has two.
    """
    if forked:
        return FileForkedError(message, hint=hint).about(errno, path, other)
    if der is None and errno == numbers.ENODEV:
        return FileClosedError(message, hint="mount it again").about(errno, path, other)
    if der is None or DER.of(der) in _OWN:
        text = os.strerror(errno) if errno in _CLEAR and path is not None else message
        error = OSError(errno, text, path, None, other)
        if hint is not None:
            error.add_note(f"hint: {hint}")
            error.hint = hint  # type: ignore[attr-defined]
        return error
    base = error_from_der(der, message, hint)
    return _BOTH[type(base)](message, code=base.code, hint=hint, context=base.context).about(errno, path, other)


def _rebuild(
    kind: type[StoreError],
    message: str,
    der: int,
    hint: str | None,
    context: Mapping[str, object],
    facts: tuple[int, str | None, str | None],
) -> StoreError:
    return kind(message, code=DER.of(der), hint=hint, context=context).about(*facts)
