"""What the system service has ranks do, and what follows when they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeAlias

import msgspec

from daos.control.outbox import Effect, Rank, Work
from daos.errors import DER
from daos.model.members import MemberState

if TYPE_CHECKING:
    from daos.control.system.state import SystemState

ENGINE = "engine"
"""The subject of what starts and stops a rank's engine: a rank has one."""
MEMBERS = "members"
CONTAINERS_HINT = "with --recursive they go too, also those that not everybody sees in a list"
"""Of a refusal to destroy. They may be others' than who asks: then no list showed him any."""


class SystemEffect(Effect, frozen=True, kw_only=True):
    """An effect of the system service.

    Attributes:
        by_server: Whether the server beside the engine does it, so that the engine need not run.
    """

    by_server: ClassVar[bool] = False

    def progressed(self, state: SystemState, work: Work[AnyEffect]) -> None:
        """Go on when ranks have reported; `work.ranks` is empty when all have."""


class PoolRank(msgspec.Struct, frozen=True, kw_only=True):
    """A rank of a pool.

    Attributes:
        rank: Its number.
        domain: Its fault domain, from the top down.
        targets: How many targets it has.
    """

    rank: Rank
    domain: tuple[str, ...]
    targets: int


class CreateShards(SystemEffect, frozen=True, kw_only=True, tag="create_shards"):
    """Make a pool's shard on each target.

    Attributes:
        subject: The pool.
        tiers: Bytes for it on each rank: of tier 0 and of tier 1.
    """

    tiers: tuple[int, int]

    def progressed(self, state: SystemState, work: Work[AnyEffect]) -> None:
        """Start the service, or take all back."""
        if work.failed:
            state.fail_create(self.subject, *worst(work.failed))
        elif not work.ranks:
            state.start_service(self.subject)


class StartService(SystemEffect, frozen=True, kw_only=True, tag="start_service"):
    """Make and start a replica of a pool's service; the first to lead creates the pool in it.

    Attributes:
        subject: The pool.
        label: Its label.
        services: All ranks of the service.
        ranks: Its ranks.
        properties: All of its properties.
        acl: Its access list, an entry a line.
        owner: Its owner, `user@`.
        group: Its owner's group, `group@`.
    """

    label: str | None
    services: tuple[Rank, ...]
    ranks: tuple[PoolRank, ...]
    properties: dict[str, str | int]
    acl: tuple[str, ...]
    owner: str
    group: str

    def progressed(self, state: SystemState, work: Work[AnyEffect]) -> None:
        """The pool is ready, or all is taken back."""
        if work.failed:
            state.fail_create(self.subject, *worst(work.failed))
        elif not work.ranks:
            state.finish_create(self.subject)


class PrepareDestroy(SystemEffect, frozen=True, kw_only=True, tag="prepare_destroy"):
    """Have the leader of a pool's service refuse new handles, or say no.

    Attributes:
        subject: The pool.
        force: Whether open handles may be revoked.
        recursive: Whether containers may go with it.
    """

    final: ClassVar[frozenset[DER]] = frozenset({DER.BUSY})
    force: bool
    recursive: bool

    def progressed(self, state: SystemState, work: Work[AnyEffect]) -> None:
        """Destroy, or give it up."""
        if work.failed:
            state.refuse_destroy(self.subject, *worst(work.failed))
        elif not work.ranks:
            state.begin_destroy(self.subject)


class ResumePool(SystemEffect, frozen=True, kw_only=True, tag="resume_pool"):
    """Have the leader of a pool's service admit handles again.

    Attributes:
        subject: The pool.
    """

    stubborn: ClassVar[bool] = True


class RelabelPool(SystemEffect, frozen=True, kw_only=True, tag="relabel_pool"):
    """Tell the leader of a pool's service the pool's label.

    Attributes:
        subject: The pool's label: its uuid and `/label`.
        label: The new one.
    """

    stubborn: ClassVar[bool] = True
    label: str


class DestroyShards(SystemEffect, frozen=True, kw_only=True, tag="destroy_shards"):
    """Stop and delete a pool's service replica and shards.

    Attributes:
        subject: The pool.
        tiers: Bytes that this frees on each rank.
    """

    stubborn: ClassVar[bool] = True
    tiers: tuple[int, int]

    def progressed(self, state: SystemState, work: Work[AnyEffect]) -> None:  # noqa: ARG002 -- the form is given
        """Forget the pool when nobody who is there has anything of it."""
        state.settle_destroy(self.subject)


class PushMembers(SystemEffect, frozen=True, kw_only=True, tag="push_members"):
    """Tell the ranks who is in the system; the host reads it from the state.

    Attributes:
        version: Of the system map.
    """

    stubborn: ClassVar[bool] = True
    version: int


class _EngineEffect(SystemEffect, frozen=True, kw_only=True):
    """Something a server does to its engine.

    Attributes:
        operation: The request that it is a part of.
    """

    by_server: ClassVar[bool] = True
    operation: str


class PrepareShutdown(_EngineEffect, frozen=True, kw_only=True, tag="prepare_shutdown"):
    """Have engines hand over what they lead, before they are stopped."""

    def progressed(self, state: SystemState, work: Work[AnyEffect]) -> None:
        """Stop those that have reported, whether they could or not: nobody waits for a server that is silent."""
        state.stop_engines(self.operation, force=False, waiting=work.ranks)


class StopEngines(_EngineEffect, frozen=True, kw_only=True, tag="stop_engines"):
    """End engines.

    Attributes:
        force: At once, by a signal that cannot be caught.
    """

    force: bool

    def progressed(self, state: SystemState, work: Work[AnyEffect]) -> None:
        """Take note of who has stopped."""
        state.engine_results(self.operation, work, MemberState.STOPPED)


class StartEngines(_EngineEffect, frozen=True, kw_only=True, tag="start_engines"):
    """Start engines; each joins by itself."""

    def progressed(self, state: SystemState, work: Work[AnyEffect]) -> None:
        """Take note of who has started."""
        state.engine_results(self.operation, work, None)


class EraseEngines(_EngineEffect, frozen=True, kw_only=True, tag="erase_engines"):
    """Delete what engines have stored."""

    def progressed(self, state: SystemState, work: Work[AnyEffect]) -> None:
        """Take note of who has erased."""
        state.engine_results(self.operation, work, None)


AnyEffect: TypeAlias = (
    CreateShards
    | StartService
    | PrepareDestroy
    | ResumePool
    | RelabelPool
    | DestroyShards
    | PushMembers
    | PrepareShutdown
    | StopEngines
    | StartEngines
    | EraseEngines
)


def worst(failed: dict[Rank, int]) -> tuple[Rank, int]:
    """Return the lowest rank that failed, and its code."""
    return min(failed.items())
