"""The end of an operation whose time is over."""

from __future__ import annotations

from daos.control.outcomes import Outcome
from daos.control.pool.state import PoolState
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
            late = state.outbox.of(container.uuid)[0].ranks
            state.expire_container(container, late)
        returning = state.returning.get(self.operation)
        if returning is not None and returning.deadline == self.deadline:
            del state.returning[self.operation]
            state.outbox.cancel(self.operation)
            error = TimedOutError("the ranks do not answer", hint="reintegrate them when they have joined the system")
            state.outcomes.finish(self.operation, Outcome.refused(error))
