"""The store for zarr: its own suites, whole, and what they do not ask."""

from __future__ import annotations

import asyncio
import itertools
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
import zarr
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, cpu
from zarr.core.buffer.core import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import StorePath
from zarr.testing.stateful import ZarrHierarchyStateMachine, ZarrStoreStateMachine
from zarr.testing.store import StoreTests

import daos
from daos.dfs import DFS, mount
from daos.dfs import Path as DfsPath
from daos.errors import InvalidError, NotFoundError
from daos.zarr import DaosStore
from tests.forking import in_child

PROTOTYPE = default_buffer_prototype()
_numbers = itertools.count()


@pytest.fixture
def url(top: str) -> str:
    """Give a place of its own to a test."""
    return f"{top}/place-{next(_numbers)}"


@pytest.fixture
def store(url: str) -> Iterator[DaosStore]:
    with DaosStore(url) as made:
        yield made


def buffer(data: bytes) -> Buffer:
    return cpu.Buffer.from_bytes(data)


def put(store: DaosStore, **values: bytes) -> None:
    for key, value in values.items():
        store.set_sync(key.replace("__", "/"), buffer(value))


def read(store: DaosStore, key: str) -> bytes | None:
    value = store.get_sync(key)
    return None if value is None else value.to_bytes()


def keys_of(store: DaosStore, prefix: str = "") -> list[str]:
    async def listed() -> list[str]:
        return sorted([key async for key in store.list_prefix(prefix)])

    return asyncio.run(listed())


def data_of(group: zarr.Group, name: str) -> npt.NDArray[np.float64]:
    array = group[name]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[:], "f8")


class TestSuite(StoreTests[DaosStore, cpu.Buffer]):
    """zarr's suite of stores."""

    store_cls = DaosStore
    buffer_cls = cpu.Buffer

    @pytest.fixture
    def store_kwargs(self, url: str) -> dict[str, object]:
        return {"root": url}

    async def set(self, store: DaosStore, key: str, value: Buffer) -> None:
        path = f"{store.path}/{key}"
        store.dfs.makedirs(path.rpartition("/")[0], exist_ok=True)
        store.dfs.write_bytes(path, value.to_bytes())

    async def get(self, store: DaosStore, key: str) -> Buffer:
        return buffer(store.dfs.read_bytes(f"{store.path}/{key}"))

    def test_store_repr(self, store: DaosStore) -> None:
        assert repr(store) == f"DaosStore('{store}')"
        assert str(store).startswith("daos://")

    def test_store_supports_writes(self, store: DaosStore) -> None:
        assert store.supports_writes

    def test_store_supports_listing(self, store: DaosStore) -> None:
        assert store.supports_listing


Machine = type[RuleBasedStateMachine]
MACHINES = settings(max_examples=10, stateful_step_count=20, deadline=None)


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore::zarr.errors.ZarrUserWarning")
def test_histories_of_values_are_those_of_a_dict(store: DaosStore) -> None:
    run_state_machine_as_test(cast(Machine, lambda: ZarrStoreStateMachine(store)), settings=MACHINES)


@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("ignore")  # zarr's of names of its own tests' making
def test_histories_of_hierarchies_are_those_of_memory(store: DaosStore) -> None:
    run_state_machine_as_test(cast(Machine, lambda: ZarrHierarchyStateMachine(store)), settings=MACHINES)


@pytest.mark.filterwarnings("ignore:Consolidated metadata:zarr.errors.ZarrUserWarning")
def test_an_array_is_written_and_read(url: str) -> None:
    with DaosStore(url) as store:
        group = zarr.open_group(store, mode="w")
        made = group.create_array("temp", shape=(100, 100), chunks=(30, 40), dtype="f8", attributes={"unit": "K"})
        data = np.random.default_rng(7).random((100, 100))
        made[:] = data
        made[10:20, 5] = -1
        data[10:20, 5] = -1
        sharded = group.create_array("sharded", shape=(64, 64), chunks=(4, 4), shards=(32, 32), dtype="i4")
        sharded[3:50, 7:40] = 5
        zarr.consolidate_metadata(store)
    # By another mount, and by the way of fsspec.
    with DaosStore(url, read_only=True) as reader:
        again = zarr.open_group(reader, mode="r")
        np.testing.assert_array_equal(data_of(again, "temp"), data)
        assert again["temp"].attrs["unit"] == "K"
        assert (data_of(again, "sharded").sum(), sharded.nchunks_initialized) == (5 * 47 * 33, 256)
        assert sorted(again.array_keys()) == ["sharded", "temp"]
    by_url = zarr.open_group(url, mode="r")
    np.testing.assert_array_equal(data_of(by_url, "temp"), data)


