"""What a server of the management API is given: an object with a method for each request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from daos.mgmt.proto import daos_mgmt_pb2 as pb
    from daos.mgmt.roles import Role


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        role: What it may do.
        host: Where from: an address.
        machines: Names in its certificate, such as of its host; empty where it has none.
    """

    role: Role
    host: str
    machines: tuple[str, ...] = ()


class ManagementHandlers(Protocol):
    """What concerns the whole system. A server that does not lead raises `DER.NOTLEADER`, with `context["leader"]`."""

    async def leader_query(self, request: pb.LeaderQueryRequest, caller: Caller) -> pb.LeaderQueryResponse:
        """Answer `LeaderQuery`."""
        ...

    async def system_query(self, request: pb.SystemQueryRequest, caller: Caller) -> pb.SystemQueryResponse:
        """Answer `SystemQuery`."""
        ...

    async def system_stop(self, request: pb.SystemStopRequest, caller: Caller) -> pb.RankResults:
        """Answer `SystemStop`."""
        ...

    async def system_start(self, request: pb.SystemStartRequest, caller: Caller) -> pb.RankResults:
        """Answer `SystemStart`."""
        ...

    async def system_erase(self, request: pb.SystemEraseRequest, caller: Caller) -> pb.RankResults:
        """Answer `SystemErase`."""
        ...

    async def system_exclude(self, request: pb.SystemExcludeRequest, caller: Caller) -> pb.RankResults:
        """Answer `SystemExclude`."""
        ...

    async def system_cleanup(self, request: pb.SystemCleanupRequest, caller: Caller) -> pb.SystemCleanupResponse:
        """Answer `SystemCleanup`."""
        ...

    async def system_set_attr(self, request: pb.SystemSetAttrRequest, caller: Caller) -> pb.Done:
        """Answer `SystemSetAttr`."""
        ...

    async def system_get_attr(self, request: pb.SystemGetAttrRequest, caller: Caller) -> pb.SystemGetAttrResponse:
        """Answer `SystemGetAttr`."""
        ...

    async def system_del_attr(self, request: pb.SystemDelAttrRequest, caller: Caller) -> pb.Done:
        """Answer `SystemDelAttr`."""
        ...

    async def system_set_prop(self, request: pb.SystemSetPropRequest, caller: Caller) -> pb.Done:
        """Answer `SystemSetProp`."""
        ...

    async def system_get_prop(self, request: pb.SystemGetPropRequest, caller: Caller) -> pb.SystemGetPropResponse:
        """Answer `SystemGetProp`."""
        ...

    async def pool_create(self, request: pb.PoolCreateRequest, caller: Caller) -> pb.PoolCreateResponse:
        """Answer `PoolCreate`."""
        ...

    async def pool_destroy(self, request: pb.PoolDestroyRequest, caller: Caller) -> pb.Done:
        """Answer `PoolDestroy`."""
        ...

    async def pool_list(self, request: pb.PoolListRequest, caller: Caller) -> pb.PoolListResponse:
        """Answer `PoolList`."""
        ...

    async def pool_query(self, request: pb.PoolQueryRequest, caller: Caller) -> pb.PoolInfo:
        """Answer `PoolQuery`."""
        ...

    async def pool_query_targets(
        self, request: pb.PoolQueryTargetsRequest, caller: Caller
    ) -> pb.PoolQueryTargetsResponse:
        """Answer `PoolQueryTargets`."""
        ...

    async def pool_evict(self, request: pb.PoolEvictRequest, caller: Caller) -> pb.PoolEvictResponse:
        """Answer `PoolEvict`."""
        ...

    async def pool_set_prop(self, request: pb.PoolSetPropRequest, caller: Caller) -> pb.Done:
        """Answer `PoolSetProp`."""
        ...

    async def pool_get_prop(self, request: pb.PoolGetPropRequest, caller: Caller) -> pb.PoolGetPropResponse:
        """Answer `PoolGetProp`."""
        ...

    async def pool_get_acl(self, request: pb.PoolGetAclRequest, caller: Caller) -> pb.AccessList:
        """Answer `PoolGetAcl`."""
        ...

    async def pool_overwrite_acl(self, request: pb.PoolOverwriteAclRequest, caller: Caller) -> pb.AccessList:
        """Answer `PoolOverwriteAcl`."""
        ...

    async def pool_update_acl(self, request: pb.PoolUpdateAclRequest, caller: Caller) -> pb.AccessList:
        """Answer `PoolUpdateAcl`."""
        ...

    async def pool_delete_acl(self, request: pb.PoolDeleteAclRequest, caller: Caller) -> pb.AccessList:
        """Answer `PoolDeleteAcl`."""
        ...

    async def container_set_owner(self, request: pb.ContainerSetOwnerRequest, caller: Caller) -> pb.Done:
        """Answer `ContainerSetOwner`."""
        ...

    async def get_attach_info(self, request: pb.GetAttachInfoRequest, caller: Caller) -> pb.AttachInfo:
        """Answer `GetAttachInfo`."""
        ...

    async def pool_find(self, request: pb.PoolFindRequest, caller: Caller) -> pb.PoolFindResponse:
        """Answer `PoolFind`."""
        ...

    async def join(self, request: pb.JoinRequest, caller: Caller) -> pb.JoinResponse:
        """Answer `Join`."""
        ...

    async def report_member(self, request: pb.ReportMemberRequest, caller: Caller) -> pb.Done:
        """Answer `ReportMember`."""
        ...


