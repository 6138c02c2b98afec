"""What the scrubbers of a pool's ranks found, put together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from daos.engine.body import ScrubReply
from daos.engine.peers import PartScrub, PartScrubReply
from daos.errors import DaosError
from daos.model.scrub import FOUND_MAX, scrub_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from daos.engine.peers import Ranks

RANK_S_MAX = 3.0
"""So long a rank has to answer."""


async def ask_ranks(ranks: Ranks, pool: str, which: Sequence[int]) -> dict[int, PartScrubReply]:
    """Return what each rank found. Those that do not answer are left out: what the others found is told nonetheless."""

    async def ask(rank: int) -> PartScrubReply | None:
        try:
            return await ranks.on(rank, PartScrub(pool=pool), PartScrubReply, timeout_s=RANK_S_MAX)
        except DaosError:
            return None

    answers = await asyncio.gather(*map(ask, which))
    return {rank: answer for rank, answer in zip(which, answers, strict=True) if answer is not None}


def together(properties: Mapping[str, str | int], parts: Mapping[int, PartScrubReply]) -> ScrubReply:
    """Return what a pool with these properties is told of, by rank.

    A pass over the pool is one over all of its ranks: it has ended when the last of them has.
    """
    mode, freq, thresh = scrub_settings(properties)
    each = parts.values()
    ended = [part.ended_s for part in each]
    begins = [part.next_s for part in each if part.next_s is not None]
    return ScrubReply(
        mode=mode,
        freq_s=freq,
        thresh=thresh,
        is_running=any(part.is_running for part in each),
        passes=min((part.passes for part in each), default=0),
        bytes=sum(part.bytes for part in each),
        corruptions=sum(part.corruptions for part in each),
        found=[f"rank {rank}: {what}" for rank, part in parts.items() for what in part.found][:FOUND_MAX],
        ended_s=None if None in ended else max((at for at in ended if at is not None), default=None),
        next_s=min(begins, default=None),
    )
