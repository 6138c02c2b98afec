"""The requests of the management API about the system: messages in, calls of `Management`, messages out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from daos.control.outcomes import RequestId
from daos.control.system.members import Join, ReportMember
from daos.control.system.pool_create import PoolCreate
from daos.control.system.state import Member, RankResults
from daos.errors import DER, DaosError, InvalidError
from daos.local import PoolAcl, TierSpace
from daos.mgmt.handlers import Caller
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.roles import Role
from daos.model.members import MemberState
from daos.model.targets import TargetState
from daos.server.engines import join_uri, split_uri
from daos.server.management import Management
from daos.server.node import Server

LAYOUT_VERSION = 1
"""Of a pool's storage: there was none before."""
_TARGET_WORDS = {
    TargetState.UNKNOWN: "unknown",
    TargetState.NEW: "new",
    TargetState.UP: "up",
    TargetState.UPIN: "up_in",
    TargetState.DOWN: "down",
    TargetState.DOWNOUT: "down_out",
    TargetState.DRAIN: "drain",
}
_log = logging.getLogger(__name__)


class _Changing(Protocol):
    """A request that changes something."""

    @property
    def request(self) -> pb.RequestId:
        """Its id."""
        ...


def _id(message: _Changing) -> RequestId | None:
    """Return the id of a request; None where there is none."""
    request = message.request
    return RequestId(request.client, request.stamp) if request.client else None


