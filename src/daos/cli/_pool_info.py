"""What the tools tell about a pool, in DAOS's form."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daos import Pool


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
    ]
