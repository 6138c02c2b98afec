"""Which ranks a pool gets, and which of them its service."""

from __future__ import annotations

from collections.abc import Sequence

from daos.control.outbox import Rank
from daos.control.system.state import Member, SystemState
from daos.errors import InvalidError, NoSpaceError
from daos.model.sizes import format_size

TIERS = ("SCM", "NVMe")
TARGET_BYTES_MIN = (16 << 20, 1 << 30)
"""The least that a pool has of each tier on a target, unless it has nothing of the tier."""


def select_ranks(
    state: SystemState, *, ranks: Sequence[Rank] | None, count: int | None, tiers: tuple[int, int]
) -> list[Member]:
    """Return the members that a pool is made on, by rank.

    A number of ranks is taken from as many fault domains as there are, those with the most free space first.

    Args:
        state: The system's.
        ranks: Which.
        count: How many; with neither, all that are joined.
        tiers: Bytes that the pool has on each.

    Raises:
        InvalidError: `DER.INVAL`: no such ranks, or not so many, or so little of a tier.
        NoSpaceError: `DER.NOSPACE`: a rank has less free.
    """
    joined = {member.rank: member for member in state.members.values() if member.joined}
    if ranks is not None and count is not None:
        raise InvalidError("--nranks may not be mixed with --ranks", hint="give one of them")
    if not joined:
        raise InvalidError("pool request contains zero target ranks", hint="no rank has joined the system")
    if ranks is not None:
        absent = [rank for rank in ranks if rank not in joined]
        if absent or not ranks:
            raise InvalidError(
                f"pool request contains invalid rank: {', '.join(map(str, absent)) or 'none'}",
                hint="dmg system query lists the ranks that are joined",
            )
        chosen = [joined[rank] for rank in sorted(set(ranks))]
    elif count is None:
        chosen = [joined[rank] for rank in sorted(joined)]
    else:
        if not 1 <= count <= len(joined):
            raise InvalidError(
                f"pool request contains invalid number of ranks (requested: {count}, available: {len(joined)})"
            )
        free = {rank: sum(state.free(member)) for rank, member in joined.items()}
        ordered = sorted(joined.values(), key=lambda member: (-free[member.rank], member.rank))
        chosen = sorted(_spread(ordered, count), key=lambda member: member.rank)
    for member in chosen:
        _check_space(state, member, tiers)
    return chosen


def select_services(members: Sequence[Member], svc_rf: int) -> list[Rank]:
    """Return the ranks of a pool's service: `2 * svc_rf + 1`, or the largest odd number of fault domains below."""
    domains = len({member.domain for member in members})
    count = min(2 * svc_rf + 1, domains)
    count -= 1 - count % 2
    return [member.rank for member in _spread(members, count)]


def _spread(members: Sequence[Member], count: int) -> list[Member]:
    """Return so many members, in turn from each fault domain."""
    by_domain: dict[tuple[str, ...], list[Member]] = {}
    for member in members:
        by_domain.setdefault(member.domain, []).append(member)
    turns = [
        (place, first, member) for first, group in enumerate(by_domain.values()) for place, member in enumerate(group)
    ]
    return [member for _, _, member in sorted(turns, key=lambda turn: turn[:2])[:count]]


def _check_space(state: SystemState, member: Member, tiers: tuple[int, int]) -> None:
    for name, wanted, least, free in zip(TIERS, tiers, TARGET_BYTES_MIN, state.free(member), strict=True):
        if 0 < wanted < least * member.targets or (name == TIERS[0] and wanted <= 0):
            raise InvalidError(
                f"requested {name} capacity too small (min {format_size(least * member.targets)} per rank)",
                hint=f"rank {member.rank} has {member.targets} targets",
            )
        if wanted > free:
            raise NoSpaceError(
                f"rank {member.rank} has {format_size(max(free, 0))} of {name} free, not {format_size(wanted)}",
                hint="make it smaller, or on other ranks",
                context={"rank": member.rank, "free": free, "wanted": wanted},
            )
