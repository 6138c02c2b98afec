"""The process of a mount: opens the container, mounts it, and ends when the mount does, or when it is told to."""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, urlencode

from daos import _core
from daos.client import connect, open_system
from daos.client.served import parse_url
from daos.errors import DER, DaosError, InvalidError, NotFoundError
from daos.model.namespace import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from daos.client.container import Container
    from daos.client.pool import Pool
    from daos.dfuse.wanted import Wanted

__all__ = ["ATTRIBUTES", "serve", "space_of"]

ATTRIBUTES = (
    "dfuse-attr-time",
    "dfuse-dentry-time",
    "dfuse-dentry-dir-time",
    "dfuse-ndentry-time",
    "dfuse-data-cache",
    "dfuse-direct-io-disable",
)
"""What a container says of what the kernel may keep, in the order of `daos._core.Fuse.mount`."""
LEAVE_S = 20.0
"""So long those may stay who use the mount when it is to end."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def _pool(wanted: Wanted) -> Iterator[Pool]:
    if wanted.directory is not None:
        system = open_system(wanted.directory, create=False)
        try:
            yield system.pool(wanted.pool)
        finally:
            system.close()
        return
    query = f"?{urlencode({'system': wanted.system})}" if wanted.system else ""
    url = f"daos://{quote(wanted.pool, safe='')}{query}"
    parse_url(url)
    with connect(url, mode="r" if wanted.mode.read_only else "rw") as pool:
        yield pool


def _container(pool: Pool, wanted: Wanted) -> Container:
    """Return the container, as of a snapshot if one is named.

    Raises:
        InvalidError: `DER.INVAL`: it is of another type.
        NotFoundError: `DER.NONEXIST`: there is no such container or snapshot.
    """
    try:
        container = pool.container(wanted.container)
    except NotFoundError as error:
        error.hint = "daos container list lists them; daos container create --type POSIX makes one"
        raise
    if container.layout.upper() != "POSIX":
        raise InvalidError(
            f"container {wanted.container} is of type {container.layout}, which is no file system",
            hint="daos container create --type POSIX makes one that can be mounted",
        )
    if wanted.snapshot is None:
        return container
    try:
        return container.at(wanted.snapshot)
    except NotFoundError as error:
        error.hint = "daos container list-snaps lists them"
        raise


def space_of(pool: Pool) -> tuple[int, int]:
    """Return bytes of a pool in all, and free ones."""
    if pool.system.served:
        tiers = pool.info(space=True).tiers
        return sum(tier.total for tier in tiers), sum(tier.free for tier in tiers)
    space = pool.system.space()
    return space.total, space.free


def _caching(container: Container) -> list[bytes | None]:
    """Return what the container says; of a snapshot, what the container says now."""
    live = container if container.as_of is None else container.pool.container(container.uuid)
    attributes = live.attributes
    return [attributes.get(name) for name in ATTRIBUTES]


def _tell(line: str) -> None:
    # Where nobody reads any more there is nobody to tell.
    with suppress(OSError, ValueError):
        print(f"dfuse: {line}", file=sys.stderr, flush=True)  # noqa: T201 -- a tool, in words


def _mount(pool: Pool, container: Container, wanted: Wanted) -> _core.Fuse:
    mode = wanted.mode
    try:
        return _core.Fuse.mount(
            cast("_core.Container", container._core),  # noqa: SLF001 -- the seam's own
            wanted.mountpoint,
            read_only=mode.read_only,
            multi_user=mode.multi_user,
            caching=_caching(container) if mode.caching else None,
            write_back=mode.write_back,
            threads=mode.threads,
            identity=Link(
                pool.uuid, container.uuid, "" if wanted.directory is None else os.path.realpath(wanted.directory)
            )
            .encode()
            .decode(),
            space=lambda: space_of(pool),
            report=_tell,
        )
    except ValueError as error:
        if isinstance(error, DaosError):
            raise
        raise InvalidError(f"container {wanted.container}: {error}", hint="daos container set-attr sets it") from None
    except OSError as error:
        if isinstance(error, DaosError) or error.errno != errno.EINVAL:
            raise
        raise InvalidError(
            f"container {wanted.container}: {error.strerror}",
            code=DER.INVAL,
            hint="daos container create --type POSIX makes a container with a file system",
        ) from None


def serve(wanted: Wanted, ready: Callable[[], None]) -> None:
    """Mount, say so, and stay until the mount ends: by `umount`, or by SIGTERM, SIGINT or SIGHUP.

    Raises:
        DaosError: As `daos.connect` and `daos.open_system`; nothing is mounted.
        OSError: It cannot be mounted there.
    """
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    previous = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    handlers = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
    try:
        with _pool(wanted) as pool:
            container = _container(pool, wanted)
            mount = _mount(pool, container, wanted)
            ready()
            ended = mount.fileno()
            waiting = select.poll()
            for descriptor in (ended, woken):
                waiting.register(descriptor, select.POLLIN)
            if ended not in {descriptor for descriptor, _ in waiting.poll()} and not mount.unmount(LEAVE_S):
                _tell(f"{wanted.mountpoint} is still in use after {LEAVE_S:.0f} s; who uses it gets errors now")
            mount.finish()
    finally:
        signal.set_wakeup_fd(previous)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(woken)
        os.close(wake)
