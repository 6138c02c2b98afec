"""Names under the library: the same answers as without it, and the same trees."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.il.conftest import LIBRARY, WAIT_S, Build, Done, Mounts, run

DIRECT = "--disable-caching"
STEPS = "3000"


@pytest.fixture
def at(mounts: Mounts, store: Path) -> Path:
    return mounts.start("-S", str(store), DIRECT, "tank", "home")[1]


def python(lines: str, cwd: Path, *, library: bool = True) -> Done:
    done = run(sys.executable, "-c", lines, cwd=cwd, library=library)
    assert done.status == 0, done.errors
    return done


def below(directory: Path) -> Path:
    """Return a place from which paths lead up without leaving what is compared."""
    place = directory.joinpath(*"abcdefghij", "top")
    place.mkdir(parents=True)
    return place


@pytest.mark.parametrize(
    ("seed", "processes", "options"),
    [
        ("1", "1", DIRECT),
        ("2", "3", DIRECT),
        ("3", "2", DIRECT),
        ("4", "4", DIRECT),
        ("5", "2", "--disable-wb-cache"),
    ],
)
def test_random_names_are_answered_as_by_a_local_file_system(
    mounts: Mounts, store: Path, build: Build, tmp_path: Path, seed: str, processes: str, options: str
) -> None:
    _, at = mounts.start("-S", str(store), options, "tank", "home")
    local = tmp_path / at.name.replace("mnt", "dir")
    program = build("names")
    there = run(program, below(at), seed, STEPS, processes)
    here = run(program, below(local), seed, STEPS, processes, library=False)
    assert there.text.splitlines() == here.text.splitlines()
    assert (there.status, there.said) == (here.status, here.errors) == (0, "")
    # Where the kernel keeps names it has them all.
    assert (there.counted("name") > 500) == (options == DIRECT)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is somebody else")
@pytest.mark.parametrize("seed", ["6", "7"])
def test_modes_hold_for_who_is_not_root(mounts: Mounts, store: Path, build: Build, tmp_path: Path, seed: str) -> None:
    """The mount is root's, so others never come to its doors, and are told what the kernel tells."""
    _, at = mounts.start("-S", str(store), DIRECT, "--multi-user", "tank", "home")
    program = Path(shutil.copy(build("names"), tmp_path / "names"))
    library = Path(shutil.copy(LIBRARY, tmp_path / LIBRARY.name))
    told = []
    for place, preload in ((at, str(library)), (tmp_path / at.name.replace("mnt", "dir"), "")):
        top = below(place)
        for path in (top, *top.parents, program, library):
            if tmp_path in path.parents or path == tmp_path or at in (path, *path.parents):
                path.chmod(0o777)
        for path in top.parents:
            path.chmod(path.stat().st_mode | 0o055)
        done = subprocess.run(
            [program, top, seed, STEPS, "2"],
            env={"LD_PRELOAD": preload, "D_IL_REPORT": "1"},
            user=65533,
            group=65533,
            extra_groups=[],
            capture_output=True,
            timeout=WAIT_S,
            check=False,
        )
        told.append(Done(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode()))
    assert told[0].text.splitlines() == told[1].text.splitlines()
    assert (told[0].status, told[1].status) == (0, 0)
    assert told[0].counted("name") == 0


def test_each_question_goes_by_a_door(at: Path) -> None:
    lines = (
        "import os, stat\n"
        "for turn in range(10): os.stat('.')\n"
        "for turn in range(100):\n"
        "    os.mkdir(f'd{turn}')\n"
        "    os.symlink('none', f'd{turn}/l')\n"
        "    assert os.readlink(f'd{turn}/l') == 'none'\n"
        "    assert stat.S_ISLNK(os.lstat(f'd{turn}/l').st_mode)\n"
        "    assert os.access(f'd{turn}', os.W_OK) and not os.path.exists(f'd{turn}/l')\n"
        "    os.rename(f'd{turn}/l', f'd{turn}/m')\n"
        "    os.unlink(f'd{turn}/m')\n"
        "    os.rmdir(f'd{turn}')\n"
    )
    done = python(lines, at)
    assert done.counted("name") >= 800
    assert done.counted("kernel name") < 10
    assert list(at.iterdir()) == []


