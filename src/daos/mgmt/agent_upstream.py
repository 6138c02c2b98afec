"""The servers, as an agent asks them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from daos.errors import DaosError
from daos.mgmt import methods
from daos.mgmt.client import ManagementClient
from daos.mgmt.identity import IdentityFiles
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.roles import Role

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

AGENT_DEADLINE_S = 60.0
"""For a request: a client waits for its agent's answer."""


class Transport(Protocol):
    """`transport_config` of a configuration: certificates, unless it is insecure."""

    @property
    def allow_insecure(self) -> bool:
        """Without TLS."""

    @property
    def ca_cert(self) -> Path:
        """Certificates of those who sign."""

    @property
    def cert(self) -> Path:
        """The agent's certificate."""

    @property
    def key(self) -> Path:
        """Its key."""


class AgentConfig(Protocol):
    """What is used of the agent's configuration."""

    @property
    def name(self) -> str:
        """The system."""

    @property
    def replicas(self) -> Sequence[object]:
        """Servers that may lead; as text `host:port`."""

    @property
    def transport_config(self) -> Transport:
        """Certificates."""


@dataclass(frozen=True)
class FoundPool:
    """A pool.

    Attributes:
        uuid: Its uuid.
        services: The ranks of its service.
    """

    uuid: str
    services: tuple[int, ...]


class Upstream:
    """What an agent asks of the servers.

    Args:
        client: Of the servers, with the role of an agent.
    """

    def __init__(self, client: ManagementClient) -> None:
        self._client = client

    async def attach_info(self) -> pb.AttachInfo:
        """Return where the system is.

        Raises:
            DaosError: As `ManagementClient.ask`.
        """
        return await self._client.ask(methods.GET_ATTACH_INFO, pb.GetAttachInfoRequest())

    async def find_pool(self, reference: str) -> FoundPool:
        """Return the pool of a label or uuid.

        Raises:
            NotFoundError: `DER.NONEXIST`.
            DaosError: As `ManagementClient.ask`.
        """
        found = await self._client.ask(methods.POOL_FIND, pb.PoolFindRequest(pool=reference))
        return FoundPool(found.uuid, tuple(found.services))

    async def list_pools(self) -> Sequence[pb.PoolEntry]:
        """Return all pools.

        Raises:
            DaosError: As `ManagementClient.ask`.
        """
        return (await self._client.ask(methods.POOL_LIST, pb.PoolListRequest())).pools

    async def pool_acl(self, pool: str) -> pb.AccessList:
        """Return who may open a pool.

        Raises:
            NotFoundError: `DER.NONEXIST`.
            DaosError: As `ManagementClient.ask`.
        """
        return await self._client.ask(methods.POOL_GET_ACL, pb.PoolGetAclRequest(pool=pool))

    async def evict(self, pool: str, handles: Sequence[str]) -> int:
        """Close handles of a pool; return how many were closed. For none, nothing is asked.

        Raises:
            DaosError: As `ManagementClient.ask`.
        """
        if not handles:
            return 0
        request = pb.PoolEvictRequest(pool=pool, handles=handles)
        return (await self._client.ask(methods.POOL_EVICT, request)).count

    async def cleanup(self, machine: str) -> int:
        """Close all handles that were opened from a machine; return how many were closed.

        Raises:
            DaosError: As `ManagementClient.ask`.
        """
        told = await self._client.ask(methods.SYSTEM_CLEANUP, pb.SystemCleanupRequest(machine=machine))
        return sum(result.count for result in told.results)

    async def versions(self) -> dict[str, str | DaosError]:
        """Return the release of each server of the configuration, or why it is not known."""
        told = await self._client.on_hosts(self._client.hosts, methods.VERSION, pb.VersionRequest())
        return {host: one if isinstance(one, DaosError) else one.version for host, one in told.items()}

    async def close(self) -> None:
        """End the connections."""
        await self._client.close()


def connect(config: AgentConfig, *, allow_proxy: bool = False) -> Upstream:
    """Return the servers of an agent's configuration. Nothing is connected before something is asked.

    Args:
        config: The configuration.
        allow_proxy: Go by the proxies of the environment.

    Raises:
        AccessError: `DER.NO_CERT`: its certificates cannot be read.
    """
    transport = config.transport_config
    identity = None if transport.allow_insecure else IdentityFiles(transport.ca_cert, transport.cert, transport.key)
    hosts = [str(host) for host in config.replicas]
    client = ManagementClient(
        hosts,
        identity,
        deadline_s=AGENT_DEADLINE_S,
        system=config.name,
        role=Role.AGENT,
        allow_proxy=allow_proxy,
    )
    return Upstream(client)
