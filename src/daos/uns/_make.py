"""Paths that stand for containers: made, and removed with them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat as stats
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from daos.errors import BusyError, ExistsError, InvalidError, NotFoundError
from daos.model.labels import LABEL_LEN_MAX, check_label
from daos.model.namespace import ATTRIBUTE, MAKING, POSIX, Link, word
from daos.model.urls import SCHEME, Address
from daos.uns._resolve import attribute, being_made, failed, mount_of, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from daos.client.container import Container
    from daos.client.pool import Pool
    from daos.model.posix import Posix
    from daos.uns._resolve import Resolved

__all__ = ["create", "destroy", "label_of", "link", "unlink"]

DFUSE = "fuse.daos"
"""The type of file system of mounts by dfuse."""
_DRAWN_BYTES = 4
"""Of a label that is drawn: enough that nobody else has it, who would only be told."""


def create(
    path: str | os.PathLike[str],
    pool: Pool,
    label: str | None = None,
    *,
    properties: Mapping[str, object] | None = None,
    type: str | Posix = POSIX,  # noqa: A002 -- DAOS's word for it
) -> Container:
    """Make a container and a path that stands for it: both, or neither.

    The path is made first, with a note of what is to come; so a mistake in it costs nothing. If this process dies
    before the container is there, that note tells, and whoever uses the path is told what to do.

    Args:
        path: Where; nothing may be there. A directory for a container of type `POSIX`, an empty file for others.
        pool: The pool.
        label: Of the container; by default the path's name and eight digits.
        properties: As `Pool.container`.
        type: As `Pool.container`.

    Raises:
        ExistsError: `DER.EXIST`: something is at the path; there is a container of that label.
        InvalidError: `DER.NOTSUPPORTED`: the path's file system keeps no extended attributes; `DER.INVAL`: as
            `Pool.container`.
        AccessError: `DER.NO_PERM`: nothing may be made there, or in the pool.
        NotFoundError: `DER.NONEXIST`: the directory of the path is not there.
    """
    kind = type if isinstance(type, str) else POSIX
    where = _place(path)
    chosen = label_of(where) if label is None else check_label(label, "container")
    system = _system_of(pool)
    note = Address(pool.uuid, chosen, system=system).url()
    with _made(where, kind, note):
        container = pool.container(chosen, create="exclusive", properties=properties, type=type)
        try:
            _stand_for(where, Link(pool.uuid, container.uuid, system, container.layout))
        except BaseException:
            pool.destroy_container(container.uuid, force=True)
            raise
    return container


def link(path: str | os.PathLike[str], container: Container) -> None:
    """Make a path that stands for a container that is there. A container may have several.

    Args:
        path: Where; nothing may be there, but for what a `create` left that was cut short.
        container: The container.

    Raises:
        ExistsError: `DER.EXIST`: something is at the path.
        InvalidError: As `create`; `DER.INVAL`: the container is seen as of a snapshot.
        AccessError: `DER.NO_PERM`: nothing may be made there.
        NotFoundError: `DER.NONEXIST`: the directory of the path is not there.
    """
    if container.as_of is not None:
        raise InvalidError("a path stands for a container, not for a snapshot of it", hint="link the container itself")
    where = _place(path)
    found = Link(container.pool.uuid, container.uuid, _system_of(container.pool), container.layout)
    if os.path.lexists(where) and being_made(where) is not None:
        _stand_for(where, found)
        return
    with _made(where, found.type, Address(found.pool, found.container, system=found.system).url()):
        _stand_for(where, found)


def destroy(path: str | os.PathLike[str], *, pool: Pool | None = None, force: bool = False) -> None:
    """Destroy the container that a path stands for, and remove the path. Other paths of it stand for nothing then.

    Args:
        path: Of the unified namespace itself, not one below it.
        pool: The pool, if it is open; else it is opened as the path says.
        force: Also if others have the container open; or if it, its pool or its system is not there any more: then the
            path alone goes.

    Raises:
        NotFoundError: `DER.NONEXIST`: the container, or the path, is not there.
        InvalidError: `DER.INVAL`: a URL, or a path in a container; something is in the directory.
        BusyError: `DER.BUSY`: the container is mounted there; others have it open, and `force` is false.
        AccessError: `DER.NO_PERM`: it may not be destroyed.
    """
    named = resolve(path)
    where = _removable(named)
    with contextlib.ExitStack() as stack:
        try:
            opened = stack.enter_context(_pool_of(named)) if pool is None else pool
            opened.destroy_container(named.container, force=force)
        except NotFoundError as error:
            if not force:
                raise NotFoundError(
                    f"{where} stands for container {named.container} of pool {named.pool}: {error.message}",
                    code=error.code,
                    hint="with force, the path alone is removed",
                ) from None
    try:
        _remove(where)
    except OSError as error:
        raise failed(f"the container is destroyed, but {where} stays", error) from None


def unlink(path: str | os.PathLike[str]) -> None:
    """Remove a path that stands for a container; the container stays, if it is there.

    Raises:
        NotFoundError: `DER.NONEXIST`: the path is not there, or stands for nothing.
        InvalidError: `DER.INVAL`: as `destroy`.
        BusyError: `DER.BUSY`: something is mounted there.
        AccessError: `DER.NO_PERM`: it may not be removed.
    """
    where = _removable(resolve(path))
    try:
        _remove(where)
    except OSError as error:
        raise failed(f"cannot remove {where}", error) from None


def label_of(path: str) -> str:
    """Return a label for the container of a path, which no other has: its name, and digits."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(path).name).strip("-._")
    drawn = secrets.token_hex(_DRAWN_BYTES)
    return f"{name[: LABEL_LEN_MAX - len(drawn) - 1] or 'path'}-{drawn}"


