"""Programs as people use them, under the library."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import daos
from daos import dfs
from tests.integration.dfuse.conftest import until
from tests.integration.il.conftest import LIBRARY, WAIT_S, Build, Done, Mounts, run

FAST = "--disable-wb-cache"
ROUNDS = 200
LINES = 7 * ROUNDS
RECORDS = """
import os, random, sys
random = random.Random(int(sys.argv[1]))
file = os.open("records", os.O_RDWR | os.O_CREAT)
known = {}
for turn in range(int(sys.argv[2])):
    place = random.randrange(500)
    if place in known and random.random() < 0.5:
        assert os.pread(file, 700, place * 700) == known[place], place
    else:
        known[place] = random.randbytes(700)
        assert os.pwrite(file, known[place], place * 700) == 700
print(os.fstat(file).st_size, max(known) * 700 + 700)
"""


def sh(line: str, cwd: Path) -> Done:
    done = run("/bin/bash", "-c", f"set -eo pipefail; {line}", cwd=cwd)
    assert done.status == 0, f"{line}\n{done.text}\n{done.errors}"
    return done


@pytest.fixture
def at(mounts: Mounts, store: Path) -> Path:
    return mounts.start("-S", str(store), FAST, "tank", "home")[1]


def test_bytes_that_go_by_the_doors_are_there_for_all(at: Path) -> None:
    done = run(sys.executable, "-c", RECORDS, "1", "3000", cwd=at)
    assert done.status == 0, done.errors
    told, expected = map(int, done.text.split())
    assert told == expected == (at / "records").stat().st_size
    assert done.counted("read") > 1000
    assert done.counted("write") > 1000
    assert done.counted("kernel write") < 40
    again = run(sys.executable, "-c", RECORDS, "1", "3000", cwd=at, library=False)
    assert again.status == 0, again.errors


def test_tools_of_every_day(at: Path, tmp_path: Path) -> None:
    (tmp_path / "numbers").write_text("".join(f"{number * 7919 % 10007}\n" for number in range(20000)))
    many = "sort -n numbers | uniq | tee sorted | wc -l; sha256sum < sorted; tac sorted | sed -n 1,3p"
    here = sh(many, tmp_path).text
    sh(f"cp {tmp_path}/numbers .", at)
    there = sh(many, at).text
    assert there == here
    sh("dd if=numbers of=copy bs=512 status=none && cmp numbers copy", at)
    sh("dd if=/dev/zero of=copy bs=512 seek=10 count=3 conv=notrunc,fsync status=none", at)
    assert (at / "copy").stat().st_size == (at / "numbers").stat().st_size
    sh("mkdir -p d/e && cp -r numbers sorted d/e && tar -cf d.tar d && mkdir out && tar -xf d.tar -C out", at)
    assert sh("diff -r d out/d && ls -lR out | grep -c numbers", at).text.strip() == "1"
    sh("mv out/d/e/numbers out/moved && rm -r out d && ls", at)
    sh(
        "for i in $(seq 50); do echo $i >> log; done; cat log | (read a; read b; cat > rest); head -1 rest | grep -x 3",
        at,
    )
    sh("exec 3<> both; echo first >&3; echo second >&3; cat both | tail -1 | grep -x second", at)
    sh("( for i in 1 2 3; do echo a; done & for i in 1 2 3; do echo b; done; wait ) > two; test $(wc -l < two) = 6", at)
    sh(
        "sed -i s/1/x/ log; awk '{ n += length($0) } END { print n }' log > sum; gzip -k log; zcat log.gz | cmp - log",
        at,
    )


def test_git_and_gcc(at: Path) -> None:
    (at / "m.c").write_text('#include <stdio.h>\nint main(void) { puts("built here"); return 0; }\n')
    assert sh("gcc -g -o m m.c && ./m", at).text == "built here\n"
    commit = "git -c user.name=a -c user.email=a@b commit -qm"
    sh(f"git init -q r && cp m.c r && cd r && git add . && {commit} one", at)
    sh(f"cd r && for i in 1 2 3 4 5; do seq $i 400 > f$i; git add .; {commit} $i; done", at)
    sh("cd r && git gc -q && git fsck --strict && git clone -q . ../c && diff -r --exclude=.git . ../c", at)


def test_databases_keep_what_they_committed(at: Path, tmp_path: Path) -> None:
    lines = (
        "import sqlite3, sys\n"
        "base = sqlite3.connect('t.db', isolation_level=None)\n"
        "base.execute('pragma journal_mode=' + sys.argv[1])\n"
        "base.execute('create table if not exists t (a integer primary key, b blob)')\n"
        "for number in range(300):\n"
        "    base.execute('begin')\n"
        "    base.executemany('insert into t (b) values (?)', [(bytes([number % 256]) * 500,) for _ in range(20)])\n"
        "    base.execute('rollback' if number % 5 == 0 else 'commit')\n"
        "print(base.execute('select count(*), sum(length(b)) from t').fetchone())\n"
    )
    for mode in ("delete", "wal"):
        answers = [
            run(sys.executable, "-c", lines, mode, cwd=place, library=library)
            for place, library in ((at, True), (tmp_path, False))
        ]
        assert answers[0].status == 0, answers[0].errors
        assert answers[0].text == answers[1].text
    with sqlite3.connect(at / "t.db") as base:
        assert base.execute("pragma integrity_check").fetchone() == ("ok",)


def test_threads_children_and_signals_lose_nothing(at: Path, build: Build) -> None:
    done = run(build("threads"), at)
    assert (done.status, done.text) == (0, "1\n"), done.errors
    assert done.counted("write") > ROUNDS
    for name in ("shared", "ends", "places"):
        lines = (at / name).read_text().splitlines()
        assert sorted(map(int, lines)) == list(range(LINES)), name


def test_what_is_refused_is_refused_as_elsewhere(at: Path, build: Build, tmp_path: Path) -> None:
    program = build("limits")
    there, here = run(program, at), run(program, tmp_path, library=False)
    assert (there.status, there.said) == (here.status, here.errors) == (0, "")
    assert there.text.splitlines() == here.text.splitlines()
    assert there.counted("write") > 0


def test_who_maps_or_opens_a_file_plainly_has_it_whole(at: Path) -> None:
    lines = (
        "import mmap, os, sys, subprocess\n"
        "file = os.open('f', os.O_RDWR | os.O_CREAT)\n"
        "for turn in range(50): os.pwrite(file, b'%04d' % turn, turn * 4)\n"
        "plain = lambda: subprocess.run(['cat', 'f'], env={}, stdout=subprocess.PIPE).stdout\n"
        "assert plain()[-4:] == b'0049'\n"
        "for turn in range(50):\n"
        "    os.pwrite(file, b'%04d' % (turn + 100), turn * 4)\n"
        "    if turn % 10 == 0: assert plain()[turn * 4:][:4] == b'%04d' % (turn + 100), turn\n"
        "    assert os.stat('f').st_size == 200\n"
        "for turn in range(50, 60): os.pwrite(file, b'%04d' % turn, turn * 4)\n"
        "os.ftruncate(file, 200)\n"
        "map = mmap.mmap(file, 200)\n"
        "assert map[:4] == b'0100'\n"
        "os.pwrite(file, b'seen', 0)\n"
        "assert map[:4] == b'seen'\n"
        "map[4:8] = b'back'\n"
        "assert os.pread(file, 8, 0) == b'seenback'\n"
    )
    done = run(sys.executable, "-c", lines, cwd=at)
    assert done.status == 0, done.errors
    assert done.counted("write") > 0
    assert done.counted("mmap") == 1
    assert (at / "f").read_bytes()[:8] == b"seenback"


def test_a_path_may_lead_in_by_links_and_from_elsewhere(at: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(at / "f")
    (at / "out").symlink_to(tmp_path / "local")
    lines = (
        "import os, sys\n"
        "def use(path):\n"
        "    file = os.open(path, os.O_RDWR | os.O_CREAT)\n"
        "    for turn in range(20): os.pwrite(file, b'%02d' % turn, turn * 2)\n"
        "    assert os.pread(file, 40, 0) == b''.join(b'%02d' % turn for turn in range(20))\n"
        "    os.close(file)\n"
        f"use('{tmp_path}/link')\n"
        f"use('{at}/out')\n"
        f"os.chdir('{at}')\n"
        f"use('../{at.name}/f')\n"
        f"place = os.open('{at}', os.O_RDONLY)\n"
        "os.chdir('/')\n"
        "file = os.open('f', os.O_RDONLY, dir_fd=place)\n"
        "for turn in range(20): assert os.pread(file, 2, turn * 2) == b'%02d' % turn\n"
    )
    done = run(sys.executable, "-c", lines)
    assert done.status == 0, done.errors
    assert done.counted("open") == 3
    assert (tmp_path / "local").read_bytes() == (at / "f").read_bytes()


def test_descriptors_outlive_the_program_that_opened_them(at: Path) -> None:
    lines = (
        "import os, subprocess, sys\n"
        "file = os.open('f', os.O_RDWR | os.O_CREAT)\n"
        "for turn in range(10): os.write(file, b'%02d' % turn)\n"
        "for env in ({}, None):\n"
        "    subprocess.run(['sh', '-c', 'echo told'], stdout=file, env=env, check=True)\n"
        "os.write(file, b'more')\n"
        "os.lseek(file, 20, os.SEEK_SET)\n"
        "out = subprocess.run(['cat'], stdin=file, stdout=subprocess.PIPE, env={}).stdout\n"
        "assert out == b'told\\ntold\\nmore', out\n"
        "os.dup2(file, 1)\n"
        "os.execvp('sh', ['sh', '-c', 'echo $$ > /dev/null; echo last'])\n"
    )
    done = run(sys.executable, "-c", lines, cwd=at)
    assert done.status == 0, done.errors
    assert (at / "f").read_bytes()[20:] == b"told\ntold\nmorelast\n"


def test_without_a_mount_nothing_is_different(tmp_path: Path) -> None:
    done = run(sys.executable, "-c", RECORDS, "1", "500", cwd=tmp_path)
    assert done.status == 0, done.errors
    assert [done.counted(what) for what in ("open", "take", "read", "write")] == [0] * 4


def test_programs_are_left_alone_by_name(at: Path) -> None:
    done = run(
        sys.executable, "-c", RECORDS, "1", "500", cwd=at, env={"D_IL_BYPASS_LIST": "a:" + Path(sys.executable).name}
    )
    assert (done.status, done.errors) == (0, "")
    quiet = run(sys.executable, "-c", RECORDS, "1", "500", cwd=at, env={"D_IL_REPORT": "0"})
    assert (quiet.status, quiet.errors) == (0, "")


def test_static_programs_and_those_of_another_user_go_by_the_kernel(at: Path, build: Build) -> None:
    done = run(build("ops", "-static"), at, "1", "500")
    assert (done.status, done.errors) == (0, "")
    copy = at.parent / "copy"
    shutil.copy(build("threads"), copy)
    if os.geteuid() == 0:
        os.chown(copy, 65533, 65533)
        copy.chmod(0o4755)
        at.parent.chmod(0o755)
        # Its user may not enter, whatever is preloaded.
        done = run(copy, at)
        assert done.status == 1, done.errors
        assert "libdaos_il" not in done.errors


def test_a_mount_that_dies_is_an_error_and_no_wait(mounts: Mounts, store: Path) -> None:
    process, at = mounts.start("-S", str(store), FAST, "tank", "home")
    lines = (
        "import os, sys\n"
        "file = os.open('f', os.O_RDWR | os.O_CREAT)\n"
        "for turn in range(100): os.pwrite(file, b'x' * 100, turn * 100)\n"
        "os.fsync(file)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "for call in (lambda: os.pwrite(file, b'y', 0), lambda: os.pread(file, 1, 0), lambda: os.write(file, b'z')):\n"
        "    try: print('done', call())\n"
        "    except OSError as error: print(error.errno)\n"
    )
    env = {**os.environ, "LD_PRELOAD": str(LIBRARY)}
    with subprocess.Popen(
        [sys.executable, "-c", lines], cwd=at, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        mounts.kill(process, at)
        told, _ = program.communicate("\n", timeout=WAIT_S)
    numbers = told.split()
    assert len(numbers) == 3
    assert set(numbers) <= {"5", "103", "107"}, numbers
    assert numbers[1] != "5", "a read is asked again, of the kernel"
    _, again = mounts.start("-S", str(store), FAST, "tank", "home")
    assert (again / "f").stat().st_size == 10000


def test_a_mount_that_stands_still_is_waited_for(mounts: Mounts, store: Path) -> None:
    process, at = mounts.start("-S", str(store), FAST, "tank", "home")
    with subprocess.Popen(
        [sys.executable, "-c", RECORDS, "1", "4000"],
        cwd=at,
        env={**os.environ, "LD_PRELOAD": str(LIBRARY)},
        stdout=subprocess.PIPE,
    ) as program:
        until(lambda: (at / "records").exists() and (at / "records").stat().st_size > 1000, "records")
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(1.0)
        process.send_signal(signal.SIGCONT)
        assert program.wait(WAIT_S) == 0


def test_a_storm_that_is_killed_leaves_nothing_to_repair(mounts: Mounts, store: Path) -> None:
    storm = (
        "import os\n"
        "number = 0\n"
        "while True:\n"
        "    number += 1\n"
        "    file = os.open(f'f{number % 20}', os.O_RDWR | os.O_CREAT)\n"
        "    for turn in range(10): os.pwrite(file, b'%08d' % number * 100, turn * 800)\n"
        "    if number % 7 == 0: os.ftruncate(file, 100)\n"
        "    if number % 3 == 0: os.rename(f'f{number % 20}', f'f{(number + 5) % 20}')\n"
        "    if number % 11 == 0: os.unlink(f'f{number % 20}') if os.path.exists(f'f{number % 20}') else None\n"
        "    os.close(file)\n"
        "    print(number, flush=True)\n"
    )
    for _ in range(3):
        process, at = mounts.start("-S", str(store), FAST, "tank", "home")
        with subprocess.Popen(
            [sys.executable, "-c", storm],
            cwd=at,
            env={**os.environ, "LD_PRELOAD": str(LIBRARY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as program:
            assert program.stdout is not None
            for line in program.stdout:
                if int(line) >= 200:
                    break
            program.kill()
        mounts.end(process, at)
        with daos.open_system(store, create=False) as system:
            assert dfs.DFS(system.pool("tank").container("home")).check().findings == ()


def test_the_command_runs_a_program_with_the_library(at: Path) -> None:
    words = [sys.executable, "-m", "daos.cli", "il"]
    done = run(*words, "--report", "--", sys.executable, "-c", RECORDS, "1", "500", cwd=at, library=False)
    assert done.status == 0, done.errors
    assert done.counted("write") > 100
    assert run(*words, "--", "sh", "-c", "exit 7", library=False).status == 7
    assert run(*words, "--print", library=False).text == f"{LIBRARY}\n"
    missing = run(*words, "no-such-program", library=False)
    assert missing.status == 1
    assert missing.errors.splitlines()[-1] == "hint: name a program that can be run"
    assert run(*words, library=False).status == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is somebody else")
def test_other_users_are_not_told_where_the_doors_are(mounts: Mounts, store: Path, tmp_path: Path) -> None:
    _, at = mounts.start("-S", str(store), FAST, "--multi-user", "tank", "home")
    at.chmod(0o777)
    library = tmp_path / LIBRARY.name
    shutil.copy(LIBRARY, library)
    for path in (library, *library.parents):
        path.chmod(path.stat().st_mode | 0o055)
    words = [
        "/bin/sh",
        "-c",
        "truncate -s 9000 f && dd if=/dev/zero bs=100 count=90 conv=notrunc of=f status=none",
    ]
    env = {"LD_PRELOAD": str(library), "D_IL_REPORT": "1", "PATH": os.environ["PATH"]}
    counts = {}
    for user in (65533, 0):
        (at / "f").unlink(missing_ok=True)
        done = subprocess.run(
            words,
            cwd=at,
            env=env,
            user=user,
            group=user,
            extra_groups=[],
            capture_output=True,
            timeout=WAIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert (at / "f").stat().st_uid == user
        counts[user] = Done(0, "", done.stderr.decode()).counted("write")
    assert counts[65533] == 0
    assert counts[0] > 0


def test_what_the_kernel_does_goes_by_what_was_written_without_it(at: Path) -> None:
    lines = (
        "import fcntl, os\n"
        "file = os.open('f', os.O_RDWR | os.O_CREAT)\n"
        "for turn in range(100): os.pwrite(file, b'%04d' % turn, turn * 4)\n"
        "for turn in range(100): os.pwrite(file, b'%04d' % (turn + 1), turn * 4)\n"
        "copy = os.open('copy', os.O_RDWR | os.O_CREAT)\n"
        "assert os.copy_file_range(file, copy, 1000, 0, 0) == 400\n"
        "fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)\n"
        "os.write(file, b'more')\n"
        "assert os.lseek(file, 0, os.SEEK_END) == 404\n"
        "assert os.pread(file, 500, 0) == b''.join(b'%04d' % (turn + 1) for turn in range(100)) + b'more'\n"
        "assert os.pread(copy, 500, 0) == os.pread(file, 400, 0)\n"
    )
    done = run(sys.executable, "-c", lines, cwd=at)
    assert done.status == 0, done.errors
    assert done.counted("write") >= 195
