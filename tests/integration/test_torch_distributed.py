"""Distributed checkpoints, by the calls that PyTorch makes, without PyTorch."""

from __future__ import annotations

import importlib.util
import io
import itertools
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType

import numpy as np
import pytest

import daos
from daos.dfs import DFS, mount
from daos.errors import InvalidError
from tests import fake_torch
from tests.fake_torch import LoadItemType, Metadata, Plan, ReadItem, Tensor, WriteItem, WriteItemType, WriteResult

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is not None, reason="PyTorch is here: test_torch_real.py asks itself"
)
_numbers = itertools.count()


@pytest.fixture(scope="module")
def dcp() -> Iterator[ModuleType]:
    """Give the module, imported over the fake."""
    with pytest.MonkeyPatch.context() as patch:
        fake_torch.put_in_place(patch)
        yield importlib.import_module("daos.torch._distributed")
    sys.modules.pop("daos.torch._distributed")


@pytest.fixture
def url(embedded_home: str) -> str:
    return f"{embedded_home}/steps/place-{next(_numbers)}"


@pytest.fixture
def fs(embedded_home: str) -> Iterator[DFS]:
    with mount(embedded_home) as dfs:
        yield dfs


class Planner:
    """What resolves items to data, and takes it back."""

    def __init__(self, **data: object) -> None:
        self.data = data
        self.loaded: dict[str, object] = {}

    def resolve_data(self, item: WriteItem) -> object:
        return self.data[item.index]

    def load_bytes(self, item: ReadItem, data: io.BytesIO) -> None:
        self.loaded[item.storage_index] = data.read()

    def resolve_tensor(self, item: ReadItem) -> Tensor:
        made = self.data[item.storage_index]
        assert isinstance(made, Tensor)
        return made

    def commit_tensor(self, item: ReadItem, tensor: Tensor) -> None:
        self.loaded[item.storage_index] = tensor.data


def items_of(data: Mapping[str, object]) -> list[object]:
    kinds = {True: WriteItemType.BYTE_IO, False: WriteItemType.SHARD}
    return [WriteItem(name, kinds[isinstance(value, io.BytesIO)]) for name, value in data.items()]


def saved(dcp: ModuleType, url: str, *ranks: dict[str, object], finish: bool = True, **how: object) -> None:
    """Save what each rank has, as PyTorch does."""
    writers = [dcp.StorageWriter(url, **how) for _ in ranks]
    plans = []
    for number, (writer, data) in enumerate(zip(writers, ranks, strict=True)):
        writer.reset(None)
        writer.set_up_storage_writer(number == 0, rank=number, use_collectives=True)
        plans.append(writer.prepare_local_plan(Plan(items_of(data))))
    plans = writers[0].prepare_global_plan(plans)
    results: list[list[WriteResult]] = [
        writer.write_data(plan, Planner(**data)).wait()
        for writer, plan, data in zip(writers, plans, ranks, strict=True)
    ]
    if finish:
        writers[0].finish(Metadata(), results)
    for writer in writers:
        writer.close()


def loaded(dcp: ModuleType, url: str, planner: Planner, *items: ReadItem) -> dict[str, object]:
    reader = dcp.StorageReader(url, workers=2)
    reader.reset()
    metadata = reader.read_metadata()
    assert metadata.storage_meta.load_id
    reader.set_up_storage_reader(metadata, True)
    plan = reader.prepare_global_plan([reader.prepare_local_plan(Plan(list(items)))])[0]
    assert reader.read_data(plan, planner).wait() is None
    reader.close()
    return planner.loaded


def part(name: str, offsets: tuple[int, ...], lengths: tuple[int, ...]) -> ReadItem:
    return ReadItem(name, LoadItemType.TENSOR, offsets, lengths)


def test_ranks_save_and_others_load(dcp: ModuleType, url: str, fs: DFS) -> None:
    grid = np.arange(60.0).reshape(6, 10)
    saved(dcp, url, {"a": Tensor(grid), "n": io.BytesIO(b"seven")}, {"b": Tensor(grid[2:4])}, {}, chunk_size=64)
    room = Planner(a=Tensor(np.zeros((2, 3))), b=Tensor(np.zeros((2, 10))))
    told = loaded(
        dcp, url, room, part("b", (0, 0), (2, 10)), ReadItem("n", LoadItemType.BYTE_IO), part("a", (1, 4), (2, 3))
    )
    assert told["n"] == b"seven"
    np.testing.assert_array_equal(told["a"], grid[1:3, 4:7])
    np.testing.assert_array_equal(told["b"], grid[2:4])
    place = url.partition("//tank/home")[2]
    names = sorted(fs.listdir(place))
    assert [names[0], len(names)] == [".metadata", 3]
    # Of a view only what it shows is stored, not all that it is a part of.
    assert fs.getsize(f"{place}/{names[2]}") < grid.nbytes + 200