def _place(path: str | os.PathLike[str]) -> str:
    """Return a path that is to be made: links above it are followed, so that none is replaced meanwhile.

    Raises:
        InvalidError: `DER.INVAL`: it is a URL, or none.
    """
    given = os.fspath(path)
    if not isinstance(given, str) or not given or "\0" in given or given.startswith(SCHEME):
        raise InvalidError(f"invalid path {given!r}", hint="of a local file system, such as /mnt/home/run7")
    above, name = os.path.split(given.rstrip("/"))
    # Where the last name is none, something is there in any case.
    return str(Path(os.path.realpath(above or ".")) / name) if name not in {"", ".", ".."} else os.path.realpath(given)


def _system_of(pool: Pool) -> str:
    """Return the directory of the system of a pool; empty for a running one, as DAOS's attribute has no place for it.

    Raises:
        InvalidError: `DER.INVAL`: it is in memory.
    """
    if pool.system.served:
        return ""
    if pool.system.path == ":memory:":
        raise InvalidError("a path cannot stand for what is in the memory of a process", hint="use a directory")
    return os.path.realpath(pool.system.path)


@contextlib.contextmanager
def _made(where: str, kind: str, note: str) -> Iterator[None]:
    """Make a path with a note of what it will stand for; it is removed if the block fails."""
    try:
        if kind == POSIX:
            Path(where).mkdir()
        else:
            os.close(os.open(where, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    except OSError as error:
        if error.errno == errno.EEXIST:
            raise _taken(where) from None
        raise failed(f"cannot make {where}", error) from None
    try:
        _set(where, MAKING, note.encode())
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            _remove(where)
        raise


def _taken(where: str) -> ExistsError:
    note = being_made(where)
    if note is not None:
        hint = (
            f"it was to stand for {word(note)}, whose making was cut short: daos container link finishes it, rmdir"
            " removes it"
        )
    elif attribute(where, ATTRIBUTE) is not None:
        hint = "it stands for a container; daos container destroy --path removes both"
    else:
        hint = "choose a path that is free"
    return ExistsError(f"there is a {where}", hint=hint)


def _stand_for(where: str, found: Link) -> None:
    """Have a path stand for a container from now on, and durably so."""
    # By its descriptor: in a mount by dfuse, its name may lead into the container as soon as it stands for that.
    try:
        descriptor = os.open(where, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise failed(f"cannot open {where}", error) from None
    try:
        _set(where, ATTRIBUTE, found.encode(), descriptor)
        with contextlib.suppress(OSError):
            os.removexattr(descriptor, MAKING)
        # A file system that cannot is one that need not.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    with contextlib.suppress(OSError):
        above = os.open(Path(where).parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(above)
        finally:
            os.close(above)


def _set(where: str, name: str, value: bytes, descriptor: int | None = None) -> None:
    try:
        if descriptor is None:
            os.setxattr(where, name, value, follow_symlinks=False)
        else:
            os.setxattr(descriptor, name, value)
    except OSError as error:
        raise failed(f"cannot set {name} of {where}", error) from None


def _removable(named: Resolved) -> str:
    """Return the path that stands for a container, if it can be removed.

    Raises:
        InvalidError: `DER.INVAL`: it is a URL, or a path below; something is in it.
        BusyError: `DER.BUSY`: something is mounted there.
    """
    where = named.where
    if where is None or named.path != "/":
        what = "a URL" if where is None else "a path in a container"
        raise InvalidError(
            f"{what} is not destroyed with its container",
            hint="name the path that stands for it" if where is None else where,
        )
    mounted = mount_of(where)
    if mounted.point == where:
        raise BusyError(f"{where} is a mount of the container", hint=f"umount {word(where)}")
    try:
        # In a mount by dfuse, it shows what is in the container; itself it is as it was made.
        shows = mounted.kind == DFUSE
        holds = not shows and stats.S_ISDIR(os.lstat(where).st_mode) and any(Path(where).iterdir())
    except OSError as error:
        raise failed(f"cannot look at {where}", error) from None
    if holds:
        raise InvalidError(f"{where} is not empty: what is in it is not in the container", hint="move that away first")
    return where


def _remove(where: str) -> None:
    path = Path(where)
    if stats.S_ISDIR(path.lstat().st_mode):
        path.rmdir()
    else:
        path.unlink()


def _pool_of(named: Resolved) -> Pool:
    from daos.client.served import connect
    from daos.client.system import open as daos_open

    if named.embedded:
        return daos_open(named.system, pool=named.pool, create=False)
    return connect(f"{SCHEME}{quote(named.pool, safe='')}", mode="rw")
