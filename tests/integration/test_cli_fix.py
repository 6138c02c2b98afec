"""`daos fs fix-sb`, `fix-root`, `fix-entry`: damage is made by hand, and a check finds nothing at the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

import daos
from daos import Container, Extent, Object, ObjectId
from daos.cli._main import run
from daos.client.system import System
from daos.dfs import Posix, fix_root, fix_superblock, mount
from daos.errors import BusyError, InvalidError

SUPERBLOCK = ObjectId(281479271677952, 0)
ROOT = ObjectId(281479271677953, 0)


class Run(Protocol):
    """Runs a command line; returns its status and what it printed."""

    def __call__(self, *words: str) -> tuple[int, str, str]: ...


@pytest.fixture
def tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs lines, on a system with a file system that has something in it."""
    system = tmp_path / "s.daos"

    def call(*words: str) -> tuple[int, str, str]:
        status = run(list(words), str(system))
        out, err = capsys.readouterr()
        return status, out, err

    with daos.open(system, pool="tank") as pool:
        made = pool.container("home", create=True, type=Posix(chunk_size=8192, hints="file:single", permissions=0o750))
        pool.container("names", create=True)
        with mount(made) as fs:
            fs.makedirs("/d/e")
            fs.write_bytes("/d/f", b"content" * 10_000)
            fs.symlink("f", "/d/s")
    return call


def damaged(tmp_path: Path, damage: Callable[[Container], object]) -> None:
    with daos.open(tmp_path / "s.daos", pool="tank") as pool:
        damage(pool.container("home"))


def intact(tool: Run, tmp_path: Path) -> None:
    assert tool("fs", "check", "tank", "home")[0] == 0
    with mount(f"daos://{tmp_path}/s.daos//tank/home") as fs:
        assert fs.read_bytes("/d/s") == b"content" * 10_000
        assert sorted(fs.listdir("/d")) == ["e", "f", "s"]


def superblock(container: Container) -> Object:
    return container.object(SUPERBLOCK)


def entry(container: Container, name: str) -> Object:
    """Return the object of the directory that has an entry."""
    with mount(container, read_only=True) as fs:
        return container.object(ObjectId(*fs.info(name).oid))


@pytest.mark.parametrize(
    "damage",
    [
        lambda container: superblock(container).punch("DFS_SB_METADATA"),
        lambda container: superblock(container).update("DFS_SB_METADATA", DFS_MAGIC=b"\7" * 8),
        lambda container: superblock(container).update("DFS_SB_METADATA", DFS_CHUNK_SIZE=bytes(8)),
        lambda container: superblock(container).update("DFS_SB_METADATA", DFS_MODE=b"\1\0\0\0"),
    ],
)
def test_a_superblock_is_written_anew(tool: Run, tmp_path: Path, damage: Callable[[Container], object]) -> None:
    healthy = tool("fs", "fix-sb", "tank", "home")
    assert (healthy[0], healthy[1]) == (1, "")
    assert healthy[2].startswith('ERROR: daos: the superblock of container "home" is whole')
    damaged(tmp_path, damage)
    assert tool("fs", "fix-sb", "tank", "home") == (0, "Superblock of container home written\n", "")
    # As it was made.
    with mount(f"daos://{tmp_path}/s.daos//tank/home") as fs:
        assert (fs.made_as().chunk_size, fs.made_as().hints, fs.layout_version) == (8192, "file:single", 3)
        assert fs.stat("/").st_mode == 0o40750
    intact(tool, tmp_path)
    # As it is said.
    damaged(tmp_path, damage)
    words = ("-M", "BALANCED", "-z", "4096", "-o", "sx", "-D", "S1", "-F", "sx", "-H", "file:max")
    status, text, err = tool("fs", "fix-sb", "tank", "home", *words, "-j")
    assert (status, err, json.loads(text)["response"]) == (
        0,
        "",
        {
            "mode": "balanced",
            "chunk_size": 4096,
            "oclass": "SX",
            "dir_oclass": "S1",
            "file_oclass": "SX",
            "hints": "file:max",
        },
    )
    with mount(f"daos://{tmp_path}/s.daos//tank/home") as fs:
        assert (fs.made_as().chunk_size, fs.made_as().mode, fs.made_as().oclass) == (4096, "balanced", "SX")


def test_a_root_is_led_to_again(tool: Run, tmp_path: Path) -> None:
    already = (0, "Root object already linked in SB\n", "")
    assert tool("fs", "fix-root", "tank", "home") == already
    damaged(tmp_path, lambda container: superblock(container).punch("/"))
    status, _, err = tool("fs", "scan", "tank", "home")
    assert (status, "no root directory" in err) == (1, True)
    assert tool("fs", "fix-root", "tank", "home") == (0, "Root object linked in SB\n", "")
    assert tool("fs", "fix-root", "tank", "home") == already
    assert json.loads(tool("fs", "fix-root", "tank", "home", "-j")[1])["response"] == {"relinked": False}
    with mount(f"daos://{tmp_path}/s.daos//tank/home") as fs:
        assert fs.stat("/").st_mode == 0o40750
    intact(tool, tmp_path)
    # Both are gone.
    damaged(tmp_path, lambda container: superblock(container).punch("/"))
    damaged(tmp_path, lambda container: superblock(container).punch("DFS_SB_METADATA"))
    assert tool("fs", "fix-root", "tank", "home")[0] == 0
    assert tool("fs", "fix-sb", "tank", "home")[0] == 0
    intact(tool, tmp_path)


