"""What the tools tell about a pool, in DAOS's form."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from daos.model.sizes import format_size

if TYPE_CHECKING:
    from daos import Pool, ScrubStatus

TIERS = ("SCM", "NVME")
"""DAOS's names. An embedded system has one device; what it has is told as the first."""


def pool_query(pool: Pool) -> dict[str, object]:
    """Return the JSON object of a pool with what only a query tells."""
    scrub = pool.scrub_status()
    told = {**asdict(scrub), "over_threshold": scrub.over_threshold}
    for name in ("last_pass", "next_pass"):
        told[name] = None if told[name] is None else told[name].isoformat()
    return {**pool_info(pool), "scrub": told}


def with_space(pool: Pool, told: dict[str, object]) -> dict[str, object]:
    """Return the JSON object of a pool with its storage tiers."""
    space, targets = pool.system.space(), pool.system.targets
    sizes = [(tier, space.total, space.free) if tier == TIERS[0] else (tier, 0, 0) for tier in TIERS]
    return {
        **told,
        "query_mask": "disabled_engines,rebuild,space",
        "tier_stats": [
            {
                "total": total,
                "free": free,
                "min": free // targets,
                "max": free // targets,
                "mean": free // targets,
                "media_type": tier.lower(),
            }
            for tier, total, free in sizes
        ],
        "usage": [{"tier_name": tier, "size": total, "free": free, "imbalance": 0} for tier, total, free in sizes],
    }


def space_lines(pool: Pool) -> list[str]:
    """Return the text about a pool's storage tiers: the system's one device is tier 0."""
    space, targets = pool.system.space(), pool.system.targets
    lines = ["Pool space info:", f"- Target count:{targets}"]
    for number, tier in enumerate(TIERS):
        total, free = (space.total, space.free) if number == 0 else (0, 0)
        each = format_size(free // targets)
        lines += [
            f"- Storage tier {number} ({tier}):",
            f"  Total size: {format_size(total)}",
            f"  Free: {format_size(free)}, min:{each}, max:{each}, mean:{each}",
        ]
    return lines


def pool_info(pool: Pool) -> dict[str, object]:
    """Return the JSON object of a pool, in the form that DAOS has where space was not asked for."""
    targets = pool.system.targets
    return {
        "query_mask": "disabled_engines,rebuild",
        "state": "Ready",
        "uuid": pool.uuid,
        "label": pool.label,
        "total_targets": targets,
        "active_targets": targets,
        "total_engines": 1,
        "disabled_targets": 0,
        "version": 1,
        "svc_ldr": 0,
        "svc_reps": [0],
        "rebuild": {
            "status": 0,
            "state": "idle",
            "derived_state": "idle",
            "objects": 0,
            "records": 0,
            "total_objects": 0,
            "degraded": False,
        },
        "tier_stats": None,
    }


def pool_lines(pool: Pool) -> list[str]:
    """Return the text about a pool."""
    targets = pool.system.targets
    return [
        f"Pool {pool.uuid}, ntarget={targets}, disabled=0, leader=0, version=1, state=Ready",
        "Pool health info:",
        "- Rebuild idle, 0 objs, 0 recs",
        "- Data redundancy: normal",
        *_scrub_lines(pool.scrub_status()),
    ]


def _scrub_lines(scrub: ScrubStatus) -> list[str]:
    """Tell about scrubbing where there is any: DAOS has no such lines."""
    if scrub.mode == "off" and scrub.passes == 0:
        return []
    passes = f"{scrub.passes} {'pass' if scrub.passes == 1 else 'passes'}"
    state = "running" if scrub.running else "idle"
    lines = [f"- Scrub {scrub.mode}, {state}, {passes}, {format_size(scrub.bytes)} read"]
    for name, when in (("Last pass ended", scrub.last_pass), ("Next pass", scrub.next_pass)):
        if when is not None:
            lines.append(f"- {name}: {when:%Y-%m-%d %H:%M:%S} UTC")
    threshold = f", threshold of {scrub.thresh} reached" if scrub.over_threshold else ""
    lines.append(f"- Corruptions: {scrub.corruptions}{threshold}")
    return [*lines, *(f"  {what}" for what in scrub.found)]
