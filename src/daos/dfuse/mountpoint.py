"""Where something can be mounted: looked at before anything is opened, so that what is wrong is told with a hint."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from daos.errors import DER, AccessError, BusyError, InvalidError, NotFoundError

__all__ = ["check_mountpoint", "mounted_on"]

_MOUNTS = Path("/proc/self/mountinfo")
_FIELD = 4
"""Which word of a line of that file is the directory."""


def _unescaped(field: str) -> str:
    """Return a path of that file: blanks and a few others stand there as octal numbers."""
    parts = field.split("\\")
    rest = (chr(int(part[:3], 8)) + part[3:] for part in parts[1:])
    return os.fsdecode((parts[0] + "".join(rest)).encode("latin-1", "surrogateescape"))


def mounted_on(lines: list[str], path: str) -> str | None:
    """Return the type of what is mounted on a directory, by the lines of `/proc/self/mountinfo`: the last counts.

    Args:
        lines: Of that file, its bytes as Latin-1.
        path: The directory, without links.
    """
    found = None
    for line in lines:
        words = line.split()
        if len(words) > _FIELD and _unescaped(words[_FIELD]) == path and "-" in words[_FIELD:]:
            found = words[words.index("-", _FIELD) + 1]
    return found


def check_mountpoint(path: str, *, nonempty: bool = False) -> str:
    """Return the directory to mount on, without links.

    Raises:
        NotFoundError: `DER.NONEXIST`: it is not there.
        InvalidError: `DER.NOTDIR`: it is no directory; `DER.INVAL`: there is something in it.
        BusyError: `DER.BUSY`: something is mounted there, or was by a process that died.
        AccessError: `DER.NO_PERM`.
    """
    where = os.path.realpath(path)
    try:
        kind = mounted_on(_MOUNTS.read_text("latin-1").splitlines(), where)
    except OSError:
        kind = None
    try:
        status = Path(where).stat()
        if kind is not None:
            # What is known of a directory may be older than its process's death; how much room there is, is asked.
            os.statvfs(where)
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no directory {path}", code=DER.NONEXIST, hint=f"make it: mkdir -p {path}"
        ) from None
    except OSError as error:
        if error.errno in {errno.ENOTCONN, errno.EIO, errno.ECONNABORTED}:
            raise BusyError(
                f"{path} is a mount whose process has died", hint=f"take it away: umount -l {path}, or fusermount3 -u"
            ) from None
        raise AccessError(f"{path}: {error.strerror}", code=DER.NO_PERM) from None
    if not stat.S_ISDIR(status.st_mode):
        raise InvalidError(f"{path} is no directory", code=DER.NOTDIR, hint="one mounts on a directory")
    if kind is not None and kind.startswith("fuse"):
        raise BusyError(f"{path} is mounted already, as {kind}", hint=f"unmount it before: umount {path}")
    try:
        with os.scandir(where) as entries:
            inside = next(entries, None)
    except OSError as error:
        raise AccessError(f"{path} cannot be read: {error.strerror}", code=DER.NO_PERM) from None
    if inside is not None and not nonempty:
        raise InvalidError(
            f"{path} is not empty: what is in it would not be seen",
            hint="mount on an empty directory, or say -o nonempty",
        )
    return where
