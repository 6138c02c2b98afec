"""The command `dfuse`: how it begins, how it ends, and what it refuses."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import daos
from daos import uns
from daos.dfs import mount
from tests.integration.dfuse.conftest import WAIT_S, Mounts, is_mounted, make_container, make_store, run, until

NOBODY = 65_534


def daemons(path: Path) -> list[int]:
    """Return the processes of `dfuse` that were given a mount point."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"daos.dfuse" in words and os.fsencode(path) in words:
                found.append(int(entry.name))
    return found


def test_it_goes_to_the_background_when_the_mount_works(mounts: Mounts, store: Path) -> None:
    path = mounts.point()
    done = run("-S", str(store), str(path), "tank", "home")
    assert (done.status, done.text, done.errors) == (0, "", "")
    assert is_mounted(path)
    (path / "a").write_text("hello")
    (daemon,) = daemons(path)
    assert Path(f"/proc/{daemon}/cwd").readlink() == Path("/")
    assert Path(f"/proc/{daemon}/fd/0").readlink() == Path(os.devnull)
    subprocess.run(["umount", str(path)], check=True, timeout=WAIT_S)
    until(lambda: not daemons(path), "the end of the process")
    with daos.open_system(store, create=False) as system:
        assert system.pool("tank").container("home").layout == "POSIX"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_unmount(mounts: Mounts, store: Path, number: signal.Signals) -> None:
    process, path = mounts.start("-S", str(store), "tank", "home")
    # Not synced: it is the kernel that has it.
    (path / "a").write_bytes(b"kept" * 100_000)
    process.send_signal(number)
    assert process.wait(WAIT_S) == 0
    assert not is_mounted(path)
    process, path = mounts.start("-S", str(store), "tank", "home", at=path)
    assert (path / "a").read_bytes() == b"kept" * 100_000
    mounts.end(process, path)


def test_what_cannot_be_mounted_on_is_refused_with_a_hint(mounts: Mounts, store: Path, tmp_path: Path) -> None:
    system = ("-S", str(store))
    missing = run(*system, str(tmp_path / "none"), "tank", "home")
    assert (missing.status, missing.hint) == (errno.ENOENT, f"hint: make it: mkdir -p {tmp_path / 'none'}")
    file = tmp_path / "file"
    file.write_text("")
    assert run(*system, str(file), "tank", "home").status == errno.ENOTDIR
    full = tmp_path / "full"
    (full / "x").mkdir(parents=True)
    refused = run(*system, str(full), "tank", "home")
    assert refused.status == errno.EINVAL
    assert "not empty" in refused.errors
    process, path = mounts.start(*system, "tank", "home")
    twice = run(*system, str(path), "tank", "home")
    assert twice.status == errno.EBUSY
    assert "umount" in twice.hint
    process.kill()
    process.wait(WAIT_S)
    dead = run(*system, str(path), "tank", "home")
    assert dead.status == errno.EBUSY
    assert "died" in dead.errors
    assert "umount -l" in dead.hint


def test_what_is_not_there_is_told(mounts: Mounts, store: Path) -> None:
    path = str(mounts.point())
    with daos.open_system(store) as system:
        make_container(system.pool("tank"), "table", "PYTHON")
        make_container(system.pool("tank"), "raw", "POSIX")
        system.pool("tank").container("raw").attributes["dfuse-attr-time"] = b"soon"
    for words, status, said in [
        (("-S", str(store), path, "tank", "none"), errno.ENOENT, "none"),
        (("-S", str(store), path, "none", "home"), errno.ENOENT, "none"),
        (("-S", f"{store}-none", path, "tank", "home"), errno.ENOENT, "none"),
        (("-S", str(store), path, "tank", "table"), errno.EINVAL, "PYTHON"),
        (("-S", str(store), path, "tank", "raw"), errno.EINVAL, "dfuse-attr-time"),
        (("-S", str(store), path, "tank", "home", "--snap", "none"), errno.ENOENT, "none"),
        (("-S", str(store), path, "none"), errno.ENOENT, "none"),
        (("-S", str(store), path, "tank", "--snap", "none"), errno.EINVAL, "snapshot"),
        (("-S", str(store), path, "tank", "home", "more"), errno.EINVAL, "more"),
        ((path, "--bogus"), errno.EINVAL, "--bogus"),
        ((), errno.EINVAL, "mount point"),
    ]:
        for how in ((), ("-f",)):
            done = run(*how, *words, env={**os.environ, "DAOS_SYSTEM": ""})
            assert done.status == status, done.errors
            first, *rest = done.errors.splitlines()
            assert first.startswith("ERROR: dfuse: ")
            assert said in first
            assert len(rest) <= 1
            assert all(line.startswith("hint: ") for line in rest)
    assert not is_mounted(Path(path))


