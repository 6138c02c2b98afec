"""Paths that stand for containers: made, found, removed, and what is left where somebody dies in between."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import fsspec
import pytest

import daos
from daos import Pool, uns
from daos.cli._main import run
from daos.dfs import Posix, mount
from daos.errors import (
    AccessError,
    BusyError,
    DaosError,
    ExistsError,
    InvalidError,
    NoSpaceError,
    NotFoundError,
)
from daos.model.namespace import ATTRIBUTE, MAKING
from daos.torch import Checkpoint
from daos.uns import _make
from daos.uns._resolve import Mounted, mount_of
from tests.dfs_systems import pool_of


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    with pool_of("embedded", tmp_path) as opened:
        yield opened


def attributes(path: Path) -> dict[str, bytes]:
    return {name: os.getxattr(path, name) for name in os.listxattr(path)}


def test_a_path_is_made_with_its_container(pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "run 7"
    made = uns.create(path, pool, type=Posix(chunk_size=4096))
    assert re.fullmatch(r"run-7-[0-9a-f]{8}", made.label)
    value = f"DAOS.POSIX://{tmp_path}/s.daos//{pool.uuid}/{made.uuid}"
    assert attributes(path) == {ATTRIBUTE: value.encode()}
    assert not list(path.iterdir())
    with mount(path) as fs:
        assert fs.made_as().chunk_size == 4096
        fs.makedirs("/a/b")
    (tmp_path / "link").symlink_to("run 7")
    for given, rest in ((path, "/"), (f"{tmp_path}/./link/", "/"), (path / "a" / "b", "/a/b"), (path / "no", "/no")):
        named = uns.resolve(given)
        assert (named.pool, named.container, named.path) == (pool.uuid, made.uuid, rest)
        assert (named.system, named.where, named.type) == (f"{tmp_path}/s.daos", str(path), "POSIX")
        assert named.embedded
    uns.destroy(path)
    assert not path.exists()
    assert pool.containers() == []


def test_a_container_of_names_is_a_file(pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "names"
    made = uns.create(path, pool, "params", type="PYTHON")
    assert (path.read_bytes(), made.label) == (b"", "params")
    assert uns.resolve(path).type == "PYTHON"
    with pytest.raises(InvalidError, match="of type PYTHON: it holds no file system"):
        mount(path)
    uns.destroy(path, pool=pool)
    assert not path.exists()


def test_several_paths_stand_for_one_container(pool: Pool, tmp_path: Path) -> None:
    home = pool.container("home", create=True, type="POSIX")
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (first, second):
        uns.link(path, home)
    with mount(first) as fs:
        fs.write_bytes("/f", b"1")
    with mount(str(second), read_only=True) as fs:
        assert fs.read_bytes("/f") == b"1"
    snapshot = home.snapshot("s")
    with pytest.raises(InvalidError, match="not for a snapshot"):
        uns.link(tmp_path / "third", home.at(snapshot))
    uns.destroy(first)
    # The other one stands for nothing now.
    for call in (lambda: mount(second), lambda: uns.destroy(second)):
        with pytest.raises(NotFoundError, match=home.uuid):
            call()
    uns.destroy(second, force=True)
    assert not second.exists()


def test_urls_are_resolved_as_well(tmp_path: Path) -> None:
    named = uns.resolve("daos://tank/home/a/b?snap=before")
    assert (named.pool, named.container, named.path, named.snapshot) == ("tank", "home", "/a/b", "before")
    assert (named.where, named.type, named.embedded) == (None, None, False)
    os.setxattr(tmp_path, ATTRIBUTE, b"DAOS.POSIX://tank/home\0")
    named = uns.resolve(tmp_path / "x")
    assert (named.pool, named.container, named.path, named.system) == ("tank", "home", "/x", "")


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda path, _: uns.resolve(path / "nothing"), NotFoundError, "there is no"),
        (lambda path, _: uns.resolve(path), NotFoundError, "stands for no container"),
        (lambda path, _: uns.resolve(path / "bad" / "x"), InvalidError, "bad: user.daos is 'what', which names no"),
        (lambda *_: uns.resolve("a\0b"), InvalidError, "invalid path"),
        (lambda *_: uns.resolve(""), InvalidError, "invalid path"),
        (lambda *_: uns.resolve("daos://tank"), InvalidError, "names no container"),
        (uns.create, ExistsError, "there is a"),
        (lambda path, pool: uns.create(path / "f", pool), ExistsError, "there is a"),
        (lambda path, pool: uns.create(path / "no" / "x", pool), NotFoundError, "cannot make .*: No such file"),
        (lambda path, pool: uns.create(path / "f" / "x", pool), NotFoundError, "cannot make .*: Not a directory"),
        (lambda path, pool: uns.create(path / ("y" * 300), pool), DaosError, "cannot make .*: File name too long"),
        (lambda _, pool: uns.create("daos://tank/x", pool), InvalidError, "invalid path"),
        (lambda path, pool: uns.create(path / "new", pool, "a b"), InvalidError, "invalid container label"),
        (lambda path, pool: uns.create(path / "new", pool, "home"), ExistsError, "home"),
        (lambda path, pool: uns.create(path / "new", pool, type="HDF5"), InvalidError, "not supported"),
        (lambda path, pool: uns.create(path / "new", pool, type=Posix(oclass="X")), InvalidError, "X"),
        (lambda path, pool: uns.link(path, pool.container("home")), ExistsError, "there is a"),
        (lambda path, _: uns.destroy(path / "there" / "a"), InvalidError, "a path in a container is not destroyed"),
        (lambda *_: uns.destroy("daos://tank/home"), InvalidError, "a URL is not destroyed"),
        (lambda path, _: uns.destroy(path / "f"), NotFoundError, "stands for no container"),
        (lambda path, _: uns.destroy(path / "full"), InvalidError, "is not empty"),
        (lambda path, _: mount(path / "there" / "a"), InvalidError, "names a file, not a file system"),
        (lambda *_: mount(cast("str", 7)), InvalidError, "a container, a URL or a path is mounted, not int"),
    ],
)
def test_mistakes_are_told_in_a_line_and_change_nothing(
    pool: Pool, tmp_path: Path, call: Callable[[Path, Pool], object], kind: type[DaosError], text: str
) -> None:
    (tmp_path / "w").mkdir()
    work = tmp_path / "w"
    (work / "f").write_text("x")
    (work / "bad").mkdir()
    os.setxattr(work / "bad", ATTRIBUTE, b"what")
    home = pool.container("home", create=True, type="POSIX")
    uns.link(work / "there", home)
    uns.link(work / "full", home)
    (work / "full" / "x").touch()
    before = sorted(path.name for path in work.iterdir())
    with pytest.raises(kind, match=text) as caught:
        call(work, pool)
    assert isinstance(caught.value, DaosError)
    assert "\n" not in caught.value.message
    assert caught.value.hint or kind in {DaosError, ExistsError}
    assert sorted(path.name for path in work.iterdir()) == before
    assert [listed.label for listed in pool.containers()] == ["home"]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOTSUP, InvalidError),
        (errno.ENOSPC, NoSpaceError),
        (errno.EACCES, AccessError),
        (errno.EIO, DaosError),
    ],
)
@pytest.mark.parametrize("at", [1, 2])
def test_a_path_that_keeps_no_attribute_costs_no_container(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[DaosError], at: int
) -> None:
    calls = 0
    really = os.setxattr

    def setxattr(path: str | int, name: str, value: bytes, **options: bool) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise OSError(number, os.strerror(number))
        really(path, name, value, **options)

    monkeypatch.setattr(os, "setxattr", setxattr)
    with pytest.raises(kind, match=rf"cannot set user\.daos\S* of {tmp_path}/new: {os.strerror(number)}"):
        uns.create(tmp_path / "new", pool, "new")
    assert (pool.containers(), (tmp_path / "new").exists(), calls) == ([], False, at)


def test_a_path_that_something_is_mounted_on_stays(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uns.create(tmp_path / "new", pool, "new")
    with monkeypatch.context() as patched:
        patched.setattr(_make, "mount_of", lambda path: Mounted(path, "ext4"))
        with pytest.raises(BusyError, match="is a mount of the container"):
            uns.destroy(tmp_path / "new", pool=pool)
    assert len(pool.containers()) == 1
    # Where the directory shows what is in the container, that is no reason to keep it.
    monkeypatch.setattr(_make, "mount_of", lambda path: Mounted(str(Path(path).parent), "fuse.daos"))
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(["x"]))
    uns.destroy(tmp_path / "new", pool=pool)
    assert (pool.containers(), (tmp_path / "new").exists()) == ([], False)


def test_the_mount_that_a_path_is_on() -> None:
    table = (
        "1 0 8:1 / / rw shared:1 - ext4 /dev/vda rw\n"
        "2 1 0:5 / /mnt rw - tmpfs none rw\n"
        "3 2 0:6 / /mnt/a\\040b rw,nosuid - fuse.daos dfuse rw\n"
        "4 1 0:7 / /mnt rw shared:2 master:3 - xfs /dev/b rw\n"
        "bad line\n"
    )
    for path, point, kind in (
        ("/", "/", "ext4"),
        ("/mn", "/", "ext4"),
        ("/mnt", "/mnt", "xfs"),
        ("/mnt/a", "/mnt", "xfs"),
        ("/mnt/a b", "/mnt/a b", "fuse.daos"),
        ("/mnt/a b/c", "/mnt/a b", "fuse.daos"),
        ("/mnt/a bc", "/mnt", "xfs"),
    ):
        assert mount_of(path, table) == Mounted(point, kind)
    assert mount_of("/proc").kind == "proc"


def test_what_is_in_memory_has_no_path(tmp_path: Path) -> None:
    with daos.open(":memory:") as pool, pytest.raises(InvalidError, match="memory of a process"):
        uns.create(tmp_path / "new", pool)
    assert not (tmp_path / "new").exists()


def test_what_others_say_stays_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "x; id"
    path.mkdir()
    for value in (b"daos:///y;%20id\n//tank/home", b"\x1b[2J\nERROR"):
        os.setxattr(path, MAKING, value)
        with pytest.raises(NotFoundError) as caught:
            uns.resolve(path)
        assert caught.value.message.isprintable()
        assert (caught.value.hint or "").isprintable()
        assert f"rmdir '{path}'" in (caught.value.hint or "")
    os.setxattr(path, ATTRIBUTE, b"DAOS.POSIX:///a%0Ab//tank/home")
    status = run(["container", "query", "-S", str(tmp_path), "--path", str(path)], None)
    assert status == 1


DIES = """
import os, sys
import daos
from daos import uns
from daos.client.pool import Pool
from daos.uns import _make
from daos.uns._resolve import Mounted, mount_of
step, system, path = sys.argv[1:]
die = lambda *_, **__: os._exit(9)
really = Pool.container
def after(*args, **options):
    really(*args, **options)
    die()
