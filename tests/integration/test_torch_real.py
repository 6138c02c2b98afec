"""PyTorch itself over `daos.torch`. It takes gigabytes, so it is tried where it is installed."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from daos.dfs import DFS
from daos.errors import InvalidError
from daos.torch import Checkpoint, Dataset, IterableDataset

torch = pytest.importorskip("torch", reason="PyTorch takes gigabytes: pip install torch")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(180)]


def number_of(data: bytes) -> int:
    return int(data)


@pytest.fixture
def hundred(url: str, place: str, fs: DFS) -> str:
    for number in range(100):
        fs.write_bytes(f"{place}/{number:03}", b"%d" % number)
    return url


@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver"])
def test_loaders_have_workers(hundred: str, how: str) -> None:
    if how == "forkserver" and hundred.startswith("daos://tank"):
        pytest.skip("a server of forks that an earlier test began does not know the agent of this one")
    loader = torch.utils.data.DataLoader
    with Dataset(hundred, transform_fn=number_of) as data:
        assert isinstance(data, torch.utils.data.Dataset)
        shuffled = loader(data, batch_size=7, shuffle=True, num_workers=2, multiprocessing_context=how)
        for _ in range(2):
            assert sorted(int(one) for batch in shuffled for one in batch) == list(range(100))
        # Beside its workers, this process goes on.
        assert data[5] == 5
    with IterableDataset(hundred, transform_fn=number_of, batch_size=8) as some:
        plain = loader(some, batch_size=5, num_workers=3, multiprocessing_context=how, worker_init_fn=some.worker_init)
        assert sorted(int(one) for batch in plain for one in batch) == list(range(100))
        assert [int(one) for one in loader(some, batch_size=None)] == list(range(100))


def test_files_of_checkpoints_are_saved_and_loaded(url: str) -> None:
    model = torch.nn.Linear(300, 200)
    with Checkpoint(url, transfer_chunk_size=64 << 10) as checkpoint:
        with checkpoint.writer("m.pt") as file:
            torch.save(model.state_dict(), file)
        loaded = torch.load(checkpoint.reader("m.pt"))
    assert torch.equal(loaded["weight"], model.weight)


def state(seed: int) -> dict[str, object]:
    torch.manual_seed(seed)
    return {
        "model": {"weight": torch.randn(200, 100), "view": torch.randn(50, 50)[10:20, 3:7], "empty": torch.empty(0)},
        "half": torch.randn(1000).to(torch.bfloat16),
        "step": seed,
        "names": ["a", "b"],
    }


def same(mine: dict[str, object], others: dict[str, object]) -> bool:
    return pickle.dumps(_plain(mine)) == pickle.dumps(_plain(others))


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value.float().tolist() if isinstance(value, torch.Tensor) else value


def test_distributed_checkpoints_of_one_process(url: str, fs: DFS, tmp_path: Path) -> None:
    import torch.distributed.checkpoint as dcp

    from daos.torch import StorageReader, StorageWriter

    place = f"/{url.rpartition('/')[2]}"
    first, second = state(1), state(2)
    dcp.save(first, storage_writer=StorageWriter(url), no_dist=True)
    found = state(3)
    dcp.load(found, storage_reader=StorageReader(url), no_dist=True)
    assert same(found, first)

    # One that dies leaves the one before: its data is written, and then no metadata.
    class Dies(StorageWriter):
        def finish(self, *_: object) -> None:
            raise RuntimeError("died")

    with pytest.raises(dcp.api.CheckpointException):
        dcp.save(second, storage_writer=Dies(url), no_dist=True)
    found = state(3)
    dcp.load(found, storage_reader=StorageReader(url), no_dist=True)
    assert same(found, first)

    # The next one replaces both.
    dcp.save(second, storage_writer=StorageWriter(url, chunk_size=1 << 16), no_dist=True)
    dcp.load(found, storage_reader=StorageReader(url), no_dist=True)
    assert same(found, second)
    assert len(fs.listdir(place)) == 2
    with pytest.raises(dcp.api.CheckpointException) as caught:
        dcp.save(first, storage_writer=StorageWriter(url, overwrite=False), no_dist=True)
    assert "FileExistsError" in str(caught.value)

    # PyTorch's own reads a copy, and we its.
    for name in fs.listdir(place):
        (tmp_path / name).write_bytes(fs.read_bytes(f"{place}/{name}"))
    found = state(3)
    dcp.load(found, checkpoint_id=str(tmp_path), no_dist=True)
    assert same(found, second)
    dcp.save(first, checkpoint_id=str(tmp_path / "theirs"), no_dist=True)
    fs.makedirs(f"{place}/theirs")
    for file in (tmp_path / "theirs").iterdir():
        fs.write_bytes(f"{place}/theirs/{file.name}", file.read_bytes())
    dcp.load(found, storage_reader=StorageReader(f"{url}/theirs"), no_dist=True)
    assert same(found, first)

    # Into another shape of a part.
    with pytest.raises(dcp.api.CheckpointException):
        dcp.load({"half": torch.zeros(7)}, storage_reader=StorageReader(url), no_dist=True)
    with pytest.raises(dcp.api.CheckpointException):
        dcp.load(found, storage_reader=StorageReader(f"{url}/none"), no_dist=True)
    with pytest.raises(InvalidError):
        StorageReader("/tmp/x")
    assert StorageWriter.validate_checkpoint_id(url)
    assert not StorageReader.validate_checkpoint_id("/tmp/x")


def test_a_writer_is_used_for_several_checkpoints(url: str) -> None:
    import torch.distributed.checkpoint as dcp

    from daos.torch import StorageReader, StorageWriter

    writer, reader = StorageWriter(url), StorageReader(url)
    for step in (1, 2):
        dcp.save(state(step), checkpoint_id=f"{url}/step-{step}", storage_writer=writer, no_dist=True)
    for step in (2, 1):
        found = state(9)
        dcp.load(found, checkpoint_id=f"{url}/step-{step}", storage_reader=reader, no_dist=True)
        assert same(found, state(step))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.async_save(state(3), storage_writer=StorageWriter(f"{url}/later"), no_dist=True).result()
    found = state(9)
    dcp.load(found, storage_reader=StorageReader(f"{url}/later"), no_dist=True)
    assert same(found, state(3))
    writer.close()
    reader.close()


PROGRAM = """
import sys, os, torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import distribute_tensor, Shard
from daos.torch import StorageReader, StorageWriter

what, url = sys.argv[1:]
dist.init_process_group("gloo")
mesh = init_device_mesh("cpu", (dist.get_world_size(),))
whole = torch.arange(64 * 6, dtype=torch.float32).reshape(64, 6)
if what == "save":
    dcp.save({"w": distribute_tensor(whole, mesh, [Shard(0)]), "n": 7}, storage_writer=StorageWriter(url))
else:
    state = {"w": distribute_tensor(torch.zeros(64, 6), mesh, [Shard(1)]), "n": 0}
    dcp.load(state, storage_reader=StorageReader(url))
    assert torch.equal(state["w"].full_tensor(), whole), state
    assert state["n"] == 7
dist.destroy_process_group()
"""


def test_ranks_save_and_others_load(url: str, tmp_path: Path, fs: DFS) -> None:
    """Two ranks save rows; three load columns."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    for what, ranks in (("save", 2), ("load", 3)):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
        done = subprocess.run(
            [*command, str(program), what, url], check=False, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
    names = fs.listdir(f"/{url.rpartition('/')[2]}")
    assert (".metadata" in names, len(names)) == (True, 3)