def test_nothing_changes_on_a_read_only_mount_or_a_snapshot(mounts: Mounts, store: Path) -> None:
    process, path = mounts.start("-S", str(store), "tank", "home")
    (path / "a").write_text("before")
    mounts.end(process, path)
    with daos.open_system(store) as system:
        system.pool("tank").container("home").snapshot("then")
    for words, text in [(("--read-only",), "after"), (("-o", "ro"), "after"), (("--snap", "then"), "before")]:
        process, path = mounts.start("-S", str(store), "tank", "home")
        (path / "a").write_text("after")
        mounts.end(process, path)
        process, path = mounts.start("-S", str(store), *words, "tank", "home")
        assert (path / "a").read_text() == text
        with pytest.raises(OSError, match="Read-only"):
            (path / "a").write_text("x")
        mounts.end(process, path)


def test_the_container_says_what_is_kept(mounts: Mounts, store: Path) -> None:
    with daos.open_system(store) as system:
        attributes = system.pool("tank").container("home").attributes
        attributes["dfuse-data-cache"] = b"off"
        attributes["dfuse-dentry-time"] = b"1m"
    process, path = mounts.start("-S", str(store), "tank", "home")
    # Nothing is kept by the kernel, and what is written is there when the call returns.
    handle = os.open(path / "a", os.O_WRONLY | os.O_CREAT)
    os.write(handle, b"x" * 10_000)
    mounts.kill(process, path)
    with contextlib.suppress(OSError):
        os.close(handle)
    process, path = mounts.start("-S", str(store), "tank", "home", at=path)
    assert (path / "a").read_bytes() == b"x" * 10_000
    mounts.end(process, path)


def test_all_ways_to_name_a_container(mounts: Mounts, store: Path, tmp_path: Path) -> None:
    with daos.open_system(store) as system:
        pool, container = system.pool("tank").uuid, system.pool("tank").container("home").uuid
    marked = tmp_path / "marked"
    marked.mkdir()
    os.setxattr(marked, "user.daos", f"DAOS.POSIX://{pool}/{container}".encode())
    for words in [
        ("--pool", "tank", "--container", "home"),
        (pool, container),
        ("daos://tank/home",),
        ("-o", "pool=tank,container=home,rw"),
        ("--path", str(marked)),
    ]:
        process, path = mounts.start("-S", str(store), *words)
        assert os.getxattr(path, "user.daos").decode() == f"DAOS.POSIX://{store}//{pool}/{container}"
        mounts.end(process, path)
    process, path = mounts.start("--path", str(store), "tank", "home")
    mounts.end(process, path)
    process, path = mounts.start("tank", "home", env={**os.environ, "DAOS_SYSTEM": str(store)})
    mounts.end(process, path)


def test_paths_of_the_namespace(mounts: Mounts, store: Path, tmp_path: Path) -> None:
    with daos.open_system(store) as system:
        uns.create(tmp_path / "other", system.pool("tank"), "other")
    # The path says which system it is, whatever the environment says.
    process, path = mounts.start("--path", str(tmp_path / "other"), env={**os.environ, "DAOS_SYSTEM": "/nowhere"})
    (path / "a").mkdir()
    named, marked = uns.resolve(path / "a" / "f"), uns.resolve(tmp_path / "other" / "a" / "f")
    assert (named.url(), named.where) == (marked.url(), str(path))
    with mount(path) as fs:
        assert fs.listdir() == ["a"]
    # Through the mount, paths are made as on a local disk.
    with daos.open_system(store, create=False) as system:
        pool = system.pool("tank")
        inner = uns.create(path / "a" / "inner", pool)
        assert uns.resolve(path / "a" / "inner").container == inner.uuid
        for where, text in ((path, "is a mount"), (path / "a", "a path in a container")):
            with pytest.raises(daos.DaosError, match=text):
                uns.destroy(where, pool=pool)
        uns.destroy(path / "a" / "inner", pool=pool)
        assert sorted(listed.label for listed in pool.containers()) == ["home", "other"]
    assert not list((path / "a").iterdir())
    mounts.end(process, path)
    for words, text in (
        (("--path", str(tmp_path / "other" / "a")), "is a part of a container"),
        (("--path", str(tmp_path)), "stands for no container"),
        (("--path", str(tmp_path / "other"), "-S", str(tmp_path)), "--system names"),
    ):
        done = run(str(path), *words)
        assert (done.status != 0, text in done.errors, bool(done.hint)) == (True, True, True), done.errors


