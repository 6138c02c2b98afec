"""File systems from Python: the calls of `os`, over an embedded system and over a network."""

from __future__ import annotations

import errno
import inspect
import io
import os
import pickle
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import daos
from daos.dfs import DFS, RawFile, mount
from daos.dfs.errors import FileClosedError, FileForkedError, StoreError
from daos.errors import DER, AccessError, ClosedError, InvalidError, NotFoundError
from tests.dfs_systems import KINDS, fails, pool_of

WAIT_S = 30.0


@pytest.fixture(params=KINDS)
def pool(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[daos.Pool]:
    with pool_of(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def fs(pool: daos.Pool) -> Iterator[DFS]:
    with mount(pool.container("home", create=True, type="POSIX")) as mounted:
        yield mounted
        if not mounted.closed:
            assert mounted.check().findings == ()


# --- files


def used(opened: Callable[[], object], *, binary: bool) -> list[object]:
    """Return what each of some calls of a file answers, or the class of what it raises."""
    try:
        file = opened()
    except OSError as error:
        return [type(error), error.errno]
    assert isinstance(file, io.IOBase)
    told: list[object] = []
    text = b"abc" if binary else "abc"
    for name, args in (
        ("tell", ()),
        ("readline", ()),
        ("seek", (2,)),
        ("write", (text,)),
        ("seek", (0, 2)),
        ("write", (text,)),
        ("truncate", (5,)),
        ("seek", (0,)),
        ("read", ()),
        ("readable", ()),
        ("writable", ()),
        ("seekable", ()),
        ("isatty", ()),
        ("close", ()),
        ("close", ()),
        ("read", ()),
    ):
        try:
            told.append(getattr(file, name)(*args))
        except (OSError, ValueError) as error:
            told.append(type(error))
    return [*told, file.closed]


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("mode", ["r", "w", "x", "a", "r+", "w+", "x+", "a+"])
def test_open_is_as_the_function_of_that_name(tmp_path: Path, mode: str, there: bool, binary: bool) -> None:
    """What each call does and answers here is what it does and answers on a local file system."""
    word = f"{mode}b" if binary else mode
    local = tmp_path / "f"
    with pool_of("embedded", tmp_path) as pool, mount(pool.container("h", create=True, type="POSIX")) as fs:
        if there:
            local.write_bytes(b"one\ntwo\n")
            fs.write_bytes("f", b"one\ntwo\n")
        here = used(lambda: fs.open("f", word), binary=binary)
        assert here == used(lambda: local.open(word), binary=binary)
        assert fs.exists("f") == local.exists()
        assert not local.exists() or fs.read_bytes("f") == local.read_bytes()


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        ("", {}),
        ("rw", {}),
        ("rr", {}),
        ("r++", {}),
        ("q", {}),
        ("tb", {}),
        ("rtb", {}),
        ("rb", {"encoding": "utf-8"}),
        ("rb", {"newline": "\n"}),
        ("r", {"buffering": 0}),
        ("r", {"newline": "x"}),
    ],
)
def test_modes_that_open_refuses_are_refused(tmp_path: Path, mode: str, more: dict[str, object]) -> None:
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(ValueError, match=r"."):
        (tmp_path / "f").open(mode, **more)  # type: ignore[call-overload]
    with pool_of("embedded", tmp_path) as pool, mount(pool.container("h", create=True, type="POSIX")) as fs:
        fs.touch("f")
        with pytest.raises(ValueError, match=r"."):
            fs.open("f", mode, **more)  # type: ignore[call-overload]


