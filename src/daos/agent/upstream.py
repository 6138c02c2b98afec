"""What an agent asks of the servers, and what it remembers of their answers."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from daos.agent.messages import AttachInfo, AttachRank
from daos.errors import DaosError, TimedOutError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from daos.config import AgentConfig
    from daos.model.acl import AccessListLike

UPSTREAM_S_MAX = 60.0
"""For a question to the servers."""
MODULE = "daos.mgmt.agent_upstream"


class RankLike(Protocol):
    """A rank, as the servers tell it."""

    @property
    def rank(self) -> int:
        """Its number."""

    @property
    def uri(self) -> str:
        """Its control address."""

    @property
    def target_addresses(self) -> Sequence[str]:
        """Those of its targets."""

    @property
    def incarnation(self) -> int:
        """Of its engine."""


class AttachInfoLike(Protocol):
    """Where the system is, as the servers tell it."""

    @property
    def system(self) -> str:
        """Its name."""

    @property
    def ranks(self) -> Sequence[RankLike]:
        """Its ranks."""

    @property
    def management_ranks(self) -> Sequence[int]:
        """Those on hosts of the management service."""

    @property
    def provider(self) -> str:
        """The network."""

    @property
    def insecure(self) -> bool:
        """Its ports take connections without TLS."""

    @property
    def ca_certificate(self) -> bytes:
        """By which clients verify engines, PEM."""

    @property
    def version(self) -> int:
        """Of the system map."""


class FoundPoolLike(Protocol):
    """A pool, as the servers tell it."""

    @property
    def uuid(self) -> str:
        """Its uuid."""

    @property
    def services(self) -> Sequence[int]:
        """The ranks of its service."""


class ListedPoolLike(Protocol):
    """A pool of the list of all, as the servers tell it."""

    @property
    def uuid(self) -> str:
        """Its uuid."""

    @property
    def label(self) -> str:
        """Its label; empty for none."""

    @property
    def state(self) -> str:
        """Where it is in its life."""

    @property
    def services(self) -> Sequence[int]:
        """The ranks of its service."""


class Upstream(Protocol):
    """The servers. Each question is asked with the agent's certificate; each raises a `DaosError`."""

    async def attach_info(self) -> AttachInfoLike:
        """Return where the system is."""

    async def find_pool(self, reference: str) -> FoundPoolLike:
        """Return a pool."""

    async def list_pools(self) -> Sequence[ListedPoolLike]:
        """Return all pools."""

    async def pool_acl(self, pool: str) -> AccessListLike:
        """Return who may open a pool."""

    async def evict(self, pool: str, handles: Sequence[str]) -> object:
        """Close handles of a pool; those that are closed already are passed over."""

    async def cleanup(self, machine: str) -> object:
        """Close all handles that were opened from a machine."""

    async def versions(self) -> Mapping[str, str | DaosError]:
        """Return the release of each server of the configuration, or why it is not known."""

    async def close(self) -> None:
        """End the connections."""


class _Maker(Protocol):
    """Makes the servers of a configuration."""

    def __call__(self, config: AgentConfig, *, allow_proxy: bool) -> Upstream: ...


def connect(config: AgentConfig, *, allow_proxy: bool = False) -> Upstream:
    """Return the servers of a configuration.

    Args:
        config: The configuration.
        allow_proxy: Reach them by the proxies of the environment.

    Raises:
        UnavailableError: `DER.NO_SERVICE`: this installation lacks what it takes.
    """
    try:
        module = import_module(MODULE)
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"there is no way to the servers: the module {error.name} is missing", hint="pip install 'daos[server]'"
        ) from None
    make = cast("_Maker", module.connect)
    return make(config, allow_proxy=allow_proxy)


class AttachCache:
    """Where the system is: asked once at a time, remembered as long as the configuration says.

    Args:
        upstream: The servers.
        ca_certificate: Gives the authorities by which clients check engines; the servers' word does not count, as it is
            what is to be checked.
        expires_s: How long an answer is good; 0 for ever.
        disabled: Remember nothing.
        clock: Tells the time in seconds.
        told: Called with what went wrong where an old answer helped out.
    """

    def __init__(
        self,
        upstream: Upstream,
        ca_certificate: Callable[[], bytes],
        *,
        expires_s: float,
        disabled: bool,
        clock: Callable[[], float],
        told: Callable[[DaosError], None] = lambda _: None,
    ) -> None:
        self._upstream = upstream
        self._ca_certificate = ca_certificate
        self._expires_s = expires_s
        self._disabled = disabled
        self._clock = clock
        self._told = told
        self._kept: AttachInfo | None = None
        self._asked = 0.0
        self._turn = asyncio.Lock()

    async def get(self, *, refresh: bool = False) -> AttachInfo:
        """Return where the system is.

        Args:
            refresh: Ask the servers, unless they were asked since this was called.

        Raises:
            DaosError: The servers' word, or that they cannot be reached, and nothing is remembered.
        """
        called = self._clock()
        if not refresh and self._good(called):
            return self._info()
        async with self._turn:
            # Those who waited here take what the first of them was told.
            if self._kept is not None and self._asked > called and not self._disabled:
                return self._info()
            try:
                asked = self._clock()
                async with asyncio.timeout(UPSTREAM_S_MAX):
                    self._kept = _plain(await self._upstream.attach_info())
                # A system without ranks is one that is being started: that is not remembered.
                self._asked = asked if self._kept.ranks else float("-inf")
            except TimeoutError as error:
                late = error if isinstance(error, DaosError) else TimedOutError("the servers do not answer", hint=_HINT)
                return self._instead(late)
            except UnavailableError as error:
                return self._instead(error)
            return self._info()

    def expire(self) -> None:
        """Ask the servers when it is next asked for; until they answer, what is remembered helps out."""
        self._asked = float("-inf")

    def _good(self, now: float) -> bool:
        if self._kept is None or self._disabled or self._asked == float("-inf"):
            return False
        return self._expires_s <= 0 or now < self._asked + self._expires_s

    def _instead(self, error: DaosError) -> AttachInfo:
        """Return what is remembered: engines go on without the management service, so their clients should."""
        if self._kept is None or self._disabled:
            raise error
        self._told(error)
        return self._info()

    def _info(self) -> AttachInfo:
        kept = cast("AttachInfo", self._kept)
        # Certificates change under way, what is remembered does not.
        return AttachInfo(
            system=kept.system,
            ranks=kept.ranks,
            ms_ranks=kept.ms_ranks,
            provider=kept.provider,
            insecure=kept.insecure,
            ca_certificate=b"" if kept.insecure else self._ca_certificate(),
            version=kept.version,
        )


def _plain(told: AttachInfoLike) -> AttachInfo:
    return AttachInfo(
        system=told.system,
        ranks=tuple(
            AttachRank(rank=one.rank, addresses=(one.uri, *one.target_addresses), incarnation=one.incarnation)
            for one in told.ranks
        ),
        ms_ranks=tuple(told.management_ranks),
        provider=told.provider,
        insecure=told.insecure,
        version=told.version,
    )


_HINT = "look after the hosts of access_points: dmg system leader-query"
