"""What `dmg` tells about pools, in DAOS's form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daos.cli._output import Reply, table
from daos.cli._tiers import TIERS, imbalance, tier_json, usage_json
from daos.errors import DER, DaosError
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.sets import format_ranks
from daos.model.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence


def tiers_of(tiers: Sequence[pb.TierSpace]) -> list[tuple[str, pb.TierSpace]]:
    """Return the tiers that are told, with DAOS's names, and with them the second where there is none, as DAOS does."""
    told = [(tier.media.upper(), tier) for tier in tiers]
    if told and not any(name == TIERS[1] for name, _ in told):
        told.append((TIERS[1], pb.TierSpace(media=TIERS[1].lower())))
    return told


def derived_state(rebuild: pb.RebuildStatus) -> str:
    """Return DAOS's word for what rebuilding does."""
    if not rebuild.code:
        return rebuild.state
    if rebuild.code == DER.OP_CANCELED:
        return "stopping" if rebuild.state == "busy" else "stopped"
    return "failing" if rebuild.state == "busy" else "failed"


def rebuild_json(rebuild: pb.RebuildStatus) -> dict[str, object]:
    """Return the state of rebuilding as JSON has it."""
    return {
        "status": -rebuild.code,
        "state": rebuild.state,
        "derived_state": derived_state(rebuild),
        "objects": rebuild.objects,
        "records": rebuild.records,
        "total_objects": rebuild.total_objects,
        "degraded": rebuild.degraded,
    }


def pool_json(info: pb.PoolInfo, mask: Sequence[str], *, label: bool) -> dict[str, object]:
    """Return a pool as JSON has it.

    Args:
        info: What its service tells.
        mask: What was asked for.
        label: With the label, which DAOS leaves out of a query.
    """
    told: dict[str, object] = {
        "query_mask": ",".join(sorted(mask)),
        "state": info.state,
        "uuid": info.uuid,
        "label": info.label,
        "total_targets": info.total_targets,
        "active_targets": info.active_targets,
        "total_engines": info.total_engines,
        "disabled_targets": info.disabled_targets,
        "version": info.version,
        "svc_ldr": info.leader,
        "svc_reps": list(info.services),
        "rebuild": rebuild_json(info.rebuild),
        "tier_stats": [tier_json(tier) for _, tier in tiers_of(info.tiers)] or None,
        "disabled_ranks": list(info.disabled_ranks),
        "pool_layout_ver": info.layout_version,
        "upgrade_layout_ver": info.layout_version_latest,
        "mem_file_bytes": info.tiers[0].total if info.tiers else 0,
        "md_on_ssd_active": False,
    }
    if not label:
        del told["label"]
    if "enabled_engines" in mask:
        told["enabled_ranks"] = list(info.enabled_ranks)
    if "dead_engines" in mask:
        told["dead_ranks"] = list(info.dead_ranks)
    if "self_heal_policy" in mask:
        told["self_heal_policy"] = info.self_heal
    if "space" in mask:
        told["usage"] = [usage_json(name, tier, info.active_targets) for name, tier in tiers_of(info.tiers)]
    return told


def health_lines(info: pb.PoolInfo, *, enabled: bool) -> list[str]:
    """Return the text about a pool but its space."""
    first = f"Pool {info.uuid}, ntarget={info.total_targets}, disabled={info.disabled_targets}"
    lines = [f"{first}, leader={info.leader}, version={info.version}, state={info.state}"]
    if info.layout_version < info.layout_version_latest:
        lines.append(f"Pool layout out of date ({info.layout_version} < {info.layout_version_latest})")
    lines.append("Pool health info:")
    if enabled:
        lines.append(f"- Enabled ranks: {format_ranks(info.enabled_ranks) or 'None'}")
    if info.disabled_ranks:
        lines.append(f"- Disabled ranks: {format_ranks(info.disabled_ranks)}")
    if info.dead_ranks:
        lines.append(f"- Dead ranks: {format_ranks(info.dead_ranks)}")
    rebuild = info.rebuild
    if rebuild.code:
        lines.append(f"- Rebuild {derived_state(rebuild)} (state={rebuild.state}, status={-rebuild.code})")
    else:
        lines.append(f"- Rebuild {rebuild.state}, {rebuild.objects} objs, {rebuild.records} recs")
    lines.append(f"- Data redundancy: {'degraded' if rebuild.degraded else 'normal'}")
    return lines


def _percent(part: int, whole: int) -> str:
    return f"{round(100 * part / whole) if whole else 0}%"


def _used(info: pb.PoolInfo) -> tuple[int, int]:
    total = sum(tier.total for tier in info.tiers)
    return total - sum(tier.free for tier in info.tiers), total


def short_row(info: pb.PoolInfo) -> list[str]:
    """Return the row of a pool in the short list."""
    used, total = _used(info)
    spread = max((imbalance(tier, info.active_targets) for tier in info.tiers), default=0)
    disabled = f"{info.disabled_targets}/{info.total_targets}"
    return [info.label or info.uuid, format_size(total), info.state, _percent(used, total), f"{spread}%", disabled]


