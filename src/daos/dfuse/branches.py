"""What the names of a mount lead to: pools, containers, and containers that directories name."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, urlencode

from daos import _core
from daos.client import connect, open_system
from daos.client.served import parse_url, pools
from daos.errors import AccessError, ClosedError, DaosError, InvalidError, NotFoundError
from daos.model.namespace import POSIX, Link

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from daos.client.container import Container
    from daos.client.pool import Pool
    from daos.client.system import System
    from daos.dfuse.wanted import Wanted

__all__ = ["ATTRIBUTES", "Branches", "space_of"]

ATTRIBUTES = (
    "dfuse-attr-time",
    "dfuse-dentry-time",
    "dfuse-dentry-dir-time",
    "dfuse-ndentry-time",
    "dfuse-data-cache",
    "dfuse-direct-io-disable",
)
"""What a container says of what the kernel may keep, in the order of `daos._core.Branch.files`."""
_MAKE = "daos container create --type POSIX makes one that can be mounted"


class _UnfitError(InvalidError):
    """A container that is there cannot be mounted."""


def space_of(pool: Pool) -> tuple[int, int]:
    """Return bytes of a pool in all, and free ones."""
    if pool.system.served:
        tiers = pool.info(space=True).tiers
        return sum(tier.total for tier in tiers), sum(tier.free for tier in tiers)
    space = pool.system.space()
    return space.total, space.free


def _found(look: Callable[[], _core.Branch]) -> _core.Branch | None:
    """Return what a name leads to; None if it leads nowhere.

    Raises:
        OSError: It cannot be told, or used.
    """
    try:
        return look()
    except NotFoundError:
        return None
    except AccessError as error:
        raise OSError(errno.EACCES, error.message) from None
    except _UnfitError as error:
        raise OSError(errno.EOPNOTSUPP, error.message) from None
    except InvalidError:
        # What is no label is no name of anything.
        return None
    except DaosError as error:
        raise OSError(errno.EIO, error.message) from None


class Branches:
    """Opens what a mount leads to, and keeps it open until the mount is gone.

    Args:
        wanted: What is mounted.
        keep: What is opened is closed with it.
    """

    def __init__(self, wanted: Wanted, keep: ExitStack) -> None:
        self._wanted = wanted
        self._keep = keep
        self._lock = threading.Lock()
        self._pools: dict[str, Pool] = {}
        self._system: System | None = None
        self._directory = None if wanted.directory is None else os.path.realpath(wanted.directory)
        if wanted.directory is None or self._directory is None:
            self._here = frozenset({""})
        else:
            self._here = frozenset({self._directory, os.path.normpath(wanted.directory)})
            self._system = keep.enter_context(open_system(self._directory, create=False))

    def root(self) -> _core.Branch:
        """Return what is at the mount point.

        Raises:
            InvalidError: `DER.INVAL`: the container is of another type; an attribute of it means nothing.
            NotFoundError: `DER.NONEXIST`: there is no such pool, container or snapshot.
            DaosError: As `daos.connect`.
        """
        wanted = self._wanted
        if wanted.pool is None:
            # Who may not ask is told now, and not when somebody looks.
            names = _Pools(self)
            names.names()
            return _core.Branch.names(names)
        pool = self.pool(wanted.pool)
        if wanted.container is None:
            return _core.Branch.names(_Containers(self, wanted.pool))
        return self.files(pool, wanted.container, wanted.snapshot)

    def pools(self) -> list[str]:
        """Return the pools that one may open, by label."""
        if self._system is not None:
            return [pool.label or pool.uuid for pool in self._system.pools()]
        return [pool.label or pool.uuid for pool in pools(self._wanted.system or "")]

    def pool(self, name: str) -> Pool:
        """Return an open pool."""
        with self._lock:
            known = self._pools.get(name)
        if known is not None:
            return known
        opened = self._opened(name)
        with self._lock:
            return self._pools.setdefault(name, opened)

    def renewed(self, name: str, gone: Pool) -> Pool:
        """Return what has the name of a pool by now that is gone."""
        with self._lock:
            if self._pools.get(name) is gone:
                del self._pools[name]
        return self.pool(name)

    def _opened(self, name: str) -> Pool:
        if self._system is not None:
            return self._system.pool(name)
        system = self._wanted.system
        query = f"?{urlencode({'system': system})}" if system else ""
        url = f"daos://{quote(name, safe='')}{query}"
        parse_url(url)
        pool = connect(url, mode="r" if self._wanted.mode.read_only else "rw")
        with self._lock:
            self._keep.callback(pool.close)
        return pool

    def files(self, pool: Pool, name: str, snapshot: str | int | None = None) -> _core.Branch:
        """Return the file system of a container, as of a snapshot if one is named.

        Raises:
            InvalidError: `DER.INVAL`: it is of another type; an attribute of it means nothing.
            NotFoundError: `DER.NONEXIST`: there is no such container or snapshot.
        """
        try:
            container = pool.container(name)
        except NotFoundError as error:
            error.hint = "daos container list lists them; daos container create --type POSIX makes one"
            raise
        if container.layout.upper() != POSIX:
            raise _UnfitError(f"container {name} is of type {container.layout}, which is no file system", hint=_MAKE)
        if snapshot is not None:
            try:
                container = container.at(snapshot)
            except NotFoundError as error:
                error.hint = "daos container list-snaps lists them"
                raise
        return self._files(pool, container, name)

    def _files(self, pool: Pool, container: Container, name: str) -> _core.Branch:
        mode = self._wanted.mode
        # Of a snapshot, what the container says now.
        live = container if container.as_of is None else pool.container(container.uuid)
        attributes = live.attributes
        try:
            return _core.Branch.files(
                cast("_core.Container", container._core),  # noqa: SLF001 -- the seam's own
                read_only=mode.read_only,
                caching=[attributes.get(name) for name in ATTRIBUTES] if mode.caching else None,
                write_back=mode.write_back,
                identity=Link(pool.uuid, container.uuid, self._directory or "").encode().decode(),
                space=lambda: space_of(pool),
            )
        except ValueError as error:
            if isinstance(error, DaosError):
                raise
            raise _UnfitError(f"container {name}: {error}", hint="daos container set-attr sets it") from None
        except OSError as error:
            if isinstance(error, DaosError) or error.errno != errno.EINVAL:
                raise
            raise _UnfitError(f"container {name}: {error.strerror}", hint=_MAKE) from None

    def follow(self, value: bytes) -> _core.Branch | None:
        """Return what a directory with that value of `user.daos` leads to; None if it leads nowhere from here.

        Raises:
            OSError: It cannot be told, or used.
        """

        def look() -> _core.Branch:
            link = Link.decode(value)
            # By its letters alone: a path that leads into this mount would wait for what waits for this.
            if link.type != POSIX or link.system not in self._here:
                raise NotFoundError("it is of another system")
            return self.files(self.pool(link.pool), link.container)

        return _found(look)


class _Pools:
    """The pools of a system, as names."""

    def __init__(self, branches: Branches) -> None:
        self._branches = branches

    def names(self) -> list[str]:
        return self._branches.pools()

    def open(self, name: str) -> _core.Branch | None:
        def look() -> _core.Branch:
            self._branches.pool(name)
            return _core.Branch.names(_Containers(self._branches, name))

        return _found(look)


class _Containers:
    """The containers of a pool, as names."""

    def __init__(self, branches: Branches, pool: str) -> None:
        self._branches = branches
        self._pool = pool

    def names(self) -> list[str]:
        pool = self._branches.pool(self._pool)
        try:
            listed = pool.containers()
        except (NotFoundError, ClosedError):
            # It was destroyed: another may have its name.
            listed = self._branches.renewed(self._pool, pool).containers()
        return [container.label or container.uuid for container in listed]

    def open(self, name: str) -> _core.Branch | None:
        def look() -> _core.Branch:
            pool = self._branches.pool(self._pool)
            try:
                return self._branches.files(pool, name)
            except ClosedError:
                return self._branches.files(self._branches.renewed(self._pool, pool), name)

        return _found(look)
