from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daos.errors import InvalidError
from daos.mgmt.pool_size import Plan, RankSpace, SizeOptions, check_options, parse_ratio, plan

GB = 10**9
JOINED = [
    RankSpace(0, (100 * GB, 1000 * GB), (100 * GB, 1000 * GB)),
    RankSpace(1, (100 * GB, 1000 * GB), (50 * GB, 800 * GB)),
    RankSpace(2, (100 * GB, 1000 * GB), (80 * GB, 900 * GB)),
]
NO_NVME = [RankSpace(0, (100 * GB, 0), (40 * GB, 0)), RankSpace(1, (100 * GB, 0), (60 * GB, 0))]


def test_a_total_is_divided_among_the_ranks_and_tiers() -> None:
    assert plan(SizeOptions(size="300GB"), JOINED).tiers == (6 * GB, 94 * GB)
    assert plan(SizeOptions(size="300GB", ratio="10,90"), JOINED).tiers == (10 * GB, 90 * GB)
    assert plan(SizeOptions(size="300GB", ratio="0,100"), JOINED).tiers == (0, 100 * GB)
    assert plan(SizeOptions(size="300GB", ranks=[1]), JOINED).tiers == (18 * GB, 282 * GB)
    assert plan(SizeOptions(size="300GB", count=2), JOINED).tiers == (9 * GB, 141 * GB)
    assert plan(SizeOptions(size="3GiB", ratio="100"), JOINED).tiers == (1 << 30, 0)


def test_without_a_second_tier_the_first_has_all() -> None:
    made = plan(SizeOptions(size="10GB"), NO_NVME)
    assert made.tiers == (5 * GB, 0)
    assert made.title.endswith("10.0 GB total, 6.00% storage tier ratio")
    assert plan(SizeOptions(size="50%"), NO_NVME).tiers == (20 * GB, 0)


def test_a_share_is_of_the_rank_with_the_least() -> None:
    assert plan(SizeOptions(size="50%"), JOINED) == Plan(
        (25 * GB, 400 * GB), "Creating DAOS pool with 50% of all storage"
    )
    assert plan(SizeOptions(size="100%", ranks=[2]), JOINED).tiers == (80 * GB, 900 * GB)
    full = [RankSpace(0, (GB, GB), (-5, 10))]
    assert plan(SizeOptions(size="100%"), full).tiers == (0, 10)


def test_sizes_by_hand() -> None:
    made = plan(SizeOptions(scm="10GB", nvme="100GB"), JOINED)
    assert (made.tiers, made.single) == ((10 * GB, 100 * GB), False)
    assert made.title.endswith("10.0 GB SCM, 100.0 GB NVMe (10.00% ratio)")
    assert plan(SizeOptions(scm="1GiB"), []) == Plan(
        (1 << 30, 0),
        "Creating DAOS pool with manual per-server storage allocation: 1.1 GB SCM, 0 B NVMe (0.00% ratio)",
        single=True,
    )


REFUSED = [
    (SizeOptions(), "unsupported option combination"),
    (SizeOptions(size="1GB", scm="1GB"), "unsupported option combination"),
    (SizeOptions(size="1GB", nvme="1GB"), "unsupported option combination"),
    (SizeOptions(nvme="1GB"), "--nvme-size cannot be set without --scm-size"),
    (SizeOptions(size="1GB", ranks=[0], count=1), "--nranks may not be mixed with --ranks"),
    (SizeOptions(size="1GB", count=0), "invalid --nranks 0"),
    (SizeOptions(size="abc"), 'invalid argument for flag `-z, --size\': invalid size "abc"'),
    (SizeOptions(size="-1"), "invalid size"),
    (SizeOptions(size="0"), "of size 0"),
    (SizeOptions(size="0%"), "allowed range 0 < ratio <= 100"),
    (SizeOptions(size="101%"), "allowed range 0 < ratio <= 100"),
    (SizeOptions(size="nan%"), "allowed range 0 < ratio <= 100"),
    (SizeOptions(size="x%"), 'invalid size "x%"'),
    (SizeOptions(size="%"), 'invalid size "%"'),
    (SizeOptions(scm="abc"), "`-s, --scm-size'"),
    (SizeOptions(scm="1GB", nvme="-"), "`-n, --nvme-size'"),
    (SizeOptions(size="1GB", ratio="50,40"), r"Storage tier ratios must add up to 100 \(got 90.000000\)"),
    (SizeOptions(size="1GB", ratio="a"), "invalid ratio"),
    (SizeOptions(size="1GB", ratio="nan"), "invalid ratio"),
    (SizeOptions(size="1GB", ratio="1,2,97"), "invalid ratio"),
    (SizeOptions(size="1GB", ratio="-5,105"), "invalid ratio"),
    (SizeOptions(size="50%", ratio="6,94"), "--tier-ratio goes with a total"),
    (SizeOptions(scm="1GB", ratio="6,94"), "--tier-ratio goes with a total"),
]


@pytest.mark.parametrize(("options", "words"), REFUSED)
def test_what_does_not_go_together(options: SizeOptions, words: str) -> None:
    with pytest.raises(InvalidError, match=words):
        check_options(options)
    with pytest.raises(InvalidError, match=words):
        plan(options, JOINED)


def test_ranks_that_are_not_there() -> None:
    with pytest.raises(InvalidError, match="invalid rank: 5, 7"):
        plan(SizeOptions(size="1GB", ranks=[0, 7, 5]), JOINED)
    with pytest.raises(InvalidError, match="zero target ranks"):
        plan(SizeOptions(size="1GB"), [])
    with pytest.raises(InvalidError, match="zero target ranks"):
        plan(SizeOptions(size="50%"), [])


@given(st.integers(1, 10**16), st.floats(0, 100), st.integers(1, 3))
def test_no_more_than_the_total_is_taken(total: int, ratio: float, count: int) -> None:
    tiers = plan(SizeOptions(size=str(total), ratio=f"{ratio!r},{100 - ratio!r}", count=count), JOINED).tiers
    assert min(tiers) >= 0
    assert total - count < sum(tiers) * count <= total


def test_ratios() -> None:
    assert parse_ratio("6,94") == parse_ratio("6%,94%") == parse_ratio("6") == (6.0, 94.0)
