"""Commands that come from the system service: create the pool, prepare to destroy it, resume."""

from __future__ import annotations

from daos.control.outbox import Rank
from daos.control.pool import effects
from daos.control.pool.map import MapRank, PoolMap, Target
from daos.control.pool.state import PoolState
from daos.control.replicated import Command
from daos.control.system.effects import CONTAINERS_HINT, PoolRank
from daos.errors import BusyError, ExistsError


class CreatePool(Command[PoolState], frozen=True, kw_only=True, tag="create_pool"):
    """The first leader of a new service creates the pool. Again it changes nothing.

    Attributes:
        uuid: The pool's.
        label: Its label.
        ranks: Its ranks.
        properties: All of its properties.
        acl: Its access list, an entry a line.
        owner: Its owner, `user@`.
        group: Its owner's group, `group@`.
    """

    uuid: str
    label: str | None
    ranks: tuple[PoolRank, ...]
    properties: dict[str, str | int]
    acl: tuple[str, ...]
    owner: str
    group: str

    def run(self, state: PoolState) -> None:
        """Make the first version of its map."""
        if state.uuid not in ("", self.uuid):
            raise ExistsError(f"this is the service of pool {state.uuid}, not {self.uuid}")
        if state.uuid:
            return
        state.uuid, state.label = self.uuid, self.label
        ranks: dict[Rank, MapRank] = {
            each.rank: MapRank(rank=each.rank, domain=each.domain, targets=[Target() for _ in range(each.targets)])
            for each in self.ranks
        }
        state.map = PoolMap(version=1, ranks=ranks)
        state.properties, state.acl = dict(self.properties), self.acl
        state.owner, state.group = self.owner, self.group
        state.tell_map()
        scrub = effects.InstallScrub.of(state.properties)
        if scrub.mode:
            state.outbox.put(scrub, state.map.in_use())


class PrepareDestroy(Command[PoolState], frozen=True, kw_only=True, tag="prepare_destroy"):
    """The system service is about to destroy the pool.

    Attributes:
        work: The number of its effect; an earlier one than the newest that was seen comes late.
        force: Whether open handles may be revoked.
        recursive: Whether containers may go with it.
    """

    work: int
    force: bool
    recursive: bool

    def run(self, state: PoolState) -> None:
        """Refuse handles and containers from now on, or refuse to.

        The codes of the refusals are what the system service is told: `DER.EXIST` and `DER.BUSY`.
        """
        if self.work < state.asked:
            return
        if state.containers and not self.recursive:
            raise ExistsError("cannot destroy a pool with existing containers", hint=CONTAINERS_HINT)
        if state.handles and not self.force:
            raise BusyError(
                f"{len(state.handles)} handles of the pool are open", hint="with --force, or after evicting them"
            )
        state.asked, state.frozen = self.work, True
        if state.handles:
            state.revoke(state.handles, ())


class ResumePool(Command[PoolState], frozen=True, kw_only=True, tag="resume_pool"):
    """The system service does not destroy the pool after all.

    Attributes:
        work: The number of its effect.
    """

    work: int

    def run(self, state: PoolState) -> None:
        """Admit handles and containers again."""
        if self.work >= state.asked:
            state.asked, state.frozen = self.work, False
