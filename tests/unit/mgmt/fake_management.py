"""A system in memory, behind the handlers of the management API."""

# ruff: noqa: ARG002 -- the form of a handler is given

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from daos.errors import DER, BusyError, ExistsError, InvalidError, NotFoundError, StaleError, UnavailableError
from daos.mgmt.handlers import Caller
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.model.acl import DEFAULT_POOL_ACL, Acl, Principal
from daos.model.labels import check_label
from daos.model.pool_properties import pool_properties, pool_property_changes

GIB = 1 << 30
CHANGED = 2_963_000_000_000_000_000
HOSTS = ("node1:10001", "node2:10001", "node3:10001")


@dataclass
class FakePool:
    """A pool of the fake."""

    uuid: str
    label: str
    ranks: list[int]
    tiers: list[int]
    properties: dict[str, str | int]
    acl: Acl
    owner: str
    group: str
    state: str = "Ready"
    services: list[int] = field(default_factory=lambda: [0])
    handles: int = 0
    containers: dict[str, tuple[str, str]] = field(default_factory=dict)
    dead: list[int] = field(default_factory=list)
    disabled: list[int] = field(default_factory=list)


def value(prop: str | int) -> pb.PropertyValue:
    return pb.PropertyValue(text=prop) if isinstance(prop, str) else pb.PropertyValue(number=prop)


def plain(prop: pb.PropertyValue) -> str | int:
    return prop.text if prop.WhichOneof("value") == "text" else prop.number


