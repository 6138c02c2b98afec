"""`daos_server adopt`: an embedded system is served afterwards, or stays embedded, wherever it was cut short."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import daos
from daos.client.served import pools as served_pools
from daos.client.system import open_system
from daos.dev import DevSystem, Plan
from daos.dev.layout import choose_ports
from daos.errors import ExistsError, NotFoundError

COMMAND_S_MAX = 40.0
# Daemons outlive the object that started them: that is what they are for.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
NUMBERS = np.arange(70_000, dtype="f8")
KEYS = 300
KILLED = """
import grp, os, pwd, signal, sys
from pathlib import Path
from daos.config import load_server
from daos.control.adopted import Ownership
from daos.server.adopt import adopt
from daos.server.settings import settings_of

left = int(sys.argv[4])

def before(step):
    global left
    left -= step == sys.argv[3]
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

owner = Ownership(owner=pwd.getpwuid(os.geteuid()).pw_name, group=grp.getgrgid(os.getegid()).gr_name)
settings = settings_of(load_server(Path(sys.argv[1])))
adopt(settings, Path(sys.argv[2]), owner, before=before)
"""


class Host:
    """A directory with an embedded system, and the configuration of a server."""

    def __init__(self, root: Path, servers: int = 1) -> None:
        self.system = DevSystem(root / "dev")
        self.plan = choose_ports(Plan(servers=servers, targets=2, insecure=True))
        self.system.layout.write(self.plan)
        self.embedded = root / "my.daos"
        self.config = self.system.layout.server_config(0)
        self.scm = self.config.parent / "scm"

    def run(self, *words: str) -> tuple[int, str, str]:
        """Run `daos_server` with words; return status, output and errors."""
        done = subprocess.run(
            (sys.executable, "-m", "daos.server.main", "-o", str(self.config), *words),
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def adopt(self, *words: str) -> str:
        """Adopt, which succeeds."""
        status, output, errors = self.run("adopt", str(self.embedded), *words)
        assert (status, errors) == (0, "")
        return output

    def refused(self, *words: str) -> str:
        """Adopt, which is refused; what is there has not changed."""
        before = tree(self.scm)
        status, output, errors = self.run("adopt", str(self.embedded), *words)
        assert (status, output) == (1, "")
        assert errors.startswith("ERROR: daos_server: ")
        assert len(errors.splitlines()) <= 2
        assert tree(self.scm) == before
        return errors

    def killed(self, step: str, turn: int = 1) -> None:
        """Adopt, and kill it before a step."""
        done = subprocess.run(
            (sys.executable, "-c", KILLED, str(self.config), str(self.embedded), step, str(turn)),
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr

    def change(self, **settings: object) -> None:
        """Change the configuration: of the server, or with `targets` and `scm_size`, of the engine."""
        config = yaml.safe_load(self.config.read_text())
        for name, value in settings.items():
            if name == "targets":
                config["engines"][0]["targets"] = value
            elif name in {"scm_size", "scm_mount"}:
                config["engines"][0]["storage"][0][name] = value
            else:
                config[name] = value
        self.config.write_text(yaml.safe_dump(config))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    found = Host(tmp_path)
    for name, value in found.system.environment().items():
        monkeypatch.setenv(name, value)
    return found


def tree(path: Path) -> list[str]:
    return sorted(str(each.relative_to(path)) for each in path.rglob("*")) if path.exists() else []


def fill(path: Path, targets: int = 2) -> tuple[str, str]:
    """Make an embedded system; return the uuids of a pool and of a container."""
    with open_system(path, targets=targets) as system:
        tank = system.pool("tank", create=True)
        tank.attributes["who"] = b"me"
        tank.set_properties({"scrub_freq": 1000})
        cont = tank.container("run", create=True)
        cont.attributes["unit"] = b"K"
        kv = cont.kv("params", create=True)
        kv.put_many({f"k{number}": b"%d" % number for number in range(KEYS)})
        cont.array("temp", dtype="f8", create=True)[0 : len(NUMBERS)] = NUMBERS
        cont.object("sensors", oclass="SX", create=True).update("today", wind=b"5")
        cont.snapshot("before")
        kv["k0"] = b"changed"
        del kv["k1"]
        cont.snapshot()
        kv["k2"] = b"later"
        other = system.pool("other", create=True)
        other.container("sums", create=True, properties={"cksum": "sha256"}).kv("z", create=True)["q"] = b"r"
        other.container("plain", create=True, properties={"cksum": "off"})
        return tank.uuid, cont.uuid


def check(tank: daos.Pool) -> None:
    """Compare the pool `tank` with what was put into it."""
    assert dict(tank.attributes) == {"who": b"me"}
    cont = tank.container("run")
    assert dict(cont.attributes) == {"unit": b"K"}
    expected = {f"k{number}": b"%d" % number for number in range(KEYS)}
    first, second = cont.snapshots()
    assert (first.name, second.name) == ("before", None)
    assert dict(cont.at("before").kv("params").items()) == expected
    expected["k0"] = b"changed"
    del expected["k1"]
    assert dict(cont.at(second.epoch).kv("params").items()) == expected
    expected["k2"] = b"later"
    assert dict(cont.kv("params").items()) == expected
    assert np.array_equal(cont.array("temp")[0 : len(NUMBERS)], NUMBERS)
    assert cont.object("sensors").fetch("today", "wind") == {"wind": b"5"}
    assert not cont.check().damaged


def test_an_embedded_system_is_served_and_goes_on(host: Host) -> None:
    pool_uuid, cont_uuid = fill(host.embedded)
    output = host.adopt("--size", "100MB")
    assert output.splitlines()[1:3] == ["  other  containers: 2", "  tank   containers: 1"]
    assert not host.embedded.exists()
    with host.system as system:
        system.up()
        assert sorted(pool.label for pool in served_pools()) == ["other", "tank"]
        with daos.connect("daos://tank") as tank:
            assert tank.uuid == pool_uuid
            check(tank)
            cont = tank.container("run")
            assert cont.uuid == cont_uuid
            kv = cont.kv("params")
            kv["k0"] = b"served"
            # Numbers of objects go on behind those that were given out.
            cont.kv("new", create=True)["n"] = b"1"
            assert kv["k0"] == b"served"
            assert cont.at("before").kv("params")["k0"] == b"0"
            cont.snapshot("after")
            kv["k0"] = b"last"
            assert [cont.at(name).kv("params")["k0"] for name in ("before", "after")] == [b"0", b"served"]
            cont.destroy_snapshot("before")
            cont.attributes["more"] = b"x"
            tank.container("born", create=True).kv("kv", create=True)["a"] = b"b"
        with daos.connect("daos://other") as other:
            assert other.container("sums").kv("z")["q"] == b"r"
            found = other.container("sums").properties, other.container("plain").properties
            assert [properties["cksum"] for properties in found] == ["sha256", "off"]
            other.destroy_container("plain")
        system.down()
        system.up()
        with daos.connect("daos://tank") as tank:
            cont = tank.container("run")
            assert [snapshot.name for snapshot in cont.snapshots()] == [None, "after"]
            assert cont.kv("params")["k0"] == b"last"
            assert (cont.kv("new")["n"], tank.container("born").kv("kv")["a"]) == (b"1", b"b")
            assert dict(cont.attributes) == {"unit": b"K", "more": b"x"}
        with daos.connect("daos://other") as other, pytest.raises(NotFoundError):
            other.container("plain")
        # The system service knows its pools: two of 100 MB leave room for another.
        assert "1000" in dmg(system, "pool", "get-prop", "tank", "scrub_freq")
        dmg(system, "pool", "create", "third", "--size", "100MB")
        dmg(system, "pool", "destroy", "other", "--force", "--recursive")
        assert sorted(pool.label for pool in served_pools()) == ["tank", "third"]


def dmg(system: DevSystem, *words: str) -> str:
    done = subprocess.run(
        (sys.executable, "-m", "daos.cli.dmg", "-o", str(system.layout.control_config), *words),
        capture_output=True,
        text=True,
        timeout=COMMAND_S_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


STEPS = [
    ("numbers", 1),
    ("mark", 1),
    ("storage", 1),
    ("system service", 1),
    ("pool service", 1),
    ("pool service", 2),
    ("superblock", 1),
    ("move", 1),
    ("end", 1),
]


@pytest.mark.parametrize(("step", "turn"), STEPS)
def test_wherever_it_is_killed_nothing_is_lost_and_it_can_be_run_again(host: Host, step: str, turn: int) -> None:
    fill(host.embedded)
    host.killed(step, turn)
    if step == "end":
        assert not host.embedded.exists()
    else:
        with open_system(host.embedded, create=False) as system:
            check(system.pool("tank"))
            system.pool("tank").container("run").kv("between", create=True)["a"] = b"b"
    if step not in {"numbers", "mark", "end"}:
        status, _, errors = host.run("start")
        assert (status, f"the adoption of {host.embedded} into {host.scm} was cut short" in errors) == (1, True), errors
    host.adopt()
    assert not (host.scm / "adopting").exists()
    if (step, turn) in {("pool service", 2), ("move", 1), ("end", 1)}:
        with host.system as running:
            running.up()
            with daos.connect("daos://tank") as tank:
                check(tank)
                if step != "end":
                    assert tank.container("run").kv("between")["a"] == b"b"


def test_a_server_ends_what_was_moved(host: Host) -> None:
    fill(host.embedded)
    host.killed("end")
    assert (host.scm / "adopting").exists()
    with host.system as running:
        running.up()
        assert not (host.scm / "adopting").exists()
        with daos.connect("daos://tank") as tank:
            check(tank)


def test_what_an_earlier_run_began_is_undone_and_that_may_be_killed_too(host: Host) -> None:
    fill(host.embedded)
    host.killed("move")
    host.killed("undo")
    host.killed("superblock")
    with open_system(host.embedded, create=False) as system:
        system.destroy_pool("other")
    assert host.adopt().splitlines()[1:2] == ["  tank  containers: 1"]
    assert len(list((host.scm / "engine").glob("rdb-*"))) == 1


def test_a_system_that_is_in_use_is_refused(host: Host) -> None:
    fill(host.embedded)
    with open_system(host.embedded):
        assert f"process {os.getpid()}" in host.refused() or str(os.getpid()) in host.refused()
    host.adopt()


def test_what_does_not_fit_is_refused_and_said_how_to_write(host: Host) -> None:
    fill(host.embedded, targets=3)
    assert "write targets: 3" in host.refused()
    host.change(targets=3, mgmt_svc_replicas=["127.0.0.1:9", "127.0.0.2:9", "127.0.0.3:9"])
    assert "mgmt_svc_replicas" in host.refused()
    host.change(mgmt_svc_replicas=[f"127.0.0.1:{host.plan.ports[0]}"])
    assert "do not fit" in host.refused("--size", "600MiB")
    assert "too small for a pool" in host.refused("--size", "1MiB")
    assert "principal" in host.refused("--user", "a:b")
    inside = host.embedded / "scm"
    host.change(scm_mount=str(inside))
    assert "lie in one another" in host.refused()
    with open_system(host.embedded, create=False) as system:
        check(system.pool("tank"))


def test_a_place_that_is_not_free_is_refused(host: Host) -> None:
    fill(host.embedded)
    host.change(scm_mount="/dev/shm/daos-adopt-nothing")
    assert "different file systems" in host.refused()
    assert not Path("/dev/shm/daos-adopt-nothing").exists()
    host.change(scm_mount=str(host.scm))
    host.scm.mkdir()
    (host.scm / "mine").write_text("something")
    assert "is not empty: mine" in host.refused()
    (host.scm / "mine").unlink()
    (host.scm / "control_raft").mkdir()
    assert "replica of the system service" in host.refused()
    (host.scm / "control_raft").rmdir()
    with open_system(host.embedded, create=False) as system:
        check(system.pool("tank"))
    host.adopt()


def test_what_is_no_sound_system_is_refused(host: Host) -> None:
    assert "there is no system at" in host.refused()
    host.embedded.mkdir()
    (host.embedded / "file").write_text("x")
    assert "is not a DAOS system" in host.refused()
    (host.embedded / "file").unlink()
    host.embedded.rmdir()
    fill(host.embedded)
    head = (host.embedded / "system").read_bytes()
    (host.embedded / "system").write_bytes(head[:-1] + bytes([head[-1] ^ 1]))
    assert "is damaged" in host.refused()
    (host.embedded / "system").write_bytes(head)
    link = host.embedded.with_name("link")
    link.symlink_to(host.embedded)
    host.embedded = link
    host.adopt()
    assert (host.scm / "engine" / "store" / "system").is_file()


def test_one_engine_adopts_one_system(host: Host) -> None:
    fill(host.embedded)
    host.killed("end")
    fill(host.embedded)
    assert "has adopted" in host.refused()
    host.embedded.rename(host.embedded.with_name("second"))
    host.adopt()
    host.embedded.with_name("second").rename(host.embedded)
    assert "has storage already" in host.refused()
    with host.system as running:
        running.up()
        assert "a server listens" in host.refused()
    with open_system(host.embedded, create=False) as system, pytest.raises(ExistsError):
        system.create_pool("tank")


def test_metadata_may_have_a_directory_of_its_own(host: Host) -> None:
    fill(host.embedded)
    home = host.config.parent / "meta"
    host.change(control_metadata={"path": str(home)})
    host.killed("move")
    assert (home / "daos_control" / "control_raft").is_dir()
    status, _, errors = host.run("start")
    assert (status, "was cut short" in errors) == (1, True), errors
    host.adopt()
    assert not tree(host.scm)
    with host.system as running:
        running.up()
        with daos.connect("daos://tank") as tank:
            check(tank)


def test_servers_join_a_system_that_was_adopted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(tmp_path, servers=3)
    for name, value in host.system.environment().items():
        monkeypatch.setenv(name, value)
    fill(host.embedded)
    names = [f"127.0.0.1:{port}" for port in host.plan.ports]
    host.change(mgmt_svc_replicas=names[:1])
    host.adopt("--size", "100MB")
    host.change(mgmt_svc_replicas=names)
    with host.system as running:
        running.up()
        assert sorted(member.rank for member in running.members()) == [0, 1, 2]
        with daos.connect("daos://tank") as tank:
            check(tank)
        dmg(running, "pool", "create", "wide", "--size", "300MB")
        # The system is everybody's by now, not the first server's.
        running.stop("server0", kill=True)
        assert sorted(member.rank for member in running.members()) == [0, 1, 2]
        running.start("server0")
        running.wait_joined(host.plan)
        with daos.connect("daos://tank") as tank:
            check(tank)
