"""The methods of the management API with the types of what they take and give, for clients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from daos.mgmt.proto import daos_mgmt_pb2 as pb

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


@dataclass(frozen=True)
class Method(Generic[Request, Response]):
    """A method that is asked and answers once, or with pieces.

    Attributes:
        service: `Management` or `Server`.
        name: Its name.
        request: What it takes.
        response: What it gives.
    """

    service: str
    name: str
    request: type[Request]
    response: type[Response]

    @property
    def path(self) -> str:
        """Its path in gRPC."""
        return f"/daos.mgmt.v1.{self.service}/{self.name}"

    @property
    def changes(self) -> bool:
        """Whether its requests have an id."""
        return "request" in self.request.DESCRIPTOR.fields_by_name


_M, _S = "Management", "Server"

LEADER_QUERY = Method(_M, "LeaderQuery", pb.LeaderQueryRequest, pb.LeaderQueryResponse)
SYSTEM_QUERY = Method(_M, "SystemQuery", pb.SystemQueryRequest, pb.SystemQueryResponse)
SYSTEM_STOP = Method(_M, "SystemStop", pb.SystemStopRequest, pb.RankResults)
SYSTEM_START = Method(_M, "SystemStart", pb.SystemStartRequest, pb.RankResults)
SYSTEM_ERASE = Method(_M, "SystemErase", pb.SystemEraseRequest, pb.RankResults)
SYSTEM_EXCLUDE = Method(_M, "SystemExclude", pb.SystemExcludeRequest, pb.RankResults)
SYSTEM_CLEANUP = Method(_M, "SystemCleanup", pb.SystemCleanupRequest, pb.SystemCleanupResponse)
SYSTEM_SET_ATTR = Method(_M, "SystemSetAttr", pb.SystemSetAttrRequest, pb.Done)
SYSTEM_GET_ATTR = Method(_M, "SystemGetAttr", pb.SystemGetAttrRequest, pb.SystemGetAttrResponse)
SYSTEM_DEL_ATTR = Method(_M, "SystemDelAttr", pb.SystemDelAttrRequest, pb.Done)
SYSTEM_SET_PROP = Method(_M, "SystemSetProp", pb.SystemSetPropRequest, pb.Done)
SYSTEM_GET_PROP = Method(_M, "SystemGetProp", pb.SystemGetPropRequest, pb.SystemGetPropResponse)
POOL_CREATE = Method(_M, "PoolCreate", pb.PoolCreateRequest, pb.PoolCreateResponse)
POOL_DESTROY = Method(_M, "PoolDestroy", pb.PoolDestroyRequest, pb.Done)
POOL_LIST = Method(_M, "PoolList", pb.PoolListRequest, pb.PoolListResponse)
POOL_QUERY = Method(_M, "PoolQuery", pb.PoolQueryRequest, pb.PoolInfo)
POOL_QUERY_TARGETS = Method(_M, "PoolQueryTargets", pb.PoolQueryTargetsRequest, pb.PoolQueryTargetsResponse)
POOL_EVICT = Method(_M, "PoolEvict", pb.PoolEvictRequest, pb.PoolEvictResponse)
POOL_SET_PROP = Method(_M, "PoolSetProp", pb.PoolSetPropRequest, pb.Done)
POOL_GET_PROP = Method(_M, "PoolGetProp", pb.PoolGetPropRequest, pb.PoolGetPropResponse)
POOL_GET_ACL = Method(_M, "PoolGetAcl", pb.PoolGetAclRequest, pb.AccessList)
POOL_OVERWRITE_ACL = Method(_M, "PoolOverwriteAcl", pb.PoolOverwriteAclRequest, pb.AccessList)
POOL_UPDATE_ACL = Method(_M, "PoolUpdateAcl", pb.PoolUpdateAclRequest, pb.AccessList)
POOL_DELETE_ACL = Method(_M, "PoolDeleteAcl", pb.PoolDeleteAclRequest, pb.AccessList)
CONTAINER_SET_OWNER = Method(_M, "ContainerSetOwner", pb.ContainerSetOwnerRequest, pb.Done)
GET_ATTACH_INFO = Method(_M, "GetAttachInfo", pb.GetAttachInfoRequest, pb.AttachInfo)
POOL_FIND = Method(_M, "PoolFind", pb.PoolFindRequest, pb.PoolFindResponse)
JOIN = Method(_M, "Join", pb.JoinRequest, pb.JoinResponse)
REPORT_MEMBER = Method(_M, "ReportMember", pb.ReportMemberRequest, pb.Done)

STORAGE_SCAN = Method(_S, "StorageScan", pb.StorageScanRequest, pb.StorageScanResponse)
STORAGE_FORMAT = Method(_S, "StorageFormat", pb.StorageFormatRequest, pb.StorageFormatResponse)
STORAGE_QUERY_USAGE = Method(_S, "StorageQueryUsage", pb.StorageQueryUsageRequest, pb.StorageQueryUsageResponse)
STORAGE_QUERY_DEVICES = Method(_S, "StorageQueryDevices", pb.StorageQueryDevicesRequest, pb.StorageQueryDevicesResponse)
STORAGE_QUERY_POOLS = Method(_S, "StorageQueryPools", pb.StorageQueryPoolsRequest, pb.StorageQueryPoolsResponse)
NETWORK_SCAN = Method(_S, "NetworkScan", pb.NetworkScanRequest, pb.NetworkScanResponse)
GENERATE_CONFIG_FACTS = Method(_S, "GenerateConfigFacts", pb.GenerateConfigFactsRequest, pb.GenerateConfigFactsResponse)
SET_LOG_MASKS = Method(_S, "SetLogMasks", pb.SetLogMasksRequest, pb.SetLogMasksResponse)
COLLECT_LOG = Method(_S, "CollectLog", pb.CollectLogRequest, pb.CollectLogPiece)
VERSION = Method(_S, "Version", pb.VersionRequest, pb.VersionResponse)
ENGINE_CALL = Method(_S, "EngineCall", pb.EngineCallRequest, pb.EngineCallResponse)
SERVER_CALL = Method(_S, "ServerCall", pb.ServerCallRequest, pb.ServerCallResponse)