class ManagementApi:
    """What concerns the whole system, as `daos.mgmt.handlers.ManagementHandlers`.

    Args:
        server: This server.
        management: Its requests.
        ca_certificate: By which clients verify engines, PEM; empty without TLS.
    """

    def __init__(self, server: Server, management: Management, ca_certificate: Callable[[], bytes]) -> None:
        self._server, self._management, self._ca = server, management, ca_certificate

    async def leader_query(self, request: pb.LeaderQueryRequest, _caller: Caller) -> pb.LeaderQueryResponse:
        """Answer `LeaderQuery`."""
        leader = await self._management.leader_query(leader_only=request.leader_only)
        return pb.LeaderQueryResponse(
            current_leader=leader.current or "",
            replicas=leader.replicas,
            down_replicas=leader.down,
            leads=leader.leads,
        )

    async def system_query(self, request: pb.SystemQueryRequest, _caller: Caller) -> pb.SystemQueryResponse:
        """Answer `SystemQuery`."""
        states = [_state(number) for number in request.states]
        info = await self._management.system_query(ranks=list(request.ranks) or None, states=states or None)
        return pb.SystemQueryResponse(
            members=[_member(member, info.free[member.rank]) for member in info.members],
            version=info.version,
            providers=[self._server.settings.provider],
            self_heal=info.self_heal,
        )

    async def system_stop(self, request: pb.SystemStopRequest, _caller: Caller) -> pb.RankResults:
        """Answer `SystemStop`."""
        results = await self._management.system_stop(
            _id(request),
            ranks=list(request.ranks) or None,
            force=request.force,
            ignore_excluded=request.ignore_admin_excluded,
        )
        return await self._results(results)

    async def system_start(self, request: pb.SystemStartRequest, _caller: Caller) -> pb.RankResults:
        """Answer `SystemStart`."""
        results = await self._management.system_start(
            _id(request), ranks=list(request.ranks) or None, ignore_excluded=request.ignore_admin_excluded
        )
        return await self._results(results)

    async def system_erase(self, request: pb.SystemEraseRequest, _caller: Caller) -> pb.RankResults:
        """Answer `SystemErase`."""
        return await self._results(await self._management.system_erase(_id(request)))

    async def system_exclude(self, request: pb.SystemExcludeRequest, _caller: Caller) -> pb.RankResults:
        """Answer `SystemExclude`."""
        results = await self._management.system_exclude(_id(request), ranks=list(request.ranks), clear=request.clear)
        return await self._results(results)

    async def _results(self, results: RankResults) -> pb.RankResults:
        """Return results with what is known of their ranks now; without it, where it cannot be had any more."""
        members: dict[int, Member] = {}
        try:
            members = {member.rank: member for member in (await self._management.members())[1]}
        except DaosError as error:
            _log.info("the results are told without the states of their ranks: %s", error.message)
        told = []
        for result in results.results:
            member = members.get(result.rank)
            text = str(DER.of(result.code)) if result.code else ""
            if member is not None and result.code and member.reason:
                text = member.reason
            told.append(
                pb.RankResult(
                    rank=result.rank,
                    code=result.code,
                    message=text,
                    state=pb.MEMBER_STATE_UNSPECIFIED if member is None else _state_out(member.state),
                    address="" if member is None else member.address,
                )
            )
        return pb.RankResults(results=told)

    async def system_cleanup(self, request: pb.SystemCleanupRequest, _caller: Caller) -> pb.SystemCleanupResponse:
        """Answer `SystemCleanup`."""
        results = await self._management.system_cleanup(_id(request), machine=request.machine)
        return pb.SystemCleanupResponse(
            results=[
                pb.CleanupResult(
                    pool=result.pool,
                    label=result.label or "",
                    count=result.count,
                    code=0 if result.error is None else result.error.code.value,
                    message="" if result.error is None else result.error.message,
                )
                for result in results
            ]
        )

    async def system_set_attr(self, request: pb.SystemSetAttrRequest, _caller: Caller) -> pb.Done:
        """Answer `SystemSetAttr`."""
        await self._management.system_set_attributes(_id(request), dict(request.attributes))
        return pb.Done()

    async def system_get_attr(self, request: pb.SystemGetAttrRequest, _caller: Caller) -> pb.SystemGetAttrResponse:
        """Answer `SystemGetAttr`."""
        found = await self._management.system_get_attributes(list(request.names) or None)
        return pb.SystemGetAttrResponse(attributes=found)

    async def system_del_attr(self, request: pb.SystemDelAttrRequest, _caller: Caller) -> pb.Done:
        """Answer `SystemDelAttr`."""
        await self._management.system_delete_attributes(_id(request), list(request.names))
        return pb.Done()

    async def system_set_prop(self, request: pb.SystemSetPropRequest, _caller: Caller) -> pb.Done:
        """Answer `SystemSetProp`."""
        await self._management.system_set_properties(_id(request), dict(request.properties))
        return pb.Done()

    async def system_get_prop(self, request: pb.SystemGetPropRequest, _caller: Caller) -> pb.SystemGetPropResponse:
        """Answer `SystemGetProp`."""
        found = await self._management.system_get_properties(list(request.names) or None)
        return pb.SystemGetPropResponse(properties=found)

    async def pool_create(self, request: pb.PoolCreateRequest, _caller: Caller) -> pb.PoolCreateResponse:
        """Answer `PoolCreate`."""
        created = await self._management.pool_create(
            _id(request),
            PoolCreate(
                uuid=request.uuid,
                label=request.label or None,
                ranks=tuple(request.ranks) or None,
                count=request.count or None,
                tiers=_tiers(request.tiers),
                properties=_properties_in(request.properties.items()),
                acl=tuple(request.acl.entries) if request.HasField("acl") else None,
                owner=request.owner,
                group=request.group,
            ),
        )
        return pb.PoolCreateResponse(
            uuid=created.uuid,
            leader=created.services[0],
            services=created.services,
            ranks=created.ranks,
            tiers=created.tiers,
        )

    async def pool_destroy(self, request: pb.PoolDestroyRequest, _caller: Caller) -> pb.Done:
        """Answer `PoolDestroy`."""
        await self._management.pool_destroy(
            _id(request), pool=request.pool, force=request.force, recursive=request.recursive
        )
        return pb.Done()

    async def pool_list(self, _request: pb.PoolListRequest, _caller: Caller) -> pb.PoolListResponse:
        """Answer `PoolList`."""
        pools = await self._management.pool_list()
        return pb.PoolListResponse(
            pools=[
                pb.PoolEntry(
                    uuid=pool.uuid,
                    label=pool.label or "",
                    state=pool.state.value,
                    services=pool.services,
                    ranks=pool.ranks,
                    tiers=pool.tiers,
                )
                for pool in pools
            ]
        )

    async def pool_query(self, request: pb.PoolQueryRequest, _caller: Caller) -> pb.PoolInfo:
        """Answer `PoolQuery`."""
        pool, info = await self._management.pool_query(request.pool, space=not request.health_only)
        state = "TargetsExcluded" if info.disabled and pool.state == "Ready" else pool.state.value
        return pb.PoolInfo(
            uuid=pool.uuid,
            label=pool.label or "",
            state=state,
            total_targets=info.targets,
            active_targets=info.active,
            total_engines=len(pool.ranks),
            disabled_targets=info.disabled,
            version=info.version,
            leader=info.leader,
            services=info.services,
            rebuild=pb.RebuildStatus(code=0, state="idle", degraded=info.degraded),
            tiers=[_tier(tier) for tier in info.tiers],
            enabled_ranks=info.enabled_ranks,
            disabled_ranks=info.disabled_ranks,
            dead_ranks=info.dead_ranks,
            layout_version=LAYOUT_VERSION,
            layout_version_latest=LAYOUT_VERSION,
            self_heal=info.self_heal,
        )

    async def pool_query_targets(
        self, request: pb.PoolQueryTargetsRequest, _caller: Caller
    ) -> pb.PoolQueryTargetsResponse:
        """Answer `PoolQueryTargets`."""
        targets = await self._management.pool_query_targets(
            request.pool, rank=request.rank, targets=list(request.targets)
        )
        return pb.PoolQueryTargetsResponse(
            targets=[
                pb.TargetInfo(
                    index=target.index,
                    state=_TARGET_WORDS[target.state],
                    tiers=[_tier(tier) for tier in target.tiers],
                )
                for target in targets
            ]
        )

    async def pool_evict(self, request: pb.PoolEvictRequest, caller: Caller) -> pb.PoolEvictResponse:
        """Answer `PoolEvict`."""
        if caller.role is not Role.ADMIN and not request.handles and not request.machine:
            raise InvalidError("all handles of a pool are closed by an administrator only", hint="name the handles")
        count = await self._management.pool_evict(
            _id(request),
            pool=request.pool,
            handles=list(request.handles) or None,
            machine=request.machine or None,
        )
        return pb.PoolEvictResponse(count=count)

    async def pool_set_prop(self, request: pb.PoolSetPropRequest, _caller: Caller) -> pb.Done:
        """Answer `PoolSetProp`."""
        properties = _properties_in(request.properties.items())
        await self._management.pool_set_properties(_id(request), pool=request.pool, properties=properties)
        return pb.Done()

    async def pool_get_prop(self, request: pb.PoolGetPropRequest, _caller: Caller) -> pb.PoolGetPropResponse:
        """Answer `PoolGetProp`."""
        found = await self._management.pool_get_properties(request.pool, list(request.names))
        return pb.PoolGetPropResponse(properties={name: _property_out(value) for name, value in found.items()})

    async def pool_get_acl(self, request: pb.PoolGetAclRequest, _caller: Caller) -> pb.AccessList:
        """Answer `PoolGetAcl`."""
        return _acl(await self._management.pool_get_acl(request.pool))

    async def pool_overwrite_acl(self, request: pb.PoolOverwriteAclRequest, _caller: Caller) -> pb.AccessList:
        """Answer `PoolOverwriteAcl`."""
        entries = list(request.entries)
        return _acl(await self._management.pool_overwrite_acl(_id(request), pool=request.pool, entries=entries))

    async def pool_update_acl(self, request: pb.PoolUpdateAclRequest, _caller: Caller) -> pb.AccessList:
        """Answer `PoolUpdateAcl`."""
        entries = list(request.entries)
        return _acl(await self._management.pool_update_acl(_id(request), pool=request.pool, entries=entries))

    async def pool_delete_acl(self, request: pb.PoolDeleteAclRequest, _caller: Caller) -> pb.AccessList:
        """Answer `PoolDeleteAcl`."""
        principal = request.principal
        return _acl(await self._management.pool_delete_acl(_id(request), pool=request.pool, principal=principal))

    async def container_set_owner(self, request: pb.ContainerSetOwnerRequest, _caller: Caller) -> pb.Done:
        """Answer `ContainerSetOwner`."""
        await self._management.container_set_owner(
            _id(request),
            pool=request.pool,
            container=request.container,
            owner=request.owner or None,
            group=request.group or None,
        )
        return pb.Done()

    async def get_attach_info(self, _request: pb.GetAttachInfoRequest, _caller: Caller) -> pb.AttachInfo:
        """Answer `GetAttachInfo`."""
        settings = self._server.settings
        version, members = await self._management.members()
        joined = [member for member in members if member.joined]
        ranks = []
        for member in joined:
            control, targets = split_uri(member.uri)
            ranks.append(
                pb.AttachRank(rank=member.rank, uri=control, target_addresses=targets, incarnation=member.incarnation)
            )
        return pb.AttachInfo(
            system=settings.system,
            ranks=ranks,
            management_ranks=[member.rank for member in joined if member.address in settings.replicas],
            provider=settings.provider,
            insecure=settings.insecure,
            ca_certificate=self._ca(),
            version=version,
        )

    async def pool_find(self, request: pb.PoolFindRequest, _caller: Caller) -> pb.PoolFindResponse:
        """Answer `PoolFind`."""
        pool = await self._management.pool_find(request.pool)
        return pb.PoolFindResponse(uuid=pool.uuid, label=pool.label or "", services=pool.services)

    async def join(self, request: pb.JoinRequest, _caller: Caller) -> pb.JoinResponse:
        """Answer `Join`."""
        joined = await self._management.join(
            _id(request),
            Join(
                uuid=request.uuid,
                rank=request.rank if request.HasField("rank") else None,
                address=request.address,
                uri=join_uri(request.uri, request.target_addresses),
                domain=tuple(request.domain),
                incarnation=request.incarnation,
                targets=request.targets,
                capacity=_tiers(request.capacity),
                replace=request.replace,
            ),
        )
        return pb.JoinResponse(
            rank=joined.rank,
            state=_state_out(joined.state),
            version=joined.version,
            system=self._server.settings.system,
        )

    async def report_member(self, request: pb.ReportMemberRequest, _caller: Caller) -> pb.Done:
        """Answer `ReportMember`."""
        await self._management.report_member(
            _id(request),
            ReportMember(
                rank=request.rank,
                incarnation=request.incarnation,
                state=_state(request.state),
                reason=request.reason[:256],
            ),
        )
        return pb.Done()


