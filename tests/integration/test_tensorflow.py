"""Samples and checkpoints for TensorFlow, as far as they go without it: `test_tensorflow_real.py` has the rest."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

import pytest

from daos.dfs import DFS
from daos.errors import ClosedError, InvalidError, NotFoundError
from daos.tensorflow import Checkpoint, Samples
from tests import fake_tensorflow


@pytest.fixture(autouse=True)
def tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tensorflow.put_in_place(monkeypatch)


@pytest.fixture
def samples(fs: DFS, place: str) -> list[bytes]:
    """Make forty samples in directories, and what is none; return them in the order of their paths."""
    made = {}
    for number in range(40):
        path = f"{place}/{number % 3}/{number:02}"
        fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        # What TensorFlow would cut if it were an array of bytes.
        made[path] = b"sample %d\0" % number * number
        fs.write_bytes(path, made[path])
    fs.symlink(f"{place}/0/00", f"{place}/link")
    return [made[path] for path in sorted(made)]


def test_a_dataset_has_all_files_in_order(url: str, samples: list[bytes]) -> None:
    with Samples(url) as data:
        assert len(data) == len(data.dataset()) == 40
        assert list(data.sizes) == list(map(len, samples))
        for parallel, files_max, bytes_max in ((None, 32, 1 << 20), (1, 1, 0), (7, 3, 100), (2, 5, 0)):
            dataset = data.dataset(parallel=parallel, files_max=files_max, bytes_max=bytes_max)
            assert list(dataset) == samples
            # A second time, it begins anew.
            assert list(dataset) == samples
        pairs = list(data.dataset(with_paths=True))
        assert [one for _, one in pairs] == samples
        assert pairs[0][0] == b"0/00"
        assert list(data.dataset(epochs=3)) == samples * 3
        assert list(data.dataset(epochs=0)) == []


def test_each_epoch_of_a_seed_has_an_order(url: str, samples: list[bytes]) -> None:
    with Samples(url) as data:
        told = list(data.dataset(shuffle=7, epochs=3))
        epochs = [told[at : at + 40] for at in range(0, 120, 40)]
        assert all(sorted(one) == sorted(samples) for one in epochs)
        assert len({tuple(one) for one in (*epochs, samples)}) == 4
        assert list(data.dataset(shuffle=7, epochs=3, parallel=5, files_max=2)) == told
        assert list(itertools.islice(data.dataset(shuffle=7, epochs=None), 120)) == told
        assert list(data.dataset(shuffle=8)) != epochs[0]


def test_workers_share_the_samples(url: str, samples: list[bytes]) -> None:
    with Samples(url) as data:
        parts = [list(data.dataset(shuffle=3, worker=one, workers=3)) for one in range(3)]
        assert sorted(one for part in parts for one in part) == sorted(samples)
        assert [len(part) for part in parts] == [14, 13, 13]
        even = [data.dataset(worker=one, workers=3, drop_remainder=True) for one in range(3)]
        assert [len(part) for part in even] == [len(list(part)) for part in even] == [13, 13, 13]


def test_an_empty_directory_has_no_samples(url: str, place: str) -> None:
    with Samples(url) as data:
        assert list(data.dataset(shuffle=1)) == []
        assert len(data.dataset(epochs=None)) == 0


def test_what_fails_is_told(top: str, url: str, fs: DFS, samples: list[bytes]) -> None:
    with pytest.raises(FileNotFoundError):
        Samples(f"{url}/none")
    with pytest.raises(NotFoundError):
        Samples(top.replace("tank", "none"))
    with pytest.raises(InvalidError):
        Samples("tank")
    with Samples(url) as data:
        for wrong in ({"worker": 3, "workers": 3}, {"worker": -1}, {"workers": 0}, {"epochs": -1}, {"parallel": 0},
                      {"files_max": 0}, {"bytes_max": -1}, {"shuffle": -1}, {"shuffle": 1 << 64}):  # fmt: skip
            with pytest.raises(InvalidError):
                data.dataset(**wrong)  # type: ignore[arg-type]
        dataset = data.dataset()
        fs.remove(data.paths[3])
        with pytest.raises(FileNotFoundError):
            list(dataset)
    with pytest.raises(ClosedError):
        list(dataset)


def test_tensorflow_may_be_missing(url: str, samples: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with Samples(url) as data, pytest.raises(ImportError, match="tensorflow"):
        data.dataset()


def stored(directory: Path) -> dict[str, bytes]:
    return {str(one.relative_to(directory)): one.read_bytes() for one in directory.rglob("*") if one.is_file()}


def test_a_checkpoint_is_written_and_read(url: str, fs: DFS, place: str, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    with Checkpoint(url, local=tmp_path) as checkpoint:
        assert (checkpoint.names(), checkpoint.latest()) == ([], None)
        with checkpoint.writer("step-1") as directory:
            assert directory.is_relative_to(tmp_path)
            (directory / "model.index").write_bytes(b"index")
            (directory / "variables").mkdir()
            (directory / "variables" / "data").write_bytes(data)
            assert not fs.exists(f"{place}/step-1")
        assert not list(tmp_path.iterdir())
        with checkpoint.writer("step-0") as directory:
            (directory / "later").write_bytes(b"1")
        assert (checkpoint.names(), checkpoint.latest()) == (["step-1", "step-0"], "step-0")
        with checkpoint.reader("step-1") as directory:
            assert stored(directory) == {"model.index": b"index", "variables/data": data}
        assert not list(tmp_path.iterdir())
        checkpoint.remove("step-1")
        assert checkpoint.names() == fs.listdir(place) == ["step-0"]
        for missing in (lambda: checkpoint.reader("step-1").__enter__(), lambda: checkpoint.remove("step-1")):
            with pytest.raises(FileNotFoundError):
                missing()
    with pytest.raises(ClosedError):
        checkpoint.names()


def test_a_name_leads_to_a_whole_checkpoint(url: str, fs: DFS, place: str) -> None:
    with Checkpoint(url) as checkpoint:
        with checkpoint.writer("a/b") as directory:
            (directory / "one").write_bytes(b"1")
        with pytest.raises(FileNotFoundError), checkpoint.writer("a/b") as directory:
            (directory / "none").rename(directory / "two")
        with checkpoint.reader("a/b") as found:
            assert stored(found) == {"one": b"1"}
        with checkpoint.writer("a/b") as directory:
            (directory / "two").write_bytes(b"2")
            assert fs.listdir(f"{place}/a/b") == ["one"]
        assert fs.listdir(f"{place}/a/b") == ["two"]
        with pytest.raises(FileExistsError), checkpoint.writer("a/b", overwrite=False):
            pytest.fail("it is there")
        with pytest.raises(FileExistsError), checkpoint.writer("a/c", overwrite=False) as directory:
            fs.makedirs(f"{place}/a/c")
        # Nothing is left of what was not to be.
        assert sorted(fs.listdir(f"{place}/a")) == ["b", "c"]
        for wrong in ("", "/", "..", "a/../b", "."):
            with pytest.raises(InvalidError), checkpoint.writer(wrong):
                pytest.fail("it has no name")


def test_a_checkpoint_of_a_snapshot_is_read(url: str, fs: DFS, place: str) -> None:
    with Checkpoint(url) as checkpoint:
        with checkpoint.writer("x") as directory:
            (directory / "f").write_bytes(b"old")
        fs.container.snapshot(f"s{place[1:]}")
        checkpoint.remove("x")
    with Checkpoint(f"{url}?snap=s{place[1:]}") as then, then.reader("x") as directory:
        assert stored(directory) == {"f": b"old"}