def test_a_raw_file_reads_and_writes_in_place(fs: DFS) -> None:
    with fs.open("/f", "w+b", 0, chunk_size=4096) as file:
        assert isinstance(file, RawFile)
        data = os.urandom(20_000)
        assert file.write(data) == 20_000
        room = bytearray(30_000)
        assert file.seek(5) == 5
        assert file.readinto(memoryview(room)[10:]) == 19_995
        assert room[10:20_005] == data[5:]
        assert file.read() == b""
        assert file.pread(10, 19_995) == data[-5:]
        assert file.pwrite(b"zz", 25_000) == 2
        assert (file.tell(), file.stat().st_size) == (20_000, 25_002)
        assert file.seek(0, os.SEEK_END) == 25_002
        assert (file.seek(0, os.SEEK_HOLE), file.seek(20_500, os.SEEK_DATA)) == (20_000, 25_000)
        file.allocate("punch", 0, 4096)
        assert file.pread(4096, 0) == bytes(4096)
        assert (file.truncate(100), fs.getsize("f")) == (100, 100)
        with pytest.raises(io.UnsupportedOperation, match="no descriptor"):
            file.fileno()
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(file)
        fails(lambda: file.seek(-1), errno.EINVAL, None)
        fs.fsync(file)
    with pytest.raises(ValueError, match="closed file"):
        file.read()
    with pytest.raises(ValueError, match="how cannot be"), fs.open("/f", "r+b", 0) as again:
        again.allocate("x", 0, 1)  # type: ignore[attr-defined]


def test_buffers_of_any_elements_are_taken(fs: DFS) -> None:
    import numpy as np

    cells = np.arange(1000, dtype="<f8")
    with fs.open("f", "wb", 0) as file:
        assert file.write(memoryview(cells)) == 8000  # type: ignore[arg-type]
    read = np.zeros(1000, dtype="<f8")
    with fs.open("f", "rb") as file:
        assert file.readinto(read) == 8000  # type: ignore[attr-defined]
    assert (read == cells).all()


def test_what_was_opened_is_read_when_its_name_is_gone(fs: DFS) -> None:
    fs.write_bytes("f", b"kept")
    with fs.open("f", "r+b", 0) as file:
        fs.remove("f")
        assert file.read() == b"kept"
        assert file.write(b"!") == 1
        assert fs.listdir() == []