def _tiers(tiers: Sequence[int]) -> tuple[int, int]:
    if len(tiers) > 2 or not tiers:  # noqa: PLR2004 -- memory and others
        raise InvalidError(f"{len(tiers)} tiers, there are one or two")
    return tiers[0], tiers[1] if len(tiers) > 1 else 0


def _properties_in(properties: Iterable[tuple[str, pb.PropertyValue]]) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for name, value in properties:
        which = value.WhichOneof("value")
        if which == "number":
            found[name] = value.number
        elif which == "text":
            found[name] = value.text
        else:
            raise InvalidError(f'property "{name}" is a word or a number', hint="lists of numbers are not set")
    return found


def _property_out(value: str | int) -> pb.PropertyValue:
    return pb.PropertyValue(text=value) if isinstance(value, str) else pb.PropertyValue(number=value)


def _state(number: int) -> MemberState:
    try:
        return MemberState(number)
    except ValueError:
        raise InvalidError(f"there is no state {number} of a rank") from None


def _state_out(state: MemberState) -> pb.MemberState.ValueType:
    return pb.MemberState.ValueType(state.value)


def _member(member: Member, free: tuple[int, ...]) -> pb.Member:
    return pb.Member(
        rank=member.rank,
        uuid=member.uuid,
        address=member.address,
        state=_state_out(member.state),
        domain=member.domain,
        incarnation=member.incarnation,
        uri=split_uri(member.uri)[0],
        targets=member.targets,
        capacity=member.capacity,
        free=[max(each, 0) for each in free],
        reason=member.reason,
        changed=member.changed,
    )


def _acl(acl: PoolAcl) -> pb.AccessList:
    return pb.AccessList(entries=acl.entries, owner=acl.owner, group=acl.group)


def _tier(tier: TierSpace) -> pb.TierSpace:
    return pb.TierSpace(media=tier.media, total=tier.total, free=tier.free, min=tier.min, max=tier.max, mean=tier.mean)
