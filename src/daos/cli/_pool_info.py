"""What the tools tell about a pool, in DAOS's form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daos.model.sizes import format_size

if TYPE_CHECKING:
    from daos import Pool

# An embedded system keeps all on one device; scripts find its bytes in the first tier.
TIER = "SCM"


def pool_info(pool: Pool) -> dict[str, object]:
    """Return the JSON object of a pool."""
    space, targets = pool.space(), pool.system.targets
    tier = {
        "total": space.total,
        "free": space.free,
        "min": space.free // targets,
        "max": space.free // targets,
        "mean": space.free // targets,
        "media_type": TIER.lower(),
    }
    return {
        "query_mask": "disabled_engines,rebuild,space",
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
        "tier_stats": [tier],
        "usage": [{"tier_name": TIER, "size": space.total, "free": space.free, "imbalance": 0}],
    }


def pool_lines(pool: Pool) -> list[str]:
    """Return the text about a pool."""
    space, targets = pool.space(), pool.system.targets
    each = format_size(space.free // targets)
    return [
        f"Pool {pool.uuid}, ntarget={targets}, disabled=0, leader=0, version=1, state=Ready",
        "Pool health info:",
        "- Rebuild idle, 0 objs, 0 recs",
        "- Data redundancy: normal",
        "Pool space info:",
        f"- Target count:{targets}",
        f"- Storage tier 0 ({TIER}):",
        f"  Total size: {format_size(space.total)}",
        f"  Free: {format_size(space.free)}, min:{each}, max:{each}, mean:{each}",
    ]
