"""What a command line of `dfuse` asks for: pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from daos.errors import InvalidError

__all__ = ["Mode", "Options", "Wanted", "mount_options", "source_of", "wanted_of"]

THREADS = 16
"""Threads that answer requests, at the most, if nothing is said: more than processors, as most of them wait."""
EVENT_QUEUES = 1


@dataclass(frozen=True)
class Mode:
    """How a container is mounted.

    Attributes:
        read_only: Nothing can be changed.
        multi_user: All users may use it.
        caching: The kernel may keep what the container's attributes say.
        write_back: It may keep what is written as well.
        threads: The most that answer requests.
        nonempty: The directory may have something in it, which is not seen then.
        links: Directories that stand for another container lead into it.
    """

    read_only: bool = False
    multi_user: bool = False
    caching: bool = True
    write_back: bool = True
    threads: int = THREADS
    nonempty: bool = False
    links: bool = True


@dataclass(frozen=True)
class Wanted:
    """What is to be mounted, and where.

    Attributes:
        mountpoint: The directory.
        pool: Label or UUID; None for all of a system.
        container: Label or UUID; None for all of a pool.
        directory: Of an embedded system; None for a running one.
        system: The name of a running system; None for the agent's.
        snapshot: Name or epoch of a snapshot; None for the present.
        mode: How.
    """

    mountpoint: str
    pool: str | None = None
    container: str | None = None
    directory: str | None = None
    system: str | None = None
    snapshot: str | int | None = None
    mode: Mode = Mode()

    @property
    def url(self) -> str:
        """What is mounted, for people."""
        where = f"?system={self.directory or self.system}" if self.directory or self.system else ""
        return f"daos://{'/'.join(name for name in (self.pool, self.container) if name)}{where}"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a line says, word by word; None where it says nothing. Attributes are named as the options are."""

    words: tuple[str, ...] = ()
    mountpoint: str | None = None
    pool: str | None = None
    container: str | None = None
    path: tuple[str, str] | None = None
    directory: str | None = None
    sys_name: str | None = None
    options: tuple[str, ...] = ()
    snap: str | None = None
    snap_epoch: int | None = None
    mode: Mode = Mode()
    singlethread: bool = False
    thread_count: int | None = None
    eq_count: int | None = None


def mount_options(given: tuple[str, ...]) -> dict[str, str]:
    """Return what stands behind `-o`, by name, as `mount` and `/etc/fstab` say it; empty for words without a value."""
    pairs = (word.partition("=") for text in given for word in text.split(",") if word)
    return {name.strip(): value for name, _, value in pairs}


def source_of(value: str) -> tuple[str, str] | None:
    """Return pool and container of a text by which tools know a container; None if it is none.

    Args:
        value: `daos://POOL/CONTAINER`, or what a directory has as `user.daos`: `DAOS.POSIX://POOL/CONTAINER`.

    Raises:
        InvalidError: `DER.INVAL`: one of another kind than files.
    """
    scheme, _, _ = value.partition("://")
    kind = scheme.upper()
    if "://" not in value or (kind != "DAOS" and not kind.startswith("DAOS.")):
        return None
    if kind not in {"DAOS", "DAOS.POSIX"}:
        raise InvalidError(f"a container of type {kind.removeprefix('DAOS.')} is no file system", hint=_POSIX)
    parts = urlsplit(f"daos://{value.partition('://')[2]}")
    names = [unquote(part) for part in (parts.netloc, *parts.path.strip("/").split("/"))]
    if len(names) != 2 or not all(names):  # noqa: PLR2004 -- a pool and a container
        raise InvalidError(f"{value!r} names no container", hint="daos://POOL/CONTAINER")
    return names[0], names[1]


_POSIX = "dfuse mounts containers of type POSIX"


def _one(what: str, *given: str | None) -> str | None:
    """Return what was said, by whichever way.

    Raises:
        InvalidError: `DER.INVAL`: two ways say different things.
    """
    said = [value for value in given if value]
    if any(value != said[0] for value in said):
        raise InvalidError(f"two {what}s are given: {said[0]!r} and {said[-1]!r}", hint="give one")
    return said[0] if said else None


def _threads(options: Options) -> int:
    if options.singlethread:
        if options.thread_count not in {None, 1}:
            raise InvalidError("--singlethread and --thread-count say different things", hint="give one")
        return 1
    total, queues = options.thread_count, options.eq_count
    if queues is not None and queues < 1:
        raise InvalidError(f"invalid number of event queues {queues}", hint="at least 1")
    if total is None:
        return THREADS
    taken = EVENT_QUEUES if queues is None else queues
    # As DAOS counts: of all threads, those of the event queues are taken away.
    if total <= taken:
        raise InvalidError(
            f"{total} threads, of which {taken} are for event queues: none is left",
            hint="--thread-count has to be larger than --eq-count",
        )
    return total - taken


def wanted_of(options: Options) -> Wanted:
    """Return what a line asks for.

    Raises:
        InvalidError: `DER.INVAL`: words are missing, too many, or against each other.
    """
    extra = mount_options(options.options)
    words = list(options.words)
    mountpoint = options.mountpoint or (words.pop(0) if words else None)
    if not mountpoint:
        raise InvalidError("no mount point given", hint="dfuse MOUNTPOINT POOL CONTAINER")
    if len(words) > 2:  # noqa: PLR2004 -- a pool and a container
        raise InvalidError(f"too many words: {words[2]!r}", hint="dfuse MOUNTPOINT POOL CONTAINER")
    path_pool, path_container = options.path or (None, None)
    first = source_of(words[0]) if words else None
    if first is not None:
        words[:1] = first
    word_pool, word_container = [*words, None, None][:2]
    pool = _one("pool", options.pool, word_pool, path_pool, extra.get("pool"))
    container = _one("container", options.container, word_container, path_container, extra.get("container"))
    if pool is None and container is not None:
        raise InvalidError(f"no pool is given for container {container!r}", hint="dfuse MOUNTPOINT POOL CONTAINER")
    if options.directory and options.sys_name:
        raise InvalidError("--system names an embedded system, --sys-name a running one", hint="give one")
    if options.snap is not None and options.snap_epoch is not None:
        raise InvalidError("--snap and --snap-epoch both name a snapshot", hint="give one")
    if container is None and (options.snap is not None or options.snap_epoch is not None):
        raise InvalidError("a snapshot is of a container", hint="name it: dfuse MOUNTPOINT POOL CONTAINER")
    snapshot = options.snap if options.snap is not None else options.snap_epoch
    mode = replace(
        options.mode,
        read_only=options.mode.read_only or "ro" in extra or snapshot is not None,
        multi_user=options.mode.multi_user or "allow_other" in extra,
        nonempty="nonempty" in extra,
        threads=_threads(options),
    )
    return Wanted(mountpoint, pool, container, options.directory, options.sys_name, snapshot, mode)
