"""What the pool service has ranks do, and what follows when they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeAlias

from daos.control.outbox import Effect, Rank, Work
from daos.model.scrub import scrub_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from daos.control.pool.state import PoolState

MAP = "map"
SCRUB = "scrub"


class PoolEffect(Effect, frozen=True, kw_only=True):
    """An effect of the pool service."""

    def progressed(self, state: PoolState, work: Work[AnyEffect]) -> None:
        """Go on when ranks have reported; `work.ranks` is empty when all have."""


class BroadcastPoolMap(PoolEffect, frozen=True, kw_only=True, tag="broadcast_pool_map"):
    """Tell the engines the pool map; the host reads it from the state.

    Attributes:
        version: Of the map; an engine that has a newer one keeps it.
    """

    stubborn: ClassVar[bool] = True
    version: int


class DiscardShards(PoolEffect, frozen=True, kw_only=True, tag="discard_shards"):
    """Delete what targets that come back have of the pool: it is out of date. The rank forgets handles, too.

    It may have gone on running, excluded, and so missed that handles were revoked; it asks for those that it needs.

    Attributes:
        subject: The operation that brings them back.
        targets: Rank to the indexes of its targets.
        epoch: What was written up to it goes; a copy that comes late leaves what is newer.
    """

    stubborn: ClassVar[bool] = True
    targets: dict[Rank, tuple[int, ...]]
    epoch: int

    def progressed(self, state: PoolState, work: Work[AnyEffect]) -> None:
        """Take them into use."""
        if not work.ranks:
            state.finish_reintegrate(self.subject)


class InstallHandles(PoolEffect, frozen=True, kw_only=True, tag="install_handles"):
    """Tell the engines a handle of the pool or of a container.

    Attributes:
        subject: The handle.
        container: Whose it is; None for the pool's own.
        capabilities: What it allows, as bits of `daos.model.acl.Permission`.
    """

    stubborn: ClassVar[bool] = True
    container: str | None
    capabilities: int


class RevokeHandles(PoolEffect, frozen=True, kw_only=True, tag="revoke_handles"):
    """Have the engines refuse handles.

    Attributes:
        subject: The operation that revokes them.
        handles: Which.
    """

    stubborn: ClassVar[bool] = True
    handles: tuple[str, ...]

    @property
    def subjects(self) -> tuple[str, ...]:
        """The handles."""
        return self.handles

    def progressed(self, state: PoolState, work: Work[AnyEffect]) -> None:
        """Answer who waits for it."""
        if not work.ranks:
            state.finish_revoke(self.subject, len(self.handles))


class CreateContainerShards(PoolEffect, frozen=True, kw_only=True, tag="create_container_shards"):
    """Make a container's shard on each target, and admit the handle that it is opened by in the same request.

    Attributes:
        subject: The container.
        properties: Its properties, in their stored form.
        handle: Of the container; None for one that is opened by other requests only.
        capabilities: What the handle allows, as bits of `daos.model.acl.Permission`.
    """

    properties: bytes
    handle: str | None = None
    capabilities: int = 0

    @property
    def subjects(self) -> tuple[str, ...]:
        """The container and its handle."""
        return (self.subject,) if self.handle is None else (self.subject, self.handle)

    def progressed(self, state: PoolState, work: Work[AnyEffect]) -> None:
        """The container is ready, or is taken back."""
        if work.failed:
            rank, code = min(work.failed.items())
            state.fail_container(self.subject, rank, code)
        elif not work.ranks:
            state.finish_container(self.subject)


class DestroyContainerShards(PoolEffect, frozen=True, kw_only=True, tag="destroy_container_shards"):
    """Delete a container's shards, and refuse its handles.

    Attributes:
        subject: The container.
        handles: Of the container.
    """

    stubborn: ClassVar[bool] = True
    handles: tuple[str, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        """The container and its handles."""
        return (self.subject, *self.handles)

    def progressed(self, state: PoolState, work: Work[AnyEffect]) -> None:
        """Forget the container."""
        if not work.ranks:
            state.forget_container(self.subject)


class InstallSnapshots(PoolEffect, frozen=True, kw_only=True, tag="install_snapshots"):
    """Tell the engines the snapshots of a container, which aggregation keeps.

    Attributes:
        subject: The container's snapshots: its uuid and `/snapshots`.
        container: The container.
        epochs: All of its snapshots.
    """

    stubborn: ClassVar[bool] = True
    container: str
    epochs: tuple[int, ...]


class InstallScrub(PoolEffect, frozen=True, kw_only=True, tag="install_scrub"):
    """Tell the engines how the pool is scrubbed.

    Attributes:
        mode: When: a number of `daos.model.scrub.MODES`.
        freq: Seconds from the begin of a pass to the begin of the next.
        thresh: So many corruptions are told as too many; 0 for never.
    """

    stubborn: ClassVar[bool] = True
    mode: int
    freq: int
    thresh: int

    @classmethod
    def of(cls, properties: Mapping[str, str | int]) -> Self:
        """Return what all properties of a pool say."""
        mode, freq, thresh = scrub_settings(properties)
        return cls(subject=SCRUB, mode=mode, freq=freq, thresh=thresh)


AnyEffect: TypeAlias = (
    BroadcastPoolMap
    | DiscardShards
    | InstallHandles
    | RevokeHandles
    | CreateContainerShards
    | DestroyContainerShards
    | InstallSnapshots
    | InstallScrub
)
