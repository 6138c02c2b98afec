"""Effects of the system service that a pool's service carries out: which command each of them is."""

from __future__ import annotations

from daos.control.pool.create import CreatePool, PrepareDestroy, ResumePool
from daos.control.pool.settings import SetLabel
from daos.control.pool.state import PoolState
from daos.control.replicated import Command
from daos.control.system import effects
from daos.errors import InternalError


def command_of(work: int, effect: effects.SystemEffect) -> Command[PoolState]:
    """Return what the leader of a pool's service proposes for an effect of the system service.

    The effect is done when the command is committed; what refuses the command is what it failed with.

    Args:
        work: The effect's number.
        effect: `StartService` (whose replica is started already), `PrepareDestroy`, `ResumePool` or `RelabelPool`.

    Raises:
        InternalError: Another effect, which is none of the pool's service.
    """
    if isinstance(effect, effects.StartService):
        return CreatePool(
            uuid=effect.subject,
            label=effect.label,
            ranks=effect.ranks,
            properties=effect.properties,
            acl=effect.acl,
            owner=effect.owner,
            group=effect.group,
        )
    if isinstance(effect, effects.PrepareDestroy):
        return PrepareDestroy(work=work, force=effect.force, recursive=effect.recursive)
    if isinstance(effect, effects.ResumePool):
        return ResumePool(work=work)
    if isinstance(effect, effects.RelabelPool):
        return SetLabel(work=work, label=effect.label)
    raise InternalError(f"a pool's service does not carry out {type(effect).__name__}")
