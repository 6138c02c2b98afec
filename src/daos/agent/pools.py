"""Which pools a user may know of."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from daos.agent.messages import ListedPool
from daos.errors import DaosError, NotFoundError, UnavailableError
from daos.model.acl import Acl, Permission

if TYPE_CHECKING:
    from collections.abc import Callable

    from daos.agent.upstream import ListedPoolLike, Upstream
    from daos.model.acl import AccessListLike, Credential

ACLS_AT_ONCE = 16
"""Pools whose access lists are asked for at once."""
ACL_S_MAX = 10.0
"""For one of them: a service that does not answer does not hold up the others."""
OPEN_STATES = frozenset({"Ready", "TargetsExcluded"})
OPENS = Permission.r | Permission.t
"""Either is enough to open a pool for reading."""
KNOWN_S = 300.0
"""How long it is remembered that a user may know of a pool, and its access list: as long as a credential is good."""
KNOWN_MAX = 4096
ASK_AGAIN_S = 0.25
"""Between questions for the access list of a pool whose service does not answer."""
ASK_S_MAX = 30.0
"""So long it is asked for."""
_log = structlog.get_logger("daos.agent")


class Knowledge:
    """Who may know of which pool: whoever has any right to it, by its access list.

    A list is asked for once at a time, however many want to know. That a user may know of a pool is remembered. That he
    may not is looked up each time; it is by the list that was told last, where the pool's service does not answer.

    Args:
        upstream: The servers.
        clock: Tells the time in seconds.
    """

    def __init__(self, upstream: Upstream, clock: Callable[[], float]) -> None:
        self._upstream, self._clock = upstream, clock
        self._known: dict[tuple[str, str, tuple[str, ...], str], float] = {}
        self._lists: dict[str, tuple[AccessListLike, float]] = {}
        self._asked: dict[str, asyncio.Task[AccessListLike | None]] = {}

    async def may(self, pool: str, credential: Credential) -> bool:
        """Tell whether a user may know of a pool.

        Args:
            pool: Its uuid.
            credential: The user's.

        Raises:
            UnavailableError: It is not to be learnt now, and was not lately. To say "no" would be to call a pool of his
                lost.
        """
        key = (credential.user, credential.group, tuple(credential.groups), pool)
        if self._clock() < self._known.get(key, float("-inf")):
            return True
        told = await self._list_of(pool)
        if told is None or not _rights(told, credential):
            self._known.pop(key, None)
            return False
        self._known.pop(key, None)
        while len(self._known) >= KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self._known[key] = self._clock() + KNOWN_S
        return True

    def forget(self) -> None:
        """Ask anew from now on."""
        self._known.clear()
        self._lists.clear()

    async def close(self) -> None:
        """End what is being asked."""
        tasks = list(self._asked.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _list_of(self, pool: str) -> AccessListLike | None:
        task = self._asked.get(pool)
        if task is None:
            task = asyncio.create_task(self._ask(pool))
            self._asked[pool] = task
            task.add_done_callback(lambda _: self._asked.pop(pool))
        # One client that goes away ends nothing for the others.
        return await asyncio.shield(task)

    async def _ask(self, pool: str) -> AccessListLike | None:
        """Return the access list of a pool; None for one that is not there.

        Raises:
            UnavailableError: Its service does not tell.
        """
        end = self._clock() + ASK_S_MAX
        while True:
            try:
                async with asyncio.timeout(ACL_S_MAX):
                    told = await self._upstream.pool_acl(pool)
            except NotFoundError:
                self._lists.pop(pool, None)
                return None
            except (DaosError, TimeoutError) as error:
                # Its service may be about to have another leader.
                if self._clock() >= end:
                    _log.warning("the access list of a pool is not known", pool=pool, error=str(error))
                    kept, until = self._lists.get(pool, (None, 0.0))
                    if kept is not None and self._clock() < until:
                        return kept
                    raise UnavailableError(
                        "who may know of the pool is not to be learnt now", hint="try again in a moment"
                    ) from None
            else:
                self._lists.pop(pool, None)
                while len(self._lists) >= KNOWN_MAX:
                    del self._lists[next(iter(self._lists))]
                self._lists[pool] = (told, self._clock() + KNOWN_S)
                return told
            await asyncio.sleep(ASK_AGAIN_S)


def _rights(told: AccessListLike, credential: Credential) -> Permission:
    return Acl.parse(told.entries).permissions(credential, owner=told.owner, group=told.group)


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
        return bool(_rights(told, credential) & OPENS)

    pools = [pool for pool in await upstream.list_pools() if pool.state in OPEN_STATES]
    may = await asyncio.gather(*map(allowed, pools))
    listed = [
        ListedPool(uuid=pool.uuid, label=pool.label, state=pool.state, services=tuple(pool.services))
        for pool, one in zip(pools, may, strict=True)
        if one
    ]
    return sorted(listed, key=lambda pool: (not pool.label, pool.label or pool.uuid))
