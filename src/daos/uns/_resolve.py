"""What a path, or a URL, stands for."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

from daos.errors import DER, AccessError, DaosError, ExistsError, InvalidError, NoSpaceError, NotFoundError
from daos.model.namespace import ATTRIBUTE, MAKING, Link, word
from daos.model.urls import SCHEME, Address, parse_address

__all__ = ["Resolved", "attribute", "being_made", "failed", "find", "mount_of", "resolve"]

POINT_AT = 4
"""The word of a line of the kernel's table of mounts that is the directory."""
_NO_ATTRIBUTE = frozenset({errno.ENODATA, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOENT, errno.ENOTDIR, errno.EPERM})
"""What the kernel says of a path that has no such attribute; the last of links and devices."""


@dataclass(frozen=True)
class Resolved(Address):
    """What a path or a URL stands for.

    Attributes:
        where: The path that has the attribute, without symbolic links; None for a URL.
        type: Of the container, as the attribute says it; None for a URL.
    """

    where: str | None = None
    type: str | None = None


def resolve(path: str | os.PathLike[str]) -> Resolved:
    """Return what a path stands for: a URL `daos://...`, or a path of a local file system.

    Of a path, symbolic links are followed; it and all above it are looked at, the nearest with the attribute names the
    container, and what is left is a path in that. It need not exist: nothing is opened, and nobody is asked.

    Raises:
        NotFoundError: `DER.NONEXIST`: it stands for no container, or for one that was never made.
        InvalidError: `DER.INVAL`: a bad URL, or an attribute that names no container.
        AccessError: `DER.NO_PERM`: it may not be looked at. What is above it may be passed without.
    """
    named = find(path)
    if named is not None:
        return named
    if not os.path.lexists(path):
        raise NotFoundError(f"there is no {os.fspath(path)}", hint="check the path")
    raise NotFoundError(
        f"{os.fspath(path)} stands for no container",
        hint=f"a directory with the attribute {ATTRIBUTE} does, with all below; daos container create --path makes one",
    )


def find(path: str | os.PathLike[str]) -> Resolved | None:
    """Return the same as `resolve`; None if it stands for no container.

    Raises:
        DaosError: As `resolve`; of `NotFoundError`, what stands for a container that was never made.
    """
    given = os.fspath(path)
    if not isinstance(given, str) or not given or "\0" in given:
        raise InvalidError(f"invalid path {given!r}", hint="a path, or daos://POOL/CONTAINER")
    if given.startswith(SCHEME):
        named = parse_address(given)
        return Resolved(named.pool, named.container, named.path, named.system, named.snapshot)
    real = os.path.realpath(given)
    where, names = real, list[str]()
    while True:
        try:
            value = attribute(where, ATTRIBUTE)
            making = being_made(where) if value is None else None
        except AccessError:
            # Many a directory may be passed and not looked at; a path below it is one of the host as well.
            if not names:
                raise
            value = making = None
        if value is not None:
            return _named(where, value, "/" + "/".join(reversed(names)))
        if making is not None:
            raise _never_made(where, making)
        above, name = os.path.split(where)
        if above == where:
            return None
        names.append(name)
        where = above


def attribute(path: str, name: str) -> bytes | None:
    """Return an extended attribute of a path that is no symbolic link; None if it has none of that name.

    Raises:
        AccessError: `DER.NO_PERM`: it may not be looked at.
        DaosError: `DER.MISC`: it cannot be.
    """
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTE:
            return None
        raise failed(f"cannot look at {path}", error) from None


def being_made(path: str) -> str | None:
    """Return the URL of the container that was to be made with a path, if whoever made it died meanwhile."""
    value = attribute(path, MAKING)
    return None if value is None else value.decode("ascii", "backslashreplace")


def failed(what: str, error: OSError) -> DaosError:
    """Return the error of a call of the kernel, in a line."""
    words = f"{what}: {error.strerror or error}"
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return AccessError(words, hint="choose a path that can be written to, or be another user")
    if error.errno == errno.EEXIST:
        return ExistsError(words, hint="choose a path that is free")
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return NotFoundError(words, hint="check the path")
    if error.errno in {errno.ENOTSUP, errno.EOPNOTSUPP}:
        return InvalidError(
            words, code=DER.NOTSUPPORTED, hint="its file system keeps no extended attributes; choose a path on another"
        )
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.E2BIG, errno.ERANGE}:
        return NoSpaceError(words, hint="its file system has no room for the extended attribute")
    return DaosError(words)


def _named(where: str, value: bytes, path: str) -> Resolved:
    try:
        link = Link.decode(value)
    except InvalidError as error:
        raise InvalidError(f"{where}: {error.message}", hint=error.hint) from None
    return Resolved(link.pool, link.container, path, link.system, None, where, link.type)


def _never_made(where: str, url: str) -> NotFoundError:
    try:
        made = parse_address(url)
    except InvalidError:
        hint = f"rmdir {word(where)}"
    else:
        on = f"-S {word(made.system)} " if made.embedded else ""
        hint = (
            f"if the container is there, daos {on}container link --path {word(where)} {made.pool} {made.container}"
            f" finishes it; else rmdir {word(where)}"
        )
    return NotFoundError(
        f"{where} was to stand for {word(url)}, but whoever made that died before it was done", hint=hint
    )


@dataclass(frozen=True)
class Mounted:
    """What is mounted where.

    Attributes:
        point: The directory.
        kind: The type of its file system; `fuse.daos` of a mount by dfuse.
    """

    point: str
    kind: str


def mount_of(path: str, table: str | None = None) -> Mounted:
    """Return the mount that a path is on.

    Not by the numbers of its device and file: where directories of a mount lead to other containers, their roots have
    the same.

    Args:
        path: Absolute, without symbolic links.
        table: Mounts as the kernel tells them, in the place of its own.
    """
    lines = Path("/proc/self/mountinfo").read_bytes().decode(errors="surrogateescape") if table is None else table
    found = Mounted("/", "")
    for line in lines.splitlines():
        before, _, behind = line.partition(" - ")
        words = before.split(" ")
        if len(words) < POINT_AT + 1:
            continue
        # Spaces, tabs, line ends and backslashes are three octal digits.
        point = re.sub(r"\\([0-7]{3})", lambda digits: chr(int(digits[1], 8)), words[POINT_AT])
        on_it = path == point or path.startswith(f"{point.rstrip('/')}/")
        # The last one of those at the same place is the one that is seen.
        if on_it and len(point) >= len(found.point):
            found = Mounted(point, behind.partition(" ")[0])
    return found