class FakeManagement:
    """Three ranks on three hosts, without pools."""

    def __init__(self, *, nvme: bool = True) -> None:
        self.members = {
            rank: pb.Member(
                rank=rank,
                uuid=f"0000000{rank}-1111-4222-8333-444444444444",
                address=HOSTS[rank],
                state=pb.MEMBER_STATE_JOINED,
                domain=[HOSTS[rank].partition(":")[0]],
                incarnation=1000 + rank,
                uri=f"tcp://10.0.0.{rank + 1}:20000",
                targets=4,
                capacity=[100 * GIB, (1000 * GIB) if nvme else 0],
                free=[100 * GIB, (1000 * GIB) if nvme else 0],
                changed=CHANGED,
            )
            for rank in range(3)
        }
        self.pools: dict[str, FakePool] = {}
        self.attributes: dict[str, str] = {}
        self.properties = {"self_heal": "exclude;pool_exclude;pool_rebuild", "pool_scrub_mode": "off"}
        self.properties |= {"pool_scrub_thresh": "0", "daos_system": "daos_server", "daos_version": "0.3.0"}
        self.address = ""
        self.calls: list[tuple[str, Caller]] = []
        self.seen: list[str] = []
        self.not_leading: str | None = None
        self.before: Callable[[], Awaitable[None]] | None = None
        self.reports: list[pb.ReportMemberRequest] = []
        self.before_query: Callable[[FakePool], object] = lambda _: None

    async def _enter(self, name: str, caller: Caller, request: pb.RequestId | None = None) -> None:
        self.calls.append((name, caller))
        if request is not None:
            assert request.client
            assert request.stamp
            self.seen.append(f"{request.client}/{request.stamp}")
        if self.before is not None:
            await self.before()
        if self.not_leading is not None:
            raise StaleError("this server does not lead", code=DER.NOTLEADER, context={"leader": self.not_leading})

    def pool(self, reference: str) -> FakePool:
        for pool in self.pools.values():
            if reference in (pool.uuid, pool.label):
                return pool
        raise NotFoundError(f'unable to find pool service with label "{reference}"', hint="list the pools")

    def _ranks(self, ranks: Iterable[int]) -> list[pb.Member]:
        chosen = list(ranks) or list(self.members)
        for rank in chosen:
            if rank not in self.members:
                raise NotFoundError(f"no rank {rank} in the system", hint="dmg system query lists the ranks")
        return [self.members[rank] for rank in chosen]

    def _moved(self, ranks: Iterable[int], state: pb.MemberState.ValueType) -> pb.RankResults:
        results = pb.RankResults()
        for member in self._ranks(ranks):
            member.state = state
            results.results.add(rank=member.rank, state=state, address=member.address)
        return results

    async def leader_query(self, request: pb.LeaderQueryRequest, caller: Caller) -> pb.LeaderQueryResponse:
        self.calls.append(("leader_query", caller))
        leader = self.address if self.not_leading is None else self.not_leading
        down = [] if request.leader_only else HOSTS[2:]
        return pb.LeaderQueryResponse(
            current_leader=leader, replicas=HOSTS, down_replicas=down, leads=self.not_leading is None
        )

    async def system_query(self, request: pb.SystemQueryRequest, caller: Caller) -> pb.SystemQueryResponse:
        await self._enter("system_query", caller)
        members = [one for one in self._ranks(request.ranks) if not request.states or one.state in request.states]
        return pb.SystemQueryResponse(
            members=members, version=7, providers=["tcp"], self_heal=self.properties["self_heal"]
        )

    async def system_stop(self, request: pb.SystemStopRequest, caller: Caller) -> pb.RankResults:
        await self._enter("system_stop", caller, request.request)
        return self._moved(request.ranks, pb.MEMBER_STATE_STOPPED)

    async def system_start(self, request: pb.SystemStartRequest, caller: Caller) -> pb.RankResults:
        await self._enter("system_start", caller, request.request)
        results = self._moved(request.ranks, pb.MEMBER_STATE_JOINED)
        if 2 in request.ranks:
            results.results[-1].code = DER.TIMEDOUT
            results.results[-1].message = "the engine did not start in time"
            results.results[-1].state = pb.MEMBER_STATE_ERRORED
        return results

    async def system_erase(self, request: pb.SystemEraseRequest, caller: Caller) -> pb.RankResults:
        await self._enter("system_erase", caller, request.request)
        if any(member.state == pb.MEMBER_STATE_JOINED for member in self.members.values()):
            raise BusyError("3 ranks are not stopped, the first is 0", hint="dmg system stop, then erase")
        return self._moved((), pb.MEMBER_STATE_AWAIT_FORMAT)

    async def system_exclude(self, request: pb.SystemExcludeRequest, caller: Caller) -> pb.RankResults:
        await self._enter("system_exclude", caller, request.request)
        to = pb.MEMBER_STATE_EXCLUDED if request.clear else pb.MEMBER_STATE_ADMIN_EXCLUDED
        return self._moved(request.ranks, to)

    async def system_cleanup(self, request: pb.SystemCleanupRequest, caller: Caller) -> pb.SystemCleanupResponse:
        await self._enter("system_cleanup", caller, request.request)
        told = pb.SystemCleanupResponse()
        for pool in self.pools.values():
            told.results.add(pool=pool.uuid, label=pool.label, count=pool.handles)
            pool.handles = 0
        return told

    async def system_set_attr(self, request: pb.SystemSetAttrRequest, caller: Caller) -> pb.Done:
        await self._enter("system_set_attr", caller, request.request)
        self.attributes.update(request.attributes)
        return pb.Done()

    async def system_get_attr(self, request: pb.SystemGetAttrRequest, caller: Caller) -> pb.SystemGetAttrResponse:
        await self._enter("system_get_attr", caller)
        for name in request.names:
            if name not in self.attributes:
                raise NotFoundError(f'unable to find system attribute with key "{name}"')
        names = request.names or sorted(self.attributes)
        return pb.SystemGetAttrResponse(attributes={name: self.attributes[name] for name in names})

    async def system_del_attr(self, request: pb.SystemDelAttrRequest, caller: Caller) -> pb.Done:
        await self._enter("system_del_attr", caller, request.request)
        for name in request.names:
            del self.attributes[name]
        return pb.Done()

    async def system_set_prop(self, request: pb.SystemSetPropRequest, caller: Caller) -> pb.Done:
        await self._enter("system_set_prop", caller, request.request)
        for name in request.properties:
            if name not in self.properties:
                raise InvalidError(f"invalid system property key: {name}", hint="settable are: self_heal")
        self.properties.update(request.properties)
        return pb.Done()

    async def system_get_prop(self, request: pb.SystemGetPropRequest, caller: Caller) -> pb.SystemGetPropResponse:
        await self._enter("system_get_prop", caller)
        for name in request.names:
            if name not in self.properties:
                raise InvalidError(f"invalid system property key: {name}")
        names = request.names or sorted(self.properties)
        return pb.SystemGetPropResponse(properties={name: self.properties[name] for name in names})

    async def pool_create(self, request: pb.PoolCreateRequest, caller: Caller) -> pb.PoolCreateResponse:
        await self._enter("pool_create", caller, request.request)
        check_label(request.label, "pool")
        if any(pool.label == request.label for pool in self.pools.values()):
            raise ExistsError(f'pool label "{request.label}" already exists in the system', hint="choose another")
        joined = [rank for rank, member in self.members.items() if member.state == pb.MEMBER_STATE_JOINED]
        ranks = list(request.ranks) or joined[: request.count or None]
        absent = [rank for rank in ranks if rank not in self.members]
        if absent:
            raise InvalidError(f"pool request contains invalid rank: {absent[0]}")
        given = {name: plain(prop) for name, prop in request.properties.items()}
        acl = Acl.parse(request.acl.entries) if request.HasField("acl") else DEFAULT_POOL_ACL
        self.pools[request.uuid] = FakePool(
            uuid=request.uuid,
            label=request.label,
            ranks=ranks,
            tiers=list(request.tiers),
            properties=pool_properties(given, domains=len(ranks)),
            acl=acl,
            owner=request.owner,
            group=request.group,
        )
        return pb.PoolCreateResponse(uuid=request.uuid, leader=0, services=[0], ranks=ranks, tiers=request.tiers)

    async def pool_destroy(self, request: pb.PoolDestroyRequest, caller: Caller) -> pb.Done:
        await self._enter("pool_destroy", caller, request.request)
        pool = self.pool(request.pool)
        if pool.containers and not request.recursive:
            raise ExistsError(
                "cannot destroy a pool with existing containers",
                hint="with --recursive they go too, also those that not everybody sees in a list",
            )
        if pool.handles and not request.force:
            raise BusyError("the pool's service refuses", hint="open handles go with --force, or by evicting them")
        del self.pools[pool.uuid]
        return pb.Done()

    async def pool_list(self, request: pb.PoolListRequest, caller: Caller) -> pb.PoolListResponse:
        await self._enter("pool_list", caller)
        told = pb.PoolListResponse()
        for pool in sorted(self.pools.values(), key=lambda pool: pool.label):
            told.pools.add(
                uuid=pool.uuid,
                label=pool.label,
                state=pool.state,
                services=pool.services,
                ranks=pool.ranks,
                tiers=pool.tiers,
            )
        return told

    async def pool_query(self, request: pb.PoolQueryRequest, caller: Caller) -> pb.PoolInfo:
        await self._enter("pool_query", caller)
        pool = self.pool(request.pool)
        self.before_query(pool)
        if pool.state != "Ready":
            raise BusyError(f"the pool {pool.label} is {pool.state.lower()}", hint="try again when it is")
        if pool.label == "mute":
            raise UnavailableError(f"unable to find any available service ranks for pool {pool.uuid}")
        count = len(pool.ranks)
        told = pb.PoolInfo(
            uuid=pool.uuid,
            label=pool.label,
            state="Ready",
            total_targets=4 * count,
            active_targets=4 * (count - len(pool.disabled)),
            total_engines=count,
            disabled_targets=4 * len(pool.disabled),
            version=1 + len(pool.disabled),
            leader=0,
            services=pool.services,
            rebuild=pb.RebuildStatus(state="idle", degraded=bool(pool.disabled)),
            enabled_ranks=[rank for rank in pool.ranks if rank not in pool.disabled],
            disabled_ranks=pool.disabled,
            dead_ranks=pool.dead,
            layout_version=4,
            layout_version_latest=4,
            self_heal=str(pool.properties["self_heal"]),
        )
        for media, each in zip(("scm", "nvme"), () if request.health_only else pool.tiers, strict=False):
            total = each * count
            least, most = each // 4 * 9 // 10, each // 4 * 95 // 100
            told.tiers.add(
                media=media, total=total, free=total // 100 * 95, min=least, max=most, mean=(least + most) // 2
            )
        return told

    async def pool_query_targets(
        self, request: pb.PoolQueryTargetsRequest, caller: Caller
    ) -> pb.PoolQueryTargetsResponse:
        await self._enter("pool_query_targets", caller)
        pool = self.pool(request.pool)
        if request.rank not in pool.ranks:
            raise NotFoundError(f"rank {request.rank} is not in the pool", hint="dmg pool query lists its ranks")
        told = pb.PoolQueryTargetsResponse()
        for index in request.targets or range(4):
            target = told.targets.add(index=index, state="up_in")
            for media, each in zip(("scm", "nvme"), pool.tiers, strict=True):
                target.tiers.add(
                    media=media, total=each // 4, free=each // 5, min=each // 5, max=each // 5, mean=each // 5
                )
        return told

    async def pool_evict(self, request: pb.PoolEvictRequest, caller: Caller) -> pb.PoolEvictResponse:
        await self._enter("pool_evict", caller, request.request)
        pool = self.pool(request.pool)
        count, pool.handles = pool.handles, 0
        return pb.PoolEvictResponse(count=count)

    async def pool_set_prop(self, request: pb.PoolSetPropRequest, caller: Caller) -> pb.Done:
        await self._enter("pool_set_prop", caller, request.request)
        pool = self.pool(request.pool)
        given = {name: plain(prop) for name, prop in request.properties.items()}
        label = given.pop("label", None)
        pool.properties.update(pool_property_changes(given))
        if label is not None:
            pool.label = check_label(label, "pool")
        return pb.Done()

    async def pool_get_prop(self, request: pb.PoolGetPropRequest, caller: Caller) -> pb.PoolGetPropResponse:
        await self._enter("pool_get_prop", caller)
        pool = self.pool(request.pool)
        told = {name: value(prop) for name, prop in pool.properties.items()}
        told["label"] = value(pool.label)
        told["svc_list"] = pb.PropertyValue(numbers=pb.Numbers(values=pool.services))
        told["global_version"] = value(4)
        told["obj_version"] = value(2)
        told["upgrade_status"] = value("not started")
        names = request.names or list(told)
        return pb.PoolGetPropResponse(properties={name: told[name] for name in names})

    def _list(self, pool: FakePool) -> pb.AccessList:
        return pb.AccessList(entries=pool.acl.lines(), owner=pool.owner, group=pool.group)

    async def pool_get_acl(self, request: pb.PoolGetAclRequest, caller: Caller) -> pb.AccessList:
        await self._enter("pool_get_acl", caller)
        return self._list(self.pool(request.pool))

    async def pool_overwrite_acl(self, request: pb.PoolOverwriteAclRequest, caller: Caller) -> pb.AccessList:
        await self._enter("pool_overwrite_acl", caller, request.request)
        pool = self.pool(request.pool)
        pool.acl = Acl.parse(request.entries)
        return self._list(pool)

    async def pool_update_acl(self, request: pb.PoolUpdateAclRequest, caller: Caller) -> pb.AccessList:
        await self._enter("pool_update_acl", caller, request.request)
        pool = self.pool(request.pool)
        pool.acl = pool.acl.merged(Acl.parse(request.entries))
        return self._list(pool)

    async def pool_delete_acl(self, request: pb.PoolDeleteAclRequest, caller: Caller) -> pb.AccessList:
        await self._enter("pool_delete_acl", caller, request.request)
        pool = self.pool(request.pool)
        pool.acl = pool.acl.without(Principal.parse(request.principal))
        return self._list(pool)

    async def container_set_owner(self, request: pb.ContainerSetOwnerRequest, caller: Caller) -> pb.Done:
        await self._enter("container_set_owner", caller, request.request)
        pool = self.pool(request.pool)
        if request.container not in pool.containers:
            raise NotFoundError(f'there is no container "{request.container}"', hint="list the containers")
        owner, group = pool.containers[request.container]
        pool.containers[request.container] = (request.owner or owner, request.group or group)
        return pb.Done()

    async def get_attach_info(self, request: pb.GetAttachInfoRequest, caller: Caller) -> pb.AttachInfo:
        await self._enter("get_attach_info", caller)
        ranks = [
            pb.AttachRank(rank=rank, uri=member.uri, target_addresses=[f"10.0.0.{rank + 1}:20001"])
            for rank, member in self.members.items()
        ]
        return pb.AttachInfo(system="daos_server", ranks=ranks, management_ranks=[0, 1, 2], provider="tcp", version=7)

    async def pool_find(self, request: pb.PoolFindRequest, caller: Caller) -> pb.PoolFindResponse:
        await self._enter("pool_find", caller)
        pool = self.pool(request.pool)
        return pb.PoolFindResponse(uuid=pool.uuid, label=pool.label, services=pool.services)

    async def join(self, request: pb.JoinRequest, caller: Caller) -> pb.JoinResponse:
        await self._enter("join", caller, request.request)
        return pb.JoinResponse(rank=3, state=pb.MEMBER_STATE_JOINED, version=8, system="daos_server")

    async def report_member(self, request: pb.ReportMemberRequest, caller: Caller) -> pb.Done:
        await self._enter("report_member", caller, request.request)
        self.reports.append(request)
        return pb.Done()


