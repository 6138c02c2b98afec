"""Where a copy comes from, and where it goes: a path of the host, or one in a container."""

from __future__ import annotations

import errno
import os
import posixpath
import stat as stats
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from daos.client.served import connect
from daos.client.system import open_system
from daos.dfs._mount import mount
from daos.dfs.copying._kept import Kept, kept_of, read_kept, write_kept
from daos.dfs.copying._sides import Directory, LocalDirectory, MountedDirectory, Node
from daos.errors import InvalidError, NotFoundError
from daos.model.labels import is_uuid
from daos.model.urls import SCHEME
from daos.uns import find

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    from daos.client.container import Container
    from daos.client.pool import Pool
    from daos.client.system import System
    from daos.dfs._dfs import DFS
    from daos.uns import Resolved

LINKS_MAX = 40
"""Symbolic links that lead to each other, as paths in containers follow them."""

__all__ = ["Place", "Places", "open_places"]


@dataclass(frozen=True)
class Place:
    """A file or directory, or where one is to be.

    Attributes:
        text: As it was given.
        dfs: The file system of the container; None for the host's.
        path: There, absolute.
        name: What it is called; None for the root of a file system.
    """

    text: str
    dfs: DFS | None
    path: str
    name: str | None

    def stat(self) -> Node:
        """Return what is known of it; a symbolic link is followed.

        Raises:
            OSError: `ENOENT`: it is not there.
        """
        told = Path(self.path).stat() if self.dfs is None else self.dfs.stat(self.path)
        return Node(self.name or "", told.st_mode, told.st_size, told.st_mtime_ns)

    def exists(self) -> Node | None:
        """Return what is known of it; None if it is not there."""
        try:
            return self.stat()
        except FileNotFoundError:
            return None

    def directory(self) -> Directory:
        """Return it as a directory."""
        if self.dfs is None:
            return LocalDirectory.open(self.path)
        if not self.dfs.isdir(self.path):
            number = errno.ENOTDIR if self.dfs.lexists(self.path) else errno.ENOENT
            raise OSError(number, os.strerror(number), self.path)
        return MountedDirectory(self.dfs, self.path)

    def above(self) -> Place:
        """Return the directory that it is in."""
        path = posixpath.dirname(self.path)
        return Place(path, self.dfs, path, posixpath.basename(path) or None)

    def identities(self) -> Iterator[tuple[object, ...]]:
        """Yield what tells a directory from all others, of it and of all above it."""
        if self.dfs is None:
            real = Path(os.path.realpath(self.path))
            for directory in (real, *real.parents):
                told = directory.stat()
                yield told.st_dev, told.st_ino
            return
        path, root = self.path, self.dfs.info("/").oid
        while True:
            oid = self.dfs.info(path).oid
            yield self.dfs.container.uuid, oid
            if oid == root:
                return
            # By the directory itself, not by the names that led to it: these may be links.
            path = f"{path}/.."

    def identity(self) -> tuple[object, ...]:
        """Return what tells it from all others."""
        if self.dfs is None:
            told = Path(self.path).stat()
            return told.st_dev, told.st_ino
        return self.dfs.container.uuid, self.dfs.info(self.path).oid

    def target_of(self, source: Place, *, go_on: bool) -> tuple[Place, str | None]:
        """Return the directory that a copy goes to if it is to come here, and its name there.

        Without a name, what is in the source goes into that directory.

        Args:
            source: What is copied.
            go_on: Whether a directory that is a copy which was cut short is that copy; else it is one to copy into.

        Raises:
            OSError: `EEXIST`, `ENOTDIR`: a directory is to take the place of a file.
        """
        there = self.exists()
        if there is not None and stats.S_ISDIR(there.mode):
            if go_on and self.name is not None and self.directory().marked():
                return self.above(), self.name
            return self, source.name
        if there is not None and stats.S_ISDIR(source.stat().mode):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), self.path)
        return self.above(), self.name


@dataclass(frozen=True)
class Places:
    """What a copy is between.

    Attributes:
        source: Where it comes from.
        target: Where it goes.
        made: The container of the target, if it was not there.
    """

    source: Place
    target: Place
    made: Container | None


