"""File systems through fsspec: its own suites, and what they do not ask."""

from __future__ import annotations

import asyncio
import itertools
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.tests import abstract

import daos
from daos.dfs import mount
from daos.dfs._fsspec_files import split_url
from daos.dfs.fsspec import DaosFileSystem
from daos.errors import InvalidError
from tests.dev_pool import tank
from tests.dfs_systems import pool_of

_numbers = itertools.count()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaosFileSystem]:
    directory = tmp_path_factory.mktemp("embedded")
    with pool_of("embedded", directory) as pool:
        pool.container("home", create=True, type="POSIX")
        yield fsspec.filesystem("daos", pool="tank", container="home", system=str(directory / "s.daos"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaosFileSystem]:
    with tank(tmp_path_factory.mktemp("dev") / "s") as agent, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAOS_AGENT_DRPC_DIR", str(agent.parent))
        with daos.connect("daos://tank") as pool:
            pool.container("home", create=True, type="POSIX")
        fs = fsspec.filesystem("daos", pool="tank", container="home")
        yield fs
        fs.dfs.close()


@pytest.fixture(params=["embedded", "served"])
def fs(request: pytest.FixtureRequest) -> DaosFileSystem:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


class Fixtures(abstract.AbstractFixtures):  # type: ignore[misc]
    """What fsspec's suites are run on."""

    @pytest.fixture(params=["embedded", "served"])
    def fs(self, request: pytest.FixtureRequest) -> DaosFileSystem:
        return request.getfixturevalue(request.param)  # type: ignore[no-any-return]

    @pytest.fixture
    def fs_path(self) -> str:
        return f"/suite-{next(_numbers)}"


class TestCopy(abstract.AbstractCopyTests, Fixtures):  # type: ignore[misc]
    """Its suite of copies."""


class TestGet(abstract.AbstractGetTests, Fixtures):  # type: ignore[misc]
    """Its suite of copies to local files."""


class TestPut(abstract.AbstractPutTests, Fixtures):  # type: ignore[misc]
    """Its suite of copies of local files."""


class TestPipe(abstract.AbstractPipeTests, Fixtures):  # type: ignore[misc]
    """Its suite of whole files."""


class TestOpen(abstract.AbstractOpenTests, Fixtures):  # type: ignore[misc]
    """Its suite of opened files."""


@pytest.fixture
def top(fs: DaosFileSystem) -> str:
    path = f"/own-{next(_numbers)}"
    fs.mkdir(path)
    return path


def test_a_url_is_all_that_is_needed(fs: DaosFileSystem, top: str) -> None:
    url = fs.unstrip_protocol(f"{top}/deep/er/x.csv")
    with fsspec.open(url, "w") as file:
        file.write("a,b\n1,2\n")
    with fsspec.open(url) as file:
        assert file.read() == b"a,b\n1,2\n"
    with fsspec.open(f"{url}.gz", "wt", compression="gzip") as file:
        file.write("zipped")
    with fsspec.open(f"{url}.gz", "rt", compression="infer") as file:
        assert file.read() == "zipped"
    same, path = fsspec.core.url_to_fs(url)
    assert (path, same.fsid) == (f"{top}/deep/er/x.csv", fs.fsid)
    assert fs._strip_protocol(url) == path
    assert fs.exists(url)


def test_what_is_known_is_told_whole(fs: DaosFileSystem, top: str) -> None:
    fs.pipe_file(f"{top}/f", b"12345")
    fs.symlink(f"{top}/f", f"{top}/s")
    fs.symlink(f"{top}/no", f"{top}/lost")
    told = fs.info(f"{top}/s")
    known = fs.dfs.stat(f"{top}/f")
    assert (told["name"], told["size"], told["type"], told["islink"]) == (f"{top}/s", 5, "file", True)
    assert (told["destination"], told["ino"], told["mtime_ns"]) == (f"{top}/f", known.st_ino, known.st_mtime_ns)
    assert fs.info(f"{top}/lost")["type"] == "other"
    assert (fs.exists(f"{top}/lost"), fs.lexists(f"{top}/lost"), fs.islink(f"{top}/lost")) == (False, True, True)
    assert fs.modified(f"{top}/f").timestamp() == pytest.approx(known.st_mtime)
    assert fs.created(f"{top}/f").tzinfo is not None
    assert fs.ls(top, detail=False) == [f"{top}/f", f"{top}/lost", f"{top}/s"]
    assert [told["name"] for told in fs.ls(top)] == fs.ls(top, detail=False)
    assert fs.ls(f"{top}/f", detail=False) == [f"{top}/f"]
    assert fs.ls(f"{top}/f") == [fs.info(f"{top}/f")]
    keys = fs.ukey(f"{top}/f"), fs.checksum(f"{top}/f")
    assert keys == (fs.ukey(f"{top}/f"), fs.checksum(f"{top}/f"))
    fs.pipe_file(f"{top}/f", b"54321")
    assert fs.ukey(f"{top}/f") != keys[0]
    assert fs.checksum(f"{top}/f") != keys[1]
    for call in (fs.info, fs.ls, fs.cat_file, fs.modified, fs.rm):
        with pytest.raises(FileNotFoundError):
            call(f"{top}/nothing")


def test_trees_are_walked_and_found(fs: DaosFileSystem, top: str) -> None:
    fs.pipe({f"{top}/a/b/1.csv": b"1", f"{top}/a/2.csv": b"22", f"{top}/3.txt": b"333"})
    fs.makedirs(f"{top}/empty")
    assert fs.find(top) == [f"{top}/3.txt", f"{top}/a/2.csv", f"{top}/a/b/1.csv"]
    assert fs.glob(f"{top}/**/*.csv") == [f"{top}/a/2.csv", f"{top}/a/b/1.csv"]
    assert fs.glob(f"{top}/*") == [f"{top}/3.txt", f"{top}/a", f"{top}/empty"]
    assert [(path, sorted(dirs), sorted(files)) for path, dirs, files in fs.walk(top)] == [
        (top, ["a", "empty"], ["3.txt"]),
        (f"{top}/a", ["b"], ["2.csv"]),
        (f"{top}/a/b", [], ["1.csv"]),
        (f"{top}/empty", [], []),
    ]
    assert (fs.du(top), fs.size(f"{top}/3.txt"), fs.sizes([f"{top}/3.txt"])) == (6, 3, [3])
    assert fs.cat([f"{top}/a/2.csv", f"{top}/a/b/1.csv"]) == {f"{top}/a/2.csv": b"22", f"{top}/a/b/1.csv": b"1"}
    fs.mv(f"{top}/a", f"{top}/moved")
    fs.mv(f"{top}/3.txt", f"{top}/empty")
    fs.mv(f"{top}/empty/3.txt", f"{top}/new/4.txt")
    assert fs.find(top) == [f"{top}/moved/2.csv", f"{top}/moved/b/1.csv", f"{top}/new/4.txt"]
    fs.mv(f"{top}/moved/*.csv", f"{top}/new/")
    assert sorted(fs.find(f"{top}/new")) == [f"{top}/new/2.csv", f"{top}/new/4.txt"]
    fs.rm(f"{top}/new/*.csv")
    with pytest.raises(IsADirectoryError):
        fs.rm(f"{top}/new")
    fs.rm([f"{top}/new", f"{top}/moved"], recursive=True)
    assert fs.ls(top, detail=False) == [f"{top}/empty"]
    fs.rmdir(f"{top}/empty")
    with pytest.raises(FileExistsError):
        fs.mkdir(top)
    with pytest.raises(FileNotFoundError):
        fs.mkdir(f"{top}/x/y", create_parents=False)


def test_ranges_are_read(fs: DaosFileSystem, top: str) -> None:
    data = bytes(range(256)) * 100
    fs.pipe_file(f"{top}/f", data)
    fs.pipe_file(f"{top}/g", b"short")
    for start, end in ((0, 10), (5, None), (None, 7), (-5, None), (-10, -5), (100, 50), (25_590, 99_999), (0, 0)):
        assert fs.cat_file(f"{top}/f", start, end) == data[start:end], (start, end)
    paths = [f"{top}/f", f"{top}/g", f"{top}/f", f"{top}/no"]
    found = fs.cat_ranges(paths, [0, 1, -3, 0], [4, None, None, 1])
    assert found[:3] == [data[:4], b"hort", data[-3:]]
    assert isinstance(found[3], FileNotFoundError)
    assert fs.cat_ranges([f"{top}/f"] * 2, 0, 3) == [data[:3]] * 2
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges(paths, 0, 1, on_error="raise")
    with pytest.raises(ValueError, match="as many"):
        fs.cat_ranges(paths, [0], 1)
    assert fs.head(f"{top}/f", 3) == data[:3]
    assert fs.tail(f"{top}/f", 3) == data[-3:]
    assert fs.read_block(f"{top}/f", 10, 5) == data[10:15]


def test_what_is_piped_is_there_whole_or_not_at_all(
    fs: DaosFileSystem, top: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs.pipe_file(f"{top}/f", b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError("no")

    with monkeypatch.context() as patch:
        patch.setattr("daos.dfs._dfs.DFS.rename", fail)
        with pytest.raises(OSError, match="no"):
            fs.pipe_file(f"{top}/f", b"new")
    assert (fs.cat_file(f"{top}/f"), fs.ls(top, detail=False)) == (b"old", [f"{top}/f"])
    with pytest.raises(FileExistsError):
        fs.pipe_file(f"{top}/f", b"x", mode="create")
    with pytest.raises(IsADirectoryError):
        fs.pipe_file(top, b"x")
    fs.touch(f"{top}/f", truncate=False)
    assert fs.cat_file(f"{top}/f") == b"old"
    fs.touch(f"{top}/f")
    assert fs.cat_file(f"{top}/f") == b""


def test_transactions_give_all_names_at_their_end(fs: DaosFileSystem, top: str) -> None:
    fs.pipe_file(f"{top}/a", b"old")
    with fs.transaction:
        with fs.open(f"{top}/a", "wb") as file:
            file.write(b"new")
        fs.pipe_file(f"{top}/b", b"piped")
        assert (fs.cat_file(f"{top}/a"), fs.exists(f"{top}/b")) == (b"old", False)
    assert (fs.cat_file(f"{top}/a"), fs.cat_file(f"{top}/b")) == (b"new", b"piped")

    def fail() -> None:
        with fs.transaction, fs.open(f"{top}/c", "wb") as file:
            file.write(b"lost")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert fs.ls(top, detail=False) == [f"{top}/a", f"{top}/b"]


def test_files_tell_what_fsspec_s_files_do(fs: DaosFileSystem, top: str) -> None:
    with fs.open(f"{top}/f", "wb") as file:
        file.write(b"0123456789")
    with fs.open(f"{top}/f", "ab") as file:
        file.write(b"!")
    with fs.open(f"{top}/f") as file:
        file.seek(4)
        assert (file.size, file.path, file.info()["size"], file.full_name) == (
            11,
            f"{top}/f",
            11,
            fs.unstrip_protocol(f"{top}/f"),
        )
        with pytest.raises(RuntimeError, match="autocommit"):
            fs.open(f"{top}/g", "wb").commit()
        if fs.address.system:
            assert pickle.loads(pickle.dumps(file)).read() == b"456789!"
    with fs.open(f"{top}/f", "r+b") as file:
        file.seek(2)
        file.write(b"xx")
    assert fs.cat_file(f"{top}/f") == b"01xx456789!"
    fs.link(f"{top}/f", f"{top}/h")
    fs.chmod(f"{top}/h", 0o600)
    assert fs.info(f"{top}/f")["nlink"] == 2
    assert fs.info(f"{top}/f")["mode"] == 0o100600


def test_it_is_awaited(fs: DaosFileSystem, top: str) -> None:
    async def main() -> None:
        kwargs = {"pool": "tank", "container": "home", "system": fs.address.system or None}
        mine = fsspec.filesystem("daos", asynchronous=True, **kwargs)
        await asyncio.gather(*(mine._pipe_file(f"{top}/{number}", b"%d" % number) for number in range(50)))
        assert await mine._cat([f"{top}/{number}" for number in range(50)]) == {
            f"{top}/{number}": b"%d" % number for number in range(50)
        }
        assert len(await mine._find(top)) == 50
        assert (await mine._info(f"{top}/7"))["size"] == 1
        await mine._mv_file(f"{top}/7", f"{top}/seven")
        assert await mine._exists(f"{top}/seven")
        assert await mine._isfile(f"{top}/seven")
        await mine._rm(top, recursive=True)
        assert not await mine._isdir(top)

    asyncio.run(main())


def test_it_is_pickled_and_forked(fs: DaosFileSystem, top: str) -> None:
    fs.pipe_file(f"{top}/f", b"parent")
    assert pickle.loads(pickle.dumps(fs)).cat_file(f"{top}/f") == b"parent"
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            mine = fs if not fs.address.system else fsspec.filesystem("daos", **fs.storage_options)
            assert mine.find(top) == [f"{top}/f"]
            mine.pipe_file(f"{top}/child", mine.cat_file(f"{top}/f") + b"'s child")
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert fs.cat_file(f"{top}/child") == b"parent's child"
    fs.pipe_file(f"{top}/mine", b"x")
    assert fs.dfs.info(f"{top}/mine").oid != fs.dfs.info(f"{top}/child").oid
    assert fs.dfs.check().findings == ()


def test_snapshots_are_read(fs: DaosFileSystem, top: str) -> None:
    fs.pipe_file(f"{top}/f", b"then")
    name = f"s{next(_numbers)}"
    fs.dfs.container.snapshot(name)
    fs.pipe_file(f"{top}/f", b"now")
    url = fs.unstrip_protocol(f"{top}/f")
    with fsspec.open(f"{url}?snap={name}") as file:
        assert file.read() == b"then"
    old, path = fsspec.core.url_to_fs(f"{url}?snap={name}")
    assert old.unstrip_protocol(path) == f"{url}?snap={name}"
    with pytest.raises(OSError, match="Read-only"):
        old.pipe_file(path, b"x")
    old.dfs.close()


def test_h5py_and_numpy_use_its_files(fs: DaosFileSystem, top: str) -> None:
    import h5py
    import numpy as np

    cells = np.arange(10_000, dtype="f4").reshape(100, 100)
    with fs.dfs.open(f"{top}/x.h5", "w+b") as file, h5py.File(file, "w") as made:
        made.create_dataset("cells", data=cells, chunks=(10, 100), compression="gzip")
    with fs.open(f"{top}/x.h5", "rb") as file, h5py.File(file, "r") as read:
        assert (read["cells"][:] == cells).all()
    with fs.open(f"{top}/x.npy", "wb") as file:
        np.save(file, cells)
    with fs.open(f"{top}/x.npy", "rb") as file:
        assert (np.load(file) == cells).all()


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("daos://t/c", ("t", "c", "/", "", None)),
        ("daos://t/c/a b#1?.csv", ("t", "c", "/a b#1?.csv", "", None)),
        ("daos://t/c/x?snap=s&system=other", ("t", "c", "/x", "other", "s")),
        ("daos:///var/d.daos//t/c/a//b%20", ("t", "c", "/a//b%20", "/var/d.daos", None)),
    ],
)
def test_urls_are_read_as_they_stand(url: str, named: tuple[object, ...]) -> None:
    found = split_url(url)
    assert (found.pool, found.container, found.path, found.system, found.snapshot) == named


@pytest.mark.parametrize("url", ["daos://", "daos://t", "daos:///var/t/c", "daos:////t/c", "daos:///d//t"])
def test_urls_without_a_container_are_refused(url: str) -> None:
    with pytest.raises(InvalidError):
        split_url(url)


def test_without_a_container_nothing_is_made() -> None:
    with pytest.raises(InvalidError, match="pool and container"):
        fsspec.filesystem("daos", skip_instance_cache=True)


def test_directories_are_not_made_where_nobody_wants_them(embedded: DaosFileSystem) -> None:
    careful = fsspec.filesystem("daos", pool="tank", container="home", system=embedded.address.system, auto_mkdir=False)
    calls: list[Callable[[], object]] = [
        lambda: careful.pipe_file("/none/f", b"x"),
        lambda: careful.open("/none/f", "wb"),
        lambda: careful.touch("/none/f"),
    ]
    for call in calls:
        with pytest.raises(FileNotFoundError):
            call()
    assert not careful.exists("/none")


def test_a_mount_sees_what_fsspec_wrote(embedded: DaosFileSystem, tmp_path: Path) -> None:
    local = tmp_path / "tree"
    (local / "sub").mkdir(parents=True)
    (local / "sub" / "f").write_bytes(os.urandom(9 << 20))
    embedded.put(str(local), "/uploaded", recursive=True)
    with mount(f"daos://{embedded.address.system}//tank/home") as fs:
        assert fs.read_bytes("/uploaded/sub/f") == (local / "sub" / "f").read_bytes()
    embedded.get("/uploaded", str(tmp_path / "back"), recursive=True)
    assert (tmp_path / "back" / "sub" / "f").read_bytes() == (local / "sub" / "f").read_bytes()
