"""The end of an operation whose time is over."""

from __future__ import annotations

from daos.control.replicated import Command
from daos.control.system.effects import ENGINE
from daos.control.system.state import Pool, PoolState, SystemState
from daos.errors import TimedOutError
from daos.model.members import MemberState


class Expire(Command[SystemState], frozen=True, kw_only=True, tag="expire"):
    """Give up what an operation waits for. The driver proposes it; for one that has ended it changes nothing.

    Attributes:
        operation: A pool's uuid, or the name of an operation on engines.
        deadline: That has passed; another than the operation's own tells of an earlier one of the same name.
    """

    operation: str
    deadline: int

    def run(self, state: SystemState) -> None:
        """Take it back, or go on without those who do not answer."""
        pool = state.pools.get(self.operation)
        if pool is not None and pool.deadline == self.deadline:
            _expire_pool(state, pool)
        engines = state.engines.get(self.operation)
        if engines is None or engines.deadline != self.deadline:
            return
        for number, work in list(state.outbox.works.items()):
            if work.effect.subject == ENGINE and getattr(work.effect, "operation", "") == self.operation:
                state.outbox.remove(number)
        for rank, code in engines.results.items():
            if code is None and not engines.erase:
                state.set_state(state.members[rank], MemberState.ERRORED, "its server did not answer in time")
        state.finish_engines(self.operation)


def _expire_pool(state: SystemState, pool: Pool) -> None:
    late = next((work.ranks for work in state.outbox.works.values() if work.effect.subject == pool.uuid), [])
    if pool.state is PoolState.CREATING:
        state.expire_create(pool.uuid, late)
    elif pool.force:
        state.begin_destroy(pool.uuid)
    else:
        error = TimedOutError(
            "the pool's service does not answer", hint="with force the pool is destroyed without asking it"
        )
        state.keep_pool(pool.uuid, error)
