"""What a client asks of a pool's service, agreed on and done by all ranks that have to do something for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from daos.control.late import have_not
from daos.errors import DER, UncertainError

if TYPE_CHECKING:
    from daos.control.outcomes import Outcome, RequestId
    from daos.control.pool.state import PoolState
    from daos.control.replicated import AnyCommand
    from daos.engine.pool_service import PoolService

TOLD_S = 1.5
"""After that a client is told which ranks are waited for. Less than it waits for an answer at first."""


async def done_by_all(service: PoolService, command: AnyCommand, request: RequestId, *, timeout_s: float) -> Outcome:
    """Have a command agreed on, and return its outcome, also that of an operation of all ranks.

    Args:
        service: A replica that may lead.
        command: What is asked.
        request: Whose request it is; who asks again with it finds what became of it.
        timeout_s: How long to wait.

    Raises:
        UncertainError: `DER.NOREPLY`: some ranks have not done their part yet; it goes on.
        DaosError: As `ServiceHost.submit`.
    """
    soon = asyncio.timeout(TOLD_S)
    try:
        async with soon:
            return await service.submit(command, request, timeout_s=timeout_s)
    except TimeoutError:
        if not soon.expired():
            raise
    late = late_ranks(service.state, request)
    if late:
        raise UncertainError(
            f"{have_not(late)} done what it takes",
            code=DER.NOREPLY,
            hint="dmg system query tells which ranks run; look whether it was done before you ask again",
            context={"ranks": ", ".join(map(str, late))},
        )
    return await service.submit(command, request, timeout_s=timeout_s - TOLD_S)


def late_ranks(state: PoolState, request: RequestId) -> list[int]:
    """Return the ranks that the operation of a request waits for; none where it waits for nothing else."""
    operations = [name for name, whose in state.outcomes.pending.items() if whose == request]
    # An operation is named by what is done and the subject of its effects, or as that subject is.
    subjects = {subject for name in operations for subject in (name, name.rpartition(" ")[2])}
    works = [work for subject in subjects for work in state.outbox.of(subject)]
    return sorted({rank for work in works for rank in work.ranks})