def test_an_entry_is_repaired(tool: Run, tmp_path: Path) -> None:
    def kind(container: Container) -> None:
        for name in ("e", "f", "s"):
            entry(container, "/d").update(name, DFS_INODE=Extent(0, bytes(4)))

    damaged(tmp_path, kind)
    assert tool("fs", "check", "tank", "home")[0] == 1
    for name, what in (("e", "directory"), ("f", "file"), ("s", "symbolic link")):
        assert tool("fs", "fix-entry", "tank", "home", "-H", f"/d/{name}", "-t") == (
            0,
            f"Type of /d/{name} is {what}\n",
            "",
        )
    for name in ("e", "f"):
        assert tool("fs", "chmod", "tank", "home", "-H", f"/d/{name}", "-m", "0755")[0] == 0
    intact(tool, tmp_path)
    damaged(tmp_path, lambda container: entry(container, "/d").update("f", DFS_INODE=Extent(36, b"\xff" * 8)))
    assert tool("fs", "check", "tank", "home")[0] == 1
    assert tool("fs", "fix-entry", "tank", "home", "-H", "/d/f", "--chunk-size", "8KiB") == (
        0,
        "Adjusting chunk size of /d/f to 8192\n",
        "",
    )
    intact(tool, tmp_path)
    status, text, _ = tool("fs", "fix-entry", "tank", "home", "-H", "/d/f", "-z", "8192", "--type", "-j")
    assert (status, json.loads(text)["response"]) == (0, {"path": "/d/f", "type": "file", "chunk_size": 8192})


@pytest.mark.parametrize(
    ("line", "text", "hint"),
    [
        ("fix-sb tank names", "of type PYTHON: it holds no file system", "POSIX"),
        ("fix-root tank names", "of type PYTHON: it holds no file system", "POSIX"),
        ("fix-entry tank names -t", "of type PYTHON: it holds no file system", "POSIX"),
        ("fix-sb tank none", "none", "list"),
        ("fix-sb", "`<pool>` was not provided", "-h"),
        ("fix-sb tank home -z what", "what", ""),
        ("fix-sb tank home -M what", "mode cannot be 'what'", "relaxed"),
        ("fix-sb tank home -o what", "WHAT", ""),
        ("fix-entry tank home -H /d/f", "nothing to repair", "--chunk-size"),
        ("fix-entry tank home -t", "/: the root directory is no entry", ""),
        ("fix-entry tank home -H /none -t", "/none: No such file or directory", "check the path"),
        ("fix-entry tank home -H /d/f/x -t", "/d/f/x: Not a directory", "check the path"),
        ("fix-entry tank home -H /d/s -z 4096", "/d/s: a symbolic link has no chunks", ""),
        ("fix-entry tank home -H /d/f -z 0", "/d/f: chunks of 0 bytes", ""),
    ],
)
def test_a_bad_line_is_told(tool: Run, tmp_path: Path, line: str, text: str, hint: str) -> None:
    status, out, err = tool("fs", *line.split())
    assert (status, out) == (1, "")
    assert err.startswith("ERROR: daos: ")
    assert text in err
    assert hint in err
    intact(tool, tmp_path)


def test_what_is_not_to_be_repaired_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with daos.open(tmp_path / "s.daos", pool="tank") as pool:
        home, names = pool.container("home", create=True, type="POSIX"), pool.container("names", create=True)
        past = home.at(home.snapshot("s"))
        for call in (fix_superblock, fix_root):
            with pytest.raises(InvalidError, match="holds no file system"):
                call(names)
            with pytest.raises(InvalidError, match="a snapshot is not repaired"):
                call(past)
        with mount(home) as fs, pytest.raises(InvalidError, match="nothing to repair"):
            fs.fix_entry("/x")

        class Info:
            handles = 3

        # As the service of a running system tells it.
        monkeypatch.setattr(System, "served", True)
        monkeypatch.setattr(Container, "info", lambda _: Info)
        for call in (fix_superblock, fix_root):
            with pytest.raises(BusyError, match="container home is open elsewhere, by 2 handles"):
                call(home)
        Info.handles = 1
        with pytest.raises(FileExistsError):
            fix_superblock(home)
        monkeypatch.undo()


@pytest.mark.parametrize(
    "damage",
    [
        lambda container: superblock(container).punch("DFS_SB_METADATA"),
        lambda container: superblock(container).punch("DFS_SB_METADATA", ["DFS_MAGIC"]),
    ],
)
def test_a_mount_makes_nothing_anew_that_is_there(
    tool: Run, tmp_path: Path, damage: Callable[[Container], object]
) -> None:
    damaged(tmp_path, damage)
    for read_only in (False, True):
        with pytest.raises(OSError, match="no superblock" if not read_only else "no file system") as caught:
            mount(f"daos://{tmp_path}/s.daos//tank/home", read_only=read_only)
        assert "fix-sb" in str(getattr(caught.value, "hint", None)) or read_only
    status, _, err = tool("fs", "check", "tank", "home", "--flags", "remove")
    assert (status, "daos fs fix-sb" in err) == (1, True), err
    assert tool("fs", "fix-sb", "tank", "home")[0] == 0
    intact(tool, tmp_path)