@pytest.fixture
def everybodys() -> Iterator[Path]:
    """Return a directory that all users can reach."""
    path = Path(tempfile.mkdtemp(prefix="dfuse-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def as_nobody(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", line], user=NOBODY, group=NOBODY, capture_output=True, text=True, timeout=WAIT_S, check=False
    )


def test_each_user_has_his_rights(mounts: Mounts, everybodys: Path) -> None:
    make_store(everybodys / "store")
    mounts.root = everybodys
    process, path = mounts.start("-S", str(everybodys / "store"), "tank", "home")
    assert "Permission denied" in as_nobody(f"ls {path}").stderr
    mounts.end(process, path)
    process, path = mounts.start("-S", str(everybodys / "store"), "--multi-user", "tank", "home")
    (path / "secret").write_text("x")
    (path / "secret").chmod(0o600)
    (path / "open").mkdir()
    (path / "open").chmod(0o1777)
    (path / "open" / "mine").write_text("x")
    assert "Permission denied" in as_nobody(f"cat {path}/secret").stderr
    assert "Permission denied" in as_nobody(f"touch {path}/x").stderr
    assert "not permitted" in as_nobody(f"rm -f {path}/open/mine").stderr
    assert as_nobody(f"echo his > {path}/open/his && chmod 600 {path}/open/his").returncode == 0
    assert (path / "open" / "his").stat().st_uid == NOBODY
    assert "not permitted" in as_nobody(f"chown 0 {path}/open/his").stderr
    mounts.end(process, path)


def test_who_is_not_root_is_told_what_he_needs(mounts: Mounts, everybodys: Path) -> None:
    make_store(everybodys / "store")
    subprocess.run(["chown", "-R", str(NOBODY), str(everybodys)], check=True)
    point = everybodys / "mnt"
    point.mkdir()
    os.chown(point, NOBODY, NOBODY)
    environment = {"PATH": "/nowhere", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = run("-S", str(everybodys / "store"), str(point), "tank", "home", env=environment, user=NOBODY)
    if "Permission denied" in done.errors and "daos" not in done.errors:
        pytest.skip("the interpreter of these tests is not for all users")
    assert done.status == errno.ENOENT, done.errors
    assert "there is no fusermount3" in done.errors
    assert "fuse3" in done.hint


BY_HELPER = """
set -e
mount --make-rprivate /
mount --bind {root}/device /dev/fuse
exec setpriv --reuid={user} --regid={user} --clear-groups /bin/sh -ec '
    {dfuse} -S {root}/store {root}/mnt tank home
    echo hello > {root}/mnt/a
    grep {root}/mnt /proc/mounts
    ! {dfuse} -S {root}/store -M {root}/store tank home 2> /dev/null
    fusermount3 -u {root}/mnt
    ! grep {root}/mnt /proc/mounts
'
"""


def test_who_is_not_root_mounts_by_fusermount3(mounts: Mounts, everybodys: Path) -> None:
    if not all(map(shutil.which, ("fusermount3", "unshare", "setpriv"))):
        pytest.skip("there is no fusermount3")
    (everybodys / "mnt").mkdir()
    # Where the device is root's alone, it is everybody's in a mount namespace of this test.
    os.mknod(everybodys / "device", 0o020_666, os.makedev(10, 229))
    (everybodys / "device").chmod(0o666)
    as_user = f"import sys; sys.path[:0] = {[path for path in sys.path if path]!r}; "
    maker = as_user + "from tests.integration.dfuse.conftest import make_store; from pathlib import Path; "
    subprocess.run(["chown", "-R", str(NOBODY), str(everybodys)], check=True)
    made = subprocess.run(
        [sys.executable, "-c", f"{maker}make_store(Path({str(everybodys / 'store')!r}))"],
        user=NOBODY,
        group=NOBODY,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    if "Permission denied" in made.stderr:
        pytest.skip("the interpreter of these tests is not for all users")
    assert made.returncode == 0, made.stderr
    dfuse = f"env PYTHONPATH={os.pathsep.join(path for path in sys.path if path)} {sys.executable} -m daos.dfuse"
    script = BY_HELPER.format(root=everybodys, user=NOBODY, dfuse=dfuse)
    done = subprocess.run(
        ["unshare", "-m", "/bin/sh", "-c", script], capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"user_id={NOBODY}" in done.stdout
    until(lambda: not daemons(everybodys / "mnt"), "the end of the process")


def test_a_version_is_told() -> None:
    assert run("--version").text.startswith("dfuse version ")
    assert "MOUNTPOINT" in run("--help").text