def test_a_value_is_replaced_whole(store: DaosStore) -> None:
    """A reader beside a writer sees the one or the other value, never a part."""
    sizes = (3, 2 << 20)
    values = [bytes([number]) * size for number, size in enumerate(sizes)]
    store.set_sync("k", buffer(values[0]))
    done = threading.Event()

    def write() -> None:
        for turn in range(1, 60):
            store.set_sync("k", buffer(values[turn % 2]))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        value = read(store, "k")
        assert value in values
        seen.add(value)
    writer.join()
    assert seen
    assert keys_of(store) == ["k"]


def test_of_several_that_set_what_is_not_there_one_does(store: DaosStore) -> None:
    async def race(turn: int) -> None:
        await asyncio.gather(*(store.set_if_not_exists(f"k{turn}", buffer(b"%d" % number)) for number in range(8)))

    for turn in range(10):
        asyncio.run(race(turn))
        first = read(store, f"k{turn}")
        asyncio.run(store.set_if_not_exists(f"k{turn}", buffer(b"late")))
        assert read(store, f"k{turn}") == first
    assert keys_of(store) == [f"k{turn}" for turn in range(10)]


def test_ranges_are_those_of_slices(store: DaosStore) -> None:
    data = bytes(range(256)) * 10
    put(store, a=data, b=b"", c__d=b"xyz")
    asked = [
        ("a", RangeByteRequest(5, 9)),
        ("c/d", None),
        ("a", SuffixByteRequest(3)),
        ("nothing", RangeByteRequest(0, 1)),
        ("a", OffsetByteRequest(2555)),
        ("b", SuffixByteRequest(9)),
        ("a", RangeByteRequest(2558, 9999)),
        ("nothing", None),
        ("a", RangeByteRequest(9999, 10000)),
        ("a", SuffixByteRequest(99999)),
        ("a", None),
        ("c", SuffixByteRequest(1)),
        ("a/b", OffsetByteRequest(0)),
    ]
    told = asyncio.run(store.get_partial_values(PROTOTYPE, asked))
    values = [None if one is None else one.to_bytes() for one in told]
    assert values == [
        data[5:9], b"xyz", data[-3:], None, data[2555:], b"", data[2558:], None, b"", data, data, None, None,
    ]  # fmt: skip
    assert values == [
        None if (one := store.get_sync(key, byte_range=how)) is None else one.to_bytes() for key, how in asked
    ]
    assert asyncio.run(store.get_partial_values(PROTOTYPE, [])) == []
    with pytest.raises(TypeError, match="byte_range"):
        store.get_sync("a", byte_range=(0, 3))  # type: ignore[arg-type]


def test_prefixes_are_of_keys_not_of_directories(store: DaosStore) -> None:
    put(store, foo__a=b"1", foobar__b=b"22", foo_bar=b"333", other__foo__c=b"4444")
    assert keys_of(store, "foo") == ["foo/a", "foo_bar", "foobar/b"]
    assert keys_of(store, "foo/") == ["foo/a"]
    assert keys_of(store, "other/f") == ["other/foo/c"]
    assert keys_of(store, "none/") == keys_of(store, "foo/a/") == []
    assert asyncio.run(store.getsize_prefix("foobar")) == 2
    assert asyncio.run(store.getsize_prefix("")) == 10
    assert asyncio.run(store.getsize("other/foo/c")) == 4
    for key in ("foo", "none"):
        with pytest.raises(FileNotFoundError):
            asyncio.run(store.getsize(key))
        assert not asyncio.run(store.exists(key))