class ServerHandlers(Protocol):
    """What concerns this host."""

    async def storage_scan(self, request: pb.StorageScanRequest, caller: Caller) -> pb.StorageScanResponse:
        """Answer `StorageScan`."""
        ...

    async def storage_format(self, request: pb.StorageFormatRequest, caller: Caller) -> pb.StorageFormatResponse:
        """Answer `StorageFormat`."""
        ...

    async def storage_query_usage(
        self, request: pb.StorageQueryUsageRequest, caller: Caller
    ) -> pb.StorageQueryUsageResponse:
        """Answer `StorageQueryUsage`."""
        ...

    async def storage_query_devices(
        self, request: pb.StorageQueryDevicesRequest, caller: Caller
    ) -> pb.StorageQueryDevicesResponse:
        """Answer `StorageQueryDevices`."""
        ...

    async def storage_query_pools(
        self, request: pb.StorageQueryPoolsRequest, caller: Caller
    ) -> pb.StorageQueryPoolsResponse:
        """Answer `StorageQueryPools`."""
        ...

    async def network_scan(self, request: pb.NetworkScanRequest, caller: Caller) -> pb.NetworkScanResponse:
        """Answer `NetworkScan`."""
        ...

    async def generate_config_facts(
        self, request: pb.GenerateConfigFactsRequest, caller: Caller
    ) -> pb.GenerateConfigFactsResponse:
        """Answer `GenerateConfigFacts`."""
        ...

    async def set_log_masks(self, request: pb.SetLogMasksRequest, caller: Caller) -> pb.SetLogMasksResponse:
        """Answer `SetLogMasks`."""
        ...

    def collect_log(self, request: pb.CollectLogRequest, caller: Caller) -> AsyncIterator[pb.CollectLogPiece]:
        """Answer `CollectLog`, with pieces."""
        ...

    async def version(self, request: pb.VersionRequest, caller: Caller) -> pb.VersionResponse:
        """Answer `Version`."""
        ...

    async def engine_call(self, request: pb.EngineCallRequest, caller: Caller) -> pb.EngineCallResponse:
        """Answer `EngineCall`."""
        ...

    async def server_call(self, request: pb.ServerCallRequest, caller: Caller) -> pb.ServerCallResponse:
        """Answer `ServerCall`."""
        ...