def test_what_is_set_and_listed_goes_by_a_door(at: Path) -> None:
    lines = (
        "import os\n"
        "for turn in range(10): os.stat('.')\n"
        "os.mkdir('d')\n"
        "for turn in range(50):\n"
        "    name = f'd/{turn}'\n"
        "    os.symlink('none', name + 'l')\n"
        "    os.link(name + 'l', name)\n"
        "    os.unlink(name)\n"
        "    os.rename(name + 'l', name)\n"
        "    os.utime(name, ns=(5, 7), follow_symlinks=False)\n"
        "    os.chown(name, os.getuid(), os.getgid(), follow_symlinks=False)\n"
        "    seen = os.lstat(name)\n"
        "    assert (seen.st_mtime_ns, seen.st_nlink) == (7, 1)\n"
        "    assert len(os.listdir('d')) == turn + 1\n"
        "    assert os.listxattr('d') == []\n"
        "    os.setxattr('d', 'user.a', b'%d' % turn)\n"
        "    assert os.getxattr('d', 'user.a') == b'%d' % turn and os.listxattr('d') == ['user.a']\n"
        "    os.removexattr('d', 'user.a')\n"
        "    os.chmod('d', 0o700 + turn)\n"
        "    assert os.stat('d').st_mode & 0o777 == 0o700 + turn\n"
    )
    done = python(lines, at)
    assert done.counted("name") >= 15 * 50
    assert done.counted("kernel name") < 10


def test_a_large_directory_is_listed_whole(at: Path) -> None:
    lines = (
        "import os\n"
        "for turn in range(10): os.stat('.')\n"
        "os.mkdir('d')\n"
        "names = {f'a-name-of-some-length-{number:06}' for number in range(3000)}\n"
        "for name in names: os.mkdir('d/' + name)\n"
        "listings = [os.scandir('d') for turn in range(40)]\n"
        "assert all({entry.name for entry in listing} == names for listing in listings)\n"
        "place = os.open('d', os.O_RDONLY)\n"
        "assert set(os.listdir(place)) == names == set(os.listdir(place))\n"
        "for name in os.listdir('d'): os.rmdir('d/' + name)\n"
        "assert os.listdir('d') == []\n"
    )
    done = python(lines, at)
    assert done.counted("name") > 6000


def test_a_directory_that_is_listed_has_a_descriptor_if_somebody_asks(at: Path, build: Build) -> None:
    done = run(build("listing"), at)
    assert (done.status, done.said) == (0, "")
    told = "3 same EOPNOTSUPP 3 closed 4 5 found ENOENT ENOTDIR EBADF"
    assert done.text.splitlines() == told.split()
    assert done.counted("name") > 5


def test_writes_make_a_file_longer_at_a_door_while_nobody_else_has_it(at: Path) -> None:
    lines = (
        "import os, shutil, sys\n"
        "file = os.open('f', os.O_RDWR | os.O_CREAT)\n"
        "for turn in range(200):\n"
        "    os.write(file, b'%04d' % turn)\n"
        "    assert os.fstat(file).st_size == os.lseek(file, 0, os.SEEK_END) == os.stat('f').st_size == 4 * turn + 4\n"
        "whole = b''.join(b'%04d' % turn for turn in range(200))\n"
        "assert open('f', 'rb').read() == whole\n"
        "if sys.argv[1] == 'copy':\n"
        "    to = os.open('g', os.O_RDWR | os.O_CREAT)\n"
        "    assert os.copy_file_range(file, to, 5000, 0) == 800\n"
        "elif sys.argv[1] == 'send':\n"
        "    to = os.open('g', os.O_RDWR | os.O_CREAT)\n"
        "    assert os.sendfile(to, file, 0, 5000) == 800\n"
        "elif sys.argv[1] == 'other':\n"
        "    to = os.open('f', os.O_RDWR | os.O_APPEND)\n"
        "    os.pwrite(file, b'more', 800); os.write(to, b'end')\n"
        "    os.lseek(file, 0, os.SEEK_END); os.write(file, b'last')\n"
        "    whole += b'moreendlast'\n"
        "elif sys.argv[1] == 'map':\n"
        "    import mmap\n"
        "    with mmap.mmap(file, 0) as there: assert there[:] == whole\n"
        "    os.pwrite(file, b'9999', 0); to = file; whole = b'9999' + whole[4:]\n"
        "assert os.pread(to, 5000, 0) == whole\n"
        "assert os.stat('f').st_size == len(whole)\n"
    )
    for what in ("copy", "send", "other", "map"):
        done = run(sys.executable, "-c", lines, what, cwd=at)
        assert done.status == 0, done.errors
        assert done.counted("write") >= 150, what
        (at / "f").unlink()


