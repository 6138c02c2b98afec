"""Properties of a pool: what may be given, what changes."""

from __future__ import annotations

import pytest

from daos.errors import DER, DaosError
from daos.model.members import MemberState
from daos.model.pool_properties import FIXED, POOL_PROPERTIES, pool_properties, pool_property_changes


def test_defaults() -> None:
    values = pool_properties({}, domains=2)
    assert set(values) == set(POOL_PROPERTIES)
    assert values == {
        "space_rb": 5,
        "self_heal": "exclude;rebuild",
        "reclaim": "lazy",
        "ec_cell_sz": 131072,
        "data_thresh": 4096,
        "rd_fac": 1,
        "ec_pda": 1,
        "rp_pda": 4294967295,
        "scrub": "off",
        "scrub_freq": 604800,
        "scrub_thresh": 0,
        "svc_rf": 2,
        "perf_domain": "root",
        "checkpoint": "timed",
        "checkpoint_freq": 5,
        "checkpoint_thresh": 50,
        "reintegration": "data_sync",
        "svc_ops_enabled": 1,
        "svc_ops_entry_age": 300,
    }
    assert [pool_properties({}, domains=domains)["rd_fac"] for domains in (1, 4, 9)] == [0, 3, 3]


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("space_rb", "7%", 7),
        ("self_heal", "rebuild;exclude", "exclude;rebuild"),
        ("self_heal", "delay_rebuild;exclude", "exclude;delay_rebuild"),
        ("self_heal", "exclude;delay_rebuild", "exclude;delay_rebuild"),
        ("self_heal", "none", "none"),
        ("ec_cell_sz", "64KiB", 65536),
        ("data_thresh", 0, 0),
        ("rf", 4, 4),
        ("checkpoint_freq", 0, 1),
        ("checkpoint_freq", 99999999, 1048576),
        ("checkpoint_thresh", "5", 10),
        ("checkpoint_thresh", 99, 75),
    ],
)
def test_values(name: str, given: str | int, kept: str | int) -> None:
    assert list(pool_property_changes({name: given}).values()) == [kept]


@pytest.mark.parametrize(
    ("name", "given", "code"),
    [
        ("space_rb", 101, DER.INVAL),
        ("self_heal", "bad", DER.INVAL),
        ("self_heal", "rebuild;delay_rebuild", DER.INVAL),
        ("reclaim", "bad", DER.INVAL),
        ("ec_cell_sz", 65537, DER.INVAL),
        ("ec_cell_sz", "2MiB", DER.INVAL),
        ("rd_fac", 9, DER.INVAL),
        ("foo", 1, DER.INVAL),
        ("svc_list", 1, DER.NO_PERM),
        ("global_version", 1, DER.NO_PERM),
        *((name, POOL_PROPERTIES[name].default, DER.NO_PERM) for name in FIXED),
    ],
)
def test_bad_changes(name: str, given: str | int, code: DER) -> None:
    with pytest.raises(DaosError) as caught:
        pool_property_changes({name: given})
    assert caught.value.code is code


def test_bad_at_creation() -> None:
    for given in ({"rf": 1, "rd_fac": 1}, {"rd_fac": 2}, {"svc_rf": 5}):
        with pytest.raises(DaosError) as caught:
            pool_properties(given, domains=2)
        assert caught.value.code is DER.INVAL
    assert pool_properties({"svc_rf": 0}, domains=1)["svc_rf"] == 0


def test_words_of_member_states() -> None:
    assert [state.word for state in MemberState][:4] == ["AwaitFormat", "Starting", "Ready", "Joined"]
    assert MemberState.ADMIN_EXCLUDED.word == "AdminExcluded"
