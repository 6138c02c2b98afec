"""What administrators ask a pool's service: commands of it, and queries by name."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import msgspec

from daos._packed import decode
from daos.control.pool import queries
from daos.control.pool.service import AnyCommand
from daos.control.pool.state import PoolState
from daos.engine import peers
from daos.errors import DER, DaosError, InvalidError
from daos.local import PoolAcl, PoolInfo, PoolRequest, PoolTarget, TierSpace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from daos.engine.peers import PartSpaceReply, Ranks
    from daos.engine.pool_service import PoolService, PoolServices

REQUEST_S_MAX = 60.0
MEDIA = ("scm", "nvme")
T = TypeVar("T")
_COMMANDS: msgspec.msgpack.Decoder[AnyCommand] = msgspec.msgpack.Decoder(AnyCommand)


class _Pool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of `pool`."""

    space: bool = False


class _Targets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of `targets`."""

    rank: int
    targets: list[int] = []


class _Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of a query that takes none."""


class Administrators:
    """Answers administrators.

    Args:
        services: The replicas of this engine.
        ranks: The way to the ranks.
    """

    def __init__(self, services: PoolServices, ranks: Ranks) -> None:
        self._services, self._ranks = services, ranks

    async def answer(self, request: PoolRequest) -> bytes:
        """Return the result of a command, or the answer to a query.

        Raises:
            NotLeaderError: Another replica leads.
            DaosError: What it is refused with.
        """
        service = self._services.find(request.pool)
        if request.kind == "command":
            return await self._command(service, request)
        return msgspec.msgpack.encode(await self._query(service, request))

    async def _command(self, service: PoolService, request: PoolRequest) -> bytes:
        try:
            command = _COMMANDS.decode(request.arguments)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidError(f"{request.name} is no command of a pool's service: {error}", code=DER.PROTO) from None
        outcome = await service.submit(command, request.request, timeout_s=REQUEST_S_MAX)
        outcome.check()
        return outcome.result

    async def _query(self, service: PoolService, request: PoolRequest) -> object:
        match request.name:
            case "pool":
                asked = _decode(request, _Pool)
                return await self._pool(service, space=asked.space)
            case "targets":
                wanted = _decode(request, _Targets)
                return await self._targets(service, wanted)
            case "properties":
                _decode(request, _Nothing)
                return await self._read(service)
            case "acl":
                _decode(request, _Nothing)
                state = await service.host.query(lambda state: state, timeout_s=REQUEST_S_MAX)
                return PoolAcl(entries=state.acl, owner=state.owner, group=state.group)
            case name:
                raise InvalidError(f'there is no query "{name}" of a pool\'s service', code=DER.NOSYS)

    async def _read(self, service: PoolService) -> dict[str, str | int]:
        def told(state: PoolState) -> dict[str, str | int]:
            label = {} if state.label is None else {"label": state.label}
            return {**label, **state.properties}

        return await service.host.query(told, timeout_s=REQUEST_S_MAX)

    async def _pool(self, service: PoolService, *, space: bool) -> PoolInfo:
        state = await service.host.query(lambda state: state, timeout_s=REQUEST_S_MAX)
        enabled, disabled, dead = queries.ranks(state)
        targets = [target for rank in state.map.ranks.values() for target in rank.targets]
        active = sum(target.state.in_use for target in targets)
        spaces = await self._spaces(service, enabled) if space else []
        return PoolInfo(
            uuid=state.uuid,
            label=state.label,
            version=state.map.version,
            leader=self._ranks.rank,
            services=tuple(service.voters()),
            targets=len(targets),
            active=active,
            disabled=len(targets) - active,
            enabled_ranks=tuple(enabled),
            disabled_ranks=tuple(disabled),
            dead_ranks=tuple(dead),
            degraded=queries.degraded(state),
            self_heal=str(state.properties["self_heal"]),
            tiers=_tiers(spaces),
        )

    async def _targets(self, service: PoolService, wanted: _Targets) -> list[PoolTarget]:
        state = await service.host.query(lambda state: state, timeout_s=REQUEST_S_MAX)
        indexes = wanted.targets or None
        chosen = state.map.chosen(wanted.rank, indexes)
        everything = state.map.ranks[wanted.rank].targets
        spaces = await self._spaces(service, [wanted.rank])
        one = _tiers(spaces, share=len(everything))
        return [
            PoolTarget(
                index=next(at for at, each in enumerate(everything) if each is target), state=target.state, tiers=one
            )
            for target in chosen
        ]

    async def _spaces(self, service: PoolService, ranks: Iterable[int]) -> list[PartSpaceReply]:
        """Return the space of ranks; those that do not answer are left out, as what they have cannot be told."""
        request = peers.PartSpace(pool=service.pool)
        asked = [self._ranks.on(rank, request, peers.PartSpaceReply, timeout_s=3.0) for rank in ranks]
        told = await asyncio.gather(*asked, return_exceptions=True)
        for each in told:
            if isinstance(each, BaseException) and not isinstance(each, DaosError):
                raise each
        return [each for each in told if isinstance(each, peers.PartSpaceReply)]


def _tiers(spaces: list[PartSpaceReply], *, share: int = 0) -> tuple[TierSpace, ...]:
    """Return the space of tiers over ranks; `share` divides it by so many targets."""
    found = []
    for tier, media in enumerate(MEDIA):
        total = sum(each.total[tier] for each in spaces)
        if not total:
            continue
        per_target = [each.free[tier] // each.targets for each in spaces for _ in range(1 if share else each.targets)]
        whole, free = (total // share, sum(per_target)) if share else (total, sum(each.free[tier] for each in spaces))
        found.append(
            TierSpace(
                media=media,
                total=whole,
                free=free,
                min=min(per_target),
                max=max(per_target),
                mean=sum(per_target) // len(per_target),
            )
        )
    return tuple(found)


def _decode(request: PoolRequest, arguments: type[T]) -> T:
    try:
        return decode(request.arguments, arguments)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidError(f"{request.name}: {error}", code=DER.PROTO) from None
