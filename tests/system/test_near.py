"""Programs beside an engine reach its targets by shared memory; where they cannot they do not notice."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import daos
from daos.dev import DevSystem, Plan
from tests.system.running import ask, poll

OTHER_USER = "daemon"
KEYS = 200
WRITER = """
import sys, daos
with daos.connect("daos://near", durability="synced") as pool:
    kv = pool.container("c").kv(sys.argv[1], create=True)
    number = 0
    while True:
        kv.put(f"k{number}", str(number).encode())
        if not number:
            assert pool.system.connections["shm"] > 0, pool.system.connections
        print(number, flush=True)
        number += 1
"""
"""Says which of its changes were acknowledged, until it is killed."""
ONCE = """
import daos
with daos.connect("daos://near") as pool:
    kv = pool.container("other", create=True).kv("other", create=True)
    for number in range(20):
        kv.put(f"k{number}", b"mine")
    assert kv.get("k19") == b"mine"
    print(pool.system.connections)
"""


@pytest.fixture(scope="module")
def near(system: DevSystem) -> Iterator[DevSystem]:
    ask(system, "pool", "create", "near", "-z", "300MB", "-P", "svc_rf:1")
    with daos.connect("daos://near") as pool:
        pool.container("c", create="exclusive")
    yield system
    # Another user's container is in it, which the next ones do not see.
    ask(system, "pool", "destroy", "near", "--recursive", "--force")


@pytest.fixture
def pool(near: DevSystem) -> Iterator[daos.Pool]:
    with daos.connect("daos://near") as opened:
        yield opened


def fill(pool: daos.Pool, name: str) -> daos.KV[str]:
    kv = pool.container("c").kv(name, create=True)
    for number in range(KEYS):
        kv.put(f"k{number}", b"v")
    return kv


def check(name: str, last: int) -> None:
    """Look for what was acknowledged, and let go of the connections for it."""
    with daos.connect("daos://near") as opened:
        kv = opened.container("c").kv(name)
        for key in range(last + 1):
            assert kv.get(f"k{key}") == str(key).encode()


def rings_of(pid: int) -> int:
    """Return how many connections by shared memory a process has."""
    return Path(f"/proc/{pid}/maps").read_text().count("/memfd:daos-shm")


def test_data_goes_by_shared_memory_with_certificates_too(near: DevSystem, pool: daos.Pool) -> None:
    before = rings_of(os.getpid())
    fill(pool, "beside")
    # KV objects have a shard on each target. Control requests go over the network, and nothing else does.
    shm = pool.system.connections["shm"]
    assert 0 < shm == rings_of(os.getpid()) - before
    assert pool.system.connections["tcp"] >= 1


def test_it_can_be_turned_off(near: DevSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("D_SHM", "0")
    before = rings_of(os.getpid())
    with daos.connect("daos://near") as opened:
        fill(opened, "off")
        assert (opened.system.connections["shm"], rings_of(os.getpid())) == (0, before)
        assert opened.system.connections["tcp"] > 1


def test_a_system_without_certificates_has_it_and_an_engine_can_be_told_not_to(tmp_path: Path) -> None:
    system = DevSystem(tmp_path / "s")
    with pytest.MonkeyPatch.context() as patch:
        try:
            system.up(Plan(servers=1, insecure=True))
            for name, value in system.environment().items():
                patch.setenv(name, value)
            ask(system, "pool", "create", "near", "-z", "100MB")
            with daos.connect("daos://near") as opened:
                opened.container("c", create="exclusive")
                fill(opened, "beside")
                assert opened.system.connections["shm"] > 0
                config = system.layout.server_config(0)
                text = config.read_text()
                assert "engines:\n- " in text
                config.write_text(text.replace("engines:\n- ", "engines:\n- env_vars: [D_SHM=0]\n  ", 1))
                system.stop("server0")
                system.start("server0")
                fill(opened, "beside")
                assert opened.system.connections["shm"] == 0
        finally:
            system.down(destroy=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_goes_over_the_network(near: DevSystem) -> None:
    ask(near, "pool", "update-acl", "near", "-e", f"A::{OTHER_USER}@:rw")
    sockets = Path(near.environment()["DAOS_AGENT_DRPC_DIR"])
    changed = [(path, path.stat().st_mode) for path in (sockets, *sockets.parents) if not path.stat().st_mode & 0o001]
    try:
        for path, mode in changed:
            path.chmod(mode | 0o011)
        done = subprocess.run(
            [sys.executable, "-c", ONCE],
            user=pwd.getpwnam(OTHER_USER).pw_uid,
            group=pwd.getpwnam(OTHER_USER).pw_gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        for path, mode in changed:
            path.chmod(mode)
    assert done.returncode == 0, done.stderr
    assert "'shm': 0" in done.stdout


def test_an_engine_that_is_started_again_is_found_again(near: DevSystem, pool: daos.Pool) -> None:
    kv = fill(pool, "restart")
    everywhere = pool.system.connections["shm"]
    acknowledged: list[int] = []
    stop = threading.Event()
    failed: list[BaseException] = []

    def write() -> None:
        try:
            while not stop.is_set():
                kv.put(f"w{len(acknowledged)}", str(len(acknowledged)).encode())
                acknowledged.append(len(acknowledged))
        except BaseException as error:  # noqa: BLE001 -- the test tells it
            failed.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        poll(lambda: len(acknowledged) > KEYS, "progress")
        killed = near.kill_rank(0)
        done = len(acknowledged)
        poll(lambda: near.engine_pid(0) not in (None, killed) or bool(failed), "another engine")
        poll(lambda: len(acknowledged) > done + KEYS or bool(failed), "progress after it")
        # Its connections went over the network meanwhile, or were never missed.
        poll(lambda: pool.system.connections["shm"] == everywhere or bool(failed), "shared memory with the new engine")
    finally:
        stop.set()
        thread.join(60)
    assert not failed
    assert not thread.is_alive()
    for number in acknowledged:
        assert kv.get(f"w{number}") == str(number).encode()


@pytest.mark.parametrize("number", range(3))
def test_who_is_killed_loses_nothing_that_was_acknowledged_and_leaves_nothing(near: DevSystem, number: int) -> None:
    engines = [near.engine_pid(server) for server in range(3)]
    pids = [pid for pid in engines if pid is not None]
    before = [rings_of(pid) for pid in pids]
    name = f"killed{number}"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, f"{name}-{each}"], stdout=subprocess.PIPE, text=True)
        for each in range(2)
    ]
    told: list[int] = []
    for writer in writers:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) >= 100 + number:
                break
    assert sum(rings_of(pid) for pid in pids) > sum(before)
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
    for writer in writers:
        rest = writer.communicate(timeout=20)[0].splitlines()
        whole = [int(line) for line in rest if line.isdigit()]
        # The last line may have been cut.
        told.append(max([100 + number, *whole[:-1]]))
    for each, last in enumerate(told):
        check(f"{name}-{each}", last)
    for pid, rings in zip(pids, before, strict=True):
        poll(lambda pid=pid, rings=rings: rings_of(pid) <= rings, "the end of their memory")  # type: ignore[misc]


def test_a_server_that_is_stopped_holds_up_nobody_for_longer_than_over_the_network(near: DevSystem) -> None:
    (pid,) = [pid for pid in [near.engine_pid(1)] if pid is not None]
    with daos.connect("daos://near", timeout=2.0) as opened:
        kv = fill(opened, "stopped")
        os.kill(pid, signal.SIGSTOP)
        try:
            begun = time.monotonic()
            slow = 0
            for number in range(8):
                try:
                    kv.put(f"k{number}", bytes(1000))
                except daos.DaosError:
                    slow += 1
                    break
            assert time.monotonic() - begun < 30
            assert slow
        finally:
            os.kill(pid, signal.SIGCONT)
        poll(lambda: _puts(kv), "answers again")


def _puts(kv: daos.KV[str]) -> bool:
    try:
        kv.put("again", b"1")
    except daos.DaosError:
        return False
    return kv.get("again") == b"1"