def verbose_row(info: pb.PoolInfo) -> list[str]:
    """Return the row of a pool in the long list."""
    cells = [info.label or "-", info.uuid, info.state, format_ranks(info.services)]
    by_name = dict(tiers_of(info.tiers))
    for name in TIERS:
        tier = by_name.get(name, pb.TierSpace())
        spread = f"{imbalance(tier, info.active_targets)}%"
        cells += [format_size(tier.total), format_size(tier.total - tier.free), spread]
    return [*cells, f"{info.disabled_targets}/{info.total_targets}", _upgrade(info), derived_state(info.rebuild)]


SHORT = ("Pool", "Size", "State", "Used", "Imbalance", "Disabled")
VERBOSE = (
    *("Label", "UUID", "State", "SvcReps"),
    *(f"{tier} {what}" for tier in TIERS for what in ("Size", "Used", "Imbalance")),
    *("Disabled", "UpgradeNeeded?", "Rebuild State"),
)


def _upgrade(info: pb.PoolInfo) -> str:
    old, new = info.layout_version, info.layout_version_latest
    return f"{old}->{new}" if old < new else "None"


def list_lines(infos: Sequence[pb.PoolInfo], *, verbose: bool) -> list[str]:
    """Return the table of pools that were asked. Columns for what is rare are there when it is."""
    if verbose:
        return table(VERBOSE, map(verbose_row, infos))
    heads, rows = list(SHORT), [short_row(info) for info in infos]
    for head, cells, usual in (
        ("UpgradeNeeded?", [_upgrade(info) for info in infos], "None"),
        ("Rebuild State", [derived_state(info.rebuild) for info in infos], "idle"),
    ):
        if any(cell != usual for cell in cells):
            heads.append(head)
            rows = [[*row, cell] for row, cell in zip(rows, cells, strict=True)]
    return table(heads, rows)


def entry_lines(entries: Sequence[pb.PoolEntry], *, verbose: bool) -> list[str]:
    """Return the table of pools that were not asked."""
    if verbose:
        rows = [(entry.label or "-", entry.uuid, entry.state, format_ranks(entry.services)) for entry in entries]
        return table(("Label", "UUID", "State", "SvcReps"), rows)
    return table(("Pool", "State"), [(entry.label or entry.uuid, entry.state) for entry in entries])


def entry_json(entry: pb.PoolEntry) -> dict[str, object]:
    """Return a pool that was not asked, as JSON has it."""
    return {
        "query_mask": "",
        "state": entry.state,
        "uuid": entry.uuid,
        "label": entry.label,
        "total_targets": 0,
        "active_targets": 0,
        "total_engines": 0,
        "disabled_targets": 0,
        "version": 0,
        "svc_ldr": 0,
        "svc_reps": list(entry.services),
        "rebuild": None,
        "tier_stats": None,
        "pool_layout_ver": 0,
        "upgrade_layout_ver": 0,
    }


def _unasked(entry: pb.PoolEntry) -> pb.PoolInfo:
    """Return what the system alone tells of a pool: one that is being made or destroyed."""
    tiers = [
        pb.TierSpace(media=name.lower(), total=each * len(entry.ranks), free=each * len(entry.ranks))
        for name, each in zip(TIERS, entry.tiers, strict=False)
    ]
    return pb.PoolInfo(
        uuid=entry.uuid,
        label=entry.label,
        state=entry.state,
        services=entry.services,
        tiers=tiers,
        rebuild=pb.RebuildStatus(state="idle"),
    )


def list_reply(
    entries: Sequence[pb.PoolEntry],
    asked: dict[str, pb.PoolInfo | DaosError] | None,
    *,
    verbose: bool,
    rebuilding: bool,
) -> Reply:
    """Tell of all pools.

    Args:
        entries: What the system knows.
        asked: Uuid to what the pool's service tells, or why it does not, of those that can be asked; None if none was
            to be.
        verbose: A long row each.
        rebuilding: Those only that are not idle.
    """
    names = {entry.uuid: entry.label or entry.uuid for entry in entries}
    errors = [
        f'Query on pool "{names[uuid]}" unsuccessful, error: "{error.message}: {error.code}"'
        for uuid, error in (asked or {}).items()
        if isinstance(error, DaosError)
    ]
    if asked is None:
        shown = [] if rebuilding else list(entries)
        lines = entry_lines(shown, verbose=verbose)
        told = [entry_json(entry) for entry in shown]
    else:
        found = [(entry, asked[entry.uuid] if entry.uuid in asked else _unasked(entry)) for entry in entries]
        known = [(entry, info) for entry, info in found if not isinstance(info, DaosError)]
        if rebuilding:
            known = [one for one in known if derived_state(one[1].rebuild) not in ("idle", "done")]
        lines = list_lines([info for _, info in known], verbose=verbose)
        mask = ("disabled_engines", "rebuild", "space")
        told = [
            pool_json(info, mask, label=True) if entry.uuid in asked else entry_json(entry) for entry, info in known
        ]
    return Reply(
        [*lines, ""] if told else ["No pools in system"],
        lambda: {"status": 0, "pools": told or None},
        error="; ".join(errors) or None,
        hint="dmg system query tells which ranks are up" if errors else None,
    )