def test_appends_of_threads_do_not_mix(fs: DFS) -> None:
    def append(letter: bytes) -> None:
        with fs.open("log", "ab", 0) as file:
            for _ in range(20):
                assert file.write(letter * 100) == 100

    threads = [threading.Thread(target=append, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    log = fs.read_bytes("log")
    assert len(log) == 6000
    assert all(len(set(log[at : at + 100])) == 1 for at in range(0, 6000, 100))


# --- names


def test_each_refusal_has_its_number_its_class_and_its_path(fs: DFS) -> None:
    fs.mkdir("d")
    fs.write_bytes("d/f", b"x")
    fs.symlink("loop", "loop")
    fails(lambda: fs.open("no"), errno.ENOENT, "no", FileNotFoundError)
    fails(lambda: fs.stat("no/x"), errno.ENOENT, "no/x", FileNotFoundError)
    fails(lambda: fs.open("d/f", "x"), errno.EEXIST, "d/f", FileExistsError)
    fails(lambda: fs.mkdir("d"), errno.EEXIST, "d", FileExistsError)
    fails(lambda: fs.makedirs("d"), errno.EEXIST, "d", FileExistsError)
    fails(lambda: fs.makedirs("d/f", exist_ok=True), errno.EEXIST, "d/f", FileExistsError)
    fails(lambda: fs.open("d"), errno.EISDIR, "d", IsADirectoryError)
    fails(lambda: fs.remove("d"), errno.EISDIR, "d", IsADirectoryError)
    fails(lambda: fs.listdir("d/f"), errno.ENOTDIR, "d/f", NotADirectoryError)
    fails(lambda: fs.stat("d/f/g"), errno.ENOTDIR, "d/f/g", NotADirectoryError)
    fails(lambda: fs.rmdir("d"), errno.ENOTEMPTY, "d")
    fails(lambda: fs.rmdir("/"), errno.EBUSY, "/")
    fails(lambda: fs.stat("loop"), errno.ELOOP, "loop")
    fails(lambda: fs.readlink("d"), errno.EINVAL, "d")
    fails(lambda: fs.mkdir("n" * 256), errno.ENAMETOOLONG, "n" * 256)
    fails(lambda: fs.stat(""), errno.ENOENT, "", FileNotFoundError)
    fails(lambda: fs.stat("a\0b"), errno.EINVAL, "a\0b")
    fails(lambda: fs.getxattr("d", "user.no"), errno.ENODATA, "d")
    fails(lambda: fs.truncate("d/f", -1), errno.EINVAL, "d/f")
    error = fails(lambda: fs.rename("no", "d/g"), errno.ENOENT, "no", FileNotFoundError)
    assert error.filename2 == "d/g"
    assert str(fails(lambda: fs.stat("no"), errno.ENOENT, "no")) == "[Errno 2] No such file or directory: 'no'"
    with pytest.raises(TypeError):
        fs.stat(7)  # type: ignore[arg-type]


def walked(fs: DFS) -> list[str]:
    """Return what is below `/a`, in the order of its listing, `d` being a link to `b`."""
    return [name for top in fs.listdir("/a") if top in {"b", "d"} for name in (top, f"{top}/c")]


def test_names_are_given_and_taken(fs: DFS) -> None:
    fs.makedirs("/a/b/c")
    fs.write_bytes("/a/f", b"1")
    fs.rename("/a/f", "/a/b/g")
    fails(lambda: fs.rename("/a/b/g", "/a/b/c", replace=False), errno.EEXIST, "/a/b/g", FileExistsError)
    fs.write_bytes("/h", b"2")
    fs.exchange("/h", "/a/b/g")
    assert (fs.read_bytes("/h"), fs.read_bytes("/a/b/g")) == (b"1", b"2")
    fs.link("/h", "/k")
    assert (fs.stat("/k").st_nlink, fs.layout_version, fs.samefile("/h", "/k")) == (2, 4, True)
    fs.symlink("b/g", "/a/s")
    assert (fs.readlink("/a/s"), fs.islink("/a/s"), fs.read_bytes("/a/s")) == ("b/g", True, b"2")
    fs.replace("/h", "/a/b/g")
    assert sorted(fs.walk("/")) == [
        ("/", ["a"], ["k"]),
        ("/a", ["b"], ["s"]),
        ("/a/b", ["c"], ["g"]),
        ("/a/b/c", [], []),
    ]
    assert [top for top, _, _ in fs.walk("/a", topdown=False)] == ["/a/b/c", "/a/b", "/a"]
    fs.symlink("/a/b", "/a/d")
    assert [top for top, _, _ in fs.walk("/a", followlinks=True)] == ["/a", *(f"/a/{name}" for name in walked(fs))]
    fs.rmtree("/a")
    assert fs.listdir() == ["k"]
    seen: list[OSError] = []
    assert list(fs.walk("/a", onerror=seen.append)) == []
    assert seen[0].errno == errno.ENOENT


def test_a_tree_may_be_deeper_than_calls_may(fs: DFS) -> None:
    deep = "/d" * 150
    fs.makedirs(deep)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 60)
    try:
        assert sum(1 for _ in fs.walk()) == 151
        assert next(fs.walk(topdown=False)) == (deep, [], [])
    finally:
        sys.setrecursionlimit(limit)
    fs.rmtree("/d")


def test_names_may_hold_any_bytes(fs: DFS) -> None:
    raw = bytes(byte for byte in range(1, 256) if byte != ord("/"))[:255]
    names = {os.fsdecode(raw), "grüße", "\udcff", " \n", "..a", "x" * 255, os.fsdecode(b"\xe2\x82")}
    for name in names:
        fs.write_bytes(name, os.fsencode(name))
    fs.mkdir(b"\xfe")
    assert set(fs.listdir()) == {*names, "\udcfe"}
    for entry in fs.scandir("/"):
        assert entry.is_dir() or fs.read_bytes(os.fsencode(entry.path)) == os.fsencode(entry.name)
    fs.symlink(b"\xff\xfe", "link")
    assert fs.readlink("link") == "\udcff\udcfe"
    fs.setxattr("/", "user.\udcff", b"\0v")
    assert (fs.listxattr(), fs.getxattr("/", "user.\udcff")) == (["user.\udcff"], b"\0v")


def test_what_is_known_is_changed(fs: DFS) -> None:
    fs.write_bytes("f", b"12345")
    fs.chmod("f", 0o640)
    fs.utime("f", ns=(1, 1_500_000_000_123_456_789))
    known = fs.stat("f")
    assert (stat.filemode(known.st_mode), known.st_mtime_ns) == ("-rw-r-----", 1_500_000_000_123_456_789)
    fs.utime("f", (0, -1.5))
    assert fs.stat("f").st_mtime_ns == -1_500_000_000
    fs.utime("f")
    assert abs(fs.stat("f").st_mtime - time.time()) < 60
    with pytest.raises(ValueError, match="not both"):
        fs.utime("f", (1, 1), ns=(1, 1))
    fs.truncate("f", 3)
    assert fs.read_bytes("f") == b"123"
    fs.setxattr("f", "user.a", b"1", os.XATTR_CREATE)
    fails(lambda: fs.setxattr("f", "user.a", b"2", os.XATTR_CREATE), errno.EEXIST, "f", FileExistsError)
    fails(lambda: fs.setxattr("f", "user.b", b"2", os.XATTR_REPLACE), errno.ENODATA, "f")
    assert (fs.getxattr("f", "user.a"), fs.listxattr("f")) == (b"1", ["user.a"])
    fs.removexattr("f", "user.a")
    assert fs.listxattr("f") == []
    if os.geteuid() == 0:
        fs.chown("f", 12, -1)
        assert (fs.stat("f").st_uid, fs.stat("f").st_gid) == (12, os.getegid())
    assert (fs.access("f", os.R_OK), fs.access("no", os.F_OK)) == (True, False)
    fs.set_defaults("/", chunk_size="8KiB", oclass="S1")
    fs.touch("g")
    assert (fs.info("g").chunk_size, fs.info("g").oclass) == (8192, "S1")
    with pytest.raises(FileExistsError):
        fs.touch("g", exist_ok=False)
    assert fs.statvfs().f_bavail > 0


def test_permissions_hold(fs: DFS, monkeypatch: pytest.MonkeyPatch) -> None:
    fs.write_bytes("f", b"secret")
    fs.chmod("f", 0o600)
    fs.mkdir("open")
    fs.chmod("open", 0o777)
    fs.chmod("/", 0o755)
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    monkeypatch.setattr("os.getegid", lambda: 12345)
    monkeypatch.setattr("os.getgroups", list)
    with mount(fs.container, umask=0o077) as theirs:
        fails(lambda: theirs.open("f"), errno.EACCES, "f", PermissionError)
        fails(lambda: theirs.mkdir("d"), errno.EACCES, "d", PermissionError)
        theirs.write_bytes("open/mine", b"x")
        known = theirs.stat("open/mine")
        assert (known.st_uid, stat.S_IMODE(known.st_mode)) == (12345, 0o600)


def test_ten_thousand_files_are_listed(fs: DFS) -> None:
    fs.mkdir("many")
    names = {f"file-{number}" for number in range(10_000)}
    for name in names:
        fs.touch(f"many/{name}", exist_ok=False)
    assert set(fs.listdir("many")) == names
    with fs.scandir("many") as entries:
        assert {entry.name for entry in entries if entry.is_file()} == names


# --- mounts


def test_a_snapshot_is_read_and_not_changed(fs: DFS) -> None:
    fs.write_bytes("f", b"then")
    fs.container.snapshot("s")
    fs.write_bytes("f", b"now")
    with mount(fs.container, snapshot="s") as old:
        assert (old.read_bytes("f"), old.read_only) == (b"then", True)
        assert old.statvfs().f_flag == os.ST_RDONLY
        fails(lambda: old.open("f", "w"), errno.EROFS, "f")
        fails(lambda: old.check("remove"), errno.EROFS, None)
        if fs.container.pool.system.path != "test":
            assert pickle.loads(pickle.dumps(old)).read_bytes("f") == b"then"
    fs.container.destroy_snapshot("s")
    with mount(fs.container, read_only=True) as reading:
        fails(lambda: reading.mkdir("d"), errno.EROFS, "d")
        assert reading.read_bytes("f") == b"now"


def test_after_it_is_closed_it_says_so(fs: DFS) -> None:
    file = fs.open("f", "wb")
    file.write(b"buffered")
    fs.close()
    fs.close()
    for call in (lambda: fs.stat("/"), fs.listdir, fs.sync, lambda: fs.open("g", "w"), file.flush):
        with pytest.raises(FileClosedError) as caught:
            call()
        assert isinstance(caught.value, OSError)
        assert isinstance(caught.value, ClosedError)
        assert "mount it again" in str(caught.value)
    with pytest.raises(FileClosedError):
        file.close()
    assert repr(fs).endswith("[unmounted]>")


def test_when_the_system_is_closed_it_says_so(tmp_path: Path) -> None:
    with pool_of("embedded", tmp_path) as pool:
        fs = mount(pool.container("home", create=True, type="POSIX"))
    with pytest.raises(StoreError) as caught:
        fs.stat("/")
    assert isinstance(caught.value, ClosedError)
    assert caught.value.errno == errno.ESHUTDOWN
    copied = pickle.loads(pickle.dumps(caught.value))
    assert (type(copied), copied.errno, copied.filename, copied.code) == (
        FileClosedError,
        errno.ESHUTDOWN,
        "/",
        DER.NO_HDL,
    )


def test_what_the_store_cannot_do_is_both(tmp_path: Path) -> None:
    with daos.open(str(tmp_path / "s"), size="64MiB") as pool:
        fs = mount(pool.container("home", create=True, type="POSIX"))

        def fill() -> None:
            with fs.open("f", "wb") as file:
                for _ in range(100):
                    file.write(os.urandom(1 << 20))

        with pytest.raises(StoreError) as caught:
            fill()
        assert isinstance(caught.value, daos.NoSpaceError)
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "f")


