"""Pools: space of a system, with containers in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from daos.client._global import ContainerGlobal
from daos.client._posix import check_layout, check_type, make_file_system, with_file_system
from daos.client._service import PoolInfo, TargetInfo, TierSpace, ask, change
from daos.client.attributes import Attributes
from daos.client.container import Container, Create, check_create
from daos.errors import ExistsError, InvalidError, NotFoundError
from daos.model.changes import pool_changes
from daos.model.labels import check_label, check_reference, is_uuid
from daos.model.posix import CHECKSUM_SIZE
from daos.model.properties import container_properties
from daos.model.scrub import MODES, scrub_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from daos.client._seam import PoolCore
    from daos.client.system import System
    from daos.model.posix import Posix
    from daos.model.scrub import ScrubStatus

__all__ = ["Listed", "Pool"]


@dataclass(frozen=True)
class Listed:
    """A line of a listing of pools or containers."""

    uuid: str
    label: str


class Pool:
    """An open pool. Made by `daos.open` and `System.pool`; threads may share it.

    As a context manager it closes, at the end, the whole system if it came from `daos.open`. All methods raise
    `ClosedError` (`DER.NO_HDL`) when the system is closed.
    """

    __slots__ = ("_core", "_owns_system", "_system")

    def __init__(self, core: PoolCore, system: System, *, owns_system: bool = False) -> None:
        self._core = core
        self._system = system
        self._owns_system = owns_system

    @property
    def label(self) -> str:
        """Its label, unique in the system."""
        return self._core.label

    @property
    def uuid(self) -> str:
        """Its UUID, in lower case."""
        return self._core.uuid

    @property
    def attributes(self) -> Attributes:
        """Names and values that users keep with it."""
        return Attributes(self, f"pool {self.label}")

    def set_properties(self, properties: Mapping[str, object]) -> None:
        """Change properties, all or none; durable at return.

        Args:
            properties: `label`, a new label: other open handles go on telling the old one; `scrub` (`off`, `lazy` or
                `timed`), `scrub_freq` (seconds from pass to pass) and `scrub_thresh` (corruptions; 0 for none), which
                the scrubber follows at once.

        Raises:
            InvalidError: `DER.INVAL`: an unknown name or a bad value; `DER.NOTSUPPORTED`: what DAOS knows and this
                release does not carry out.
            AccessError: `DER.NO_PERM`: one that does not change after creation.
            ExistsError: `DER.EXIST`: another pool has this label.
        """
        changes = pool_changes(properties)
        mode = None if changes.scrub is None else MODES.index(changes.scrub)
        self._core.change(changes.label, (mode, changes.scrub_freq, changes.scrub_thresh))

    @property
    def properties(self) -> dict[str, str | int]:
        """Its properties as they are now: `label`, `scrub`, `scrub_freq`, `scrub_thresh`."""
        mode, freq, thresh = self._core.scrub_status()[0]
        return {"label": self.label, "scrub": MODES[mode], "scrub_freq": freq, "scrub_thresh": thresh}

    def scrub_status(self) -> ScrubStatus:
        """Return how it is scrubbed and what was found wrong. Cheap: nothing is read.

        While the property `scrub` is not `off`, the background thread of an open system reads all that the pool has
        stored, and tells here what is not as it was stored. Nothing is repaired or marked: reading it raises
        `CorruptionError`, scrubbed or not.
        """
        return scrub_status(*self._core.scrub_status())

    def info(self, *, space: bool = True) -> PoolInfo:
        """Return what the service of the pool tells: its map, its ranks, its space.

        In an embedded system all pools share the space, and there is one rank.

        Args:
            space: Ask for the space too, which all ranks are asked for.
        """
        if not self._system.served:
            return _embedded_info(self, space=space)
        return ask(self._core, "pool_query", PoolInfo, space=space)

    def targets_of(self, rank: int, indexes: Iterable[int] = ()) -> list[TargetInfo]:
        """Return targets of a rank, with their space.

        Args:
            rank: The rank.
            indexes: Which; all where there are none.

        Raises:
            NotFoundError: `DER.NONEXIST`: the pool has no such rank or target.
        """
        wanted = list(indexes)
        if not self._system.served:
            return _embedded_targets(self, rank, wanted)
        return ask(self._core, "pool_query_targets", list[TargetInfo], rank=rank, targets=wanted)

    def places(self) -> list[tuple[int, int]]:
        """Return rank and index of each target, in the order that `Object.layout` counts them in."""
        if not self._system.served:
            return [(0, index) for index in range(self._system.targets)]
        return ask(self._core, "pool_places", list[tuple[int, int]])

    def evict_container(self, label: str, *, everybody: bool = False) -> int:
        """Close handles of a container, so that nobody can use them any more; return how many there were.

        Args:
            label: Its label or UUID.
            everybody: Those of others too, which its owner may do; else those of the caller's user.

        Raises:
            NotFoundError: `DER.NONEXIST`: there is no such container.
            AccessError: `DER.NO_PERM`: it is not the caller's.
            InvalidError: `DER.NOTSUPPORTED`: the system is embedded.
        """
        reference = check_reference(label, "container")
        return change(self._core, "container_evict", int, container=reference, everybody=everybody)

    @property
    def system(self) -> System:
        """The system that holds it."""
        return self._system

    def container(
        self,
        label: str,
        *,
        create: Create = False,
        properties: Mapping[str, object] | None = None,
        type: str | Posix | None = None,  # noqa: A002 -- DAOS's word for it
    ) -> Container:
        """Return a container.

        Args:
            label: Its label; to open one, also its UUID.
            create: Make it if it is not there; `"exclusive"`: and only then.
            properties: Of a container that is made; one that exists keeps its own.
            type: Who owns what is in it: `"PYTHON"`, which is made if none is given, or `"POSIX"`, a file system, for
                `daos.dfs.mount`. A `daos.dfs.Posix` says how that is made. One that exists must be of the type given.

        Raises:
            NotFoundError: `DER.NONEXIST`: not there, and `create` is false.
            ExistsError: `DER.EXIST`: there, and `create` is `"exclusive"`.
            InvalidError: `DER.INVAL` or `DER.NOTSUPPORTED`: a bad label or property.
        """
        check_create(create)
        # Checked even if it turns out to exist, so that a mistake shows on the first run and the second.
        checked = container_properties(properties)
        posix = check_type(type)
        if create and posix is not None:
            if "cksum_size" not in (properties or {}):
                checked = container_properties({**(properties or {}), "cksum_size": CHECKSUM_SIZE})
            checked, posix = with_file_system(checked, posix, self._system.targets)
        props = (checked.encode(), checked.checksums, checked.scrub_disabled)
        if create == "exclusive":
            return self._made(check_label(label, "container"), props, posix)
        reference = check_reference(label, "container")
        with self._system._one_call():  # noqa: SLF001 -- one class in two
            try:
                return check_layout(Container(self._core.container_open(reference), self), type)
            except NotFoundError as error:
                if not create or is_uuid(reference):
                    raise NotFoundError(
                        f'no container "{label}" in pool {self.label}',
                        code=error.code,
                        hint=None if is_uuid(reference) else "create=True makes it",
                        context={"container": label, "pool": self.label},
                    ) from error
            try:
                return self._made(reference, props, posix)
            except ExistsError:
                # Another thread made it in between.
                return check_layout(Container(self._core.container_open(reference), self), type)

    def _made(self, label: str, props: tuple[bytes, tuple[int, int, bool], bool], posix: Posix | None) -> Container:
        """Return a new container, with its file system if it is to have one; none where that fails."""
        core = self._core.container_create(label, *props)
        if posix is not None:
            try:
                make_file_system(core, posix)
            except BaseException:
                # Nobody can have found it to be of use. Where the process dies here, the first mount makes it.
                self.destroy_container(core.uuid, force=True)
                raise
        return Container(core, self)

    def local2global(self) -> bytes:
        """Return the handle of the pool for other processes, also of other hosts: `daos.global2local` opens it there.

        The bytes are as good as the handle: whoever has them may do what its opener may. Pickling a pool does the same.

        Raises:
            InvalidError: `DER.NOTSUPPORTED`: the system is embedded; others open its directory.
        """
        return self._shared()[0]

    def global2local(self, handle: bytes | bytearray | memoryview) -> Container:
        """Return a container that another process has opened, of what its `Container.local2global` returned there.

        This pool is the one it was opened in, by the same handle: of `daos.global2local` where that is elsewhere.
        Nobody is asked. It is read and changed as there, as of the same snapshot if it is at one, and ends with the
        pool's handle.

        Raises:
            InvalidError: `DER.INVAL`: the bytes are no handle of a container, cut off, or altered; it was opened by
                another handle of a pool; `DER.DF_INCOMPT`: of another release; `DER.NOTSUPPORTED`: the system is
                embedded.
        """
        opened_by = self._system._pool_handle()  # noqa: SLF001 -- one class in two
        decoded = ContainerGlobal.decode(handle)
        if decoded.pool_handle != opened_by:
            raise InvalidError(
                "the container was opened by another handle of a pool", hint="global2local() that of its pool first"
            )
        return Container(self._core.container_global2local(decoded.core, decoded.epoch), self, as_of=decoded.snapshot)

    def containers(self) -> list[Listed]:
        """Return UUID and label of each container, in the order of the labels."""
        return [Listed(uuid, label) for uuid, label in self._core.containers()]

    def destroy_container(self, label: str, *, force: bool = False) -> None:
        """Destroy a container and all in it.

        Args:
            label: Its label or UUID.
            force: Also if others have it open, in a running system: who uses it gets an error. In an embedded system
                it always is so.

        Raises:
            NotFoundError: `DER.NONEXIST`.
            BusyError: `DER.BUSY`: others have it open, and `force` is false.
            InvalidError: `DER.INVAL`: a bad label.
        """
        reference = check_reference(label, "container")
        if self._system.served:
            change(self._core, "container_remove", type(None), container=reference, force=force)
        else:
            self._core.container_destroy(reference)

    def close(self) -> None:
        """Close the system, if this pool came from `daos.open` or `daos.connect`; closing again is no error.

        A handle that was opened elsewhere, by `daos.global2local`, in a pickle or before a fork, stays open there.
        """
        if self._owns_system:
            self._system.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        if self._system.served:
            return _unpickled_served, self._shared()
        return _unpickled_embedded, (self._system, self.uuid, self._owns_system)

    def _shared(self) -> tuple[bytes, str | None]:
        """Return its handle for other processes, and the agent that was named when it was opened."""
        return self._system._shared(self._core.local2global())  # noqa: SLF001 -- one class in two

    def __repr__(self) -> str:
        return f"<daos.Pool {self.label!r} of {self._system.path}>"


def _unpickled_served(handle: bytes, agent: str | None) -> Pool:
    from daos.client.sharing import unpickled

    return unpickled(handle, agent)


def _unpickled_embedded(system: System, uuid: str, owns_system: bool) -> Pool:  # noqa: FBT001 -- a pickle has no keywords
    return system._pool(uuid, create=False, owns_system=owns_system)  # noqa: SLF001 -- one class in two


def _embedded_info(pool: Pool, *, space: bool) -> PoolInfo:
    targets = pool.system.targets
    return PoolInfo(
        uuid=pool.uuid,
        label=pool.label,
        version=1,
        leader=0,
        services=(0,),
        targets=targets,
        active=targets,
        disabled=0,
        enabled_ranks=(0,),
        disabled_ranks=(),
        dead_ranks=(),
        degraded=False,
        tiers=_tiers(pool, share=1) if space else (),
    )


def _tiers(pool: Pool, *, share: int) -> tuple[TierSpace, ...]:
    """Return the space of an embedded system's one device, or the share of one of its targets."""
    space, targets = pool.system.space(), pool.system.targets
    each = space.free // targets
    return (TierSpace("scm", space.total // share, space.free // share, each, each, each),)


def _embedded_targets(pool: Pool, rank: int, indexes: list[int]) -> list[TargetInfo]:
    targets = pool.system.targets
    chosen = indexes or list(range(targets))
    if rank != 0 or any(not 0 <= index < targets for index in chosen):
        raise NotFoundError(
            f"the pool has no rank {rank}" if rank else "the pool has no such target",
            hint=f"an embedded system has rank 0, with targets 0 to {targets - 1}",
        )
    tiers = _tiers(pool, share=targets)
    return [TargetInfo(index, "up_in", tiers) for index in chosen]