def open_places(
    stack: ExitStack,
    source: str,
    target: str,
    system: str = "",
    *,
    preserved: str | None = None,
    go_on: bool = False,
) -> Places:
    """Return the places of a copy, by their paths or URLs; what they are in is closed by the stack.

    A container that the target names and that is not there is made.

    Args:
        stack: Closes it.
        source: A path, `daos://POOL/CONTAINER[/PATH]`, or a path that stands for a container, or below.
        target: The same.
        system: The directory or name of the system, for those that do not say it.
        preserved: A file of the host for what a container is beside its files. It is written from the source's; a
            container that is made for the target gets what it tells.
        go_on: The container of the target may be there from a copy that was cut short.

    Raises:
        InvalidError: `DER.INVAL`: `preserved`, and neither is in a container; or the target's is there already.
        DaosError: As `daos.dfs.mount`.
        OSError: As that.
    """
    begin, end = (_with_system(find(text), system) for text in (source, target))
    if end is not None and end.snapshot is not None:
        raise InvalidError(f"{target} is a snapshot, which does not change", hint="copy to the container itself")
    opened = _Opened(stack)
    if begin is None:
        first = _followed(_local(source))
        # Before anything is made for it.
        first.stat()
        kept = None if preserved is None else _read_kept(preserved, source, target, end)
    else:
        container = opened.pool(begin, writes=end is not None and _same_pool(begin, end)).container(begin.container)
        if begin.snapshot is not None:
            container = container.at(begin.snapshot)
        fs = stack.enter_context(mount(container, read_only=True))
        first = _followed(_mounted(source, fs, begin.path))
        first.stat()
        kept = None if preserved is None else kept_of(fs)
        if preserved is not None and kept is not None:
            write_kept(preserved, kept)
    if end is None:
        return Places(first, _local(target), None)
    container, is_made = _target(opened.pool(end, writes=True), end, kept, go_on=go_on)
    place = _mounted(target, stack.enter_context(mount(container)), end.path)
    return Places(first, place, container if is_made else None)


def _read_kept(path: str, source: str, target: str, end: Resolved | None) -> Kept:
    if end is None:
        raise InvalidError(
            f"neither {source} nor {target} is in a container",
            hint="--preserve-props is for what a container is beside its files",
        )
    return read_kept(path)


def _target(pool: Pool, end: Resolved, kept: Kept | None, *, go_on: bool) -> tuple[Container, bool]:
    """Return the container that a copy goes to, and whether it was made."""
    try:
        container = pool.container(end.container)
    except NotFoundError:
        if is_uuid(end.container) or end.where is not None:
            raise
        return _made(pool, end.container, kept), True
    if kept is not None and go_on:
        # Whoever made it may have died before it had them.
        container.attributes.update(kept.attributes)
    elif kept is not None:
        raise InvalidError(
            f"container {container.label} is there, with properties of its own",
            hint="--preserve-props gives them to a container that the copy makes",
        )
    return container, False


def _made(pool: Pool, label: str, kept: Kept | None) -> Container:
    """Return a new container with a file system; where that fails, none."""
    if kept is None:
        return pool.container(label, create="exclusive", type="POSIX")
    made = pool.container(label, create="exclusive", properties=kept.properties, type=kept.posix)
    try:
        made.attributes.update(kept.attributes)
    except BaseException:
        pool.destroy_container(made.uuid, force=True)
        raise
    return made


class _Opened:
    """Systems and pools that are open, each once."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._systems: dict[str, System] = {}
        self._pools: dict[tuple[str, str], Pool] = {}

    def pool(self, named: Resolved, *, writes: bool) -> Pool:
        key = named.system, named.pool
        if key not in self._pools:
            self._pools[key] = self._open(named, writes=writes)
        return self._pools[key]

    def _open(self, named: Resolved, *, writes: bool) -> Pool:
        if not named.embedded:
            query = f"?system={quote(named.system, safe='')}" if named.system else ""
            url = f"{SCHEME}{quote(named.pool, safe='')}{query}"
            return self._stack.enter_context(connect(url, mode="rw" if writes else "r"))
        where = os.path.realpath(named.system)
        if where not in self._systems:
            self._systems[where] = self._stack.enter_context(open_system(where, create=False))
        return self._systems[where].pool(named.pool)


def _same_pool(one: Resolved, other: Resolved) -> bool:
    return (one.system, one.pool) == (other.system, other.pool)


def _with_system(named: Resolved | None, system: str) -> Resolved | None:
    return replace(named, system=system) if named is not None and not named.system and system else named


def _followed(place: Place) -> Place:
    """Return what a source is, if it is a symbolic link; it keeps its name."""
    if place.dfs is None:
        return replace(place, path=os.path.realpath(place.path))
    path = place.path
    for _ in range(LINKS_MAX):
        if not place.dfs.islink(path):
            break
        # What is above may be a link too: `..` is known by who follows it alone.
        path = posixpath.join(posixpath.dirname(path), place.dfs.readlink(path))
    return replace(place, path=path)


def _local(text: str) -> Place:
    given = text.rstrip("/") or "/"
    above, name = os.path.split(given)
    if name in {"", ".", ".."}:
        path = os.path.realpath(given)
        return Place(text, None, path, posixpath.basename(path) or None)
    return Place(text, None, f"{os.path.realpath(above or '.').rstrip('/')}/{name}", name)


def _mounted(text: str, dfs: DFS, path: str) -> Place:
    clean = posixpath.normpath(path)
    return Place(text, dfs, clean, posixpath.basename(clean) or None)
