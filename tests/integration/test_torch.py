"""Samples and checkpoints for PyTorch, as far as they go without it: `test_torch_real.py` has the rest."""

from __future__ import annotations

import io
import os
import pickle
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

import daos
import pydaos.torch
from daos.dfs import DFS, mount
from daos.errors import ClosedError, InvalidError, NotFoundError
from daos.torch import Checkpoint, Dataset, IterableDataset, _dataset
from tests.forking import in_child


@pytest.fixture
def samples(fs: DFS, place: str) -> list[bytes]:
    """Make forty samples in directories, and what is none; return them in the order of their paths."""
    made = {}
    for number in range(40):
        path = f"{place}/{number % 3}/{number % 2}/{number:02}"
        fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        made[path] = b"sample %d" % number * (number + 1)
        fs.write_bytes(path, made[path])
    fs.makedirs(f"{place}/empty")
    fs.symlink(f"{place}/0", f"{place}/link-to-directory")
    fs.symlink(f"{place}/0/0/00", f"{place}/link-to-file")
    return [made[path] for path in sorted(made)]


def length(data: bytes) -> int:
    return len(data)


def test_samples_have_numbers(url: str, samples: list[bytes]) -> None:
    with Dataset(url) as data:
        assert len(data) == 40
        assert [data[number] for number in range(40)] == samples
        assert data[-1] == samples[-1]
        assert data.__getitems__([5, 3, 3, 39]) == [samples[5], samples[3], samples[3], samples[39]]
        assert data.__getitems__([]) == []
        assert data.paths[0].endswith("/0/0/00")
        with pytest.raises(IndexError):
            data[40]
    with pytest.raises(ClosedError):
        data[0]
    data.close()


def test_samples_are_transformed(url: str, samples: list[bytes]) -> None:
    with Dataset(url, path="1", transform_fn=length) as data:
        assert [data[number] for number in range(len(data))] == [len(one) for one in samples[14:27]]
    with IterableDataset(url, transform_fn=length, batch_size=7) as some:
        assert list(some) == [len(one) for one in samples]


