"""Copies to, from and between containers: what is kept, what is refused, and what is left of those cut short."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import resource
import signal
import stat as stats
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import daos
from daos import uns
from daos.dfs import DFS, Posix, mount
from daos.dfs.copying import Copied, Options, Place, _copy, _sides, copy_tree, open_places
from daos.errors import InvalidError, NotFoundError

MIB = 1 << 20
OLD_NS = 1_500_000_000_123_456_789


def copied(
    source: str | Path, target: str | Path, *, resume: bool = False, ignore_unsupported: bool = False, workers: int = 4
) -> Copied:
    with contextlib.ExitStack() as stack:
        places = open_places(stack, str(source), str(target))
        return copy_tree(places.source, places.target, Options(resume, ignore_unsupported, workers))


@pytest.fixture
def home(tmp_path: Path) -> str:
    """Return the URL of an empty file system."""
    with daos.open(tmp_path / "s.daos", pool="tank", targets=2) as pool:
        pool.container("home", create=True, type="POSIX")
    return f"daos://{tmp_path}/s.daos//tank/home"


def fill(top: Path) -> None:
    """Make a tree with one of everything."""
    rng = random.Random(7)  # noqa: S311 -- any bytes
    (top / "deep" / "er").mkdir(parents=True)
    (top / "empty").touch()
    (top / "small").write_bytes(rng.randbytes(1000))
    (top / "deep" / "exact").write_bytes(rng.randbytes(MIB))
    (top / "deep" / "er" / "large").write_bytes(rng.randbytes(21 * MIB + 17))
    (top / "deep" / "link").symlink_to("../small")
    (top / "nowhere").symlink_to("/no/such")
    (top / os.fsdecode(b"n\xff\n ame")).write_bytes(b"x")
    (top / ("l" * 255)).write_bytes(b"long")
    with (top / "sparse").open("wb") as file:
        file.seek(6 * MIB)
        file.write(b"middle")
        file.truncate(40 * MIB)
    with (top / "hole").open("wb") as file:
        file.truncate(9 * MIB)
    os.setxattr(top / "small", "user.one", b"1\0\xff")
    os.setxattr(top / "deep", "user.two", b"")
    os.setxattr(top / "sparse", "user.three", b"x" * 500)
    (top / "small").chmod(0o640)
    (top / "deep" / "exact").chmod(0o400)
    (top / "deep" / "er").chmod(0o700)
    for number, (where, _, names) in enumerate(os.walk(top, topdown=False)):
        for name in names:
            os.utime(Path(where, name), ns=(OLD_NS + number, OLD_NS + number), follow_symlinks=False)
        os.utime(where, ns=(OLD_NS - number, OLD_NS - number))


@dataclass(frozen=True)
class Seen:
    mode: int
    mtime_ns: int
    content: bytes
    xattrs: tuple[tuple[str, bytes], ...]


def seen(top: Path) -> dict[str, Seen]:
    """Return all that is below a directory, and that."""
    found = {}
    for path in (top, *top.rglob("*")):
        told = path.lstat()
        link = path.is_symlink()
        content = os.fsencode(path.readlink()) if link else path.read_bytes() if path.is_file() else b""
        xattrs = () if link else tuple(sorted((name, os.getxattr(path, name)) for name in os.listxattr(path)))
        mode = 0 if link else stats.S_IMODE(told.st_mode)
        found[str(path.relative_to(top))] = Seen(mode, told.st_mtime_ns, content, xattrs)
    return found


def seen_mounted(fs: DFS, top: str) -> dict[str, Seen]:
    found = {}
    left = [(top, ".")]
    while left:
        path, name = left.pop()
        told = fs.lstat(path)
        link, directory = stats.S_ISLNK(told.st_mode), stats.S_ISDIR(told.st_mode)
        content = os.fsencode(fs.readlink(path)) if link else b"" if directory else fs.read_bytes(path)
        xattrs = () if link else tuple(sorted((name, fs.getxattr(path, name)) for name in fs.listxattr(path)))
        found[name] = Seen(0 if link else stats.S_IMODE(told.st_mode), told.st_mtime_ns, content, xattrs)
        if directory:
            left += [
                (f"{path.rstrip('/')}/{entry}", f"{name}/{entry}".removeprefix("./")) for entry in fs.listdir(path)
            ]
    return found


def test_all_that_is_kept_goes_there_and_back(tmp_path: Path, home: str) -> None:
    top = tmp_path / "top"
    fill(top)
    expected = seen(top)
    done = copied(top, home)
    assert (done.directories, done.files, done.links, done.skipped) == (3, 8, 2, 0)
    # Holes are not copied.
    assert done.bytes < 24 * MIB
    assert done.left_out is None
    with mount(home) as fs:
        assert fs.listdir() == ["top"]
        assert seen_mounted(fs, "/top") == expected
        with fs.open("/top/sparse", "rb", 0) as file:
            begin = file.seek(0, os.SEEK_DATA)
            assert MIB <= begin <= 6 * MIB
            assert file.seek(begin, os.SEEK_HOLE) <= 8 * MIB
        assert fs.check().findings == ()
    # Between containers, and in one.
    for target in (home.replace("home", "other"), f"{home}/again"):
        done = copied(f"{home}/top", target)
        assert (done.directories, done.files, done.links) == (3, 8, 2)
    # The container was made for it, so its root is there.
    with mount(home.replace("home", "other")) as fs:
        assert seen_mounted(fs, "/top") == expected
    with mount(home) as fs:
        assert seen_mounted(fs, "/again") == expected
    # And back, under another name, and its own.
    copied(f"{home}/top", tmp_path / "back")
    (tmp_path / "there").mkdir()
    copied(f"{home}/again", tmp_path / "there")
    for path in (tmp_path / "back", tmp_path / "there" / "again"):
        assert seen(path) == expected
        assert (path / "sparse").stat().st_blocks * 512 < 2 * MIB
        assert (path / "hole").stat().st_blocks * 512 < MIB


@given(
    size=st.sampled_from([MIB - 1, MIB, MIB + 1, 4 * MIB, 4 * MIB + 1, 8 * MIB + 4095, 16 * MIB, 17 * MIB]),
    written=st.lists(
        st.tuples(st.integers(0, 17 * MIB), st.sampled_from([1, 4096, 65_537, 3 * MIB, 5 * MIB])), max_size=4
    ),
    workers=st.sampled_from([1, 3]),
)
@settings(max_examples=25)
def test_any_holes_go_there_and_back(size: int, written: list[tuple[int, int]], workers: int) -> None:
    with tempfile.TemporaryDirectory() as name, daos.open(":memory:", targets=2) as pool:
        top = Path(name)
        content = bytearray(size)
        with (top / "f").open("wb") as file:
            file.truncate(size)
            for number, (at, count) in enumerate(written):
                data = bytes([number + 1]) * min(count, max(0, size - at))
                os.pwrite(file.fileno(), data, at)
                content[at : at + len(data)] = data
        with mount(pool.container("home", create=True, type=Posix(chunk_size=300_000))) as fs:
            there = Place("", fs, "/g", "g")
            options = Options(workers=workers)
            copy_tree(Place("", None, str(top / "f"), "f"), there, options)
            assert fs.read_bytes("/g") == content
            copy_tree(there, Place("", None, str(top / "h"), "h"), options)
            assert (top / "h").read_bytes() == content


def test_where_a_copy_lands(tmp_path: Path, home: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_text("1")
    (tmp_path / "to f").symlink_to("a/f")
    copied(tmp_path / "a" / "f", home)
    copied(tmp_path / "to f", home)
    copied(f"{tmp_path}/a/", f"{home}/b")
    copied(f"{tmp_path}/a/.", f"{home}/b")
    copied(tmp_path / "a" / "f", f"{home}/b/g")
    with mount(home) as fs:
        names = sorted(
            name for where, _, files in fs.walk() for name in (f"{where.rstrip('/')}/{name}" for name in files)
        )
        assert names == ["/b/a/f", "/b/f", "/b/g", "/f", "/to f"]
        assert not fs.islink("/to f")
        fs.symlink("b", "/to b")
        fs.symlink("b/../f", "/to g")
    # Of the root, what is in it; and the directory that was there stays as it is.
    out = tmp_path / "out"
    out.mkdir(mode=0o711)
    copied(home, out)
    assert sorted(path.name for path in out.iterdir()) == ["b", "f", "to b", "to f", "to g"]
    assert stats.S_IMODE(out.stat().st_mode) == 0o711
    copied(home, tmp_path / "new")
    assert (tmp_path / "new" / "b" / "a" / "f").read_text() == "1"
    copied(f"{home}/to b", out / "by link")
    assert (out / "by link" / "g").read_text() == "1"
    copied(f"{home}/to g", out / "file by link")
    assert (out / "file by link").read_text() == "1"
    # A path of the namespace is as good.
    with daos.open(tmp_path / "s.daos", pool="tank") as pool:
        uns.create(tmp_path / "path", pool)
    copied(out / "b", tmp_path / "path")
    copied(tmp_path / "path" / "b" / "g", tmp_path / "g")
    assert (tmp_path / "g").read_text() == "1"
    assert not list((tmp_path / "path").iterdir())
    # What is there is replaced.
    (tmp_path / "a" / "f").write_text("2")
    copied(tmp_path / "a" / "f", f"{home}/f")
    (out / "f").unlink()
    (out / "f").symlink_to("/etc/passwd")
    before = Path("/etc/passwd").read_bytes()
    copied(f"{home}/f", out)
    assert ((out / "f").read_text(), (out / "f").is_symlink()) == ("2", False)
    assert Path("/etc/passwd").read_bytes() == before


def test_what_is_there_is_left_out_by_resume(tmp_path: Path, home: str) -> None:
    top = tmp_path / "top"
    fill(top)
    first = copied(top, home)
    again = copied(top, home, resume=True)
    assert (again.files, again.links, again.bytes, again.skipped) == (first.files, first.links, 0, 10)
    with mount(home) as fs:
        fs.write_bytes("/top/small", b"y" * 1000)
        fs.remove("/top/deep/link")
        fs.symlink("elsewhere", "/top/deep/link")
        fs.write_bytes("/top/.daos-copy-0123456789abcdef", b"half")
        fs.write_bytes("/top/.daos-copy-kept", b"whole")
    again = copied(top, home, resume=True)
    assert (again.bytes, again.skipped) == (1000, 8)
    with mount(home) as fs:
        fs.remove("/top/.daos-copy-kept")
        found = seen_mounted(fs, "/top")
    expected = seen(top)
    # That was changed here.
    found["."] = expected["."]
    assert found == expected


def test_a_resumed_copy_to_the_host(tmp_path: Path, home: str) -> None:
    fill(tmp_path / "top")
    copied(tmp_path / "top", home)
    back = tmp_path / "there" / "top"
    back.parent.mkdir()
    copied(f"{home}/top", back.parent)
    (back / "deep" / ".daos-copy-0123456789abcdef").touch()
    (back / ".daos-copy-0123456789abcdef").mkdir()
    (back / "small").unlink()
    again = copied(f"{home}/top", back.parent, resume=True)
    assert (again.bytes, again.skipped) == (1000, 9)
    assert seen(back) == seen(tmp_path / "top")
    # Without a word, all is copied again.
    assert copied(f"{home}/top", back.parent).skipped == 0
    # What is whole is a directory to copy into, also for a copy that goes on.
    copied(f"{home}/top", back, resume=True)
    assert (back / "top" / "small").exists()


@pytest.mark.parametrize(
    ("source", "target", "kind", "text"),
    [
        ("{tmp}/none", "{home}", FileNotFoundError, "No such file"),
        ("{home}/none", "{tmp}", FileNotFoundError, "No such file"),
        ("{tmp}/a", "{home}/no/such", FileNotFoundError, "No such file"),
        ("{tmp}/a", "{tmp}/no/such", FileNotFoundError, "No such file"),
        ("{tmp}/a", "{home}/f", NotADirectoryError, "Not a directory"),
        ("{tmp}/a", "{home}/f/x", NotADirectoryError, "Not a directory"),
        ("{tmp}/a/f", "{tmp}/a/f/x", NotADirectoryError, "Not a directory"),
        ("{tmp}/a", "{tmp}/a/b", InvalidError, "into itself"),
        ("{tmp}/a", "{tmp}/to a/b", InvalidError, "into itself"),
        ("{tmp}/a", "{tmp}/a", InvalidError, "into itself"),
        ("{tmp}/a/f", "{tmp}/a", InvalidError, "into itself"),
        ("{tmp}/a/f", "{tmp}/a/f", InvalidError, "into itself"),
        ("{home}", "{home}/d", InvalidError, "into itself"),
        ("{home}/d", "{home}/d/x", InvalidError, "into itself"),
        ("{home}/d", "{home}/l/x", InvalidError, "into itself"),
        ("{home}/f", "{home}/./f", InvalidError, "into itself"),
        ("{tmp}/a", "{home}?snap=s", InvalidError, "is a snapshot"),
        ("{home}?snap=s", "{tmp}/x", NotFoundError, "s"),
        ("daos://{tmp}/s.daos//tank/none", "{tmp}/x", NotFoundError, "none"),
        ("daos://{tmp}/s.daos//none/home", "{tmp}/x", NotFoundError, "none"),
        ("daos://{tmp}/none//tank/home", "{tmp}/x", NotFoundError, "none"),
        ("daos://{tmp}/s.daos//tank/names", "{tmp}/x", InvalidError, "no file system"),
        ("{tmp}/a", "daos://{tmp}/s.daos//tank/names", InvalidError, "no file system"),
        ("{tmp}/special", "{home}", InvalidError, "special/pipe is a device, pipe or socket"),
        ("{tmp}/clash", "{home}", OSError, "/clash/d"),
        ("{home}/clash", "{tmp}", OSError, "/clash/d"),
    ],
)
def test_mistakes_are_told(
    tmp_path: Path, home: str, source: str, target: str, kind: type[Exception], text: str
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "f").write_text("1")
    (tmp_path / "to a").symlink_to("a")
    (tmp_path / "special").mkdir()
    os.mkfifo(tmp_path / "special" / "pipe")
    # A directory here, a file there.
    (tmp_path / "clash" / "d").mkdir(parents=True)
    with daos.open(tmp_path / "s.daos", pool="tank") as pool:
        pool.container("names", create=True)
    with mount(home) as fs:
        fs.write_bytes("/f", b"1")
        fs.makedirs("/d/e")
        fs.symlink("d/e", "/l")
        fs.mkdir("/clash")
        fs.write_bytes("/clash/d", b"")
    before = sorted(str(path) for path in tmp_path.rglob("*") if "s.daos" not in str(path))
    with pytest.raises(kind, match=text):
        copied(source.format(tmp=tmp_path, home=home), target.format(tmp=tmp_path, home=home))
    assert sorted(str(path) for path in tmp_path.rglob("*") if "s.daos" not in str(path)) == before
    with mount(home) as fs:
        assert fs.read_bytes("/f") == b"1"
        assert sorted(fs.listdir("/d")) == ["e"]


def test_what_is_not_supported_can_be_left_out(tmp_path: Path, home: str) -> None:
    top = tmp_path / "top"
    top.mkdir()
    os.mkfifo(top / "pipe")
    (top / "f").write_text("1")
    (top / "f").chmod(0o4755)
    (top / "d").mkdir()
    (top / "d").chmod(0o1777)
    done = copied(top, home, ignore_unsupported=True)
    assert (done.special, done.modes, done.files, done.directories) == (1, 2, 1, 2)
    assert done.left_out == "1 devices, pipes or sockets, 2 set-user-ID, set-group-ID or sticky bits"
    with mount(home) as fs:
        assert stats.S_IMODE(fs.stat("/top/f").st_mode) == 0o755
        assert stats.S_IMODE(fs.stat("/top/d").st_mode) == 0o777


def test_attributes_that_are_not_kept_are_counted(tmp_path: Path, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with mount(home) as fs:
        fs.write_bytes("/f", b"1")
        fs.setxattr("/f", "user.x", b"1")
        fs.mkdir("/d")
        fs.setxattr("/d", "user.x", b"1")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "no")

    monkeypatch.setattr(os, "setxattr", refuse)
    done = copied(home, tmp_path / "out")
    assert (done.xattrs, done.left_out) == (2, "2 extended attributes")
    assert (tmp_path / "out" / "f").read_text() == "1"


def test_nothing_leaves_the_tree_that_is_copied_to(tmp_path: Path, home: str) -> None:
    with mount(home) as fs:
        fs.makedirs("/top/d")
        fs.write_bytes("/top/d/f", b"bad")
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "out" / "top").mkdir(parents=True)
    (tmp_path / "out" / "top" / "d").symlink_to(outside)
    with pytest.raises(NotADirectoryError, match="out/top/d"):
        copied(f"{home}/top", tmp_path / "out")
    assert not list(outside.iterdir())


def test_a_link_that_is_put_in_the_way_is_not_followed(
    tmp_path: Path, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mount(home) as fs:
        fs.makedirs("/top/d")
        fs.write_bytes("/top/d/f", b"bad")
    outside = tmp_path / "outside"
    outside.mkdir()
    really = _sides.LocalDirectory.make

    def make(self: _sides.LocalDirectory, name: str) -> tuple[_sides.LocalDirectory, bool]:
        made = really(self, name)
        if name == "d":
            path = Path(self.path) / name
            path.rename(path.with_name("moved"))
            path.symlink_to(outside)
        return made

    monkeypatch.setattr(_sides.LocalDirectory, "make", make)
    copied(f"{home}/top", tmp_path / "out")
    assert not list(outside.iterdir())
    assert (tmp_path / "out" / "moved" / "f").read_bytes() == b"bad"


def test_many_directories_need_few_descriptors(tmp_path: Path, home: str) -> None:
    for number in range(300):
        (tmp_path / "top" / f"{number}" / "d").mkdir(parents=True)
        (tmp_path / "top" / f"{number}" / "d" / "f").write_bytes(b"1")
    # Workers that have not come to a file yet hold its directory.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = sum(1 for _ in Path("/proc/self/fd").iterdir())
    # Of 64 directories two each, those above them, and what the system has open.
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 200, hard))
    try:
        done = copied(tmp_path / "top", tmp_path / "out", workers=2)
        copied(tmp_path / "top", home, workers=2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (done.directories, done.files) == (601, 300)
    assert seen(tmp_path / "out") == seen(tmp_path / "top")
    with mount(home) as fs:
        assert seen_mounted(fs, "/top") == seen(tmp_path / "top")


def test_a_deep_tree(tmp_path: Path, home: str) -> None:
    deep = tmp_path / "top"
    for _ in range(150):
        deep /= "0123456789"
    deep.mkdir(parents=True)
    (deep / "f").write_bytes(b"1")
    copied(tmp_path / "top", home)
    copied(f"{home}/top", tmp_path / "out")
    assert seen(tmp_path / "out") == seen(tmp_path / "top")


@pytest.mark.parametrize("workers", [1, 4])
def test_the_first_failure_ends_a_copy_and_leaves_no_half(
    tmp_path: Path, home: str, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    top = tmp_path / "top"
    top.mkdir()
    for number in range(50):
        (top / f"{number}").write_bytes(b"x" * 100)
    (top / "large").write_bytes(bytes(1) * 20 * MIB + b"x" * 20 * MIB)
    really = _sides.LocalReader.read_into

    def read_into(self: _sides.LocalReader, at: int, data: memoryview) -> int:
        if at >= 24 * MIB:
            raise OSError(errno.EIO, "bad disk", "large")
        return really(self, at, data)

    monkeypatch.setattr(_sides.LocalReader, "read_into", read_into)
    threads = threading.active_count()
    with pytest.raises(OSError, match="bad disk"):
        copied(top, home, workers=workers)
    assert threading.active_count() == threads
    with mount(home) as fs:
        names = fs.listdir("/top")
        assert "large" not in names
        assert not [name for name in names if name.startswith(".")]
        assert all(fs.getsize(f"/top/{name}") == 100 for name in names)
        assert fs.check().findings == ()
    monkeypatch.undo()
    done = copied(top, home, resume=True)
    assert done.skipped == len(names)
    with mount(home) as fs:
        assert seen_mounted(fs, "/top") == seen(top)


def test_a_file_that_changes_meanwhile_is_no_error_and_copied_again(
    tmp_path: Path, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "top"
    top.mkdir()
    (top / "f").write_bytes(b"x" * 100)
    (top / "large").write_bytes(b"x" * 3 * MIB)
    (top / "gone").touch()
    really = _copy._Copy._file
    once = threading.Event()

    def file(self: _copy._Copy, leaf: _copy._Leaf) -> None:
        if not once.is_set():
            once.set()
            (top / "f").write_bytes(b"y" * 70)
            os.truncate(top / "large", 2 * MIB)
        really(self, leaf)

    monkeypatch.setattr(_copy._Copy, "_file", file)
    copied(top, home, workers=1)
    with mount(home) as fs:
        assert fs.read_bytes("/top/f") in {b"y" * 70, b"x" * 100}
    copied(top, home, resume=True)
    with mount(home) as fs:
        assert seen_mounted(fs, "/top") == seen(top)


RUN = """
import sys
from contextlib import ExitStack
from daos.dfs.copying import Options, copy_tree, open_places
with ExitStack() as stack:
    places = open_places(stack, sys.argv[1], sys.argv[2])
    copy_tree(places.source, places.target, Options(progress=lambda done: done > 0 and print(done, flush=True)))
