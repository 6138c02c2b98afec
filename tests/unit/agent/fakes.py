"""Servers that are not there."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ParamSpec

from daos.errors import DaosError

P = ParamSpec("P")
TEST_S_MAX = 30


def asynchronous(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Make a test of a coroutine function."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def limited() -> None:
            async with asyncio.timeout(TEST_S_MAX):
                await test(*args, **kwargs)

        asyncio.run(limited())

    return run


@dataclass
class Rank:
    rank: int = 0
    uri: str = "tcp://10.0.0.1:20000"
    target_addresses: Sequence[str] = ("tcp://10.0.0.1:20001",)
    incarnation: int = 7


@dataclass
class Info:
    system: str = "daos_server"
    ranks: Sequence[Rank] = (Rank(),)
    management_ranks: Sequence[int] = (0,)
    provider: str = "ofi+tcp"
    insecure: bool = False
    ca_certificate: bytes = b"of somebody"
    version: int = 1


@dataclass
class Pool:
    uuid: str
    services: Sequence[int] = (0, 2)


@dataclass
class Entry:
    uuid: str
    label: str
    state: str = "Ready"
    services: Sequence[int] = (0,)


@dataclass
class AccessList:
    entries: Sequence[str]
    owner: str = "nobody@"
    group: str = "nogroup@"


@dataclass
class FakeUpstream:
    """Answers from its attributes; `error` is raised in their place; each call waits for `gate`."""

    info: Info = field(default_factory=Info)
    pools: dict[str, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    acls: dict[str, AccessList | Exception] = field(default_factory=dict)
    releases: dict[str, str | DaosError] = field(default_factory=lambda: {"a:10001": "1.0"})
    calls: list[tuple[object, ...]] = field(default_factory=list)
    error: Exception | None = None
    gate: asyncio.Event | None = None

    async def _called(self, *call: object) -> None:
        self.calls.append(call)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error

    async def attach_info(self) -> Info:
        await self._called("attach_info")
        return self.info

    async def find_pool(self, reference: str) -> Pool:
        await self._called("find_pool", reference)
        return Pool(self.pools[reference])

    async def list_pools(self) -> list[Entry]:
        await self._called("list_pools")
        return self.entries

    async def pool_acl(self, pool: str) -> AccessList:
        await self._called("pool_acl", pool)
        told = self.acls[pool]
        if isinstance(told, Exception):
            raise told
        return told

    async def evict(self, pool: str, handles: Sequence[str]) -> int:
        await self._called("evict", pool, *handles)
        return len(handles)

    async def cleanup(self, machine: str) -> int:
        await self._called("cleanup", machine)
        return 0

    async def versions(self) -> Mapping[str, str | DaosError]:
        await self._called("versions")
        return self.releases

    async def close(self) -> None:
        self.calls.append(("close",))