@pytest.mark.parametrize("workers", [1, 3, 7, 40, 64])
def test_each_worker_has_a_stretch(
    url: str, samples: list[bytes], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with IterableDataset(url, batch_size=4) as data:
        parts = []
        for number in range(workers):
            told = SimpleNamespace(id=number, num_workers=workers, dataset=data)
            monkeypatch.setattr(_dataset, "get_worker_info", lambda told=told: told)
            data.worker_init(number)
            parts.append(list(data))
    assert [one for part in parts for one in part] == samples
    each = -(-40 // workers)
    assert all(len(part) <= each for part in parts)
    assert len(parts[0]) == each


def test_samples_go_to_other_processes(url: str, samples: list[bytes]) -> None:
    with Dataset(url) as data:
        again = pickle.loads(pickle.dumps(data))
        assert again.__getitems__(range(40)) == samples
        again.close()

        def act() -> None:
            data.worker_init(0)
            assert data.__getitems__(range(40)) == samples
            assert data[3] == samples[3]

        assert in_child(act) == 0
        assert data.__getitems__([7, 1]) == [samples[7], samples[1]]
    with pytest.raises(ClosedError):
        pickle.loads(pickle.dumps(data))[0]


def test_pool_and_container_have_names(embedded_home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAOS_SYSTEM", embedded_home.removeprefix("daos://").partition("//")[0])
    with Checkpoint("tank", "home", prefix="/named") as checkpoint, checkpoint.writer("a/b") as file:
        file.write(b"1")
    with Dataset("tank", "home", "named") as data:
        assert [data[0], len(data)] == [b"1", 1]
    assert pydaos.torch.Dataset is Dataset
    assert pydaos.torch.Checkpoint is Checkpoint


def test_what_is_no_set_is_refused(top: str, url: str, fs: DFS) -> None:
    with pytest.raises(FileNotFoundError):
        Dataset(f"{url}/none")
    fs.write_bytes("/file", b"1")
    with pytest.raises(NotADirectoryError):
        Dataset(f"{top}/file")
    with pytest.raises(NotFoundError):
        Dataset(top.replace("tank", "none"))
    for arguments in ((), ("tank",), (None, "home"), (top, "home"), ("daos://tank",)):
        with pytest.raises(InvalidError):
            Dataset(*arguments)


def test_a_checkpoint_is_written_and_read(url: str, fs: DFS, place: str) -> None:
    data = os.urandom(5_000_000)
    with Checkpoint(url, transfer_chunk_size=1 << 20, workers=3, mode=stat.S_IFREG | 0o640) as checkpoint:
        with checkpoint.writer("epoch/1.pt") as file:
            assert (file.writable(), file.readable(), file.seekable(), file.tell()) == (True, False, False, 0)
            for at in range(0, len(data), 700_000):
                assert file.write(memoryview(data)[at : at + 700_000]) == min(700_000, len(data) - at)
            assert file.tell() == len(data)
            assert fs.listdir(f"{place}/epoch") != ["1.pt"]  # not before it is closed
            file.flush()
        assert file.closed
        read = checkpoint.reader("epoch/1.pt")
        assert (read.tell(), read.read()) == (0, data)
        stream = io.BytesIO()
        assert checkpoint.reader("epoch/1.pt", stream) is stream
        assert stream.read() == data
        assert stat.S_IMODE(fs.stat(f"{place}/epoch/1.pt").st_mode) == 0o640
        assert fs.listdir(f"{place}/epoch") == ["1.pt"]
        with checkpoint.writer("epoch/1.pt") as file:
            file.write(b"shorter")
        assert checkpoint.reader("/epoch//1.pt").read() == b"shorter"
        with checkpoint.writer("empty"):
            pass
        assert checkpoint.reader("empty").read() == b""
    with pytest.raises(ClosedError):
        checkpoint.reader("empty")


@pytest.mark.parametrize("size", [0, 1 << 30])
def test_all_may_be_kept_in_memory(url: str, size: int) -> None:
    with Checkpoint(url, transfer_chunk_size=size, chunks_limit=1, workers=1) as checkpoint:
        with checkpoint.writer("f") as file:
            file.write(b"a")
            file.write(bytearray(b"b"))
        assert checkpoint.reader("f").read() == b"ab"


def test_what_is_not_finished_is_no_checkpoint(url: str, fs: DFS, place: str) -> None:
    with Checkpoint(url, transfer_chunk_size=4) as checkpoint:
        with checkpoint.writer("f") as file:
            file.write(b"old")
        with pytest.raises(RuntimeError, match="died"):
            die(checkpoint)
        file = checkpoint.writer("f")
        file.write(b"collected")
        del file
        lost = checkpoint.writer("f")
        lost.write(b"discarded")
        lost.discard()
        lost.discard()
        lost.close()
        with pytest.raises(ValueError, match="closed"):
            lost.write(b"x")
        assert checkpoint.reader("f").read() == b"old"
        assert fs.listdir(place) == ["f"]


def test_what_fails_is_told(url: str, fs: DFS, place: str) -> None:
    with Checkpoint(url) as checkpoint:
        with pytest.raises(FileNotFoundError):
            checkpoint.reader("none")
        with pytest.raises(FileNotFoundError):
            checkpoint.writer("no/directory", ensure_path=False)
        for name in ("", "/", "../up", "a/../../up"):
            with pytest.raises(InvalidError):
                checkpoint.writer(name)
        fs.makedirs(f"{place}/d")
        with pytest.raises(IsADirectoryError):
            checkpoint.writer("d").close()
        assert fs.listdir(place) == ["d"]
    with Checkpoint(url, open_flags=os.O_CREAT | os.O_EXCL) as checkpoint:
        first, second = checkpoint.writer("f"), checkpoint.writer("f")
        first.write(b"1")
        first.close()
        with pytest.raises(FileExistsError):
            second.close()
        with pytest.raises(FileExistsError):
            checkpoint.writer("f")
        assert (fs.listdir(place), checkpoint.reader("f").read()) == (["d", "f"], b"1")
    for wrong in ({"workers": 0}, {"chunks_limit": -1}, {"transfer_chunk_size": -1}):
        with pytest.raises(InvalidError):
            Checkpoint(url, **wrong)  # type: ignore[arg-type]
    with Checkpoint(url, class_name="OC_S1", file_chunk_size=1 << 16) as checkpoint:
        with checkpoint.writer("s1") as file:
            file.write(b"1")
        told = fs.info(f"{place}/s1")
        assert (told.oclass, told.chunk_size) == ("S1", 1 << 16)


def test_a_full_system_is_told_when_it_is_closed(tmp_path: Path) -> None:
    with daos.open(tmp_path / "s.daos", size="64MiB", pool="tank") as pool:
        fs = mount(pool.container("home", create=True, type="POSIX"))
        with Checkpoint(f"daos://{tmp_path}/s.daos//tank/home", transfer_chunk_size=1 << 20) as checkpoint:
            file = checkpoint.writer("large")
            with pytest.raises(daos.NoSpaceError):
                fill(file)
            file.discard()
            assert fs.listdir("/") == []
        fs.close()


def die(checkpoint: Checkpoint) -> None:
    with checkpoint.writer("f") as file:
        file.write(b"new and long")
        raise RuntimeError("died")


def fill(file: pydaos.torch.WriteBuffer) -> None:
    for _ in range(200):
        file.write(os.urandom(1 << 20))
    file.close()
