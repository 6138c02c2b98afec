"""The requests of the management API as gRPC brings them: messages in, calls of the server, messages out."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from daos.control.outcomes import RequestId
from daos.control.system.members import Join, ReportMember
from daos.control.system.pool_create import PoolCreate
from daos.control.system.state import Member, RankResults
from daos.errors import DER, DaosError, InternalError, InvalidError
from daos.local import EnginePool, LogMasks, PoolAcl, Space, TierSpace
from daos.mgmt.handlers import Caller
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.roles import Role
from daos.model.members import MemberState
from daos.model.targets import TargetState
from daos.server import host, logs, storage
from daos.server.engines import Engine, join_uri, split_uri
from daos.server.management import Management
from daos.server.node import Server

LAYOUT_VERSION = 1
"""Of a pool's storage: there was none before."""
ENGINE_S_MAX = 10.0
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
T = TypeVar("T")


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

    async def leader_query(self, _request: pb.LeaderQueryRequest, _caller: Caller) -> pb.LeaderQueryResponse:
        """Answer `LeaderQuery`."""
        leader = await self._management.leader_query()
        return pb.LeaderQueryResponse(
            current_leader=leader.current or "", replicas=leader.replicas, down_replicas=leader.down
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


class ServerApi:
    """What concerns this host, as `daos.mgmt.handlers.ServerHandlers`.

    Args:
        server: This server.
        version: Of the software.
    """

    def __init__(self, server: Server, version: str) -> None:
        self._server, self._version = server, version

    async def storage_scan(self, _request: pb.StorageScanRequest, _caller: Caller) -> pb.StorageScanResponse:
        """Answer `StorageScan`."""
        found = await asyncio.to_thread(storage.scan, self._server.settings.engines)
        return pb.StorageScanResponse(devices=[_device(device) for device in found])

    async def storage_format(self, request: pb.StorageFormatRequest, _caller: Caller) -> pb.StorageFormatResponse:
        """Answer `StorageFormat`."""
        results = await self._server.format(force=request.force, replace=request.replace)
        return pb.StorageFormatResponse(
            results=[
                pb.FormatResult(
                    engine=result.engine,
                    media=result.media,
                    address=result.address,
                    code=0 if result.error is None else result.error.code.value,
                    message="" if result.error is None else result.error.message,
                )
                for result in results
            ]
        )

    async def storage_query_usage(
        self, _request: pb.StorageQueryUsageRequest, _caller: Caller
    ) -> pb.StorageQueryUsageResponse:
        """Answer `StorageQueryUsage`."""
        spaces = await self._each(lambda engine: self._ask(engine, "space", None, Space))
        ranks = []
        for engine, space in spaces:
            tiers = [
                pb.TierUsage(media=media, total=sum(total), free=sum(free), usable=sum(free))
                for media, total, free in zip(("scm", "nvme"), space.total, space.free, strict=False)
            ]
            ranks.append(pb.RankUsage(rank=engine.rank or 0, tiers=tiers))
        return pb.StorageQueryUsageResponse(ranks=ranks)

    async def storage_query_devices(
        self, request: pb.StorageQueryDevicesRequest, _caller: Caller
    ) -> pb.StorageQueryDevicesResponse:
        """Answer `StorageQueryDevices`."""
        found = await asyncio.to_thread(storage.scan, self._server.settings.engines)
        devices = []
        for engine in self._server.engines:
            block = engine.block
            if block is None or (request.HasField("rank") and request.rank != engine.rank) or request.evicted:
                continue
            own = [device for device in found if device.engine == engine.settings.index and device.media == "nvme"]
            for device in own:
                # A device has no uuid of its own: this one is the same as long as the storage is.
                name = str(uuid.uuid5(uuid.UUID(block.uuid), device.address))
                if request.uuid not in ("", name):
                    continue
                roles = next((tier.roles for tier in engine.settings.tiers if device.address in tier.devices), ())
                devices.append(
                    pb.EngineDevice(
                        uuid=name,
                        address=device.address,
                        targets=range(engine.settings.targets),
                        rank=engine.rank or 0,
                        state="NORMAL" if device.size else "UNPLUGGED",
                        led="NA",
                        roles=roles or ("data",),
                        size=device.size,
                        free=device.free,
                    )
                )
        return pb.StorageQueryDevicesResponse(devices=devices)

    async def storage_query_pools(
        self, request: pb.StorageQueryPoolsRequest, _caller: Caller
    ) -> pb.StorageQueryPoolsResponse:
        """Answer `StorageQueryPools`."""
        wanted = request.rank if request.HasField("rank") else None
        found = await self._each(lambda engine: self._ask(engine, "pools", None, list[EnginePool]), rank=wanted)
        return pb.StorageQueryPoolsResponse(
            ranks=[
                pb.RankPools(
                    rank=engine.rank or 0,
                    pools=[
                        pb.DevicePool(uuid=pool.uuid, targets=pool.targets, tiers=pool.tiers)
                        for pool in pools
                        if request.uuid in ("", pool.uuid)
                    ],
                )
                for engine, pools in found
            ]
        )

    async def network_scan(self, request: pb.NetworkScanRequest, _caller: Caller) -> pb.NetworkScanResponse:
        """Answer `NetworkScan`."""
        interfaces = [_interface(one) for one in host.interfaces() if host.serves(one, request.provider)]
        nodes = host.numa_nodes()
        return pb.NetworkScanResponse(
            interfaces=interfaces, numa_nodes=len(nodes), cores_per_numa_node=nodes[0].cores if nodes else 0
        )

    async def generate_config_facts(
        self, _request: pb.GenerateConfigFactsRequest, _caller: Caller
    ) -> pb.GenerateConfigFactsResponse:
        """Answer `GenerateConfigFacts`."""
        devices = await asyncio.to_thread(storage.scan, self._server.settings.engines)
        nodes = host.numa_nodes()
        return pb.GenerateConfigFactsResponse(
            hostname=socket.gethostname(),
            numa_nodes=[pb.NumaNode(index=node.index, cores=node.cores, memory=node.memory) for node in nodes],
            interfaces=[_interface(one) for one in host.interfaces()],
            devices=[_device(device) for device in devices],
            memory=sum(node.memory for node in nodes),
        )

    async def set_log_masks(self, request: pb.SetLogMasksRequest, _caller: Caller) -> pb.SetLogMasksResponse:
        """Answer `SetLogMasks`."""
        body = LogMasks(masks=request.masks, streams=request.streams, subsystems=request.subsystems)
        results = []
        for engine in self._server.engines:
            code, message = 0, ""
            try:
                await self._ask(engine, "log_masks", body, type(None))
            except DaosError as error:
                code, message = error.code.value, error.message
            results.append(pb.EngineResult(engine=engine.settings.index, code=code, message=message))
        return pb.SetLogMasksResponse(results=results)

    async def collect_log(self, request: pb.CollectLogRequest, _caller: Caller) -> AsyncIterator[pb.CollectLogPiece]:
        """Answer `CollectLog`."""
        settings = self._server.settings
        files = logs.files(
            settings,
            kinds=frozenset(request.log_types),
            extra=Path(request.extra_logs_dir) if request.extra_logs_dir else None,
        )
        start = request.start if request.HasField("start") else None
        end = request.end if request.HasField("end") else None
        for name, path in files:
            try:
                async for data in logs.pieces(path, start=start, end=end):
                    yield pb.CollectLogPiece(name=name, data=data)
            except OSError as error:
                yield pb.CollectLogPiece(name=name, error=error.strerror or "it cannot be read")
                if request.stop_on_error:
                    return

    async def version(self, _request: pb.VersionRequest, _caller: Caller) -> pb.VersionResponse:
        """Answer `Version`."""
        return pb.VersionResponse(name="daos_server", version=self._version)

    async def engine_call(self, request: pb.EngineCallRequest, _caller: Caller) -> pb.EngineCallResponse:
        """Answer `EngineCall`."""
        answer = await self._server.engine_call(request.rank, request.method, request.body)
        return pb.EngineCallResponse(body=answer)

    async def server_call(self, request: pb.ServerCallRequest, _caller: Caller) -> pb.ServerCallResponse:
        """Answer `ServerCall`."""
        return pb.ServerCallResponse(body=await self._server.server_call(request.method, request.body))

    async def _each(self, ask: Callable[[Engine], Awaitable[T]], *, rank: int | None = None) -> list[tuple[Engine, T]]:
        """Ask the engines of the host that serve, one of them or all."""
        chosen = [
            engine
            for engine in self._server.engines
            if engine.channel is not None and (rank is None or engine.rank == rank)
        ]
        return [(engine, await ask(engine)) for engine in chosen]

    @staticmethod
    async def _ask(engine: Engine, method: str, body: msgspec.Struct | None, answer: type[T]) -> T:
        raw = await engine.call(method, msgspec.msgpack.encode(body), timeout_s=ENGINE_S_MAX)
        try:
            return msgspec.msgpack.decode(raw, type=answer)
        except msgspec.DecodeError as error:
            raise InternalError(f"engine {engine.settings.index}: {method}: {error}") from None


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


def _device(device: storage.Device) -> pb.StorageDevice:
    return pb.StorageDevice(
        media=device.media,
        storage_class=device.storage_class,
        address=device.address,
        model=device.model,
        serial=device.serial,
        size=device.size,
        numa_node=device.numa_node,
        engine=device.engine,
        formatted=device.formatted,
        mount=device.address if device.media == "scm" and os.path.ismount(device.address) else "",
    )


def _interface(one: host.Interface) -> pb.NetworkInterface:
    return pb.NetworkInterface(
        name=one.name,
        provider=host.PROVIDER,
        numa_node=one.numa_node,
        net_class=one.net_class,
        speed=one.speed,
        addresses=one.addresses,
    )