def test_a_save_that_dies_leaves_the_one_before(dcp: ModuleType, url: str, fs: DFS) -> None:
    saved(dcp, url, {"n": io.BytesIO(b"old")})
    saved(dcp, url, {"n": io.BytesIO(b"dies")}, {"m": io.BytesIO(b"dies, too")}, finish=False)
    item = ReadItem("n", LoadItemType.BYTE_IO)
    assert loaded(dcp, url, Planner(), item) == {"n": b"old"}
    saved(dcp, url, {"n": io.BytesIO(b"new")})
    assert loaded(dcp, url, Planner(), item) == {"n": b"new"}
    assert len(fs.listdir(url.partition("//tank/home")[2])) == 2  # what the others left is gone
    with pytest.raises(FileExistsError):
        saved(dcp, url, {"n": io.BytesIO(b"refused")}, overwrite=False)
    assert loaded(dcp, url, Planner(), item) == {"n": b"new"}


def test_ranks_may_go_their_own_ways(dcp: ModuleType, url: str, fs: DFS) -> None:
    """Without collectives each has metadata of its own, and leaves the others' files alone."""
    for value in (b"first", b"second"):
        for rank in (0, 1):
            writer = dcp.StorageWriter(url)
            writer.set_up_storage_writer(True, rank=rank, use_collectives=False)
            data = {"n": io.BytesIO(value + b"%d" % rank)}
            plan = writer.prepare_global_plan([writer.prepare_local_plan(Plan(items_of(data)))])[0]
            writer.finish(Metadata(), [writer.write_data(plan, Planner(**data)).wait()])
    names = fs.listdir(url.partition("//tank/home")[2])
    assert len(names) == 4
    for rank in (0, 1):
        reader, planner = dcp.StorageReader(url), Planner()
        reader.set_up_storage_reader(reader.read_metadata(rank=rank), True, rank=rank, use_collectives=False)
        reader.read_data(Plan([ReadItem("n", LoadItemType.BYTE_IO)]), planner)
        assert planner.loaded == {"n": b"second%d" % rank}


def test_one_writer_goes_from_place_to_place(dcp: ModuleType, url: str) -> None:
    writer, reader = dcp.StorageWriter(f"{url}/none"), dcp.StorageReader(url)
    for step in (1, 2):
        writer.reset(f"{url}/{step}")
        assert writer.checkpoint_id == f"{url}/{step}"
        writer.set_up_storage_writer(True)
        data = {"n": io.BytesIO(b"%d" % step)}
        plan = writer.prepare_global_plan([writer.prepare_local_plan(Plan(items_of(data)))])[0]
        writer.finish(Metadata(), [writer.write_data(plan, Planner(**data)).wait()])
    for step in (2, 1):
        reader.reset(f"{url}/{step}")
        metadata, planner = reader.read_metadata(), Planner()
        assert metadata.storage_meta.checkpoint_id == f"{url}/{step}"
        reader.set_up_storage_reader(metadata, True)
        reader.read_data(Plan([ReadItem("n", LoadItemType.BYTE_IO)]), planner)
        assert planner.loaded == {"n": b"%d" % step}


def test_what_is_wrong_is_told(dcp: ModuleType, url: str, fs: DFS) -> None:
    with pytest.raises(FileNotFoundError):
        dcp.StorageReader(url).read_metadata()
    for wrong in ("/tmp/x", "s3://x/y", "daos://tank"):
        with pytest.raises(InvalidError):
            dcp.StorageWriter(wrong)
        assert dcp.StorageWriter.validate_checkpoint_id(wrong) is (wrong == "daos://tank")
    grid = Tensor(np.arange(4.0))
    saved(dcp, url, {"a": grid})
    with pytest.raises(InvalidError, match="size"):
        loaded(dcp, url, Planner(a=Tensor(np.zeros(3))), part("a", (0,), (4,)))
    place = url.partition("//tank/home")[2]
    name = next(name for name in fs.listdir(place) if name.endswith(".distcp"))
    fs.truncate(f"{place}/{name}", 10)
    with pytest.raises(EOFError, match="ends at byte 10"):
        loaded(dcp, url, Planner(a=Tensor(np.zeros(4))), part("a", (0,), (4,)))
    reader = dcp.StorageReader(url)
    metadata = reader.read_metadata()
    metadata.storage_data["a"].transform_descriptors = ["zstd"]
    reader.set_up_storage_reader(metadata, True)
    with pytest.raises(InvalidError, match="extension"):
        reader.read_data(Plan([part("a", (0,), (4,))]), Planner())


def test_a_full_system_leaves_nothing(dcp: ModuleType, tmp_path: object) -> None:
    with daos.open(f"{tmp_path}/s.daos", size="64MiB", pool="tank") as pool:
        fs = mount(pool.container("home", create=True, type="POSIX"))
        with pytest.raises(daos.NoSpaceError):
            saved(
                dcp,
                f"daos://{tmp_path}/s.daos//tank/home/full",
                {"a": Tensor(np.random.default_rng(1).random(16 << 20))},
                chunk_size=1 << 20,
            )
        assert fs.listdir("/full") == []
        fs.close()
