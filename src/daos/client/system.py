"""Systems, and how one is opened in this process."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from daos import _core
from daos.client._memory import CACHE_MIN, default_cache
from daos.client.container import Create, check_create
from daos.client.pool import Listed, Pool
from daos.errors import DER, ExistsError, InvalidError, NotFoundError
from daos.model.labels import check_label, check_reference, is_uuid
from daos.model.sizes import parse_size

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self

    from daos.client._seam import EmbeddedCore

__all__ = ["Durability", "Space", "System", "open", "open_system"]

MEMORY = ":memory:"
"""The path of a system that is gone when it is closed."""
TARGETS_MAX = 64
"""Targets of an embedded system: more than the cores of one machine's socket serve no purpose."""

Durability = Literal["synced", "interval", "buffered"]
_DURABILITY = {"buffered": 0, "interval": 1, "synced": 2}
_POOL_PROPS = b"\x80"
"""No properties: an empty map of MessagePack."""


@dataclass(frozen=True)
class Space:
    """How the bytes of a system are used. Returned by `System.space`.

    Attributes:
        total: What its files may have: the size it was given, or what its device offers.
        free: What can be stored yet.
        used: What its files have; inside of them is room that is counted as free, too.
        reserved: What is kept back, so that deletes and aggregation work on a full system.
    """

    total: int
    free: int
    used: int
    reserved: int


class System:
    """A system that is open in this process. Made by `open_system`; threads may share it."""

    __slots__ = ("_again", "_core", "_path")

    def __init__(self, core: EmbeddedCore, path: str, *, again: Callable[[], System] | None = None) -> None:
        self._core = core
        self._path = path
        # How another process opens it; None where none can.
        self._again = again

    def __reduce__(self) -> tuple[object, ...]:
        if self._again is None:
            why = "in memory" if self._path == MEMORY else "that was opened with share=False"
            raise InvalidError(
                f"a system {why} cannot be pickled: it is this process's alone",
                code=DER.NOTSUPPORTED,
                hint="open a directory, to be shared",
            )
        return _unpickled, (self._again,)

    @property
    def path(self) -> str:
        """Its directory, or `:memory:`."""
        return self._path

    @property
    def served(self) -> bool:
        """Whether it is a running system, not an embedded one."""
        return False

    @property
    def connections(self) -> dict[str, int]:
        """How many connections to engines are open, by `shm`, shared memory, and by `tcp`; none of an embedded one."""
        return {}

    @property
    def targets(self) -> int:
        """The number of its targets."""
        return self._core.targets

    def space(self) -> Space:
        """Return how its bytes are used. Cheap: nothing is walked."""
        return Space(*self._core.space())

    def pools(self) -> list[Listed]:
        """Return UUID and label of each pool, in the order of the labels."""
        return [Listed(uuid, label) for uuid, label in self._core.pools()]

    def pool(self, label: str, *, create: Create = False) -> Pool:
        """Return a pool.

        Args:
            label: Its label; to open one, also its UUID.
            create: Make it if it is not there; `"exclusive"`: and only then.

        Raises:
            NotFoundError: `DER.NONEXIST`: not there, and `create` is false.
            ExistsError: `DER.EXIST`: there, and `create` is `"exclusive"`.
            InvalidError: `DER.INVAL`: a bad label.
        """
        return self._pool(label, create=create, owns_system=False)

    def create_pool(self, label: str) -> Pool:
        """Return a new pool.

        Raises:
            ExistsError: `DER.EXIST`.
            InvalidError: `DER.INVAL`: a bad label.
        """
        return self._pool(label, create="exclusive", owns_system=False)

    def destroy_pool(self, label: str) -> None:
        """Destroy a pool and all in it.

        Raises:
            NotFoundError: `DER.NONEXIST`.
            InvalidError: `DER.INVAL`: a bad label.
        """
        self._core.pool_destroy(check_reference(label, "pool"))

    def _pool(self, label: str, *, create: Create, owns_system: bool) -> Pool:
        check_create(create)
        if create == "exclusive":
            core = self._core.pool_create(check_label(label, "pool"), _POOL_PROPS)
            return Pool(core, self, owns_system=owns_system)
        reference = check_reference(label, "pool")
        try:
            return Pool(self._core.pool_open(reference), self, owns_system=owns_system)
        except NotFoundError as error:
            if not create or is_uuid(reference):
                raise NotFoundError(
                    f'no pool "{label}" in {self._path}',
                    code=error.code,
                    hint="create=True makes it" if not is_uuid(reference) else "list the pools",
                    context={"pool": label},
                ) from error
        try:
            return Pool(self._core.pool_create(reference, _POOL_PROPS), self, owns_system=owns_system)
        except ExistsError:
            # Another thread made it in between.
            return Pool(self._core.pool_open(reference), self, owns_system=owns_system)

    def close(self) -> None:
        """Close it, and with it every handle opened from it; closing again is no error."""
        self._core.close()

    def _shared(self, core: bytes) -> tuple[bytes, str | None]:
        """Return the handle of the pool of a running system, of what its core told, and the agent that was named."""
        del core
        raise _only_served()

    def _one_call(self) -> AbstractContextManager[None]:
        """Have the requests of a block take the time of one call: where there is a network, they wait for others."""
        return nullcontext()

    def _pool_handle(self) -> bytes:
        """Return the uuid of the handle of the pool of a running system."""
        raise _only_served()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<daos.System {self._path}>"


