"""File systems over several engines, and by several processes."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import daos
from daos.dfs import DFS, Posix, mount
from daos.dfs.errors import FileForkedError
from tests.dev_pool import tank
from tests.dfs_systems import fails
from tests.engines import Engines

WAIT_S = 40.0


def use(fs: DFS, who: str) -> None:
    """Make, move, write and remove, as one of several."""
    fs.makedirs(f"/{who}", exist_ok=True)
    for number in range(30):
        name = f"/{who}/{number}"
        fs.write_bytes(name, name.encode() * 100)
        if number % 3 == 0:
            fs.rename(name, f"/{who}/moved-{number}")
        elif number % 3 == 1:
            fs.remove(name)
        with fs.open("/log", "ab", 0) as file:
            file.write(f"{who}\n".encode())
    assert len(fs.listdir(f"/{who}")) == 20


def test_it_lies_on_all_engines_and_is_used_by_many(pool: daos.Pool) -> None:
    container = pool.container("home", create=True, type=Posix(chunk_size=4096, hints="dir:max"))
    with mount(container) as fs:
        use(fs, "first")
        mounts = [mount(container) for _ in range(3)]
        failed: list[BaseException] = []

        def one(number: int) -> None:
            try:
                use(mounts[number], f"thread{number}")
            except BaseException as error:  # noqa: BLE001 -- told below
                failed.append(error)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        assert failed == []
        for other in mounts:
            other.close()
        assert len(fs.listdir()) == 5
        data = os.urandom(100_000)
        fs.write_bytes("/big", data)
        assert fs.read_bytes("/big") == data
        assert fs.info("/big").oclass == "S6"
        fs.truncate("/big", 5000)
        assert fs.read_bytes("/big") == data[:5000]
        fs.sync()
        assert fs.check("remove").clean
        assert fs.check().findings == ()


def test_what_takes_transactions_over_engines_is_refused(pool: daos.Pool) -> None:
    container = pool.container("home", create=True, type=Posix(mode="balanced"))
    refused = fails(lambda: mount(container), errno.EOPNOTSUPP, None)
    assert "read-only" in str(getattr(refused, "hint", ""))
    with mount(container, read_only=True) as fs:
        assert fs.listdir() == []


def test_an_engine_that_is_killed_is_waited_for(engines: Engines, pool: daos.Pool) -> None:
    with mount(pool.container("home", create=True, type=Posix(chunk_size=4096, hints="dir:max"))) as fs:
        for number in range(20):
            fs.write_bytes(f"/{number}", b"x" * 20_000)
        engines.kill(2)
        engines.start(2)
        written = [fs.write_bytes(f"/after-{number}", b"y" * 20_000) for number in range(20)]
        assert written == [20_000] * 20
        engines.wait_ready()
        assert len(fs.listdir()) == 40
        assert {fs.read_bytes(f"/{number}") for number in range(20)} == {b"x" * 20_000}
        assert fs.check().findings == ()


CHILD = """
import pickle, sys
fs = pickle.loads(sys.stdin.buffer.read())
fs.write_bytes("/of-another", fs.read_bytes("/parent"))
print(fs.info("/of-another").oid)
"""


def test_processes_share_it_by_fork_and_by_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tank(tmp_path / "s") as agent:
        monkeypatch.setenv("DAOS_AGENT_DRPC_DIR", str(agent.parent))
        with daos.connect("daos://tank") as pool:
            fs = mount(pool.container("home", create=True, type="POSIX"))
            fs.write_bytes("/parent", b"data")
            second = mount(fs.container)
            file = fs.open("/parent", "rb", 0)
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    with pytest.raises(FileForkedError):
                        file.read()
                    file.close()
                    fs.write_bytes("/child", second.read_bytes("/parent"))
                    second.write_bytes("/child-2", b"")
                    fs.close()
                    status = 0
                finally:
                    os._exit(status)
            assert os.waitpid(pid, 0)[1] == 0
            assert file.read() == b"data"
            file.close()
            fs.write_bytes("/mine", b"x")
            second.write_bytes("/mine-2", b"x")
            assert 0 < fs.statvfs().f_bavail <= fs.statvfs().f_blocks
            other = subprocess.run(
                [sys.executable, "-c", CHILD], input=pickle.dumps(fs), capture_output=True, timeout=WAIT_S, check=False
            )
            assert other.stderr == b""
            assert sorted(fs.listdir()) == ["child", "child-2", "mine", "mine-2", "of-another", "parent"]
            assert len({fs.info(name).oid for name in fs.listdir()}) == 6
            assert fs.check().findings == ()
            fs.close()
        with mount("daos://tank/home", read_only=True) as again:
            assert again.read_bytes("/child") == b"data"


def test_a_program_that_ends_does_not_wait_for_a_system_that_is_gone(tmp_path: Path) -> None:
    script = (
        "import daos, daos.dfs\n"
        "fs = daos.dfs.mount(daos.connect('daos://tank').container('home', create=True, type='POSIX'))\n"
        "fs.write_bytes('/a', b'x')\n"
        "print('ready', flush=True)\n"
        "input()\n"
    )
    with tank(tmp_path / "s") as agent:
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"DAOS_AGENT_DRPC_DIR": str(agent.parent)},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    began = time.monotonic()
    # The time of the change is not stored; a call of its own would wait for a minute.
    process.communicate("\n", timeout=50)
    assert time.monotonic() - began < 30
