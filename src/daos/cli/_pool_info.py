"""What the tools tell about a pool, in DAOS's form."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from daos.cli._output import table
from daos.cli._tiers import TIERS, imbalance, tier_json, tier_lines, usage_json
from daos.mgmt.sets import format_ranks
from daos.model.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daos import Pool, PoolInfo, ScrubStatus, TargetInfo, TierSpace


def every_tier(tiers: Sequence[TierSpace]) -> list[tuple[str, TierSpace]]:
    """Return the tiers with DAOS's names, also one that is not there, as DAOS does.

    An embedded system has one device; what it has is told as the first.
    """
    from daos import TierSpace

    by_media = {tier.media.upper(): tier for tier in tiers}
    return [(name, by_media.get(name, TierSpace(name.lower(), 0, 0, 0, 0, 0))) for name in TIERS]


def pool_query(pool: Pool, info: PoolInfo, *, enabled: bool = False) -> dict[str, object]:
    """Return the JSON object of a pool with what only a query tells."""
    scrub = pool.scrub_status()
    told = {**asdict(scrub), "over_threshold": scrub.over_threshold}
    for name in ("last_pass", "next_pass"):
        told[name] = None if told[name] is None else told[name].isoformat()
    answer = {**pool_info(info), "scrub": told}
    if info.disabled_ranks or info.dead_ranks:
        answer |= {"disabled_ranks": list(info.disabled_ranks), "dead_ranks": list(info.dead_ranks)}
    if enabled:
        answer["enabled_ranks"] = list(info.enabled_ranks)
        answer["query_mask"] = f"enabled_engines,{answer['query_mask']}"
    return answer


def pool_info(info: PoolInfo) -> dict[str, object]:
    """Return the JSON object of a pool, in the form that DAOS has; with storage tiers where space was asked for."""
    told: dict[str, object] = {
        "query_mask": "disabled_engines,rebuild",
        "state": info.state,
        "uuid": info.uuid,
        "label": info.label or "",
        "total_targets": info.targets,
        "active_targets": info.active,
        "total_engines": len(info.enabled_ranks) + len(info.disabled_ranks),
        "disabled_targets": info.disabled,
        "version": info.version,
        "svc_ldr": info.leader,
        "svc_reps": list(info.services),
        "rebuild": {
            "status": 0,
            "state": "idle",
            "derived_state": "idle",
            "objects": 0,
            "records": 0,
            "total_objects": 0,
            "degraded": info.degraded,
        },
        "tier_stats": None,
    }
    if info.tiers:
        tiers = every_tier(info.tiers)
        told["query_mask"] = "disabled_engines,rebuild,space"
        told["tier_stats"] = [tier_json(tier) for _, tier in tiers]
        told["usage"] = [usage_json(name, tier, info.active) for name, tier in tiers]
    return told


def pool_lines(pool: Pool, info: PoolInfo, *, enabled: bool = False) -> list[str]:
    """Return the text about a pool but its space."""
    first = f"Pool {info.uuid}, ntarget={info.targets}, disabled={info.disabled}"
    lines = [f"{first}, leader={info.leader}, version={info.version}, state={info.state}", "Pool health info:"]
    if enabled:
        lines.append(f"- Enabled ranks: {format_ranks(info.enabled_ranks) or 'None'}")
    if info.disabled_ranks:
        lines.append(f"- Disabled ranks: {format_ranks(info.disabled_ranks)}")
    if info.dead_ranks:
        lines.append(f"- Dead ranks: {format_ranks(info.dead_ranks)}")
    return [
        *lines,
        "- Rebuild idle, 0 objs, 0 recs",
        f"- Data redundancy: {'degraded' if info.degraded else 'normal'}",
        *_scrub_lines(pool.scrub_status()),
    ]


def space_lines(info: PoolInfo) -> list[str]:
    """Return the text about the storage tiers of a pool."""
    return ["Pool space info:", f"- Target count:{info.targets}", *tier_lines(every_tier(info.tiers), each=True)]


def target_json(target: TargetInfo) -> dict[str, object]:
    """Return a target as JSON has it."""
    return {
        "target_state": target.state,
        "space": [tier_json(tier) for _, tier in every_tier(target.tiers)],
        "mem_file_bytes": target.tiers[0].total if target.tiers else 0,
        "md_on_ssd_active": False,
    }


SHORT = ("Pool", "Size", "State", "Used", "Imbalance", "Disabled")
VERBOSE = (
    *("Label", "UUID", "State", "SvcReps"),
    *(f"{tier} {what}" for tier in TIERS for what in ("Size", "Used", "Imbalance")),
    *("Disabled", "UpgradeNeeded?", "Rebuild State"),
)


def list_lines(infos: Sequence[PoolInfo], *, verbose: bool) -> list[str]:
    """Return the table of pools."""
    return table(VERBOSE if verbose else SHORT, [(_verbose_row if verbose else _short_row)(info) for info in infos])


def _short_row(info: PoolInfo) -> list[str]:
    total = sum(tier.total for tier in info.tiers)
    used = total - sum(tier.free for tier in info.tiers)
    spread = max((imbalance(tier, info.active) for tier in info.tiers), default=0)
    percent = f"{round(100 * used / total) if total else 0}%"
    disabled = f"{info.disabled}/{info.targets}"
    return [info.label or info.uuid, format_size(total), info.state, percent, f"{spread}%", disabled]


def _verbose_row(info: PoolInfo) -> list[str]:
    cells = [info.label or "-", info.uuid, info.state, format_ranks(info.services)]
    for _, tier in every_tier(info.tiers):
        used = format_size(tier.total - tier.free)
        cells += [format_size(tier.total), used, f"{imbalance(tier, info.active)}%"]
    return [*cells, f"{info.disabled}/{info.targets}", "None", "idle"]


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
