"""Files of certificates and keys: written whole or not at all, read with a look at who else may."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from daos.errors import DER, AccessError

BYTES_MAX = 1 << 20
KEY_MODE = 0o400
CERTIFICATE_MODE = 0o644


def write_whole(path: Path, data: bytes, mode: int) -> None:
    """Put a file in the place of what was there: a reader finds the old bytes or the new ones, also after a crash.

    Raises:
        OSError: As the system tells it.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)  # whatever the umask is
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_file(path: Path, what: str) -> bytes:
    """Return the bytes of a certificate.

    Raises:
        AccessError: `DER.NO_CERT`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise _unreadable(path, what, error) from None
    if len(data) > BYTES_MAX:
        raise AccessError(f"{what} {path} is longer than {BYTES_MAX} bytes", code=DER.BAD_CERT, hint="check the path")
    return data


def read_key(path: Path, *, group: bool = False) -> bytes:
    """Return the bytes of a key that nobody else can read.

    Args:
        path: The file.
        group: Whether its group may read it as well.

    Raises:
        AccessError: `DER.NO_CERT`: it is not there, or its mode or owner would let others read or change it.
    """
    allowed = 0o640 if group else 0o600
    try:
        with path.open("rb") as file:
            # Of the file that is open, so that it cannot be exchanged in between.
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise AccessError(f"key {path} is no file", code=DER.NO_CERT, hint="check the path")
            mode = stat.S_IMODE(found.st_mode)
            if mode & ~allowed:
                raise AccessError(
                    f"key {path} has mode {mode:04o}: others may read it",
                    code=DER.NO_CERT,
                    hint=f"chmod {0o440 if group else 0o400:04o} {path}",
                )
            if found.st_uid not in (0, os.geteuid()):
                raise AccessError(
                    f"key {path} belongs to the user {found.st_uid}, who may read it",
                    code=DER.NO_CERT,
                    hint=f"chown {os.geteuid()} {path}",
                )
            return file.read(BYTES_MAX)
    except OSError as error:
        if isinstance(error, AccessError):
            raise
        raise _unreadable(path, "key", error) from None


def _unreadable(path: Path, what: str, error: OSError) -> AccessError:
    hint = "check the path and its permissions; daos cert init and daos cert issue make certificates"
    return AccessError(f"{what} {path}: {error.strerror}", code=DER.NO_CERT, hint=hint)