class FakeServer:
    """A host with one engine, rank 0."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Caller]] = []
        self.formatted = False
        self.masks: list[pb.SetLogMasksRequest] = []
        self.broken = False

    def _devices(self, *, health: bool) -> list[pb.StorageDevice]:
        scm = pb.StorageDevice(
            media="scm", storage_class="ram", address="/mnt/daos0", size=100 * GIB, engine=0, mount="/mnt/daos0"
        )
        nvme = [
            pb.StorageDevice(
                media="nvme",
                storage_class="nvme",
                address=f"0000:8{index}:00.0",
                model="SSD-7",
                serial=f"S{index}",
                firmware="F1",
                size=500 * GIB,
                engine=0,
                numa_node=index,
                formatted=self.formatted,
            )
            for index in range(2)
        ]
        if health:
            for device in nvme:
                device.health.CopyFrom(pb.DeviceHealth(temperature=310, media_errors=1, power_on_hours=17))
        return [scm, *nvme]

    async def storage_scan(self, request: pb.StorageScanRequest, caller: Caller) -> pb.StorageScanResponse:
        self.calls.append(("storage_scan", caller))
        if self.broken:
            raise UnavailableError("the devices cannot be read", code=DER.IO)
        return pb.StorageScanResponse(devices=self._devices(health=request.health))

    async def storage_format(self, request: pb.StorageFormatRequest, caller: Caller) -> pb.StorageFormatResponse:
        self.calls.append(("storage_format", caller))
        if self.formatted and not request.force:
            raise ExistsError("engine 0 is formatted already", hint="--force deletes what is there")
        self.formatted = True
        results = [
            pb.FormatResult(engine=0, media=one.media, address=one.address) for one in self._devices(health=False)
        ]
        if self.broken:
            results[-1].code, results[-1].message = DER.IO, "it cannot be written"
        return pb.StorageFormatResponse(results=results)

    async def storage_query_usage(
        self, request: pb.StorageQueryUsageRequest, caller: Caller
    ) -> pb.StorageQueryUsageResponse:
        self.calls.append(("storage_query_usage", caller))
        tiers = [
            pb.TierUsage(media="scm", total=100 * GIB, free=50 * GIB, usable=40 * GIB),
            pb.TierUsage(media="nvme", total=1000 * GIB, free=900 * GIB, usable=800 * GIB),
        ]
        return pb.StorageQueryUsageResponse(ranks=[pb.RankUsage(rank=0, tiers=tiers)])

    async def storage_query_devices(
        self, request: pb.StorageQueryDevicesRequest, caller: Caller
    ) -> pb.StorageQueryDevicesResponse:
        self.calls.append(("storage_query_devices", caller))
        device = pb.EngineDevice(
            uuid="aaaaaaaa-0000-4000-8000-000000000001",
            address="0000:80:00.0",
            targets=[0, 1, 2, 3],
            rank=0,
            state="NORMAL",
            led="OFF",
            roles=["data", "meta", "wal"],
            size=500 * GIB,
            free=400 * GIB,
        )
        if request.health:
            device.health.CopyFrom(pb.DeviceHealth(temperature=310, media_errors=1, power_on_hours=17))
        wanted = not request.evicted and request.uuid in ("", device.uuid)
        wanted = wanted and not (request.HasField("rank") and request.rank)
        return pb.StorageQueryDevicesResponse(devices=[device] if wanted else [])

    async def storage_query_pools(
        self, request: pb.StorageQueryPoolsRequest, caller: Caller
    ) -> pb.StorageQueryPoolsResponse:
        self.calls.append(("storage_query_pools", caller))
        pool = pb.DevicePool(uuid="bbbbbbbb-0000-4000-8000-000000000001", targets=[0, 1, 2, 3], tiers=[GIB, 10 * GIB])
        return pb.StorageQueryPoolsResponse(ranks=[pb.RankPools(rank=0, pools=[pool])])

    async def network_scan(self, request: pb.NetworkScanRequest, caller: Caller) -> pb.NetworkScanResponse:
        self.calls.append(("network_scan", caller))
        return pb.NetworkScanResponse(
            interfaces=[
                pb.NetworkInterface(name="eth0", provider="tcp", net_class="ethernet", speed=10_000),
                pb.NetworkInterface(name="eth1", provider="tcp", numa_node=1, net_class="ethernet", speed=10_000),
            ],
            numa_nodes=2,
            cores_per_numa_node=8,
        )

    async def generate_config_facts(
        self, request: pb.GenerateConfigFactsRequest, caller: Caller
    ) -> pb.GenerateConfigFactsResponse:
        self.calls.append(("generate_config_facts", caller))
        network = await self.network_scan(pb.NetworkScanRequest(), caller)
        return pb.GenerateConfigFactsResponse(
            hostname="node1",
            numa_nodes=[pb.NumaNode(index=index, cores=8, memory=64 * GIB) for index in range(2)],
            interfaces=network.interfaces,
            devices=self._devices(health=False)[1:],
            memory=128 * GIB,
        )

    async def set_log_masks(self, request: pb.SetLogMasksRequest, caller: Caller) -> pb.SetLogMasksResponse:
        self.calls.append(("set_log_masks", caller))
        self.masks.append(request)
        return pb.SetLogMasksResponse(results=[pb.EngineResult(engine=0)])

    async def collect_log(self, request: pb.CollectLogRequest, caller: Caller) -> AsyncIterator[pb.CollectLogPiece]:
        self.calls.append(("collect_log", caller))
        yield pb.CollectLogPiece(name="control/daos_server.log", data=b"started\n")
        yield pb.CollectLogPiece(name="control/daos_server.log", data=b"stopped\n")
        yield pb.CollectLogPiece(name="server/daos_engine.0.log", data=b"engine\n")
        if self.broken:
            yield pb.CollectLogPiece(name="server/daos_engine.1.log", error="Permission denied")

    async def version(self, request: pb.VersionRequest, caller: Caller) -> pb.VersionResponse:
        self.calls.append(("version", caller))
        return pb.VersionResponse(name="DAOS Control Server", version="0.3.0")

    async def engine_call(self, request: pb.EngineCallRequest, caller: Caller) -> pb.EngineCallResponse:
        self.calls.append(("engine_call", caller))
        return pb.EngineCallResponse(body=request.body[::-1])

    async def server_call(self, request: pb.ServerCallRequest, caller: Caller) -> pb.ServerCallResponse:
        self.calls.append(("server_call", caller))
        if request.method == "defect":
            raise ZeroDivisionError("secret")
        return pb.ServerCallResponse(body=request.body)
