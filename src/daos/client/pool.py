"""Pools: space of a system, with containers in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from daos.client.attributes import Attributes
from daos.client.container import Container, Create, check_create
from daos.errors import ExistsError, NotFoundError
from daos.model.changes import pool_changes
from daos.model.labels import check_label, check_reference, is_uuid
from daos.model.properties import container_properties
from daos.model.scrub import MODES, scrub_status

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from daos.client._seam import PoolCore
    from daos.client.system import System
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
        return Attributes(self._core.attributes(), f"pool {self.label}")

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

    @property
    def system(self) -> System:
        """The system that holds it."""
        return self._system

    def container(
        self, label: str, *, create: Create = False, properties: Mapping[str, object] | None = None
    ) -> Container:
        """Return a container.

        Args:
            label: Its label; to open one, also its UUID.
            create: Make it if it is not there; `"exclusive"`: and only then.
            properties: Of a container that is made; one that exists keeps its own.

        Raises:
            NotFoundError: `DER.NONEXIST`: not there, and `create` is false.
            ExistsError: `DER.EXIST`: there, and `create` is `"exclusive"`.
            InvalidError: `DER.INVAL` or `DER.NOTSUPPORTED`: a bad label or property.
        """
        check_create(create)
        # Checked even if it turns out to exist, so that a mistake shows on the first run and the second.
        checked = container_properties(properties)
        props = (checked.encode(), checked.checksums, checked.scrub_disabled)
        if create == "exclusive":
            return Container(self._core.container_create(check_label(label, "container"), *props), self)
        reference = check_reference(label, "container")
        try:
            return Container(self._core.container_open(reference), self)
        except NotFoundError as error:
            if not create or is_uuid(reference):
                raise NotFoundError(
                    f'no container "{label}" in pool {self.label}',
                    code=error.code,
                    hint=None if is_uuid(reference) else "create=True makes it",
                    context={"container": label, "pool": self.label},
                ) from error
        try:
            return Container(self._core.container_create(reference, *props), self)
        except ExistsError:
            # Another thread made it in between.
            return Container(self._core.container_open(reference), self)

    def containers(self) -> list[Listed]:
        """Return UUID and label of each container, in the order of the labels."""
        return [Listed(uuid, label) for uuid, label in self._core.containers()]

    def destroy_container(self, label: str) -> None:
        """Destroy a container and all in it.

        Args:
            label: Its label or UUID.

        Raises:
            NotFoundError: `DER.NONEXIST`.
            InvalidError: `DER.INVAL`: a bad label.
        """
        self._core.container_destroy(check_reference(label, "container"))

    def close(self) -> None:
        """Close the system, if this pool came from `daos.open`; closing again is no error."""
        if self._owns_system:
            self._system.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<daos.Pool {self.label!r} of {self._system.path}>"
