"""`daos fs copy`: what it prints, as text and as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import daos
from daos.cli._main import run
from daos.dfs import mount
from tests.integration.test_cli_uns import UUID, Run


@pytest.fixture
def tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str, system: str | None = None) -> tuple[int, str, str]:
        status = run(list(words), system)
        out, err = capsys.readouterr()
        return status, UUID.sub("U", out), UUID.sub("U", err)

    with daos.open(tmp_path / "s.daos", pool="tank"):
        pass
    top = tmp_path / "top"
    (top / "d").mkdir(parents=True)
    (top / "f").write_text("12345")
    (top / "d" / "g").write_text("1")
    (top / "l").symlink_to("f")
    return call


def test_a_copy_is_told(tool: Run, tmp_path: Path) -> None:
    url = f"daos://{tmp_path}/s.daos//tank/new"
    assert tool("fs", "copy", "--src", f"{tmp_path}/top", "--dst", url) == (
        0,
        "Successfully created container U\n"
        f"Successfully copied to DAOS: {url}\n"
        "    Directories: 2\n    Files:       2\n    Links:       1\n",
        "",
    )
    out = f"{tmp_path}/out"
    assert tool("filesystem", "copy", "-s", f"{url}/top", "-d", out) == (
        0,
        f"Successfully copied to POSIX: {out}\n    Directories: 2\n    Files:       2\n    Links:       1\n",
        "",
    )
    assert (Path(out) / "d" / "g").read_text() == "1"
    status, text, _ = tool("fs", "copy", "-s", f"{tmp_path}/top", "-d", url, "--resume", "-j")
    assert (status, json.loads(text)) == (
        0,
        {
            "response": {
                "src_pool": "",
                "src_cont": "",
                "dst_pool": "U",
                "dst_cont": "U",
                "copy_stats": {
                    "num_dirs": 2,
                    "num_files": 2,
                    "num_links": 1,
                    "bytes": 0,
                    "skipped": 3,
                    "special": 0,
                    "modes": 0,
                    "xattrs": 0,
                },
            },
            "error": None,
            "status": 0,
        },
    )
    assert "    Skipped:     3\n" in tool("fs", "copy", "-s", f"{tmp_path}/top", "-d", url, "--resume")[1]
    # A system that the line names is that of URLs which name none, and what the environment names is not.
    done = tool("-S", f"{tmp_path}/s.daos", "fs", "copy", "-s", "daos://tank/new/top/f", "-d", "daos://tank/new/h")
    assert (done[0], done[1].splitlines()[0]) == (0, "Successfully copied to DAOS: daos://tank/new/h")
    with mount(url) as fs:
        assert fs.read_bytes("/h") == b"12345"


def test_what_was_left_out_is_an_error_after_all_else(tool: Run, tmp_path: Path) -> None:
    (tmp_path / "top" / "f").chmod(0o4755)
    out = str(tmp_path / "out")
    words = ("fs", "copy", "-s", str(tmp_path / "top"), "-d", out)
    assert tool(*words) == (
        1,
        f"Successfully copied to POSIX: {out}\n    Directories: 2\n    Files:       2\n    Links:       1\n",
        "ERROR: daos: not copied: 1 set-user-ID, set-group-ID or sticky bits\n"
        "hint: all else is copied; --ignore-unsupported says that they may be left out\n",
    )
    status, text, _ = tool(*words[:-1], f"{out}2", "-j")
    told = json.loads(text)
    assert (status, told["status"], told["response"]["copy_stats"]["modes"]) == (1, -1025, 1)
    assert tool(*words[:-1], f"{out}3", "--ignore-unsupported")[::2] == (0, "")
    os.mkfifo(tmp_path / "top" / "pipe")
    assert tool(*words[:-1], f"{out}4") == (
        1,
        "",
        f"ERROR: daos: {tmp_path}/top/pipe is a device, pipe or socket: DER_NOTSUPPORTED(-2037): Operation not"
        " supported\nhint: only files, directories and links are copied; --ignore-unsupported leaves others out\n",
    )


@pytest.mark.parametrize(
    ("line", "text", "hint"),
    [
        ("fs copy", "the required flag `--src' was not specified", "-h"),
        ("fs copy -s {tmp}", "the required flag `--dst' was not specified", "-h"),
        ("fs copy -s {tmp}/none -d {tmp}/x", "{tmp}/none: No such file or directory", "check the path"),
        ("fs copy -s {tmp}/top -d daos://{tmp}/s.daos//none/x", 'no pool "none"', ""),
        ("fs copy -s {tmp}/top -d daos://{tmp}/no.daos//tank/x", "no.daos", ""),
        ("fs copy -s daos://{tmp}/s.daos//tank/none -d {tmp}/x", "none", ""),
        ("fs copy -s {tmp}/top -d {tmp}/top/d", "cannot be copied into itself", "a place that is not in it"),
        ("fs copy -s {tmp}/top -d daos://tank", "names no container", "daos://POOL/CONTAINER"),
        ("fs copy -s daos://{tmp}/s.daos//tank/new -d {tmp}/x --preserve-props f", "unknown flag `preserve-props'", ""),
    ],
)
def test_a_bad_line_is_told(tool: Run, tmp_path: Path, line: str, text: str, hint: str) -> None:
    status, out, err = tool(*(word.format(tmp=tmp_path) for word in line.split()))
    assert (status, out) == (1, "")
    assert err.startswith("ERROR: daos: ")
    assert text.format(tmp=tmp_path) in err
    assert hint in err
    with daos.open(tmp_path / "s.daos", pool="tank") as pool:
        assert pool.containers() == []