def test_it_is_pickled_by_its_address(tmp_path: Path) -> None:
    with daos.open(str(tmp_path / "s.daos")) as pool:
        fs = mount(pool.container("home", create=True, type="POSIX"))
        path = fs.path("d", "f")
        path.parent.mkdir()
        path.write_text("x")
        copy = pickle.loads(pickle.dumps(path))
        assert (copy.read_text(), copy == path, hash(copy) == hash(path)) == ("x", True, True)
        assert pickle.loads(pickle.dumps(fs)).read_bytes("/d/f") == b"x"


def test_urls_name_file_systems(tmp_path: Path) -> None:
    with daos.open(str(tmp_path / "a b.daos"), pool="tank") as pool:
        with mount(pool.container("home", create=True, type="POSIX")) as fs:
            fs.write_bytes("f", b"1")
        pool.container("home").snapshot("s")
    base = f"daos://{tmp_path}/a%20b.daos//tank/home"
    with mount(base) as fs:
        fs.write_bytes("f", b"22")
    with mount(f"{base}?snap=s") as fs:
        assert fs.read_bytes("f") == b"1"
    for wrong in (
        "daos://tank",
        f"daos://{tmp_path}/a/tank/home",
        f"{base}/f",
        f"{base}?system=x",
        "daos:////t/c",
    ):
        with pytest.raises(InvalidError):
            mount(wrong)
    for missing in (f"daos://{tmp_path}/a%20b.daos//tank/no", "/x", str(tmp_path)):
        with pytest.raises(NotFoundError):
            mount(missing)
    with pytest.raises(InvalidError, match="not int"):
        mount(7)  # type: ignore[arg-type]


