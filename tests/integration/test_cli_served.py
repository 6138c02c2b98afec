"""The tool `daos` on a running system: real daemons with certificates, each verb a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

import daos
from daos.client._probe import PING_BYTES_MAX, Engines
from daos.client.served import pools
from daos.dev import DevSystem, Plan
from daos.errors import DER, AccessError, BusyError, ClosedError, DaosError, InvalidError, NotFoundError

COMMAND_S_MAX = 30.0
# Daemons outlive the object that started them: that is what they are for.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")


@dataclass(frozen=True)
class Done:
    """What a process did."""

    status: int
    text: str
    errors: str


@dataclass(frozen=True)
class Running:
    """A system of one server with two targets, and its tools."""

    system: DevSystem
    environment: dict[str, str]

    def __call__(self, module: str, *words: str, stdin: str = "") -> Done:
        done = subprocess.run(
            (sys.executable, "-m", module, *words),
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def daos(self, line: str, *more: str, stdin: str = "") -> str:
        """Run a line that succeeds; return what it printed."""
        done = self("daos.cli", *line.split(), *more, stdin=stdin)
        assert (done.status, done.errors) == (0, ""), line
        return done.text

    def refused(self, line: str) -> str:
        """Run a line that fails; return its one line of an error."""
        done = self("daos.cli", *line.split())
        assert (done.status, done.text) == (1, ""), line
        first, *rest = done.errors.splitlines()
        assert first.startswith("ERROR: daos: ")
        assert all(more.startswith("hint: ") for more in rest)
        assert len(rest) <= 1
        return first.removeprefix("ERROR: daos: ")

    def dmg(self, line: str, *more: str) -> None:
        done = self("daos.cli.dmg", "-o", str(self.system.layout.control_config), *line.split(), *more)
        assert done.status == 0, done.errors


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with DevSystem(tmp_path_factory.mktemp("served") / "s") as system:
        system.up(Plan(servers=1, targets=2, size=512 << 20))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DAOS_")}
        running = Running(system, {**kept, **system.environment()})
        running.dmg("pool create tank -z 300MB -P svc_rf:1")
        yield running


@pytest.fixture
def agent(running: Running, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], daos.Pool]:
    """Have this process find the system, too."""
    monkeypatch.setenv("DAOS_AGENT_DRPC_DIR", running.environment["DAOS_AGENT_DRPC_DIR"])
    return lambda label: daos.connect(f"daos://{label}", timeout=20)


def test_each_verb_once(running: Running, tmp_path: Path) -> None:
    said = running.daos
    acl = tmp_path / "acl"
    acl.write_text("A::OWNER@:rwdtTaAo\nA::bob@:rw\n")
    assert "\ntank 300.0 MB Ready" in said("pool list")
    assert "ntarget=2, disabled=0, leader=0" in said("pool query tank -e")
    assert said("pool query-targets tank --rank 0 --target-idx 1").startswith("Target: state up_in\n")
    assert "scrub" in said("pool get-prop tank")
    said("pool set-attr tank a:1,b:2")
    assert "a    1" in said("pool get-attr tank a")
    assert "b" in said("pool list-attr tank")
    said("pool del-attr tank a,b")
    made = said("container create tank home --properties cksum:crc64 -a owner:me -A", str(acl))
    assert "Successfully created container" in made
    assert "home" in said("container list tank") == said("pool list-containers tank")
    assert "Number of open handles     : 1" in said("container query tank home")
    assert "crc64" in said("container get-prop tank home")
    assert said("container get-acl tank home").splitlines()[3:] == ["A::OWNER@:rwdtTaAo", "A::bob@:rw"]
    assert "A:G:readers@:r" in said("container update-acl tank home -e A:G:readers@:r")
    assert "bob@" in said("container replace tank home -f", str(acl))
    assert "bob@" not in said("container delete-acl tank home -P u:bob@")
    assert "set owner" in said("container set-owner tank home -g readers --no-check")
    assert "me" in said("container get-attr tank home owner")
    said("container set-attr tank home more:1")
    assert "more" in said("container list-attr tank home")
    said("container del-attr tank home more")
    said("container evict tank home --all")
    said("container set-prop tank home label:house")
    said("container destroy tank house")
    assert said("container list tank") == "No containers.\nThose that you may not know of are left out.\n"


def test_what_is_in_a_container(running: Running) -> None:
    said = running.daos
    said("container create tank home")
    said("kv put tank home params lr 0.1 --create")
    assert said("kv list tank home params") == "lr\n"
    said("array write tank home cells --create --dtype u1", stdin="abcdefgh")
    assert said("array read tank home cells --start 2 --count 3") == "cde"
    said("container create-snap tank home --snap before")
    assert "before" in said("container list-snaps tank home")
    said("kv put tank home params lr 0.2")
    assert said("kv get tank home params lr --snap before") == "0.1"
    assert "params" in said("container diff tank home --from before")
    said("container rollback tank home --snap before")
    assert said("kv get tank home params lr") == "0.1"
    assert len(said("container list-objects tank home").splitlines()) >= 3
    assert "class: S2" in said("object query tank home params")
    assert "lr" in said("object dump tank home params")
    checked = said("container check tank home")
    assert "inconsistent: 0" in checked
    assert "checked: 0\n" not in checked
    assert "Objects           : 0" not in said("container stat tank home")
    said("kv remove tank home params lr")
    said("container destroy-snap tank home --snap before")
    said("container destroy tank home")


def test_paths_stand_for_containers(running: Running, tmp_path: Path) -> None:
    path = tmp_path / "there"
    running.daos("container create tank there --type POSIX --path", str(path))
    told = json.loads(running.daos("container query -j --path", str(path)))["response"]
    # Byte by byte as DAOS has it.
    value = f"DAOS.POSIX://{told['pool_uuid']}/{told['container_uuid']}"
    assert os.getxattr(path, "user.daos") == value.encode()
    running.daos("container link tank there --path", str(tmp_path / "same"))
    assert os.getxattr(tmp_path / "same", "user.daos") == value.encode()
    (tmp_path / "data" / "d").mkdir(parents=True)
    (tmp_path / "data" / "d" / "f").write_bytes(b"1" * 3_000_000)
    text = running.daos("fs copy -s", str(tmp_path / "data"), "-d", str(path / "x"))
    assert (
        text == f"Successfully copied to DAOS: {path}/x\n    Directories: 2\n    Files:       1\n    Links:       0\n"
    )
    assert "Bytes of files   : 3000000" in running.daos("fs scan --path", str(tmp_path / "same"))
    running.daos("fs copy -s daos://tank/there/x/d/f -d", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == b"1" * 3_000_000
    text = running.daos("fs copy -s daos://tank/there -d daos://tank/other")
    assert text.startswith("Successfully created container ")
    assert "already linked" in running.daos("fs fix-root --path", str(path))
    done = running("daos.cli", "fs", "fix-sb", "--path", str(path))
    assert (done.status, "is whole" in done.errors) == (1, True)
    # Others have it open.
    url = 'daos.connect("daos://tank").container("there")'
    holder = subprocess.Popen(
        [sys.executable, "-c", f"import daos, sys; held = {url}; print(flush=True); sys.stdin.read()"],
        env=running.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdout.readline()
    for words in (("fix-sb",), ("fix-root",), ("fix-entry", "-H", "/x", "-t")):
        done = running("daos.cli", "fs", *words, "--path", str(path))
        assert (done.status, "container there is open elsewhere, by 1 handle" in done.errors) == (1, True), done.errors
    holder.stdin.close()
    assert holder.wait(COMMAND_S_MAX) == 0
    holder.stdout.close()
    running.daos("container destroy tank other")
    running.daos("container destroy --force --path", str(path))
    assert not path.exists()
    done = running("daos.cli", "container", "query", "--path", str(tmp_path / "same"))
    assert (done.status, "DER_NONEXIST" in done.errors) == (1, True)


def test_whether_the_system_is_well(running: Running) -> None:
    assert "\tname: daos_dev\n" in running.daos("system query")
    assert "tank: Healthy" in running.daos("health check -G daos_dev")
    told = json.loads(running.daos("health net-test -c 50 -m 4 -j"))["response"]
    (result,) = told["results"]
    assert result["target_latencies"]["0:0"]["total_rpcs"] == 50
    assert result["target_latencies"]["0:0"]["fail_count"] == 0
    assert 0 < result["target_latencies"]["0:0"]["min"] <= result["target_latencies"]["0:0"]["max"]
    text = running.daos("pool autotest tank --count 256 -D 25")
    assert [line for line in text.splitlines()[2:] if " PASS " not in line] == []
    assert running.daos("container list tank").startswith("No containers.\n")


def test_what_is_not_for_a_user_looks_as_if_it_were_not_there(running: Running, tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("A::somebody-else@:rw\n")
    running.dmg("pool create hidden -z 150MB -P svc_rf:1 -a", str(acl))
    assert "hidden" not in running.daos("pool list")
    for line in ("pool query {}", "container create {} home"):
        assert running.refused(line.format("hidden")) == running.refused(line.format("absent")).replace(
            '"absent"', '"hidden"'
        )
    running.dmg("pool update-acl hidden -e", "A::EVERYONE@:r")
    assert "hidden" in running.daos("pool list -n")
    assert "DER_NO_PERM" in running.refused("container create hidden home")
    assert "DER_NO_PERM(-1001)" in running.refused("pool destroy tank")
    assert "not other: DER_NONEXIST" in running.refused("-G other pool query tank")


def test_the_sdk(running: Running, agent: Callable[[str], daos.Pool]) -> None:
    assert ("tank", "Ready") in [(pool.label, pool.state) for pool in pools()]
    with agent("tank") as pool:
        assert running is not None
        assert pool.system.served
        assert pool.system.targets == 2
        info = pool.info()
        assert (info.label, info.targets, info.enabled_ranks, info.tiers[0].media) == ("tank", 2, (0,), "scm")
        assert pool.info(space=False).tiers == ()
        assert pool.places() == [(0, 0), (0, 1)]
        with pytest.raises(NotFoundError):
            pool.targets_of(7)
        held = pool.container("sdk", create="exclusive")
        held.acl.overwrite(["A::OWNER@:rwdtTaAo"])
        held.acl.update(["A:G:readers@:r"])
        held.acl.delete("g:readers@")
        assert held.acl.get().entries == ("A::OWNER@:rwdtTaAo",)
        with pytest.raises(NotFoundError):
            held.acl.delete("u:nobody@")
        with pytest.raises(InvalidError, match="invalid ACL entry"):
            held.acl.update(["junk"])
        with pytest.raises(InvalidError, match="at least one"):
            held.set_owner()
        held.set_owner(group="writers")
        assert held.info().group == "writers@"
        assert held.kv("k", create=True).oid.oclass == "S2"
        assert pool.evict_container("sdk") == 1
        with pytest.raises(ClosedError):
            held.acl.get()
        with agent("tank") as reader:
            again = reader.container("sdk")
            with pytest.raises(BusyError, match="open 1 times"):
                pool.destroy_container("sdk")
            pool.destroy_container("sdk", force=True)
            with pytest.raises(DaosError):
                again.acl.get()
        with pytest.raises(NotFoundError):
            pool.evict_container("sdk")


def test_requests_that_are_none(running: Running, agent: Callable[[str], daos.Pool]) -> None:
    assert running is not None
    with agent("tank") as pool:
        for request in (b"", b"\xc1", {"type": "nothing"}, {"type": "ping"}, {"type": "pool_query", "space": 7}):
            body = request if isinstance(request, bytes) else msgspec.msgpack.encode(request)
            with pytest.raises(DaosError) as refused:
                pool._core.service_request(body, changes=False)
            assert refused.value.code in {DER.PROTO, DER.NOSYS}
        # A container's request by the handle of a pool.
        with pytest.raises(ClosedError):
            pool._core.service_request(msgspec.msgpack.encode({"type": "container_get_acl"}), changes=False)
        assert pool.info().label == "tank"


def test_engines_answer_for_themselves(running: Running, agent: Callable[[str], daos.Pool]) -> None:
    assert running is not None
    assert agent is not None
    with Engines(timeout=10) as engines:
        probe = engines.probe(0)
        for size in (0, 1, 1024, PING_BYTES_MAX):
            probe.ping(size, size)
        with pytest.raises(InvalidError):
            probe.ping(PING_BYTES_MAX + 1)
        with pytest.raises(InvalidError):
            probe._core.service_request(
                msgspec.msgpack.encode({"type": "ping", "reply_bytes": PING_BYTES_MAX + 1}), changes=False
            )
        # It is no way around a pool's access list.
        for kind in ("pool_query", "container_get_acl"):
            with pytest.raises(InvalidError) as refused:
                probe._core.service_request(msgspec.msgpack.encode({"type": kind}), changes=False)
            assert refused.value.code is DER.NOSYS
        with pytest.raises((InvalidError, AccessError)):
            probe._core.containers()
        with pytest.raises(NotFoundError):
            engines.probe(5)


def test_without_an_agent(running: Running) -> None:
    running.system.stop("agent")
    try:
        for line in ("pool list", "pool query tank", "system query", "health check"):
            assert "DER_AGENT_COMM(-2034)" in running.refused(line)
        done = running("daos.cli", "pool", "query", "tank", "--json")
        assert json.loads(done.text)["status"] == -2034
    finally:
        running.system.start("agent")