def _only_served() -> InvalidError:
    return InvalidError(
        "an embedded system has no handles for other processes",
        code=DER.NOTSUPPORTED,
        hint="they open its directory; a pickle does that, too",
    )


def _unpickled(again: Callable[[], System]) -> System:
    return again()


def _open_core(
    path: str,
    *,
    create: bool,
    targets: int,
    durability: int,
    size: int | None = None,
    cache_bytes: int | None = None,
    share: bool = True,
) -> EmbeddedCore:
    """Open the native system; the one place that does, so that a test can put a fake here."""
    return _core.Embedded.open(
        path,
        create=create,
        targets=targets,
        durability=durability,
        cache_bytes=cache_bytes,
        size=size,
        share=share,
    )


def open_system(
    path: str | os.PathLike[str],
    *,
    create: bool = True,
    targets: int = 1,
    durability: Durability = "synced",
    size: int | str | None = None,
    cache: int | str | None = None,
    share: bool = True,
) -> System:
    """Open a system: hold it, or use it through the process that does.

    Args:
        path: Its directory; `:memory:` for one that is gone when it is closed.
        create: Make it if it is not there.
        targets: The number of targets of a system that is made, 1 to 64; an existing one keeps its own.
        size: Bytes that its files may have in all, as an int or a text such as `10GB` or `512MiB`, at least 64 MiB. It
            keeps that until it is opened with another; without one ever, the device is the limit.
        durability: What a returned call promises: `synced`, it survives a power cut; `interval`, so it does but for the
            last second; `buffered`, it survives the death of the process.
        cache: Bytes of memory for pages of its indexes that were read, as `size`, at least 1 MiB; used as far as it is
            needed. The default is an eighth of what this process may use, from 64 MiB to 4 GiB.
        share: Whether other processes of this user on this machine, and forked children, may use the system at the same
            time, by opening it likewise. The first one holds it, the others ask it; when it is gone, one of them takes
            its place, after it has recovered what was acknowledged. Without, this process has it alone.

    Raises:
        BusyError: `DER.BUSY`: another process holds it and does not share it, or this one would not;
            `context["pid"]` tells which.
        NotFoundError: `DER.NONEXIST`: not there, and `create` is false.
        InvalidError: `DER.INVAL`: a bad argument, or a directory of something else; `DER.DF_INCOMPT`: a newer format.
        CorruptionError: `DER.CSUM` or `DER.DF_INVAL`: it is damaged.
        AccessError: `DER.NO_PERM`.
        NoSpaceError: `DER.NOSPACE`: more than `size` is in use; the device is full.
    """
    if not isinstance(path, str | os.PathLike):
        raise InvalidError(f"a path is a str or a Path, not {type(path).__name__}", hint='a directory, or ":memory:"')
    where = os.fspath(path)
    if not where or "\0" in where:
        raise InvalidError(f"invalid path {where!r}", hint='a directory, or ":memory:"')
    if where.startswith("daos://"):
        raise InvalidError(
            "this opens a directory, not a running system",
            code=DER.NOTSUPPORTED,
            hint="servers come in a later release",
        )
    if not isinstance(targets, int) or isinstance(targets, bool) or not 1 <= targets <= TARGETS_MAX:
        raise InvalidError(f"invalid number of targets {targets!r}", hint=f"from 1 to {TARGETS_MAX}")
    if durability not in _DURABILITY:
        raise InvalidError(f"durability cannot be {durability!r}", hint='one of "synced", "interval", "buffered"')
    limit = None if size is None else parse_size(size, "size")
    cache_bytes = default_cache() if cache is None else parse_size(cache, "cache")
    if cache_bytes < CACHE_MIN:
        raise InvalidError(f"a cache of {cache_bytes} bytes", hint="at least 1 MiB")
    core = _open_core(
        where,
        create=bool(create),
        targets=targets,
        durability=_DURABILITY[durability],
        cache_bytes=cache_bytes,
        size=limit,
        share=bool(share),
    )
    again = None
    if share and where != MEMORY:
        again = partial(
            open_system,
            os.path.abspath(where),  # noqa: PTH100 -- links stay as they are
            create=False,
            durability=durability,
            cache=cache,
        )
    return System(core, where, again=again)


def open(  # noqa: A001 -- as `gzip.open` and its like: it is called `daos.open`
    path: str | os.PathLike[str],
    *,
    pool: str = "default",
    create: bool = True,
    targets: int = 1,
    durability: Durability = "synced",
    size: int | str | None = None,
    cache: int | str | None = None,
    share: bool = True,
) -> Pool:
    """Open a pool of a system in this process; closing the pool closes the system.

    Args:
        path: The system's directory, made on first use; `:memory:` for one that is gone when it is closed.
        pool: The pool's label, made on first use.
        create: Whether system and pool are made if they are not there.
        targets: As `open_system`.
        durability: As `open_system`.
        size: As `open_system`.
        cache: As `open_system`.
        share: As `open_system`.

    Raises:
        DaosError: As `open_system` and `System.pool`.
    """
    # Before anything is made on disk.
    check_reference(pool, "pool")
    system = open_system(
        path, create=create, targets=targets, durability=durability, size=size, cache=cache, share=share
    )
    try:
        return system._pool(pool, create=create, owns_system=True)  # noqa: SLF001 -- one class in two
    except BaseException:
        system.close()
        raise
