"""How an engine's space is divided into tiers, and what its options say of devices."""

from __future__ import annotations

from daos.engine.storage import SIZE_MIN, devices_of, directory_size, space_of
from daos.local import DeviceSpace, EngineOptions, EngineTier

UUID = "8a6c1d37-0d3f-4ae6-9a4b-6f2d3cbb11aa"
MEMORY = EngineTier(storage_class="ram", directory="/scm", size=100)


def options(*tiers: EngineTier, capacity: tuple[int, int] = (0, 0)) -> EngineOptions:
    return EngineOptions(
        system="s",
        index=0,
        uuid=UUID,
        socket="/s",
        metadata="/m",
        tiers=(MEMORY, *tiers),
        capacity=capacity,
        targets=4,
        address="127.0.0.1",
        port=1,
        domain=("h",),
    )


def device(*paths: str, roles: tuple[str, ...] = ()) -> EngineTier:
    return EngineTier(storage_class="file", devices=paths, roles=roles)


def test_devices_are_those_of_all_tiers_in_their_order_and_for_data_without_a_role() -> None:
    assert devices_of(options()) is None
    assert devices_of(options(device("/a", "/b"))) == (UUID, [("/a", ["data"]), ("/b", ["data"])])
    split = options(device("/a", roles=("wal",)), device("/b", roles=("meta", "data")))
    assert devices_of(split) == (UUID, [("/a", ["wal"]), ("/b", ["meta", "data"])])


def test_the_directory_is_bounded_by_the_first_tier_unless_all_is_on_devices() -> None:
    assert directory_size(options()) is None
    assert directory_size(options(capacity=(1 << 30, 5))) == 1 << 30
    assert directory_size(options(capacity=(1, 0))) == SIZE_MIN
    assert directory_size(options(device("/a", roles=("data",)), capacity=(1 << 30, 1 << 40))) == 1 << 30
    assert directory_size(options(device("/a", roles=("wal", "meta", "data")), capacity=(1 << 30, 1))) is None


def test_tiers_are_where_indexes_and_data_are() -> None:
    alone = space_of([(1000, 400, 500, 100, 7)], 4, (1000, 0))
    assert (alone.total, alone.free, alone.devices) == (((250,) * 4,), ((100,) * 4,), ())
    beside = space_of([(1000, 400, 500, 100, 6), (8000, 80, 0, 0, 1), (8000, 800, 0, 0, 1)], 4, (1000, 16000))
    assert beside.total == ((250,) * 4, (4000,) * 4)
    assert beside.free == ((100,) * 4, (220,) * 4)
    assert [one.free for one in beside.devices] == [80, 800]
    split = space_of([(9, 9, 0, 0, 0), (80, 8, 0, 0, 4), (400, 40, 0, 0, 2), (800, 400, 0, 0, 1)], 4, (400, 800))
    assert (split.total, split.free) == (((100,) * 4, (200,) * 4), ((10,) * 4, (100,) * 4))
    one = space_of([(9, 9, 0, 0, 0), (8000, 4000, 3000, 10, 7)], 4, (1000, 8000))
    assert (one.total, one.free) == (((250,) * 4, (2000,) * 4), ((250,) * 4, (1000,) * 4))
    assert one.devices == (DeviceSpace(total=8000, free=4000, used=3000),)