if step == "made":
    _make._set = die
elif step == "noted":
    Pool.container = die
elif step == "container":
    Pool.container = after
elif step == "attribute":
    os.removexattr = die
with daos.open(system, pool="tank") as pool:
    uns.create(path, pool, "new")
"""


@pytest.mark.parametrize("step", ["made", "noted", "container", "attribute"])
def test_whoever_dies_leaves_what_tells_of_it(tmp_path: Path, step: str) -> None:
    system, path = tmp_path / "s.daos", tmp_path / "new"
    done = subprocess.run(
        [sys.executable, "-c", DIES, step, str(system), str(path)], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 9, done.stderr
    with daos.open(system, pool="tank") as pool:
        there = [listed.label for listed in pool.containers()]
        assert there == (["new"] if step in {"container", "attribute"} else [])
        if step == "attribute":
            # All is there but the note's removal.
            assert uns.resolve(path).path == "/"
            assert MAKING in attributes(path)
            return
        with pytest.raises(NotFoundError) as caught:
            uns.resolve(path)
        if step == "made":
            assert "stands for no container" in caught.value.message
            path.rmdir()
            return
        note = f"daos://{system}//{pool.uuid}/new"
        assert caught.value.message == f"{path} was to stand for {note}, but whoever made that died before it was done"
        assert f"daos -S {system} container link --path {path} {pool.uuid} new finishes it" in (caught.value.hint or "")
        with pytest.raises(ExistsError) as taken:
            uns.create(path, pool, "new")
        assert note in (taken.value.hint or "")
        if there:
            uns.link(path, pool.container("new"))
            assert list(attributes(path)) == [ATTRIBUTE]
            with mount(path) as fs:
                assert fs.listdir() == []
        path.rmdir()


def test_a_destruction_that_is_cut_short_can_be_finished(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new"
    uns.create(path, pool, "new")
    with monkeypatch.context() as patched:
        patched.setattr(_make, "_remove", lambda _: (_ for _ in ()).throw(OSError(errno.EROFS, "Read-only")))
        with pytest.raises(AccessError, match=r"the container is destroyed, but .* stays: Read-only"):
            uns.destroy(path)
    with pytest.raises(NotFoundError, match=r"stands for container .*: (there is )?no container"):
        uns.destroy(path, pool=pool)
    uns.destroy(path, pool=pool, force=True)
    assert not path.exists()


def test_what_is_gone_can_be_forgotten(pool: Pool, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        uns.create(tmp_path / name, pool, name)
    uns.unlink(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    assert pool.container("a").label == "a"
    with pytest.raises(NotFoundError, match="there is no"):
        uns.unlink(tmp_path / "a")
    with pytest.raises(InvalidError, match="a path in a container"):
        uns.unlink(tmp_path / "b" / "x")
    # The pool, then the system.
    pool.system.destroy_pool("tank")
    with pytest.raises(NotFoundError, match=r"stands for container .*: no pool"):
        uns.destroy(tmp_path / "b")
    uns.destroy(tmp_path / "b", force=True)
    pool.close()
    shutil.rmtree(tmp_path / "s.daos")
    with pytest.raises(NotFoundError, match="there is no system at"):
        uns.destroy(tmp_path / "c")
    uns.destroy(tmp_path / "c", force=True)
    assert not [entry for entry in tmp_path.iterdir() if entry.name in "abc"]


def test_a_look_up_loads_nothing_heavy(tmp_path: Path) -> None:
    os.setxattr(tmp_path, ATTRIBUTE, b"DAOS.POSIX://tank/home")
    line = "import sys, daos.uns; daos.uns.resolve(sys.argv[1]); print(*{'daos._core', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", line, tmp_path], capture_output=True, timeout=60, check=True)
    assert done.stdout == b"\n"


def test_what_is_above_a_path_need_not_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = tmp_path / "shut" / "mine"
    below.mkdir(parents=True)
    real = os.getxattr

    def getxattr(path: str, name: str, *, follow_symlinks: bool = True) -> bytes:
        if path == str(shut):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, name, follow_symlinks=follow_symlinks)

    shut = below.parent
    monkeypatch.setattr(os, "getxattr", getxattr)
    assert uns.find(below) is None
    os.setxattr(below, ATTRIBUTE, b"DAOS.POSIX://tank/home")
    assert uns.resolve(below / "a").path == "/a"
    with pytest.raises(AccessError, match="cannot look at"):
        uns.find(shut)


def test_urls_of_fsspec_may_be_paths(pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "run 7"
    made = uns.create(path, pool, type="POSIX")
    url = f"daos://{path}"
    with fsspec.open(f"{url}/a/x.csv", "wb") as file:
        file.write(b"1,2\n")
    fs, inside = fsspec.core.url_to_fs(f"{url}/a")
    assert (fs.ls(inside, detail=False), fs.cat_file(f"{url}/a/x.csv")) == (["/a/x.csv"], b"1,2\n")
    # What it is called from then on names the container, wherever the path goes.
    named = f"daos://{tmp_path}/s.daos//{pool.uuid}/{made.uuid}/a/x.csv"
    assert fs.unstrip_protocol("/a/x.csv") == named
    assert [str(one) for one in fsspec.open_files(f"{url}/a/*.csv")] == ["<OpenFile '/a/x.csv'>"]
    made.snapshot("before")
    fs.rm("/a/x.csv")
    then, inside = fsspec.core.url_to_fs(f"{url}/a/x.csv?snap=before")
    assert then.cat_file(inside) == b"1,2\n"
    with Checkpoint(url) as checkpoint, checkpoint.writer("a/y") as out:
        out.write(b"2")
    assert fs.cat_file("/a/y") == b"2"
    (tmp_path / "plain").mkdir()
    for wrong in (f"daos://{tmp_path}/plain/x", f"daos://{tmp_path}/none", "daos:///"):
        with pytest.raises(InvalidError, match="stands for no container"):
            fsspec.open(wrong)
    path.rmdir()
    with pytest.raises(InvalidError, match="stands for no container"):
        fsspec.open(f"{url}/a/y")
    then.dfs.close()
    fs.dfs.close()