"""


@pytest.fixture
def trees(tmp_path: Path) -> Path:
    top = tmp_path / "top"
    rng = random.Random(3)  # noqa: S311 -- any bytes
    for directory in range(8):
        (top / f"d{directory}").mkdir(parents=True)
        for number in range(40):
            (top / f"d{directory}" / f"f{number}").write_bytes(rng.randbytes(rng.randrange(60_000)))
    (top / "large").write_bytes(rng.randbytes(48 * MIB))
    return top


def test_an_interrupted_copy_leaves_no_half(tmp_path: Path, home: str, trees: Path) -> None:
    words = ("-m", "daos.cli", "fs", "copy", "-s", str(trees), "-d", f"{home}/t")
    process = subprocess.Popen([sys.executable, *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    with daos.open(tmp_path / "s.daos", pool="tank") as pool, mount(pool.container("home")) as fs:
        deadline = time.monotonic() + 60
        while not fs.exists("/t/d7") and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        if process.returncode:
            assert (process.returncode, out, err.strip()) == (1, b"", b"ERROR: daos: interrupted")
        for where, _, files in fs.walk("/t"):
            for name in files:
                assert not name.startswith(".daos-copy-")
                local = trees / where.removeprefix("/t").lstrip("/") / name
                assert fs.read_bytes(f"{where}/{name}") == local.read_bytes()
    assert copied(trees, f"{home}/t", resume=True).files == 321


@pytest.mark.parametrize("to", ["container", "host"])
@pytest.mark.parametrize("after", [0, 0.05, 0.15])
def test_whoever_kills_a_copy_finds_whole_files_and_goes_on(
    tmp_path: Path, home: str, trees: Path, to: str, after: float
) -> None:
    source, target = str(trees), f"{home}/t"
    if to == "host":
        copied(trees, f"{home}/from")
        source, target = f"{home}/from", str(tmp_path / "t")
    process = subprocess.Popen([sys.executable, "-c", RUN, source, target], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(after)
    process.kill()
    process.wait(60)
    process.stdout.close()
    expected = {name: what for name, what in seen(trees).items() if (trees / name).is_file()}
    with mount(home) as fs:
        found = seen_mounted(fs, "/t") if to == "container" else seen(tmp_path / "t")
        # What has its name is whole, whatever its time is by now.
        for name, what in found.items():
            base = name.rpartition("/")[2]
            if name in expected:
                assert what.content == expected[name].content
            else:
                assert base.startswith(".daos-copy-") or (trees / name).is_dir()
    if found == seen(trees):
        return  # it was faster: what is whole is a directory to copy into
    # Into the directory that is there, not below it.
    done = copied(source, target, resume=True)
    assert done.files == 321
    assert done.skipped <= 321
    with mount(home) as fs:
        assert (seen_mounted(fs, "/t") if to == "container" else seen(tmp_path / "t")) == seen(trees)
        assert [found for found in fs.check().findings if found.kind != "orphan"] == []


@pytest.mark.parametrize("inside", [True, False])
def test_a_source_that_is_a_link_leads_on_from_where_it_is(home: str, tmp_path: Path, *, inside: bool) -> None:
    if inside:
        with mount(home) as fs:
            fs.makedirs("/x/y")
            fs.symlink("x/y", "/d")
            fs.symlink("../f", "/x/y/l")
            fs.write_bytes("/x/f", b"meant")
            fs.write_bytes("/f", b"another")
    else:
        top = tmp_path / "top"
        (top / "x" / "y").mkdir(parents=True)
        (top / "d").symlink_to("x/y")
        (top / "x" / "y" / "l").symlink_to("../f")
        (top / "x" / "f").write_bytes(b"meant")
        (top / "f").write_bytes(b"another")
    copied(f"{home}/d/l" if inside else tmp_path / "top" / "d" / "l", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"meant"
