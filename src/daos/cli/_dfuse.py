"""What can be asked of a mount by `dfuse`, through any path in it."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daos.errors import DaosError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Usage", "evict", "resident", "statistics", "usage"]

# docs/internals/dfuse.md
_USAGE, _RESIDENT, _EVICT, _TALLY = 0x8028_A3C8, 0xC008_A3C9, 0x8008_A3CA, 0x8408_A3CB
_NUMBERS = struct.Struct("=5Q")
_NUMBER = struct.Struct("=Q")
_COUNTS = struct.Struct("=Q128Q")
_OPERATIONS = (  # noqa: SIM905 -- a list of them has fifty lines
    "lookup forget getattr setattr readlink symlink - mknod mkdir unlink rmdir rename link open read write statfs "
    "release - fsync setxattr getxattr listxattr removexattr flush init opendir readdir releasedir fsyncdir getlk "
    "setlk setlkw access create interrupt bmap destroy ioctl poll notify_reply batch_forget fallocate readdirplus "
    "rename2 lseek copy_file_range setupmapping removemapping syncfs tmpfile statx"
).split()
"""What the kernel's numbers stand for, from 1 on (include/uapi/linux/fuse.h); it has none for two of them."""
_NOT_HERE = frozenset({errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})
FORGOTTEN_S = 2.0
"""So long one waits for the kernel to let something go that it was told to forget."""


@dataclass(frozen=True)
class Usage:
    """What a mount has.

    Attributes:
        pools: Pools whose containers are mounted.
        containers: Containers that are mounted: one, or those that somebody has looked into.
        inodes: Files and directories that the kernel knows.
        open_files: Files that are open.
    """

    pools: int
    containers: int
    inodes: int
    open_files: int


@contextmanager
def _opened(path: str) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        missing = error.errno in {errno.ENOENT, errno.ENOTDIR}
        kind = NotFoundError if missing else DaosError
        raise kind(f"cannot open {path}: {error.strerror}", hint="a path in a mount by dfuse") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _asked(path: str, descriptor: int, question: int, words: bytes) -> bytes:
    answer = bytearray(words)
    try:
        fcntl.ioctl(descriptor, question, answer)
    except OSError as error:
        if error.errno in _NOT_HERE:
            raise DaosError(f"{path} is on no mount by dfuse", hint="mount lists those of the type fuse.daos") from None
        raise DaosError(f"cannot ask the mount of {path}: {error.strerror}") from None
    return bytes(answer)


def usage(path: str) -> Usage:
    """Return what the mount has that a path is in.

    Raises:
        NotFoundError: `DER.NONEXIST`: there is no such path.
        DaosError: `DER.MISC`: it cannot be opened; it is on no mount by dfuse.
    """
    with _opened(path) as descriptor:
        _, *numbers = _NUMBERS.unpack(_asked(path, descriptor, _USAGE, bytes(_NUMBERS.size)))
    return Usage(*numbers)


def statistics(path: str) -> dict[str, dict[str, int]]:
    """Return what the kernel asked the mount since it began, by operation: how often, and microseconds of the answers.

    Raises:
        DaosError: As `usage`.
    """
    with _opened(path) as descriptor:
        _, *numbers = _COUNTS.unpack(_asked(path, descriptor, _TALLY, bytes(_COUNTS.size)))
    told = zip(("others", *_OPERATIONS), zip(numbers[::2], numbers[1::2], strict=True), strict=False)
    return {name: {"count": count, "us": took // 1000} for name, (count, took) in told if count}


def resident(path: str, inode: int) -> bool:
    """Return whether the kernel knows what `stat` tells a number of, in the mount that a path is in.

    Raises:
        DaosError: As `usage`.
    """
    with _opened(path) as descriptor:
        return bool(_NUMBER.unpack(_asked(path, descriptor, _RESIDENT, _NUMBER.pack(inode)))[0])


def evict(path: str) -> tuple[int, bool]:
    """Have the kernel forget what it keeps of a path; return its number, and whether the kernel still knows it.

    What is in use stays known.

    Raises:
        DaosError: As `usage`.
    """
    # Not by the path itself, which to look at is to have it known; above a mount point there is nobody to ask.
    real = Path(os.path.realpath(path))
    above = str(real if real.is_mount() else real.parent)
    with _opened(path) as descriptor:
        (inode,) = _NUMBER.unpack(_asked(path, descriptor, _EVICT, bytes(_NUMBER.size)))
    end = time.monotonic() + FORGOTTEN_S
    while known := resident(above, inode):
        if time.monotonic() >= end:
            break
        time.sleep(0.01)
    return int(inode), known