def test_what_becomes_empty_is_not_there(store: DaosStore) -> None:
    async def names(prefix: str) -> list[str]:
        return sorted([name async for name in store.list_dir(prefix)])

    put(store, a__b__c__0=b"1", a__zarr=b"2", e__f=b"3")
    assert asyncio.run(names("a")) == ["b", "zarr"]
    asyncio.run(store.delete("a/b/c/0"))
    assert asyncio.run(names("a")) == ["zarr"]
    assert asyncio.run(names("a/b")) == asyncio.run(names("a/zarr")) == asyncio.run(names("no")) == []
    assert asyncio.run(store.is_empty("a/b"))
    asyncio.run(store.delete("a"))  # no value has that key
    asyncio.run(store.delete_dir("a/zarr"))
    assert keys_of(store) == ["a/zarr", "e/f"]
    asyncio.run(store.delete_dir("a"))
    assert asyncio.run(names("")) == ["e"]
    asyncio.run(store.delete_dir("a"))
    asyncio.run(store.clear())
    assert store.dfs.listdir(store.path) == []
    put(store, a__b=b"3")
    assert keys_of(store) == ["a/b"]


def test_values_come_and_go_at_once(store: DaosStore) -> None:
    """Threads that set and delete in one directory do not disturb each other."""
    failed: list[BaseException] = []

    def change(name: str) -> None:
        try:
            for _ in range(60):
                store.set_sync(f"a/b/{name}", buffer(b"1"))
                store.delete_sync(f"a/b/{name}")
            store.set_sync(f"a/b/{name}", buffer(b"2"))
        except BaseException as error:  # noqa: BLE001 -- told below
            failed.append(error)

    threads = [threading.Thread(target=change, args=(str(number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert keys_of(store) == ["a/b/0", "a/b/1", "a/b/2"]


def test_what_a_dead_writer_left_is_no_key(store: DaosStore) -> None:
    put(store, a__b=b"1")
    left = f"{store.path}/a/.c.daos-0123456789abcdef"
    store.dfs.write_bytes(left, b"half")
    assert keys_of(store) == ["a/b"]

    async def names() -> list[str]:
        return [name async for name in store.list_dir("a")]

    assert asyncio.run(names()) == ["b"]
    with pytest.raises(ValueError, match="invalid key"):
        store.set_sync("a/.c.daos-0123456789abcdef", buffer(b"x"))


@pytest.mark.parametrize("key", ["", "/", "a//b", "/a", "a/", "../a", "a/../../b", ".", "a/."])
def test_keys_that_lead_elsewhere_are_refused(store: DaosStore, key: str) -> None:
    for call in (store.get_sync, store.delete_sync):
        with pytest.raises(ValueError, match="invalid key"):
            call(key)
    with pytest.raises(ValueError, match="invalid key"):
        store.set_sync(key, buffer(b"x"))
    with pytest.raises(ValueError, match="invalid prefix"):
        asyncio.run(store.delete_dir("a/../.."))


def test_what_is_no_value_is_refused(store: DaosStore) -> None:
    with pytest.raises(TypeError, match="Buffer"):
        store.set_sync("k", b"bytes")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="key is str"):
        store.get_sync(7)  # type: ignore[arg-type]
    put(store, a=b"1")
    with pytest.raises(NotADirectoryError):
        put(store, a__b=b"2")
    put(store, d__e=b"1")
    with pytest.raises(IsADirectoryError):
        put(store, d=b"2")
    assert keys_of(store) == ["a", "d/e"]


def test_roots_of_all_kinds_are_the_same_place(url: str) -> None:
    with DaosStore(url) as store:
        put(store, k=b"v")
        fs = store.dfs
        path = store.path
        others = [DaosStore(fs.path(path)), pickle.loads(pickle.dumps(DaosStore(fs.path(path)))), DaosStore(f"{url}/")]
        for other in others:
            assert other == store
            assert hash(other) == hash(store)
            assert read(other, "k") == b"v"
        assert read(DaosStore(fs), f"{path[1:]}/k") == b"v"
        assert DaosStore(fs) != store
        assert store != path
        # Copies have the mount in common.
        assert DaosStore(url).dfs is fs
        assert "home" in repr(DaosStore(fs.path(path)))


@pytest.mark.parametrize(
    ("root", "error"),
    [(7, InvalidError), ("daos://tank", InvalidError), ("daos:///no/such//tank/home", NotFoundError)],
)
def test_what_is_no_root_is_refused(root: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        DaosStore(root)


def test_a_root_does_not_lead_upwards(store: DaosStore) -> None:
    with pytest.raises(InvalidError, match="root of a store"):
        DaosStore(DfsPath(store.dfs, "/a/../b"))


def test_a_closed_store_opens_again(url: str) -> None:
    store = DaosStore(url, durability="interval")  # a mount that nobody else has
    put(store, k=b"v")
    first = store.dfs
    store.close()
    assert (store._is_open, first.closed) == (False, True)
    other = store.with_read_only(True)
    assert (read(store, "k"), read(other, "k"), other.read_only) == (b"v", b"v", True)
    assert sync(store.get("k", PROTOTYPE)) == buffer(b"v")
    assert store._is_open
    with pytest.raises(ValueError, match="read-only"):
        put(other, k=b"w")
    store.close()


def test_a_snapshot_is_read(embedded_home: str) -> None:
    url = f"{embedded_home}/snapped"
    directory = embedded_home.removeprefix("daos://").partition("//")[0]
    with DaosStore(url) as store:
        put(store, k=b"old")
        store.close()
        with daos.open(directory, pool="tank") as pool:
            pool.container("home").snapshot("before")
        put(store, k=b"new")
        then: Store = DaosStore(f"{url}?snap=before")
        assert then.read_only
        assert then != store
        assert sync(then.get("k", PROTOTYPE)) == buffer(b"old")
        with pytest.raises(OSError, match=r"[Rr]ead-only"):
            sync(then.with_read_only(False).set("k", buffer(b"x")))


def test_a_forked_child_goes_on(store: DaosStore) -> None:
    put(store, k=b"parent")
    zarr.create_array(StorePath(store, "array"), data=np.arange(10))

    def act() -> None:
        assert read(store, "k") == b"parent"
        put(store, child=b"1")
        # The event loop of zarr is a thread of the parent's.
        assert np.sum(np.asarray(zarr.open_array(StorePath(store, "array"))[:])) == 45

    assert in_child(act) == 0
    assert read(store, "child") == b"1"


def test_a_full_system_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    with daos.open(":memory:", size="64MiB") as pool:
        fs: DFS = mount(pool.container("small", create=True, type="POSIX"))
        store = DaosStore(fs)
        value = buffer(bytes(range(256)) * 4096 * 4)
        written = []

        def fill() -> None:
            for number in range(100):
                store.set_sync(f"c/{number}", value)
                written.append(str(number))

        with pytest.raises(daos.NoSpaceError):
            fill()
        assert sorted(fs.listdir("/c")) == sorted(written)


@pytest.mark.filterwarnings("ignore:Consolidated metadata:zarr.errors.ZarrUserWarning")
def test_xarray_keeps_datasets(url: str) -> None:
    """By a store, and by a URL alone."""
    made = xr.Dataset(
        {"t2m": (("time", "lat", "lon"), np.arange(60.0).reshape(3, 4, 5), {"units": "K"})},
        coords={"time": np.array(["2026-01-01", "2026-01-02", "2026-01-03"], "M8[ns]"), "lat": np.arange(4.0)},
    )
    with DaosStore(url) as store:
        made.to_zarr(store, mode="w")
        made.isel(time=[2]).assign_coords(time=[np.datetime64("2026-01-04", "ns")]).to_zarr(store, append_dim="time")
        with xr.open_zarr(store) as again:
            assert again.sizes == {"time": 4, "lat": 4, "lon": 5}
            xr.testing.assert_identical(again.isel(time=slice(3)).load(), made)
    with xr.open_zarr(url) as again:
        assert float(again.t2m.sel(time="2026-01-04").sum()) == float(made.t2m.isel(time=2).sum())
    made.to_zarr(f"{url}/by-url", mode="w")
    with xr.open_zarr(f"{url}/by-url") as again:
        xr.testing.assert_identical(again.load(), made)
