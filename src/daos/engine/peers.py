"""What engines say to each other, about pools: the bodies of `PEER` requests, and who asks and answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import msgspec

from daos import _packed
from daos.control.pool.effects import AnyEffect
from daos.engine.body import encode, payload
from daos.errors import DER, InvalidError, UnavailableError, UncertainError

if TYPE_CHECKING:
    from daos._core import Messenger
    from daos.engine.parts import Parts
    from daos.engine.system_map import SystemMap

ASK_S_MAX = 10.0
AGAIN_S_MIN = 1.0
"""For a request that is sent once more, however late it is."""
T = TypeVar("T")


class Peer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request of an engine.

    Attributes:
        pool: Which pool it is about.
    """

    pool: str


class CarriedEffect(msgspec.Struct, frozen=True, array_like=True):
    """An effect of a pool's service: its number, what the rank's fence is told with it, what is to be done."""

    number: int
    floor: int
    effect: AnyEffect


class CarryEffects(Peer, frozen=True, tag="carry_effects"):
    """Carry out effects of the pool's service: of each the number of a `DER`, 0 where it is done, a list of `int`.

    Attributes:
        effects: In the order of their numbers.
    """

    effects: tuple[CarriedEffect, ...]


class FindHandle(Peer, frozen=True, tag="find_handle"):
    """Of the service: what a handle stands for: `FoundHandle`.

    Attributes:
        handle: Its uuid.
    """

    handle: str


class FoundHandle(msgspec.Struct, frozen=True, kw_only=True):
    """What a handle stands for.

    Attributes:
        leader: Who leads the service instead; then there is nothing else.
        container: Whose it is; None for the pool's own.
        capabilities: What it allows.
        number: Of the newest effect when this was told.
        floor: For the fence.
    """

    leader: int | None = None
    container: str | None = None
    capabilities: int = 0
    number: int = 0
    floor: int = 0


class PassEpoch(Peer, frozen=True, tag="pass_epoch"):
    """Give later epochs than this one: one that was given before, `int`.

    Attributes:
        epoch: Which; 0 to be told only.
    """

    epoch: int


class HoldSnapshot(Peer, frozen=True, tag="hold_snapshot"):
    """Keep what is visible at these epochs of a container, before anybody is told of them: nothing.

    Attributes:
        container: Which.
        epochs: All of its snapshots, the new one among them.
    """

    container: str
    epochs: tuple[int, ...]


class Rollback(Peer, frozen=True, tag="rollback"):
    """Bring a container's part back to a snapshot: nothing.

    Attributes:
        container: Which.
        epoch: The snapshot's.
    """

    container: str
    epoch: int


class Aggregate(Peer, frozen=True, tag="aggregate"):
    """Remove what nobody can see: how many entries went, `int`.

    Attributes:
        container: Which.
    """

    container: str


class PartSpace(Peer, frozen=True, tag="part_space"):
    """How the bytes of the pool are used here: `PartSpaceReply`."""


class PartSpaceReply(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes of a pool on a rank.

    Attributes:
        targets: How many targets share them.
        total: That it has, per tier.
        free: That are free, per tier.
    """

    targets: int
    total: tuple[int, int]
    free: tuple[int, int]


class PartScrub(Peer, frozen=True, tag="part_scrub"):
    """What the scrubber found here: `PartScrubReply`."""


class PartScrubReply(msgspec.Struct, frozen=True, array_like=True):
    """What the scrubber of a rank found, as `_core.Engine.pool_scrub_found`."""

    is_running: bool
    passes: int
    bytes: int
    corruptions: int
    found: list[str]
    ended_s: int | None
    next_s: int | None


AnyPeer: TypeAlias = CarryEffects | FindHandle | PassEpoch | HoldSnapshot | Rollback | Aggregate | PartSpace | PartScrub
QUESTIONS = FindHandle | PassEpoch | PartSpace | PartScrub
"""Requests after which nothing is uncertain: they change nothing, or what nobody sees."""
_DECODER: msgspec.msgpack.Decoder[AnyPeer] = msgspec.msgpack.Decoder(AnyPeer)


def decode(body: bytes) -> AnyPeer:
    """Return the request of a body.

    Raises:
        InvalidError: `DER.PROTO`: it is none.
    """
    try:
        return _DECODER.decode(payload(body))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidError(f"this is no request of an engine: {error}", code=DER.PROTO) from None


class Ranks:
    """Asks ranks, this one among them.

    Args:
        rank: This one.
        parts: Its parts.
        messenger: Reaches the others.
        system: Tells where they are.
    """

    def __init__(self, rank: int, parts: Parts, messenger: Messenger, system: SystemMap) -> None:
        self.rank = rank
        self._parts, self._messenger, self._system = parts, messenger, system

    async def ask(self, rank: int, request: AnyPeer, answer: type[T], *, timeout_s: float = ASK_S_MAX) -> T:
        """Return what another rank answers.

        A request whose reply was lost is sent once more, as each of them may come twice: a connection to an engine that
        was started anew is noticed by its first use only.

        Raises:
            UnavailableError: `DER.UNREACH`: it is not there, or the reply to a question was lost.
            UncertainError: `DER.TX_UNCERTAIN`: the reply to what changes something was lost.
            DaosError: What it refuses the request with.
        """
        body, end = encode(request), time.monotonic() + timeout_s
        try:
            reply = await self._ask(rank, body, timeout_s)
        except UncertainError:
            try:
                reply = await self._ask(rank, body, max(end - time.monotonic(), AGAIN_S_MIN))
            except UncertainError as error:
                if isinstance(request, QUESTIONS):
                    raise UnavailableError(error.message, code=DER.UNREACH, hint=error.hint) from None
                raise
        return _packed.decode(payload(reply), answer)

    async def _ask(self, rank: int, body: bytes, timeout_s: float) -> bytes:
        return await self._parts.run(self._messenger.ask, rank, self._system.uri(rank), body, timeout_s=timeout_s)

    async def on(self, rank: int, request: AnyPeer, answer: type[T], *, timeout_s: float = ASK_S_MAX) -> T:
        """Return what a rank answers, be it this one."""
        if rank != self.rank:
            return await self.ask(rank, request, answer, timeout_s=timeout_s)
        return msgspec.convert(await here(self._parts, request), type=answer)


async def here(parts: Parts, request: AnyPeer) -> object:  # noqa: PLR0911 -- a line for each request
    """Answer a request about this rank's part of a pool.

    Raises:
        DaosError: It cannot be done here.
    """
    core = parts.core
    match request:
        case CarryEffects():
            return await parts.carry(request.pool, request.effects)
        case PassEpoch():
            return await parts.run(core.epoch_pass, request.epoch)
        case PartSpace():
            return await _space(parts, request.pool)
        case PartScrub():
            return PartScrubReply(*await parts.run(core.pool_scrub_found, request.pool))
        case HoldSnapshot():
            return await parts.run(core.snapshots_set, request.pool, request.container, list(request.epochs))
        case Rollback():
            return await parts.run(core.rollback, request.pool, request.container, request.epoch)
        case Aggregate():
            return await parts.run(core.aggregate, request.pool, request.container)
        case FindHandle():
            raise InvalidError("a handle is the service's to tell of")


async def _space(parts: Parts, pool: str) -> PartSpaceReply:
    tiers, core = parts.tiers(pool), parts.core
    left = await parts.run(core.pool_room, pool) or (0, 0)
    # What it was given others may have taken.
    _, free, _, _ = await parts.run(core.space)
    free_of = (min(left[0], free), min(left[1], free))
    return PartSpaceReply(targets=len(core.target_addresses), total=tiers, free=free_of)
