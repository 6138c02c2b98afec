"""The end of an operation whose time is over."""

from __future__ import annotations

from daos.control.late import too_late
from daos.control.outcomes import SECOND, Outcome
from daos.control.pool.state import OPERATION_TICKS_MAX, PoolState
from daos.control.replicated import Command
from daos.errors import TimedOutError


class Expire(Command[PoolState], frozen=True, kw_only=True, tag="expire"):
    """Give up making a container, or bringing a rank back. For what has ended it changes nothing.

    Attributes:
        operation: The container's uuid, or the name of the operation.
        deadline: That has passed.
    """

    operation: str
    deadline: int

    def run(self, state: PoolState) -> None:
        """Take it back."""
        container = state.containers.get(self.operation)
        if container is not None and container.deadline == self.deadline:
            error = too_late(
                "the container was not made",
                state.outbox.of(container.uuid)[0].ranks,
                OPERATION_TICKS_MAX // SECOND,
                "dmg system query tells which ranks run; ask again when those of the pool do",
            )
            state.outcomes.finish(f"create {container.uuid}", Outcome.refused(error))
            state.destroy_container(container)
        returning = state.returning.get(self.operation)
        if returning is not None and returning.deadline == self.deadline:
            del state.returning[self.operation]
            state.outbox.cancel(self.operation)
            error = TimedOutError("the ranks do not answer", hint="reintegrate them when they have joined the system")
            state.outcomes.finish(self.operation, Outcome.refused(error))