def test_a_forked_child_touches_nothing_of_its_parent(fs: DFS) -> None:
    fs.write_bytes("f", b"parent")
    file = fs.open("f", "r+b", 0)
    fs.remove("f")
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with pytest.raises(FileForkedError):
                file.read()
            file.close()
            with pytest.raises(ClosedError):
                fs.write_bytes("child", b"child")
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    assert status == 0
    # What has no name any more is still the parent's.
    assert file.read() == b"parent"
    fs.write_bytes("mine", b"parent")
    file.close()
    assert fs.listdir() == ["mine"]


WRITER = """
import sys, daos
from daos.dfs import mount
fs = mount(sys.argv[1])
fs.makedirs("/w", exist_ok=True)
print("ready", flush=True)
number = 0
while True:
    with fs.open(f"/w/{number}", "wb") as file:
        file.write(b"x" * 5000)
    with fs.open("/log", "ab", 0) as file:
        file.write(b"%d\\n" % number)
    if number % 3 == 0:
        fs.rename(f"/w/{number}", f"/w/moved-{number}")
    if number % 5 == 0:
        fs.truncate(f"/w/moved-{number}" if number % 3 == 0 else f"/w/{number}", 100)
    number += 1
    print(number, flush=True)
"""


def test_a_process_that_is_killed_leaves_what_it_was_told(tmp_path: Path) -> None:
    path = tmp_path / "s.daos"
    with daos.open(str(path), pool="tank") as pool:
        container = pool.container("home", create=True, type="POSIX")
        fs = mount(container)
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, f"daos://{path}//tank/home"], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        told = 0
        while told < 40:
            told = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        told = max([told, *(int(line) for line in child.stdout if line.endswith("\n"))])
        child.wait(WAIT_S)
        child.stdout.close()
        there = {int(name.removeprefix("moved-")) for name in fs.listdir("/w")}
        assert there >= set(range(told))
        logged = [int(line) for line in fs.read_bytes("/log").splitlines()]
        assert logged == list(range(len(logged)))
        assert len(logged) >= told
        assert all(finding.kind == "orphan" for finding in fs.check().findings)
        assert fs.check("remove").clean
        assert fs.check().findings == ()


def test_a_check_finds_and_repairs(fs: DFS) -> None:
    fs.write_bytes("f", b"lost")
    hi, lo = fs.info("f").oid
    entry = fs.container.object(
        daos.ObjectId(*map(int, str(fs.container.properties["root_oids"]).split()[1].split(".")))
    )
    entry.punch("f")
    report = fs.check()
    assert [(finding.kind, finding.oid) for finding in report.findings] == [("leaked_file", (hi, lo))]
    assert (report.clean, report.directories, report.files) == (False, 1, 0)
    assert str(report.findings[0]) == f"leaked file: {hi}.{lo}"
    assert fs.check("relink", "found").clean
    names = [path for path, _, files in fs.walk() for name in files for path in [f"{path}/{name}"]]
    assert [fs.read_bytes(name) for name in names] == [b"lost"]
    with pytest.raises(InvalidError, match="mode cannot be"):
        fs.check("x")  # type: ignore[arg-type]


def test_a_handle_that_may_only_read_changes_nothing(pool: daos.Pool) -> None:
    container = pool.container("home", create=True, type="POSIX")
    snapshot = container.snapshot("s")
    with pytest.raises(AccessError):
        container.at(snapshot).transaction()
    assert mount(container.at(snapshot)).listdir() == []
