"""Access lists, owners and the state of pools, where nobody serves the system."""

from __future__ import annotations

import asyncio

import pytest

import daos
import daos.aio
from daos.errors import DER, InvalidError, NotFoundError
from tests.fake_core import FakeDisk


def test_an_embedded_pool_tells_of_one_rank(disk: FakeDisk) -> None:
    assert disk is not None
    with daos.open("sys", pool="tank", targets=3) as pool:
        assert not pool.system.served
        info = pool.info()
        assert (info.label, info.targets, info.active, info.disabled, info.state) == ("tank", 3, 3, 0, "Ready")
        assert (info.services, info.enabled_ranks, info.disabled_ranks) == ((0,), (0,), ())
        (tier,) = info.tiers
        assert (tier.total, tier.free, tier.mean) == (
            pool.system.space().total,
            pool.system.space().free,
            tier.free // 3,
        )
        assert pool.info(space=False).tiers == ()
        assert pool.places() == [(0, 0), (0, 1), (0, 2)]
        assert [target.index for target in pool.targets_of(0)] == [0, 1, 2]
        assert [target.index for target in pool.targets_of(0, (2,))] == [2]
        for rank, indexes in ((1, ()), (0, (3,)), (0, (-1,))):
            with pytest.raises(NotFoundError):
                pool.targets_of(rank, indexes)


def test_an_embedded_container_has_no_owner(disk: FakeDisk) -> None:
    assert disk is not None
    with daos.open("sys") as pool:
        held = pool.container("home", create=True)
        for call in (
            held.acl.get,
            held.info,
            lambda: held.acl.overwrite(["A::a@:r"]),
            lambda: held.acl.update(["A::a@:r"]),
            lambda: held.acl.delete("u:a@"),
            lambda: held.set_owner("a"),
            lambda: pool.evict_container("home"),
        ):
            with pytest.raises(InvalidError) as refused:
                call()
            assert refused.value.code is DER.NOTSUPPORTED
        # What can be none is not sent at all.
        for bad in (
            lambda: held.acl.update(["junk"]),
            lambda: held.acl.overwrite(["A::a@:r", "A::a@:w"]),
            lambda: held.acl.delete("a@"),
            held.set_owner,
            lambda: held.set_owner("a:b"),
            lambda: pool.evict_container("a b"),
        ):
            with pytest.raises(InvalidError) as refused:
                bad()
            assert refused.value.code is DER.INVAL
        assert repr(held.acl) == "<daos.ContainerAcl of container home>"


def test_the_asynchronous_face_has_the_same(disk: FakeDisk) -> None:
    assert disk is not None

    async def test() -> None:
        async with daos.aio.open("sys", targets=2) as pool:
            assert (await pool.info()).targets == 2
            assert await pool.places() == [(0, 0), (0, 1)]
            assert len(await pool.targets_of(0)) == 2
            held = await pool.container("home", create=True)
            assert repr(held.acl) == "<daos.aio.ContainerAcl of container home>"
            for wait in (
                held.acl.get(),
                held.acl.overwrite([]),
                held.acl.update([]),
                held.acl.delete("GROUP@"),
                held.info(),
                held.set_owner(group="g"),
                pool.evict_container("home"),
            ):
                with pytest.raises(InvalidError) as refused:
                    await wait
                assert refused.value.code is DER.NOTSUPPORTED
            await pool.destroy_container("home", force=True)

    asyncio.run(test())
