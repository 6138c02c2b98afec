"""File systems for Arrow, beside Arrow's own of this machine; pandas, Dask and universal-pathlib over fsspec."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable
from pathlib import Path

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyarrow.csv import read_csv
from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType, LocalFileSystem, SubTreeFileSystem, copy_files
from upath import UPath

import daos
import daos.arrow
from daos.dfs import mount
from daos.errors import InvalidError, NotFoundError
from daos.upath import DaosPath
from tests.forking import in_child

_numbers = itertools.count()


@pytest.fixture
def url(top: str) -> str:
    """Give a directory of its own to a test."""
    name = f"place-{next(_numbers)}"
    daos.arrow.filesystem(top).create_dir(name)
    return f"{top}/{name}"


@pytest.fixture
def fs(url: str) -> FileSystem:
    return daos.arrow.filesystem(url)


@pytest.fixture
def local(tmp_path: Path) -> FileSystem:
    return SubTreeFileSystem(str(tmp_path), LocalFileSystem())


def table_of(rows: int) -> pa.Table:
    numbers = np.arange(rows)
    return pa.table(
        {"n": numbers, "half": numbers / 2, "word": [f"w{n % 7}" for n in range(rows)], "part": numbers % 3}
    )


def write(fs: FileSystem, path: str, data: bytes) -> None:
    with fs.open_output_stream(path, compression=None) as file:
        file.write(data)


def told(info: FileInfo) -> tuple[str, FileType, int | None]:
    return info.path, info.type, info.size


def outcome(act: Callable[[FileSystem], object], fs: FileSystem) -> object:
    """Return what an act gives, or the class of what it raises."""
    try:
        return act(fs)
    except (OSError, ValueError) as error:
        return type(error)


def filled(fs: FileSystem) -> None:
    fs.create_dir("a/b/c")
    fs.create_dir("empty")
    for path, data in {"a/1": b"one", "a/b/2": b"two" * 1000, "top": b""}.items():
        write(fs, path, data)


ACTS: list[Callable[[FileSystem], object]] = [
    lambda fs: [told(one) for one in fs.get_file_info(["a", "a/1", "top", "no", "a/1/below", "empty/", "/a/b/"])],
    lambda fs: sorted(told(one) for one in fs.get_file_info(FileSelector("", recursive=True))),
    lambda fs: sorted(told(one) for one in fs.get_file_info(FileSelector("a"))),
    lambda fs: sorted(told(one) for one in fs.get_file_info(FileSelector("a/b", recursive=True))),
    lambda fs: fs.get_file_info(FileSelector("no")),
    lambda fs: fs.get_file_info(FileSelector("no", allow_not_found=True)),
    lambda fs: fs.get_file_info(FileSelector("a/1")),
    lambda fs: fs.create_dir("x/y", recursive=False),
    lambda fs: fs.create_dir("a", recursive=False),
    lambda fs: fs.create_dir("x/y/z"),
    lambda fs: fs.create_dir("a/1"),
    lambda fs: fs.create_dir("a/1", recursive=False),
    lambda fs: fs.delete_dir("a/b"),
    lambda fs: fs.delete_dir("no"),
    lambda fs: fs.delete_dir("top"),
    lambda fs: fs.delete_dir_contents("a"),
    lambda fs: fs.delete_dir_contents("no"),
    lambda fs: fs.delete_dir_contents("no", missing_dir_ok=True),
    lambda fs: fs.delete_dir_contents(""),
    lambda fs: fs.delete_file("a/1"),
    lambda fs: fs.delete_file("no"),
    lambda fs: fs.move("a/1", "top"),
    lambda fs: fs.move("a", "moved"),
    lambda fs: fs.move("no", "other"),
    lambda fs: fs.move("a/1", "no/dir"),
    lambda fs: fs.copy_file("a/b/2", "copy"),
    lambda fs: fs.copy_file("a/b/2", "top"),
    lambda fs: fs.copy_file("no", "copy"),
    lambda fs: fs.open_input_stream("a/1").read(),
    lambda fs: fs.open_input_file("a/b/2").read_at(5, 1),
    lambda fs: fs.open_input_file("a/b/2").read_at(100, 2990),
    lambda fs: (fs.open_input_file("a/b/2").size(), fs.open_input_file("top").size()),
    lambda fs: fs.open_input_file("no"),
    lambda fs: fs.open_input_file("a/1/x"),
    lambda fs: write(fs, "a/1", b"anew"),
    lambda fs: write(fs, "no/such/directory", b"x"),
    lambda fs: write(fs, "a/b", b"x"),
]


@pytest.mark.parametrize("number", range(len(ACTS)))
def test_it_does_what_arrows_own_does(fs: FileSystem, local: FileSystem, number: int) -> None:
    for one in (fs, local):
        filled(one)
    mine, others = (outcome(ACTS[number], one) for one in (fs, local))
    # Its errors are of the same class, or say more.
    same = issubclass(mine, others) if isinstance(mine, type) and isinstance(others, type) else mine == others
    assert same, (mine, others)
    trees = [
        sorted(
            (*told(info), one.open_input_stream(info.path).read() if info.type == FileType.File else b"")
            for info in one.get_file_info(FileSelector("", recursive=True))
        )
        for one in (fs, local)
    ]
    assert trees[0] == trees[1]


def test_what_is_appended_follows(fs: FileSystem) -> None:
    write(fs, "f", b"one ")
    with fs.open_append_stream("f", compression=None) as file:
        file.write(b"two")
    assert fs.open_input_stream("f").read() == b"one two"
    before = fs.get_file_info("f").mtime_ns
    write(fs, "f", b"new")
    assert fs.get_file_info("f").mtime_ns > before


def test_links_are_followed(top: str) -> None:
    fs, path = daos.arrow.resolve(f"{top}/links-{next(_numbers)}/")
    fs.create_dir(f"{path}/d")
    write(fs, f"{path}/d/f", b"123")
    with mount(top) as dfs:
        dfs.symlink("d/f", f"/{path}/to-file")
        dfs.symlink("d", f"/{path}/to-dir")
        dfs.symlink("nowhere", f"/{path}/lost")
    found = {info.base_name: (info.type, info.size) for info in fs.get_file_info(FileSelector(path))}
    assert found == {
        "d": (FileType.Directory, None),
        "to-file": (FileType.File, 3),
        "to-dir": (FileType.Directory, None),
        "lost": (FileType.NotFound, None),
    }


def test_tables_and_their_columns_are_read(fs: FileSystem) -> None:
    table = table_of(50_000)
    pq.write_table(table, "t.parquet", filesystem=fs, row_group_size=7_000)
    assert pq.read_table("t.parquet", filesystem=fs) == table
    assert pq.read_table("t.parquet", filesystem=fs, columns=["half"], filters=[("n", "<", 10)]).num_rows == 10
    with fs.open_input_file("t.parquet") as file:
        assert pq.ParquetFile(file).read_row_group(3)["n"][0].as_py() == 21_000
    write(fs, "t.csv", b"a,b\n1,x\n2,y\n")
    with fs.open_input_stream("t.csv") as file:
        assert read_csv(file).to_pydict() == {"a": [1, 2], "b": ["x", "y"]}


def test_datasets_have_partitions(fs: FileSystem) -> None:
    table = table_of(10_000)
    how = ds.partitioning(pa.schema([("part", pa.int64())]), flavor="hive")
    ds.write_dataset(table, "set", filesystem=fs, format="parquet", partitioning=how, max_rows_per_file=2_000,
                     max_rows_per_group=1_000)  # fmt: skip
    data = ds.dataset("set", filesystem=fs, partitioning=how)
    assert {path.split("/")[1] for path in data.files} == {"part=0", "part=1", "part=2"}
    assert data.to_table().sort_by("n").select(table.column_names) == table
    assert data.to_table(filter=ds.field("part") == 1).num_rows == 3333
    ds.write_dataset(table.slice(0, 10), "set", filesystem=fs, format="parquet", partitioning=how,
                     existing_data_behavior="delete_matching")  # fmt: skip
    assert ds.dataset("set", filesystem=fs, partitioning=how).count_rows() == 10


def test_trees_are_copied_from_and_to_this_machine(fs: FileSystem, local: FileSystem) -> None:
    filled(local)
    copy_files("", "there", source_filesystem=local, destination_filesystem=fs)
    copy_files("there", "back", source_filesystem=fs, destination_filesystem=local)
    assert local.open_input_stream("back/a/b/2").read() == b"two" * 1000


def test_it_goes_to_other_processes(top: str, url: str) -> None:
    fs, path = daos.arrow.resolve(url)
    write(fs, f"{path}/f", b"1")
    again = pickle.loads(pickle.dumps(fs))
    assert again == fs
    assert again.open_input_stream(f"{path}/f").read() == b"1"
    assert fs.type_name == "py::daos"

    def act() -> None:
        assert fs.open_input_stream(f"{path}/f").read() == b"1"
        write(fs, f"{path}/child", b"2")

    assert in_child(act) == 0
    assert fs.open_input_stream(f"{path}/child").read() == b"2"
    assert fs != LocalFileSystem()
    with mount(top) as dfs:
        mounted = daos.arrow.filesystem(dfs)
        assert mounted == fs
        assert pickle.loads(pickle.dumps(mounted)) == fs
    reader = daos.arrow.filesystem(url, read_only=True)
    with pytest.raises(OSError, match="Read-only"):
        write(reader, "f", b"2")


@pytest.mark.parametrize(
    ("source", "error"),
    [(7, InvalidError), ("daos://tank", InvalidError), ("/tmp", InvalidError), ("daos:///no//tank/x", NotFoundError)],
)
def test_what_names_no_file_system_is_refused(source: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        daos.arrow.filesystem(source)


def test_pandas_reads_and_writes(url: str) -> None:
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    frame.to_parquet(f"{url}/f.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(f"{url}/f.parquet"), frame)
    frame.to_csv(f"{url}/f.csv.gz", index=False)
    pd.testing.assert_frame_equal(pd.read_csv(f"{url}/f.csv.gz"), frame)
    frame.to_json(f"{url}/f.json")
    pd.testing.assert_frame_equal(pd.read_json(f"{url}/f.json"), frame)
    frame.to_parquet(f"{url}/parts", partition_cols=["b"])
    assert sorted(pd.read_parquet(f"{url}/parts").a) == [1, 2, 3]
    with pytest.raises(FileNotFoundError):
        pd.read_csv(f"{url}/none.csv")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Dask's, of pandas
def test_dask_reads_and_writes(url: str) -> None:
    frame = pd.DataFrame({"n": range(100), "part": [n % 4 for n in range(100)]})
    dd.from_pandas(frame, npartitions=5).to_parquet(f"{url}/set")  # type: ignore[no-untyped-call]
    again = dd.read_parquet(f"{url}/set")
    assert (again.npartitions, int(again.n.sum().compute(scheduler="threads"))) == (5, 4950)
    dd.from_pandas(frame, npartitions=3).to_csv(f"{url}/csv/*.csv", index=False)  # type: ignore[no-untyped-call]
    assert len(dd.read_csv(f"{url}/csv/*.csv").compute(scheduler="threads")) == 100


def test_paths_of_universal_pathlib(url: str) -> None:
    path = UPath(url)
    assert type(path) is DaosPath
    (path / "d").mkdir()
    (path / "d" / "f 1.txt").write_text("text")
    assert [one.name for one in (path / "d").iterdir()] == ["f 1.txt"]
    file = path / "d" / "f 1.txt"
    assert (str(file), file.as_uri()) == (f"{url}/d/f 1.txt", f"{url}/d/f 1.txt")
    assert UPath(str(file)) == pickle.loads(pickle.dumps(file)) == file
    assert str(UPath(f"{url}?snap=before") / "x") == f"{url}/x?snap=before"
    assert (file.drive, file.root, file.anchor, file.parts[0]) == ("", "/", "/", "/")
    assert str(file.relative_to(path)) == "d/f 1.txt"
    assert (file.relative_to(path).root, file.with_suffix(".csv").name) == ("", "f 1.csv")
    assert file.read_bytes() == b"text"
    assert sorted(one.name for one in path.rglob("*")) == ["d", "f 1.txt"]
    file.rename(path / "moved")
    assert (path / "moved").stat().st_size == 4
    (path / "moved").unlink()
    assert not (path / "moved").exists()
