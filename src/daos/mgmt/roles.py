"""Who may call what of the management API: one table, and nothing that is not in it.

A role is the common name of the caller's certificate.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from daos.errors import AccessError
from daos.mgmt.proto import daos_mgmt_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from google.protobuf.message import Message


class Role(StrEnum):
    """Who calls, by the common name of its certificate."""

    ADMIN = "admin"
    AGENT = "agent"
    SERVER = "server"


_ADMIN = frozenset({Role.ADMIN})
_SERVER = frozenset({Role.SERVER})
_ALL = frozenset(Role)

MANAGEMENT: Mapping[str, frozenset[Role]] = MappingProxyType(
    {
        "LeaderQuery": _ALL,
        "SystemQuery": _ADMIN | _SERVER,
        "SystemStop": _ADMIN,
        "SystemStart": _ADMIN,
        "SystemErase": _ADMIN,
        "SystemExclude": _ADMIN,
        "SystemCleanup": _ADMIN | {Role.AGENT},
        "SystemSetAttr": _ADMIN,
        "SystemGetAttr": _ADMIN,
        "SystemDelAttr": _ADMIN,
        "SystemSetProp": _ADMIN,
        "SystemGetProp": _ADMIN | _SERVER,
        "PoolCreate": _ADMIN,
        "PoolDestroy": _ADMIN,
        # An agent tells a user which pools are for him.
        "PoolList": _ADMIN | {Role.AGENT},
        "PoolQuery": _ADMIN,
        "PoolQueryTargets": _ADMIN,
        "PoolEvict": _ADMIN | {Role.AGENT},
        "PoolSetProp": _ADMIN,
        "PoolGetProp": _ADMIN,
        "PoolGetAcl": _ADMIN | {Role.AGENT},
        "PoolOverwriteAcl": _ADMIN,
        "PoolUpdateAcl": _ADMIN,
        "PoolDeleteAcl": _ADMIN,
        "ContainerSetOwner": _ADMIN,
        "GetAttachInfo": frozenset({Role.AGENT, Role.SERVER}),
        "PoolFind": frozenset({Role.AGENT, Role.SERVER}),
        "Join": _SERVER,
        "ReportMember": _SERVER,
    }
)
SERVER: Mapping[str, frozenset[Role]] = MappingProxyType(
    {
        "StorageScan": _ADMIN,
        "StorageFormat": _ADMIN,
        "StorageQueryUsage": _ADMIN,
        "StorageQueryDevices": _ADMIN,
        "StorageQueryPools": _ADMIN,
        "NetworkScan": _ADMIN,
        "GenerateConfigFacts": _ADMIN,
        "SetLogMasks": _ADMIN,
        "CollectLog": _ADMIN,
        "Version": _ALL,
        "EngineCall": _SERVER,
        "ServerCall": _SERVER,
    }
)
ROLES: Mapping[str, frozenset[Role]] = MappingProxyType(
    {
        **{f"/daos.mgmt.v1.Management/{name}": roles for name, roles in MANAGEMENT.items()},
        **{f"/daos.mgmt.v1.Server/{name}": roles for name, roles in SERVER.items()},
    }
)
"""Of each method, by its path in gRPC."""


def check_role(method: str, role: Role) -> None:
    """Return if a role may call a method.

    Args:
        method: Its path, `/daos.mgmt.v1.Management/PoolQuery`.
        role: The caller's.

    Raises:
        AccessError: `DER.NO_PERM`.
    """
    allowed = ROLES.get(method, frozenset())
    if role not in allowed:
        names = " or ".join(f"{word}.crt" for word in sorted(allowed))
        raise AccessError(
            f"{method.rsplit('/', 1)[-1]} is not for the role {role}",
            hint=f"it takes the certificate {names}" if names else None,
            context={"role": role.value},
        )


def check_request(request: Message, role: Role, machines: Collection[str]) -> None:
    """Return if what a request is about may be asked by a role that may call its method.

    An agent acts for the clients of its own machine: it never closes all handles of a pool, and those of a machine only
    if the machine is its own, where its certificate tells which that is.

    Args:
        request: The request.
        role: The caller's.
        machines: Names in the caller's certificate; empty where it has none.

    Raises:
        AccessError: `DER.NO_PERM`.
    """
    if role is not Role.AGENT or not isinstance(request, pb.PoolEvictRequest | pb.SystemCleanupRequest):
        return
    if isinstance(request, pb.PoolEvictRequest) and not request.handles and not request.machine:
        raise AccessError("an agent may not close all handles of a pool", hint="dmg pool evict does")
    if request.machine and machines and request.machine not in machines:
        raise AccessError(
            f"the agent of {', '.join(sorted(machines))} may not close handles of {request.machine}",
            hint="dmg system cleanup does",
        )