def test_who_has_a_handle_of_his_own_knows_how_long_a_file_is(at: Path) -> None:
    """What the kernel copies ends where it knows the file to end; one past the page cache leaves the doors open."""
    other = (
        "import os\n"
        "file, to = os.open('f', os.O_RDONLY | os.O_DIRECT), os.open('g', os.O_RDWR | os.O_CREAT)\n"
        "print('open', flush=True); input()\n"
        "print(os.copy_file_range(file, to, 5000, 0, 0), flush=True)\n"
    )
    lines = (
        "import os, subprocess, sys\n"
        "file = os.open('f', os.O_RDWR | os.O_CREAT)\n"
        "for turn in range(100): os.write(file, b'12345678')\n"
        "env = {name: value for name, value in os.environ.items() if name != 'LD_PRELOAD'}\n"
        f"words = [sys.executable, '-c', {other!r}]\n"
        "child = subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)\n"
        "assert child.stdout.readline() == 'open\\n'\n"
        "for turn in range(10): os.write(file, b'12345678')\n"
        "child.stdin.write('go\\n'); child.stdin.flush()\n"
        "assert child.stdout.readline() == '880\\n'\n"
        "assert child.wait() == 0\n"
    )
    done = python(lines, at)
    assert done.counted("write") >= 90


