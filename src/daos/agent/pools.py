"""Which pools a user may know of."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from daos.agent.messages import ListedPool
from daos.errors import DaosError, NotFoundError
from daos.model.acl import Acl, Permission

if TYPE_CHECKING:
    from daos.agent.upstream import ListedPoolLike, Upstream
    from daos.model.acl import Credential

ACLS_AT_ONCE = 16
"""Pools whose access lists are asked for at once."""
ACL_S_MAX = 10.0
"""For one of them: a service that does not answer does not hold up the others."""
OPEN_STATES = frozenset({"Ready", "TargetsExcluded"})
OPENS = Permission.r | Permission.t
"""Either is enough to open a pool for reading."""
_log = structlog.get_logger("daos.agent")


async def usable_pools(upstream: Upstream, credential: Credential) -> list[ListedPool]:
    """Return the pools that a user may open, by label; those whose access list cannot be read are left out.

    Args:
        upstream: The servers.
        credential: The user's.

    Raises:
        DaosError: The servers do not tell which pools there are.
    """
    turns = asyncio.Semaphore(ACLS_AT_ONCE)

    async def allowed(pool: ListedPoolLike) -> bool:
        async with turns:
            try:
                async with asyncio.timeout(ACL_S_MAX):
                    told = await upstream.pool_acl(pool.uuid)
            except NotFoundError:
                return False
            except (DaosError, TimeoutError) as error:
                _log.warning("the access list of a pool is not known", pool=pool.uuid, error=str(error))
                return False
        rights = Acl.parse(told.entries).permissions(credential, owner=told.owner, group=told.group)
        return bool(rights & OPENS)

    pools = [pool for pool in await upstream.list_pools() if pool.state in OPEN_STATES]
    may = await asyncio.gather(*map(allowed, pools))
    listed = [
        ListedPool(uuid=pool.uuid, label=pool.label, state=pool.state, services=tuple(pool.services))
        for pool, one in zip(pools, may, strict=True)
        if one
    ]
    return sorted(listed, key=lambda pool: (not pool.label, pool.label or pool.uuid))
