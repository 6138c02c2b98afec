"""Request: make a pool."""

from __future__ import annotations

from daos.control.outbox import Rank
from daos.control.outcomes import Pending
from daos.control.replicated import Command
from daos.control.system.effects import CreateShards, PoolRank, StartService
from daos.control.system.selection import select_ranks, select_services
from daos.control.system.state import OPERATION_TICKS_MAX, Pool, PoolCreated, PoolState, SystemState, created
from daos.errors import BusyError, ExistsError, InvalidError
from daos.model.acl import DEFAULT_POOL_ACL, Acl, check_principal
from daos.model.labels import check_label, is_uuid
from daos.model.pool_properties import pool_properties


class PoolCreate(Command[SystemState], frozen=True, kw_only=True, tag="pool_create"):
    """Make a pool on some ranks, and its service on some of them.

    Attributes:
        uuid: The pool's, drawn by the client.
        label: Its label, unique in the system.
        ranks: On which; else
        count: on how many, of several fault domains; else on all that are joined.
        tiers: Bytes of tier 0 and tier 1 on each rank.
        properties: Of the pool; what is not given has its default.
        acl: Its access list, an entry a line; None for the default.
        owner: Its owner, `user@`.
        group: Its owner's group, `group@`.
    """

    uuid: str
    label: str | None = None
    ranks: tuple[Rank, ...] | None = None
    count: int | None = None
    tiers: tuple[int, int]
    properties: dict[str, str | int] = {}
    acl: tuple[str, ...] | None = None
    owner: str
    group: str

    def run(self, state: SystemState) -> Pending | PoolCreated:
        """Choose its ranks and have its shards made."""
        if not is_uuid(self.uuid) or self.uuid != self.uuid.lower():
            raise InvalidError(f'"{self.uuid}" is no uuid of a pool', hint="a uuid in lower case")
        earlier = state.pools.get(self.uuid)
        if earlier is not None:
            return self._again(earlier)
        if any(work.effect.subject == self.uuid for work in state.outbox.works.values()):
            raise BusyError(f"ranks still have to delete a pool {self.uuid}", hint="draw another uuid")
        if self.label is not None and check_label(self.label, "pool") in state.labels:
            raise ExistsError(f'pool label "{self.label}" already exists in the system', hint="choose another")
        state.outbox.check_room()
        members = select_ranks(state, ranks=self.ranks, count=self.count, tiers=self.tiers)
        properties = pool_properties(self.properties, domains=len({member.domain for member in members}))
        services = select_services(members, int(properties["svc_rf"]))
        acl = DEFAULT_POOL_ACL if self.acl is None else Acl.parse(self.acl)
        owner, group = check_principal(self.owner), check_principal(self.group)
        start = StartService(
            subject=self.uuid,
            label=self.label,
            services=tuple(services),
            ranks=tuple(PoolRank(rank=member.rank, domain=member.domain, targets=member.targets) for member in members),
            properties=properties,
            acl=acl.lines(),
            owner=owner,
            group=group,
        )
        ranks = [member.rank for member in members]
        state.pools[self.uuid] = Pool(
            uuid=self.uuid,
            label=self.label,
            state=PoolState.CREATING,
            ranks=ranks,
            services=services,
            tiers=self.tiers,
            deadline=state.time + OPERATION_TICKS_MAX,
            start=start,
        )
        if self.label is not None:
            state.labels[self.label] = self.uuid
        state.outbox.put(CreateShards(subject=self.uuid, tiers=self.tiers), ranks)
        return Pending(f"pool {self.uuid}")

    def _again(self, earlier: Pool) -> PoolCreated:
        """Another request for the same pool: its client has forgotten that it asked before."""
        if earlier.state is not PoolState.READY:
            raise BusyError(f"the pool {self.uuid} is {earlier.state.lower()}")
        if earlier.label != self.label:
            raise ExistsError(f"the pool {self.uuid} exists, with another label")
        return created(earlier)
