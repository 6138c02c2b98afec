"""Properties that change after creation: which they are, and why the others do not.

Source: DAOS's public administration and user guides, on pool and container properties.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from daos.errors import DER, AccessError, InvalidError
from daos.model.labels import check_label
from daos.model.properties import ALIASES, CONTAINER_PROPERTIES
from daos.model.scrub import SCRUB_PROPERTIES


@dataclass(frozen=True)
class Changes:
    """What is to change.

    Attributes:
        label: The new label; None for no change.
        scrub: When a pool is scrubbed, None for no change; so the next two.
        scrub_freq: Seconds from the begin of a pass to the begin of the next.
        scrub_thresh: Corruptions from which on the pool is over its threshold.
    """

    label: str | None = None
    scrub: str | None = None
    scrub_freq: int | None = None
    scrub_thresh: int | None = None


@dataclass(frozen=True)
class _Rules:
    """Which properties of a pool or container change.

    Attributes:
        what: `pool` or `container`.
        settable: Those that do.
        fixed: Those that are given at creation.
        computed: Those that the system keeps.
        unsupported: Those that change in DAOS, and that this release does not carry out.
    """

    what: str
    settable: tuple[str, ...]
    fixed: frozenset[str]
    computed: frozenset[str]
    unsupported: frozenset[str]

    def check(self, given: Mapping[str, object]) -> Changes:
        """Return what is to change, if all of it may."""
        if not isinstance(given, Mapping):
            raise InvalidError(f"properties are a mapping, not {type(given).__name__}", hint='such as {"label": "x"}')
        label = None
        scrub: dict[str, str | int] = {}
        for key, value in given.items():
            self._check_name(key)
            if key == "label":
                label = check_label(value, self.what)
            elif key in SCRUB_PROPERTIES:
                scrub[key] = SCRUB_PROPERTIES[key].check(value)
            elif not isinstance(value, str) or value.lower() != "healthy":
                raise InvalidError(f"status cannot be set to {value!r}", hint='only to "healthy"')
        return msgspec.convert({"label": label, **scrub}, Changes)

    def _check_name(self, key: str) -> None:
        hint = f"settable are: {', '.join(self.settable)}"
        name = ALIASES.get(key, key)
        if name in self.settable:
            return
        refused = f'"{key}" is not a settable property'
        if name in self.fixed:
            raise AccessError(f"{refused}: it is fixed when a {self.what} is made", hint=hint)
        if name in self.computed:
            raise AccessError(f"{refused}: the system keeps it", hint=hint)
        if name in self.unsupported:
            raise InvalidError(f"{refused} in this release", code=DER.NOTSUPPORTED, hint=hint)
        raise InvalidError(f"{refused}: a {self.what} has none of this name", hint=hint)


_CONTAINER = _Rules(
    "container",
    ("label", "status"),
    frozenset({*CONTAINER_PROPERTIES, "layout_type", "layout_version", "ec_pda", "rp_pda", "perf_domain"}),
    frozenset({"alloc_oid", "global_version", "obj_version", "root_oids"}),
    frozenset({"acl", "owner", "group", "max_snapshot"}),
)
_POOL = _Rules(
    "pool",
    ("label", *SCRUB_PROPERTIES),
    frozenset({"ec_pda", "rp_pda", "perf_domain", "svc_rf", "svc_ops_enabled", "svc_ops_entry_age"}),
    frozenset({"svc_list", "global_version", "upgrade_status", "obj_version"}),
    frozenset(
        {
            *("acl", "owner", "group", "space_rb", "self_heal", "reclaim", "ec_cell_sz", "data_thresh", "rd_fac"),
            *("checkpoint", "checkpoint_freq", "checkpoint_thresh", "reintegration"),
        }
    ),
)


def container_changes(given: Mapping[str, object]) -> Changes:
    """Return what is to change of a container.

    A status of `healthy` is no change: nothing makes a container of an embedded system anything else.

    Raises:
        InvalidError: `DER.INVAL` for an unknown name or a bad value, `DER.NOTSUPPORTED` for what DAOS changes and this
            release does not.
        AccessError: `DER.NO_PERM`: one that does not change after creation.
    """
    return _CONTAINER.check(given)


def pool_changes(given: Mapping[str, object]) -> Changes:
    """Return what is to change of a pool.

    Raises:
        DaosError: As `container_changes`.
    """
    return _POOL.check(given)
