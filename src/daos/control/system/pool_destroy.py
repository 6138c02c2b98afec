"""Requests about pools that exist: destroy one, and what its service tells of it."""

from __future__ import annotations

from daos.control.outbox import Rank
from daos.control.outcomes import Pending
from daos.control.replicated import Command
from daos.control.system.effects import PrepareDestroy, RelabelPool
from daos.control.system.state import OPERATION_TICKS_MAX, PoolState, SystemState
from daos.errors import BusyError, ExistsError, InvalidError
from daos.model.labels import check_label


class PoolDestroy(Command[SystemState], frozen=True, kw_only=True, tag="pool_destroy"):
    """Delete a pool.

    Attributes:
        pool: Its uuid or label.
        force: Also with open handles, and if its service does not answer.
        recursive: Also with containers.
    """

    pool: str
    force: bool = False
    recursive: bool = False

    def run(self, state: SystemState) -> Pending:
        """Ask its service."""
        pool = state.find_pool(self.pool)
        if pool.state is not PoolState.READY or pool.deadline:
            word = "destroying" if pool.state is PoolState.READY else pool.state.lower()
            raise BusyError(f'the pool "{self.pool}" is {word}')
        state.outbox.check_room()
        pool.deadline, pool.force = state.time + OPERATION_TICKS_MAX, self.force
        effect = PrepareDestroy(subject=pool.uuid, force=self.force, recursive=self.recursive)
        # An earlier resuming that has not arrived yet has nothing to resume any more.
        state.outbox.cancel(pool.uuid)
        state.outbox.put(effect, pool.services, anyone=True)
        return Pending(f"pool {pool.uuid}")


class PoolRelabel(Command[SystemState], frozen=True, kw_only=True, tag="pool_relabel"):
    """Give a pool another label. The system keeps the labels, so that no two pools have the same.

    Attributes:
        pool: Its uuid or label.
        label: The new one; that which it has changes nothing.
    """

    pool: str
    label: str

    def run(self, state: SystemState) -> None:
        """Change it."""
        pool = state.find_pool(self.pool)
        label = check_label(self.label, "pool")
        if state.labels.get(label, pool.uuid) != pool.uuid:
            raise ExistsError(f'pool label "{label}" already exists in the system', hint="choose another")
        if pool.state is not PoolState.READY:
            raise BusyError(f'the pool "{self.pool}" is {pool.state.lower()}')
        if label == pool.label:
            return
        state.outbox.check_room()
        if pool.label is not None:
            del state.labels[pool.label]
        pool.label = label
        state.labels[label] = pool.uuid
        subject = f"{pool.uuid}/label"
        state.outbox.cancel(subject)
        state.outbox.put(RelabelPool(subject=subject, label=label), pool.services, anyone=True)


class PoolReplicas(Command[SystemState], frozen=True, kw_only=True, tag="pool_replicas"):
    """A pool's service tells where it runs.

    Attributes:
        pool: Its uuid.
        services: The ranks of its service, of those of the pool.
    """

    pool: str
    services: tuple[Rank, ...]

    def run(self, state: SystemState) -> None:
        """Take note of it. A pool that is being made or destroyed is left as it is."""
        pool = state.find_pool(self.pool)
        if not self.services or not set(self.services) <= set(pool.ranks):
            raise InvalidError(
                f"the service of a pool on ranks {pool.ranks} cannot be on {list(self.services)}",
                hint="it runs on ranks of its pool",
            )
        if pool.state is PoolState.READY:
            pool.services = list(self.services)
