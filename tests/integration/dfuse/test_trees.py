"""Mounts of all of a pool or a system, and directories that lead into other containers."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

import daos
from daos import uns
from daos.dfs import mount
from tests.dev_pool import tank
from tests.integration.dfuse.conftest import Mounts, make_container, run

if TYPE_CHECKING:
    from pathlib import Path


def errno_of(call: object, *words: object) -> int | None:
    assert callable(call)
    with pytest.raises(OSError, match=r"\[Errno") as caught:
        call(*words)
    return caught.value.errno


def test_all_of_a_pool_and_of_a_system(mounts: Mounts, store: Path) -> None:
    with daos.open_system(store) as system:
        make_container(system.pool("tank"), "second", "POSIX")
        make_container(system.pool("tank"), "table", "PYTHON")
        make_container(system.pool("other", create=True), "far", "POSIX")
        uuid = system.pool("tank").container("second").uuid
    process, path = mounts.start("-S", str(store), "tank")
    assert sorted(item.name for item in (path).iterdir()) == ["home", "second", "table"]
    (path / "home" / "a").write_text("home")
    shutil.copytree(path / "home", path / "second" / "copied")
    assert (path / uuid / "copied" / "a").read_text() == "home"
    assert os.getxattr(path / "second", "user.daos").decode().endswith(uuid)
    assert errno_of(os.rename, path / "home" / "a", path / "second" / "a") == errno.EXDEV
    for call in (os.mkdir, os.stat):
        assert errno_of(call, path / "none") == (errno.ENOENT if call is os.stat else errno.EPERM)
    assert errno_of(os.listdir, path / "table") == errno.EOPNOTSUPP
    assert errno_of(os.stat, path / ".hidden") == errno.ENOENT
    found = subprocess.run(
        ["find", str(path / "home"), str(path / "second")], capture_output=True, text=True, check=True
    )
    assert (len(found.stdout.splitlines()), found.stderr) == (5, "")
    mounts.end(process, path)
    process, path = mounts.start("-S", str(store), "--read-only")
    assert sorted(item.name for item in (path).iterdir()) == ["other", "tank"]
    assert (path / "tank" / "home" / "a").read_text() == "home"
    assert sorted(item.name for item in (path / "other" / "far").iterdir()) == []
    assert errno_of((path / "tank" / "home" / "b").write_text, "b") == errno.EROFS
    mounts.end(process, path)


def test_what_is_written_in_many_containers_is_there_after_the_mount_died(mounts: Mounts, store: Path) -> None:
    labels = [f"c{number}" for number in range(8)]
    with daos.open_system(store) as system:
        for label in labels:
            make_container(system.pool("tank"), label, "POSIX")
    process, path = mounts.start("-S", str(store), "tank")
    for label in labels:
        with (path / label / "file").open("w") as file:
            file.write(label)
            file.flush()
            os.fsync(file.fileno())
    mounts.kill(process, path)
    with daos.open_system(store, create=False) as system:
        for label in labels:
            with mount(system.pool("tank").container(label)) as fs:
                assert fs.read_bytes("/file") == label.encode()
                assert fs.check().clean


def test_a_directory_that_stands_for_a_container_leads_into_it(mounts: Mounts, store: Path) -> None:
    process, path = mounts.start("-S", str(store), "tank", "home")
    with daos.open_system(store, create=False) as system:
        pool = system.pool("tank")
        made = uns.create(path / "inner", pool, "inner")
        # From the very moment on.
        (path / "inner" / "a").write_text("inside")
        with mount(made) as fs:
            assert fs.listdir() == ["a"]
        (path / "plain").mkdir()
        assert errno_of(os.rename, path / "inner" / "a", path / "plain" / "a") == errno.EXDEV
        # A path that it was renamed to leads there as well; what stands for a container that is gone is a directory.
        (path / "inner").rename(path / "moved")
        assert (path / "moved" / "a").read_text() == "inside"
        uns.link(path / "again", made)
        assert (path / "again" / "a").read_text() == "inside"
        uns.destroy(path / "moved", pool=pool, force=True)
        assert sorted(item.name for item in (path).iterdir()) == ["again", "plain"]
        assert [listed.label for listed in pool.containers()] == ["home"]
    mounts.end(process, path)
    process, path = mounts.start("-S", str(store), "tank", "home")
    assert list((path / "again").iterdir()) == []
    (path / "again").rmdir()
    mounts.end(process, path)


def test_a_pool_that_was_made_anew_is_found(mounts: Mounts, store: Path) -> None:
    process, path = mounts.start("-S", str(store))
    tank = path / "tank"
    assert [entry.name for entry in tank.iterdir()] == ["home"]
    with daos.open_system(store, create=False) as system:
        system.destroy_pool("tank")
        with pytest.raises(OSError, match="tank"):
            os.scandir(tank)
        make_container(system.pool("tank", create=True), "new", "POSIX")
        assert [entry.name for entry in tank.iterdir()] == ["new"]
        (tank / "new" / "a").write_text("a")
    mounts.end(process, path)


def test_whatever_a_directory_says_it_can_be_used(mounts: Mounts, store: Path) -> None:
    process, path = mounts.start("-S", str(store), "tank", "home")
    inside = f"DAOS.POSIX://{path}/d3/x//tank/home".encode()
    nowhere = b"DAOS.POSIX://none/none", b"DAOS.TABLE://tank/home"
    for number, value in enumerate((b"", b"\xff", b"DAOS.POSIX:///a%00b//tank/home", inside, *nowhere)):
        directory = path / f"d{number}"
        directory.mkdir()
        os.setxattr(directory, "user.daos", value)
        (directory / "a").write_text("a")
        assert [entry.name for entry in directory.iterdir()] == ["a"]
        shutil.rmtree(directory)
    mounts.end(process, path)


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_all_of_a_running_system(mounts: Mounts, tmp_path: Path) -> None:
    with tank(tmp_path / "dev") as agent:
        with daos.connect("daos://tank", agent=agent) as pool:
            make_container(pool, "one", "POSIX")
            make_container(pool, "two", "POSIX")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DAOS_")}
        environment["DAOS_AGENT_DRPC_DIR"] = str(agent.parent)
        process, path = mounts.start(env=environment)
        assert [item.name for item in path.iterdir()] == ["tank"]
        (path / "tank" / "one" / "a").write_text("one")
        shutil.copy(path / "tank" / "one" / "a", path / "tank" / "two" / "b")
        assert (path / "tank" / "two" / "b").read_text() == "one"
        mounts.end(process, path)
        assert run(str(path), "tank", "one", "--snap", "none", env=environment).status == errno.ENOENT
