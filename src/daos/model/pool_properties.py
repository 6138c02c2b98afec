"""Properties of a pool of a system that serves: names, values, defaults.

Source: DAOS's public administration guide, on pool properties.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from daos.errors import AccessError, InvalidError
from daos.model.properties import ALIASES, Property
from daos.model.scrub import SCRUB_PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Mapping

GLOBAL_VERSION = 4
OBJECT_VERSION = 2
U32_MAX = 2**32 - 1


class _Clamped(Property):
    """A number out of range is brought to the nearer end of it."""

    def check(self, value: object) -> str | int:
        """Return the number."""
        number = Property(self.name, self.title, self.default, low=0, high=2**64 - 1).check(value)
        return min(max(int(number), self.low), self.high)


class _Percent(Property):
    """A number, with or without `%`."""

    def check(self, value: object) -> str | int:
        """Return the number."""
        return super().check(value.removesuffix("%") if isinstance(value, str) else value)


class _Cells(Property):
    """A size that is a multiple of 4 KiB."""

    def check(self, value: object) -> str | int:
        """Return the size."""
        size = int(super().check(value))
        if size % (4 << 10):
            raise InvalidError(f"{self.name} {size} is no multiple of 4 KiB", hint="such as 128KiB")
        return size


class _SelfHeal(Property):
    """Words in any order."""

    def check(self, value: object) -> str | int:
        """Return the words in the order of the choices."""
        if isinstance(value, str):
            words = value.split(";")
            value = ";".join(sorted(words, key=lambda word: (word != "exclude", word)))
        return super().check(value)


POOL_PROPERTIES = {
    prop.name: prop
    for prop in (
        _Percent("space_rb", "Rebuild space ratio", 5, low=0, high=100),
        _SelfHeal(
            "self_heal",
            "Self-healing policy",
            "exclude;rebuild",
            ("none", "exclude", "rebuild", "delay_rebuild", "exclude;rebuild", "exclude;delay_rebuild"),
        ),
        Property("reclaim", "Reclaim strategy", "lazy", ("disabled", "lazy", "time")),
        _Cells("ec_cell_sz", "EC cell size", 128 << 10, size=True, low=4 << 10, high=1 << 20),
        Property("data_thresh", "Data bdev threshold size", 4 << 10, size=True, low=0, high=U32_MAX),
        Property("rd_fac", "Pool redundancy factor", 0, low=0, high=4),
        Property("ec_pda", "Performance domain affinity level of EC", 1, low=1, high=U32_MAX),
        Property("rp_pda", "Performance domain affinity level of RP", U32_MAX, low=1, high=U32_MAX),
        *SCRUB_PROPERTIES.values(),
        Property("svc_rf", "Pool service redundancy factor", 2, low=0, high=4),
        Property("perf_domain", "Pool performance domain", "root", ("root", "group")),
        Property("checkpoint", "WAL checkpointing behavior", "timed", ("disabled", "timed", "lazy")),
        _Clamped("checkpoint_freq", "WAL checkpointing frequency, in seconds", 5, low=1, high=1_048_576),
        _Clamped("checkpoint_thresh", "WAL checkpoint threshold, in percentage", 50, low=10, high=75),
        Property("reintegration", "Reintegration mode", "data_sync", ("data_sync", "no_data_sync", "incremental")),
        Property("svc_ops_enabled", "Metadata duplicate operations detection enabled", 1, low=1, high=1),
        Property(
            "svc_ops_entry_age", "Metadata duplicate operations KVS max entry age, in seconds", 300, low=300, high=300
        ),
    )
}
FIXED = ("ec_pda", "rp_pda", "perf_domain", "svc_rf", "svc_ops_enabled", "svc_ops_entry_age")
"""Given at creation, and not changed afterwards."""
COMPUTED = ("svc_list", "global_version", "obj_version", "upgrade_status")


def pool_properties(given: Mapping[str, object], *, domains: int) -> dict[str, str | int]:
    """Return all properties of a pool to be created.

    Args:
        given: Names, or the alias `rf`, with words or numbers.
        domains: Fault domains of its ranks; the redundancy factor must be smaller.

    Raises:
        InvalidError: `DER.INVAL`: an unknown name, a bad value, a redundancy that needs more domains.
        AccessError: `DER.NO_PERM`: one that the system computes.
    """
    checked = _checked(given)
    values = {name: prop.default for name, prop in POOL_PROPERTIES.items()}
    values["rd_fac"] = min(3, domains - 1)
    values |= checked
    factor = int(values["rd_fac"])
    if factor >= domains:
        raise InvalidError(
            f"pool redundancy factor {factor} requires at least {factor + 1} fault domains but only {domains} "
            "are available"
        )
    return values


def pool_property_changes(given: Mapping[str, object]) -> dict[str, str | int]:
    """Return the properties that a pool is to have from now on.

    Raises:
        InvalidError: `DER.INVAL`: an unknown name or a bad value.
        AccessError: `DER.NO_PERM`: one that does not change after creation, or that the system computes.
    """
    checked = _checked(given)
    for name in checked:
        if name in FIXED:
            raise AccessError(f"can't set {name} on existing pool", hint="it is given when the pool is made")
    return checked


def _checked(given: Mapping[str, object]) -> dict[str, str | int]:
    valid = f"valid: {', '.join(sorted(POOL_PROPERTIES))}"
    checked: dict[str, str | int] = {}
    for key, value in given.items():
        name = ALIASES.get(key, key)
        if name in COMPUTED:
            raise AccessError(f"cannot set {name}: the system computes it", hint=valid)
        if name not in POOL_PROPERTIES:
            raise InvalidError(f'"{key}" is not a settable property', hint=valid)
        if name in checked:
            raise InvalidError(f'property "{name}" is given twice', hint="drop the alias")
        checked[name] = POOL_PROPERTIES[name].check(value)
    return checked
