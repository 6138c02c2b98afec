"""How much of each tier a new pool has on a rank. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from daos.errors import InvalidError
from daos.model.sizes import format_size, parse_size

if TYPE_CHECKING:
    from collections.abc import Sequence

RATIOS = (6.0, 94.0)
"""Percent of a total size on each tier, where no others are given (DAOS's)."""
_WHOLE = 100.0
_ROUNDING = 1e-6


@dataclass(frozen=True)
class RankSpace:
    """A rank that has joined.

    Attributes:
        rank: Its number.
        capacity: Bytes of each tier.
        free: Those that no pool has.
    """

    rank: int
    capacity: tuple[int, int]
    free: tuple[int, int]


@dataclass(frozen=True)
class SizeOptions:
    """What a command line says about size and ranks; None for what it does not say.

    Attributes:
        size: A total for all ranks, or a share of what is free, such as `50%`.
        ratio: Percent of the total on each tier, such as `6,94`.
        scm: Bytes of tier 0 on each rank.
        nvme: Bytes of tier 1 on each rank.
        ranks: Which ranks; else
        count: how many.
    """

    size: str | None = None
    ratio: str | None = None
    scm: str | None = None
    nvme: str | None = None
    ranks: Sequence[int] | None = None
    count: int | None = None


@dataclass(frozen=True)
class Plan:
    """The size of a pool.

    Attributes:
        tiers: Bytes of each tier on each rank.
        title: What is being done, as a line.
        single: Whether only one tier was asked for by its size.
    """

    tiers: tuple[int, int]
    title: str
    single: bool = False


def check_options(options: SizeOptions) -> None:
    """Return if the options go together; what is free is not looked at.

    Raises:
        InvalidError: `DER.INVAL`: they do not, or one has no valid value.
    """
    if options.ranks is not None and options.count is not None:
        raise InvalidError("--nranks may not be mixed with --ranks", hint="give one of them")
    if options.count is not None and options.count < 1:
        raise InvalidError(f"invalid --nranks {options.count}", hint="at least 1")
    if options.nvme is not None and options.scm is None and options.size is None:
        raise InvalidError("--nvme-size cannot be set without --scm-size", hint="give --scm-size, or --size for both")
    manual = options.scm is not None or options.nvme is not None
    if (options.size is not None) == manual:
        raise InvalidError(
            "unsupported option combination, use (--scm-size and --nvme-size) or (--meta-size and --data-size) or "
            "(--size)",
            hint="such as --size 100GB, or --size 50%",
        )
    if options.ratio is not None and (manual or (options.size or "").endswith("%")):
        raise InvalidError("--tier-ratio goes with a total --size only", hint="such as --size 100GB --tier-ratio 6,94")
    if options.ratio is not None:
        parse_ratio(options.ratio)
    for flag, text in (("-s, --scm-size", options.scm), ("-n, --nvme-size", options.nvme)):
        if text is not None:
            _size(text, flag)
    if options.size is not None:
        _total(options.size)


def parse_ratio(text: str) -> tuple[float, float]:
    """Return the percents of `6,94`, `6%,94%`, or `6`, of which the other tier is the rest.

    Raises:
        InvalidError: `DER.INVAL`.
    """
    hint = "such as 6,94"
    try:
        parts = [float(part.strip().removesuffix("%")) for part in text.split(",")]
    except ValueError:
        raise InvalidError(
            f'invalid argument for flag `-t, --tier-ratio\': invalid ratio "{text}"', hint=hint
        ) from None
    if len(parts) == 1:
        parts.append(_WHOLE - parts[0])
    if len(parts) != 2 or not all(0 <= part <= _WHOLE for part in parts):  # noqa: PLR2004 -- there are two tiers
        raise InvalidError(f'invalid argument for flag `-t, --tier-ratio\': invalid ratio "{text}"', hint=hint)
    if abs(sum(parts) - _WHOLE) > _ROUNDING:
        raise InvalidError(f"Storage tier ratios must add up to 100 (got {sum(parts):f})", hint=hint)
    return parts[0], parts[1]


def _size(text: str, flag: str) -> int:
    try:
        return parse_size(text, "size")
    except InvalidError as error:
        raise InvalidError(f'invalid argument for flag `{flag}\': invalid size "{text}"', hint=error.hint) from None


def _total(text: str) -> int | float:
    """Return a size in bytes, or the float of a percent."""
    if text.endswith("%"):
        number = text.removesuffix("%").strip()
        try:
            percent = float(number)
        except ValueError:
            raise InvalidError(
                f'invalid argument for flag `-z, --size\': invalid size "{text}"', hint="such as 50%"
            ) from None
        if not 0 < percent <= _WHOLE:
            raise InvalidError(f'invalid size "{text}": allowed range 0 < ratio <= 100', hint="such as 50%")
        return percent
    size = _size(text, "-z, --size")
    if size == 0:
        raise InvalidError("a pool of size 0 cannot be made", hint="such as --size 100GB, or --size 50%")
    return size


def plan(options: SizeOptions, joined: Sequence[RankSpace]) -> Plan:
    """Return what a pool has on each rank.

    A share of what is free is that of the rank with the least, so that it is to be had on all of them. Where no rank
    has a second tier, the first has all of the total.

    Args:
        options: The command line's.
        joined: All ranks that have joined.

    Raises:
        InvalidError: `DER.INVAL`: the options do not go together, or no rank has joined.
    """
    check_options(options)
    if options.scm is not None:
        scm = _size(options.scm, "-s, --scm-size")
        nvme = 0 if options.nvme is None else _size(options.nvme, "-n, --nvme-size")
        ratio = 100 * scm / nvme if nvme else 0.0
        title = (
            f"Creating DAOS pool with manual per-server storage allocation: {format_size(scm)} SCM, "
            f"{format_size(nvme)} NVMe ({ratio:.2f}% ratio)"
        )
        return Plan((scm, nvme), title, single=nvme == 0)
    absent = set(options.ranks or ()) - {space.rank for space in joined}
    if absent:
        raise InvalidError(
            f"pool request contains invalid rank: {', '.join(map(str, sorted(absent)))}",
            hint="dmg system query lists the ranks that are joined",
        )
    chosen = [space for space in joined if options.ranks is None or space.rank in options.ranks]
    count = min(options.count or len(chosen), len(joined))
    if not count or not chosen:
        raise InvalidError("pool request contains zero target ranks", hint="dmg system query tells who has joined")
    text = options.size or ""
    total = _total(text)
    if isinstance(total, float):
        least = [min(space.free[tier] for space in chosen) for tier in (0, 1)]
        scm, nvme = (int(max(free, 0) * total / _WHOLE) for free in least)
        return Plan((scm, nvme), f"Creating DAOS pool with {text} of all storage")
    ratios = RATIOS if options.ratio is None else parse_ratio(options.ratio)
    each = total // count
    scm = min(int(each * ratios[0] / _WHOLE), each) if any(space.capacity[1] for space in chosen) else each
    ranks = f" with {options.count} ranks" if options.count is not None else ""
    title = (
        f"Creating DAOS pool with automatic storage allocation: {format_size(total)} total, "
        f"{ratios[0]:.2f}% storage tier ratio{ranks}"
    )
    return Plan((scm, each - scm), title)