def test_what_avoids_the_page_cache_is_made_longer_by_the_kernel(at: Path) -> None:
    lines = (
        "import fcntl, mmap, os, sys\n"
        "block = mmap.mmap(-1, 4096)\n"
        "early = sys.argv[1] == 'early'\n"
        "file = os.open('f', os.O_RDWR | os.O_CREAT | (os.O_DIRECT if early else 0))\n"
        "for turn in range(100): os.write(file, block)\n"
        "if not early: fcntl.fcntl(file, fcntl.F_SETFL, os.O_DIRECT)\n"
        "for turn in range(100): os.pwrite(file, block, 4096 * turn)\n"
        "assert os.lseek(file, 0, os.SEEK_END) == 409600\n"
        "os.unlink('f')\n"
    )
    counts = []
    for when in ("early", "late"):
        done = run(sys.executable, "-c", lines, when, cwd=at)
        assert done.status == 0, done.errors
        counts.append((done.counted("write") // 90, done.counted("mmap")))
    assert counts == [(1, 0), (1, 1)]


def test_what_is_appended_goes_by_a_door_while_nobody_else_has_the_file(at: Path) -> None:
    lines = (
        "import os, threading\n"
        "file = os.open('f', os.O_RDWR | os.O_CREAT | os.O_APPEND)\n"
        "for turn in range(200):\n"
        "    os.lseek(file, turn, os.SEEK_SET)\n"
        "    assert os.write(file, b'%04d' % turn) == 4\n"
        "    assert os.lseek(file, 0, os.SEEK_CUR) == os.stat('f').st_size == 4 * turn + 4\n"
        "os.pwrite(file, b'kernel', 0)\n"
        "if os.fork() == 0:\n"
        "    for turn in range(20): os.write(file, b'child')\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "storm = lambda: [os.write(file, b'thread') for turn in range(50)]\n"
        "threads = [threading.Thread(target=storm) for number in range(3)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "other = os.open('f', os.O_WRONLY | os.O_APPEND)\n"
        "for turn in range(20): os.write(file, b'one'); os.write(other, b'two')\n"
        "whole = b''.join(b'%04d' % turn for turn in range(200)) + b'kernel' + b'child' * 20 + b'thread' * 150\n"
        "assert open('f', 'rb').read() == whole + b'onetwo' * 20\n"
    )
    done = python(lines, at)
    assert done.counted("write") >= 300


def test_what_is_open_or_entered_keeps_its_names_with_the_kernel(at: Path) -> None:
    lines = (
        "import os\n"
        "for turn in range(10): os.stat('.')\n"
        "file = os.open('f', os.O_RDWR | os.O_CREAT)\n"
        "os.write(file, b'12345')\n"
        "os.rename('f', 'g')\n"
        f"assert os.readlink(f'/proc/self/fd/{{file}}') == '{at}/g'\n"
        "assert os.fstat(file).st_size == os.stat('g').st_size == 5\n"
        "os.unlink('g')\n"
        f"assert os.readlink(f'/proc/self/fd/{{file}}') == '{at}/g (deleted)'\n"
        "assert (os.fstat(file).st_nlink, os.fstat(file).st_size) == (0, 5)\n"
        "assert os.pread(file, 9, 0) == b'12345' and not os.path.exists('g')\n"
        "os.makedirs('a/b'); os.mkdir('c'); os.chdir('a/b')\n"
        "os.rename('../../a', '../../c/a')\n"
        f"assert os.getcwd() == '{at}/c/a/b'\n"
        "assert os.listdir('..') == ['b'] and os.path.exists('../../a') and not os.path.exists('../../../a')\n"
        "os.rmdir('../b')\n"
        "for call in (os.getcwd, lambda: os.stat('x'), lambda: os.mkdir('x'), lambda: os.stat('..')):\n"
        "    try: call()\n"
        "    except FileNotFoundError: pass\n"
        "    else: assert call is not os.getcwd\n"
        "assert os.stat('.').st_nlink == 0\n"
    )
    python(lines, at)


def test_what_is_written_at_a_door_is_seen_by_the_next_question(at: Path) -> None:
    lines = (
        "import os\n"
        "file = os.open('f', os.O_RDWR | os.O_CREAT)\n"
        "os.ftruncate(file, 4000)\n"
        "for turn in range(100):\n"
        "    before = os.stat('f').st_mtime_ns\n"
        "    os.pwrite(file, b'%04d' % turn, turn * 4)\n"
        "    now = os.stat('f')\n"
        "    assert now.st_mtime_ns > before and now.st_mtime_ns == os.fstat(file).st_mtime_ns\n"
        "    os.pwrite(file, b'end', 4000 + turn)\n"
        "    assert os.stat('f').st_size == os.fstat(file).st_size == 4003 + turn\n"
        "os.truncate('f', 10)\n"
        "assert os.stat('f').st_size == os.fstat(file).st_size == 10\n"
    )
    done = python(lines, at)
    assert done.counted("name") > 300
    assert done.counted("write") > 50


def test_a_path_that_leaves_the_mount_is_the_kernels(at: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("outside")
    (tmp_path / "in").symlink_to(at)
    (at / "f").write_text("inside")
    (at / "out").symlink_to(tmp_path)
    (at / "up").symlink_to(f"../{at.name}/f")
    lines = (
        "import os, sys\n"
        f"at, other = '{at}', '{tmp_path}'\n"
        "for turn in range(10): os.stat(at + '/f')\n"
        "size = lambda path: os.stat(path).st_size\n"
        "assert size(at + '/out/file') == size('out/file') == size(at + f'/../{os.path.basename(at)}/out/file') == 7\n"
        "assert size('up') == size(at + '/up') == size(other + '/in/f') == size('out/in/f') == 6\n"
        "assert os.lstat('out').st_dev == os.stat(at).st_dev != os.stat('out').st_dev\n"
        "os.mkdir('out/made'); os.rename('out/made', 'out/moved'); os.rmdir('out/moved')\n"
        "try: os.rename('f', 'out/f')\n"
        "except OSError as error: assert error.errno == 18\n"
        "else: assert False\n"
        "os.chdir(other + '/in')\n"
        "assert size('f') == size('../in/f' if os.path.exists('../in') else 'f') == 6\n"
        "place = os.open(at, os.O_PATH)\n"
        "os.chdir('/')\n"
        "assert os.stat('f', dir_fd=place).st_size == 6 and not os.path.exists('f')\n"
    )
    python(lines, at)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_what_is_mounted_within_is_found(at: Path) -> None:
    (at / "d").mkdir()
    lines = (
        "import os, subprocess\n"
        "for turn in range(20): os.stat('d')\n"
        "device = os.stat('.').st_dev\n"
        "assert os.stat('d').st_dev == device\n"
        "run = lambda *words: subprocess.run(words, check=True)\n"
        "run('mount', '-t', 'tmpfs', 'tmpfs', 'd')\n"
        "try:\n"
        "    assert os.stat('d').st_dev != device\n"
        "    os.mkdir('d/there')\n"
        "    assert os.path.exists('d/there')\n"
        "finally: run('umount', 'd')\n"
        "assert os.stat('d').st_dev == device and not os.path.exists('d/there')\n"
        "for turn in range(20): os.stat('d')\n"
        "run('mount', '-i', '-o', 'remount,ro', os.getcwd())\n"
        "try: os.mkdir('e')\n"
        "except OSError as error: assert error.errno == 30\n"
        "else: assert False\n"
        "run('mount', '-i', '-o', 'remount,rw', os.getcwd())\n"
        "os.mkdir('e')\n"
    )
    done = python(lines, at)
    assert done.counted("name") > 20


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_who_becomes_somebody_else_is_told_by_the_kernel(at: Path) -> None:
    (at / "d").mkdir(mode=0o700)
    lines = (
        "import os\n"
        "for turn in range(10): os.stat('d')\n"
        "refused = lambda call: next((error.errno for error in [attempt(call)] if error), 0)\n"
        "def attempt(call):\n"
        "    try: call()\n"
        "    except OSError as error: return error\n"
        "for leave, back in ((os.seteuid, os.seteuid), (os.setegid, os.setegid)):\n"
        "    leave(65533)\n"
        "    assert refused(lambda: os.stat('d')) == 13, leave\n"
        "    assert refused(lambda: os.mkdir('e')) == 13, leave\n"
        "    back(0)\n"
        "    assert refused(lambda: os.stat('d')) == 0\n"
    )
    python(lines, at)


def test_a_directory_that_leads_to_another_container_is_the_kernels(
    mounts: Mounts, store: Path, tmp_path: Path
) -> None:
    _, at = mounts.start("-S", str(store), DIRECT, "tank", "home")
    daos = [sys.executable, "-m", "daos.cli"]
    words = ["-S", str(store), "container", "create", "tank", "other", "--type", "POSIX", "--path", str(at / "there")]
    made = run(*daos, *words, library=False)
    assert made.status == 0, made.errors
    lines = (
        "import os\n"
        "for turn in range(10): os.stat('.')\n"
        "os.mkdir('there/d'); os.mkdir('d')\n"
        "assert os.listdir('there') == ['d'] and os.stat('there/d').st_ino != os.stat('d').st_ino\n"
        "os.rmdir('there/d')\n"
        "assert os.path.exists('d') and not os.path.exists('there/d')\n"
        "assert os.stat('there').st_ino != os.stat('.').st_ino\n"
        "os.chdir('there')\n"
        "os.mkdir('e')\n"
        "assert os.listdir('.') == ['e'] and not os.path.exists('../e') and os.path.exists('../d')\n"
    )
    python(lines, at)


TREE = (
    "import os, shutil, sys\n"
    "for name in ('.', 'none'): assert os.path.exists(name) == (name == '.')\n"
    "for number in range(60):\n"
    "    os.makedirs(f't/{number % 3}/{number % 5}', exist_ok=True)\n"
    "    with open(f't/{number % 3}/{number % 5}/{number}', 'w') as file: file.write('x' * number)\n"
    "    os.symlink(f'{number}', f't/{number % 3}/{number % 5}/l{number}')\n"
    "os.link('t/0/0/0', 't/hard')\n"
    "shutil.copytree('t', 'u', symlinks=True)\n"
    "shutil.move('u/1', 'u/moved')\n"
    "os.rename('u/2', 'u/two'); os.replace('u/hard', 'u/soft')\n"
    "shutil.rmtree('u/0')\n"
    "for directory, names, files in os.walk('.'):\n"
    "    names.sort()\n"
    "    size = lambda name: os.lstat(os.path.join(directory, name)).st_size\n"
    "    print(directory, names, sorted(files), [size(name) for name in sorted(files)])\n"
    "with os.scandir('t/0/0') as entries:\n"
    "    for entry in sorted(entries, key=lambda entry: entry.name):\n"
    "        print(entry.name, entry.is_file(), entry.is_symlink(), oct(entry.stat(follow_symlinks=False).st_mode))\n"
)


def test_trees_of_python(at: Path, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.mkdir()
    there, here = python(TREE, at), python(TREE, local, library=False)
    assert there.text.splitlines() == here.text.splitlines()
    assert there.counted("name") > 500


def test_tools_tell_and_do_the_same_with_the_library_and_without(at: Path, tmp_path: Path) -> None:
    def sh(line: str, cwd: Path, *, library: bool = True) -> Done:
        done = run("/bin/bash", "-c", f"set -eo pipefail; {line}", cwd=cwd, library=library)
        assert done.status == 0, f"{line}\n{done.text}\n{done.errors}"
        return done

    local = tmp_path / "local"
    local.mkdir()
    for place in (at, local):
        python(TREE, place, library=False)
    counted = 0
    for line in (
        "ls -lR --time-style=full-iso -i .",
        "find . -printf '%p %s %m %n %i %T@ %l %y\\n' | sort",
        "find t -type f -size +20c -perm 644 | sort | xargs stat --printf '%n %i %d %a %h %s %y %z %t %o %b\\n'",
        "du -b . | sort; test -e t && test ! -e v && test -w t -a -L t/0/0/l0",
        "tar -cf - t | tar -tvf - | sort",
        "readlink -f t/0/0/l0 | sed 's/.*mnt/mnt/'; stat -L t/0/0/l0; stat -f -c %T . > /dev/null",
    ):
        there, plain = sh(line, at), sh(line, at, library=False)
        assert there.text == plain.text, line
        counted += there.counted("name")
    assert counted > 500
    for line in (
        "cp -a t v && diff -r t v && ls -lR v | grep -v total | awk '{ print $1, /^d/ ? $9 : $5 $9 }'",
        "mv v w && mv w/0 w/zero && mkdir -p w/a/b/c && (rmdir -p w/a/b/c 2> /dev/null || find w | sort)",
        "rm -r w && mkdir w && tar -cf t.tar t && tar -xf t.tar -C w && find w | sort && rm -rf w t.tar",
        "git init -q r && cp -a t r && cd r && git add . && git -c user.name=a -c user.email=a@b commit -qm one "
        "&& rm -r t/0 && git mv t/1 t/one && git status --short && git reset -q --hard && git status --short "
        "&& git clean -qfdx",
        "rm -rf r t u; ls -A",
    ):
        there, here = sh(line, at), sh(line, local, library=False)
        assert there.text.splitlines() == here.text.splitlines(), line


def test_threads_and_processes_that_make_and_remove_the_same_names(at: Path) -> None:
    lines = (
        "import errno, os, threading\n"
        "for turn in range(10): os.stat('.')\n"
        "won = [0] * 4\n"
        "def storm(number):\n"
        "    for turn in range(150):\n"
        "        name = f'd{turn % 5}'\n"
        "        for call in (os.mkdir, os.stat, os.rmdir):\n"
        "            try: call(name); won[number] += {os.mkdir: 1, os.rmdir: -1}.get(call, 0)\n"
        "            except OSError as error: assert error.errno in (errno.EEXIST, errno.ENOENT), error\n"
        "        mine = f'f{os.getpid()}-{number}-{turn}'\n"
        "        os.close(os.open(mine, os.O_CREAT | os.O_EXCL))\n"
        "        os.rename(mine, 'one')\n"
        "        try: os.unlink('one')\n"
        "        except FileNotFoundError: pass\n"
        "child = os.fork()\n"
        "threads = [threading.Thread(target=storm, args=(number,)) for number in range(3)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "if child == 0: os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "for name in os.listdir('.'): os.rmdir(name)\n"
    )
    done = python(lines, at)
    assert done.counted("name") > 500
    assert list(at.iterdir()) == []
