"""What has a name for the time being, and whose maker died."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import daos
from daos.cli._main import run
from daos.dfs import DFS, mount
from daos.dfs._temporary import LEFT_S, is_left, is_temporary, temporary


@pytest.fixture
def system(tmp_path: Path) -> str:
    where = f"{tmp_path}/s.daos"
    with daos.open(where, pool="tank") as pool:
        pool.container("home", create=True, type="POSIX")
    return where


@pytest.fixture
def fs(system: str) -> Iterator[DFS]:
    with mount(f"daos://{system}//tank/home") as dfs:
        yield dfs


def test_names_for_the_time_being_are_known() -> None:
    for path in ("/a/b", "/x", f"/{'ä' * 120}", "/a\nb", "/\udcff"):
        made = temporary(path)
        assert made.rpartition("/")[0] == path.rpartition("/")[0]
        name = made.rpartition("/")[2]
        assert is_temporary(name)
        assert len(name.encode(errors="surrogateescape")) <= 255
        assert temporary(path) != made
    assert is_temporary(".daos-copy-0123456789abcdef")
    for name in ("a", ".a", ".a.0123456789abcdef", "a.daos-0123456789abcdef", ".a.daos-0123456789abcdeg", ".daos-0123456789abcdef"):  # fmt: skip # noqa: E501
        assert not is_temporary(name)
    name = temporary("/a")[1:]
    assert is_left(name, 1000.0, 1000.0 + LEFT_S)
    assert not is_left(name, 1000.0, 999.0 + LEFT_S)
    assert not is_left("a", 0.0, 1e9)


def test_a_check_tells_and_removes_what_is_left(fs: DFS, monkeypatch: pytest.MonkeyPatch) -> None:
    fs.makedirs("/d/e")
    file, directory, young = (temporary(path) for path in ("/d/e/f", "/d/checkpoint", "/g"))
    fs.write_bytes(file, b"half")
    fs.makedirs(f"{directory}/below")
    fs.write_bytes(f"{directory}/below/x", b"half")
    fs.write_bytes("/d/e/f", b"whole")
    fs.write_bytes("/.f.0123456789abcdef", b"somebody's")
    assert fs.check().clean
    now = time.time() + LEFT_S + 60
    monkeypatch.setattr("daos.dfs._mounted.time.time", lambda: now)
    fs.write_bytes(young, b"half")
    fs.utime(young, (now, now))
    told = fs.check()
    assert [(one.kind, one.paths) for one in told.findings] == [
        ("temporary", (one,)) for one in sorted([directory, file])
    ]
    assert not told.clean
    assert str(told.findings[0]).startswith("temporary: /d/")
    repaired = fs.check("remove")
    assert (repaired.clean, len(repaired.findings)) == (True, 2)
    assert fs.check().findings == ()
    assert (fs.exists(young), fs.exists(file), fs.exists(directory)) == (True, False, False)
    assert (fs.read_bytes("/d/e/f"), fs.exists("/.f.0123456789abcdef")) == (b"whole", True)


def test_a_directory_in_which_somebody_still_writes_is_not_left(fs: DFS, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = temporary("/checkpoint")
    fs.makedirs(f"{directory}/a/b")
    fs.write_bytes(f"{directory}/a/b/x", b"half")
    now = time.time() + LEFT_S + 60
    monkeypatch.setattr("daos.dfs._mounted.time.time", lambda: now)
    fs.utime(f"{directory}/a/b/x", (now - 10, now - 10))
    assert fs.check("remove").findings == ()
    assert fs.read_bytes(f"{directory}/a/b/x") == b"half"
    now += LEFT_S
    assert len(fs.check("remove").findings) == 1
    assert not fs.exists(directory)


def test_the_command_tells_and_removes_it(
    system: str, fs: DFS, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = temporary("/f")
    fs.write_bytes(left, b"half")
    fs.close()
    now = time.time() + LEFT_S + 60
    monkeypatch.setattr("daos.dfs._mounted.time.time", lambda: now)
    words = ["fs", "check", "tank", "home"]
    assert run(words, system) == 1
    out, err = capsys.readouterr()
    assert (f"temporary: {left}" in out, bool(re.search("1 wrong in the file system", err))) == (True, True)
    assert run([*words, "--flags", "remove", "-j"], system) == 0
    assert json.loads(capsys.readouterr().out)["response"]["repaired"] == 1
    assert run(words, system) == 0
