"""Storage tiers, as `daos` and `dmg` tell them, in DAOS's form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from daos.model.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable

TIERS = ("SCM", "NVME")
"""DAOS's names, whatever the tiers are made of."""


class Tier(Protocol):
    """The space of a tier: `daos.TierSpace`, or what the management API has of it."""

    @property
    def media(self) -> str:
        """Return `scm` or `nvme`."""

    @property
    def total(self) -> int:
        """Return the bytes of it."""

    @property
    def free(self) -> int:
        """Return those that are free."""

    @property
    def min(self) -> int:
        """Return those that are free on the target that has the least."""

    @property
    def max(self) -> int:
        """Return those that are free on the target that has the most."""

    @property
    def mean(self) -> int:
        """Return those that are free on a target in the mean."""


def tier_json(tier: Tier) -> dict[str, object]:
    """Return the space of a tier as JSON has it."""
    return {
        "total": tier.total,
        "free": tier.free,
        "min": tier.min,
        "max": tier.max,
        "mean": tier.mean,
        "media_type": tier.media,
    }


def usage_json(name: str, tier: Tier, targets: int) -> dict[str, object]:
    """Return how full a tier is as JSON has it."""
    return {"tier_name": name, "size": tier.total, "free": tier.free, "imbalance": imbalance(tier, targets)}


def imbalance(tier: Tier, targets: int) -> int:
    """Return how far apart the free space of targets is, in percent of what a target has."""
    return round(100 * (tier.max - tier.min) * targets / tier.total) if tier.total and targets else 0


def tier_lines(tiers: Iterable[tuple[str, Tier]], *, each: bool) -> list[str]:
    """Return the text about storage tiers.

    Args:
        tiers: The tiers with their names.
        each: With what single targets have free.
    """
    lines = []
    for number, (name, tier) in enumerate(tiers):
        free = f"  Free: {format_size(tier.free)}"
        if each:
            free += f", min:{format_size(tier.min)}, max:{format_size(tier.max)}, mean:{format_size(tier.mean)}"
        lines += [f"- Storage tier {number} ({name}):", f"  Total size: {format_size(tier.total)}", free]
    return lines
