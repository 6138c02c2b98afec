"""What a mount is asked by tools."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.integration.dfuse.conftest import WAIT_S, Mounts


def run_tool(*words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        (sys.executable, "-m", "daos.cli", *words), capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_what_a_mount_has(mounts: Mounts, store: Path) -> None:
    process, path = mounts.start("-S", str(store), "tank", "home")
    (path / "a").write_text("a")
    inode = (path / "a").stat().st_ino
    with (path / "a").open() as file:
        status, text, _ = run_tool("fs", "query", str(path / "a"), "--inode", str(inode))
        assert (status, text) == (
            0,
            "DFuse descriptor usage.\n"
            "  Pools     : 1\n"
            "  Containers: 1\n"
            "  Inodes    : 2\n"
            "  Open files: 1\n"
            f"Inode {inode} resident\n",
        )
        status, text, _ = run_tool("fs", "evict", str(path / "a"))
        assert (status, text) == (0, f"Evicted inode: {inode}\nInode {inode} resident: it is in use\n")
        assert file.read() == "a"
    status, text, _ = run_tool("fs", "evict", str(path / "a"), "-j")
    told = json.loads(text)["response"]
    assert (status, told["inode"], told["resident"], told["inodes"]) == (0, inode, False, 2)
    status, text, _ = run_tool("fs", "query", str(path), "-j")
    told = json.loads(text)["response"]
    asked = told.pop("statistics")
    assert told == {"pools": 1, "containers": 1, "inodes": 1, "open_files": 0}
    assert asked["create"]["count"] == 1
    assert asked["open"]["count"] >= 2
    assert asked["ioctl"]["count"] >= 5
    assert asked["lookup"]["us"] > 0
    assert all(operation.isidentifier() and counts["count"] > 0 for operation, counts in asked.items()), asked
    # The mount point itself stays known.
    assert "resident: it is in use" in run_tool("fs", "evict", str(path))[1]
    assert (path / "a").read_text() == "a"
    mounts.end(process, path)


def test_what_is_on_no_mount_is_told(tmp_path: Path) -> None:
    for verb in ("query", "evict"):
        status, _, error = run_tool("fs", verb, str(tmp_path))
        assert status != 0
        assert f"{tmp_path} is on no mount by dfuse" in error
        assert "hint: " in error
        status, _, error = run_tool("fs", verb, str(tmp_path / "none"))
        assert status != 0
        assert os.strerror(2) in error
