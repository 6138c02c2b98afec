"""Programs that know files only, on a mounted container."""

from __future__ import annotations

import mmap
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.dfuse.conftest import WAIT_S, Mounts, until

OPTIONS = [(), ("--disable-wb-cache",), ("--disable-caching",)]
ROWS = """
import sqlite3, sys
base = sqlite3.connect("t.db", timeout=20, isolation_level=None)
base.execute("pragma journal_mode=" + sys.argv[1])
base.execute("create table if not exists t (a integer primary key, b blob)")
number = base.execute("select coalesce(max(a), 0) from t").fetchone()[0]
while True:
    base.execute("begin")
    for _ in range(5):
        number += 1
        base.execute("insert into t values (?, zeroblob(900))", (number,))
    base.execute("commit")
    print(number, flush=True)
"""
STORM = """
import os, sys
number = 0
while True:
    number += 1
    name = f"f{number % 40}"
    with open("temporary", "wb") as file:
        file.write(b"%08d" % number * 1000)
        file.flush()
        os.fsync(file.fileno())
    os.rename("temporary", name)
    with open("log", "ab") as log:
        log.write(b"%08d" % number)
        log.flush()
        os.fsync(log.fileno())
    if number % 7 == 0:
        os.truncate(name, 800)
    if number % 11 == 0:
        os.unlink(name)
    os.makedirs(f"d{number % 5}/e", exist_ok=True)
    os.replace(f"d{number % 5}", "moved") if not os.path.exists("moved") else os.removedirs("moved/e")
    print(number, flush=True)
"""


def sh(line: str, cwd: Path) -> str:
    done = subprocess.run(["/bin/sh", "-c", line], cwd=cwd, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("options", OPTIONS)
def test_programs(mounts: Mounts, store: Path, options: tuple[str, ...]) -> None:
    process, path = mounts.start("-S", str(store), *options, "tank", "home")
    if shutil.which("git"):
        sh("git init -q one && cd one && git config user.email a@b && git config user.name a", path)
        for number in range(50):
            (path / "one" / f"f{number}").write_text(str(number) * 100)
        sh("cd one && git add . && git commit -qm first && git mv f1 g1 && git commit -qm second && git fsck", path)
        assert (
            sh("git clone -q one two && cd two && git fsck && git status --short && git log --oneline", path).count(
                "\n"
            )
            == 2
        )
    if shutil.which("gcc"):
        (path / "hello.c").write_text('#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n')
        assert sh("gcc hello.c -o hello && ./hello", path) == "hello\n"
    (path / "tree" / "deep").mkdir(parents=True)
    (path / "tree" / "deep" / "data").write_bytes(os.urandom(300_000))
    (path / "tree" / "link").symlink_to("deep/data")
    os.link(path / "tree" / "deep" / "data", path / "tree" / "hard")
    sh("tar cf t.tar tree && mkdir out && tar xf t.tar -C out && diff -r tree out/tree", path)
    assert (path / "out/tree/hard").stat().st_nlink == 2
    if shutil.which("rsync"):
        sh("rsync -aH tree/ copy/ && diff -r tree copy", path)
    with (path / "mapped").open("w+b") as file:
        file.truncate(100_000)
        with mmap.mmap(file.fileno(), 100_000) as view:
            view[70_000:70_005] = b"there"
            view.flush()
        assert os.pread(file.fileno(), 5, 70_000) == b"there"
    for mode in ("wal", "delete"):
        base = sqlite3.connect(path / f"{mode}.db")
        base.execute(f"pragma journal_mode={mode}")
        base.execute("create table t (a)")
        base.executemany("insert into t values (?)", [(number,) for number in range(500)])
        base.commit()
        assert base.execute("pragma integrity_check").fetchone() == ("ok",)
        base.close()
    mounts.end(process, path)
    process, path = mounts.start("-S", str(store), "tank", "home", at=path)
    assert (path / "tree/link").read_bytes() == (path / "out/tree/deep/data").read_bytes()
    assert (path / "mapped").read_bytes()[70_000:70_005] == b"there"
    mounts.end(process, path)


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_database_survives_the_death_of_the_mount(mounts: Mounts, store: Path, mode: str) -> None:
    point = mounts.point()
    acknowledged = 0
    for _ in range(4):
        process, path = mounts.start("-S", str(store), "tank", "home", at=point)
        writer = subprocess.Popen(
            [sys.executable, "-c", ROWS, mode], cwd=path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(20):
            acknowledged = int(writer.stdout.readline())
        process.kill()
        rest, _ = writer.communicate(timeout=WAIT_S)
        # Half a line is none.
        acknowledged = max([acknowledged, *(int(line) for line in rest.splitlines(keepends=True) if line[-1] == "\n")])
        mounts.kill(process, path)
        process, path = mounts.start("-S", str(store), "tank", "home", at=point)
        base = sqlite3.connect(path / "t.db")
        assert base.execute("pragma integrity_check").fetchone() == ("ok",)
        (count,) = base.execute("select count(*) from t").fetchone()
        base.close()
        assert count >= acknowledged
        mounts.end(process, path)


def test_what_was_synced_survives_a_storm_that_ends_with_a_kill(mounts: Mounts, store: Path) -> None:
    point = mounts.point()
    last = 0
    for _ in range(3):
        process, path = mounts.start("-S", str(store), "tank", "home", at=point)
        shutil.rmtree(path / "w", ignore_errors=True)
        (path / "w").mkdir()
        writer = subprocess.Popen(
            [sys.executable, "-c", STORM], cwd=path / "w", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(60):
            last = int(writer.stdout.readline())
        mounts.kill(process, path)
        writer.communicate(timeout=WAIT_S)
        process, path = mounts.start("-S", str(store), "tank", "home", at=point)
        log = (path / "w" / "log").read_bytes()
        numbers = [int(log[at : at + 8]) for at in range(0, len(log) - len(log) % 8, 8)]
        assert len(log) % 8 == 0
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= last
        for file in (path / "w").glob("f*"):
            data = file.read_bytes()
            assert len(data) in {8000, 800}
            assert data == data[:8] * (len(data) // 8)
        # All of it can be removed.
        shutil.rmtree(path / "w")
        until(lambda path=path: not list(path.iterdir()), "an empty directory")  # type: ignore[misc]
        mounts.end(process, path)
