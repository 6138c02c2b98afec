"""A system on separate hosts, made by hand as the guide tells: commands, files and certificates, of each its own."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
import yaml

from tests.system.hosts import Host, Network, NotPermittedError
from tests.system.running import poll

T = TypeVar("T")
SERVERS = ("node1", "node2", "node3")
SPARE = "node4"
"""A host with a server of the same system, which is not started with the others."""
CLIENT, ADMIN = "client1", "admin1"
MINORITY_S = 3.0
"""So long a host is alone: several times what an election takes."""
BUDGET_S = 30.0
AT_ONCE_S = 6.0
"""For what a host that is away does not hold up: an election, and a tool that starts on a machine in use."""
GRACE_S = 1.5
"""Of a call, beyond its time."""
JOINED = "joined as rank"
KEYS = 64
"""Of a writer's store."""

JOB = """
import sys
import numpy as np
import daos

with daos.connect("daos://tank") as pool:
    home = pool.container("home", create=True)
    store = home.kv("params", create=True)
    for number in range(200):
        store[f"k{number}"] = b"v" * number
    cells = home.array("cells", "i8", create=True, chunk=512)
    cells.write(0, np.arange(4096, dtype="i8"))
    home.snapshot("first")
    store["k0"] = b"later"
with daos.connect("daos://one") as one:
    home = one.container("home", create=True)
    for name in ("left", "right"):
        home.kv(name, create=True)

    def both(tx):
        for name in ("left", "right"):
            tx.kv(name)["balance"] = b"7"

    home.run(both)
    print("shm", one.system.connections["shm"], "tcp", one.system.connections["tcp"])
"""
"""What a user's program does on his host."""
LOOK = """
import numpy as np
import daos

with daos.connect("daos://tank") as pool:
    home = pool.container("home")
    store = home.kv("params")
    assert store["k0"] == b"later"
    assert all(store[f"k{number}"] == b"v" * number for number in range(1, 200))
    assert home.at("first").kv("params")["k0"] == b""
    assert (home.array("cells")[0:4096] == np.arange(4096)).all()
    print("shm", pool.system.connections["shm"], "tcp", pool.system.connections["tcp"])
with daos.connect("daos://one") as one:
    home = one.container("home")
    assert [home.kv(name)["balance"] for name in ("left", "right")] == [b"7", b"7"]
"""
"""Finds what `JOB` has left."""
WRITER = """
import sys
import daos

with daos.connect("daos://tank", timeout=40) as pool:
    store = pool.container("home").kv(sys.argv[1], create=True, keys="int")
    for number in range(1 << 30):
        store[number % 64] = b"%d" % number
        print(number, flush=True)
"""
"""Tells each change that was acknowledged, until it is killed; its keys are `KEYS`."""
MARK = """
import sys
import daos

with daos.connect("daos://tank", timeout=float(sys.argv[2])) as pool:
    pool.attributes[sys.argv[1]] = b"1"
"""
AWAY_S = 7.0
"""So long a call may take of a program that has connections to a host that goes away."""
AWAY = """
import json, sys, threading, time
from pathlib import Path
import daos
from daos.errors import DaosError

KEEPALIVE = "02"
pool = daos.connect("daos://tank", timeout=float(sys.argv[1]))
store = pool.container("home").kv("away", create=True)
for number in range(64):
    store[f"k{number}"] = b"before"
lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
asked = [words for words in lines if words[3] == "01" and words[5].startswith(KEEPALIVE)]
there = pool.system.connections["tcp"]
print(json.dumps({"there": there, "asked": len(asked)}), flush=True)
sys.stdin.readline()
began = time.monotonic()
ends = {}

def put(number):
    try:
        store[f"k{number}"] = b"after"
        told = ""
    except DaosError as error:
        told = type(error).__name__
    ends[number] = (time.monotonic() - began, told)

threads = [threading.Thread(target=put, args=(number,)) for number in range(16)]
for thread in threads:
    thread.start()
while pool.system.connections["tcp"] == there and any(thread.is_alive() for thread in threads):
    time.sleep(0.02)
noticed = time.monotonic() - began
for thread in threads:
    thread.join()
print(json.dumps({"noticed": noticed, "ends": list(ends.values())}))
pool.close()
"""
"""Has connections to all ranks, writes by all of them when it is told to, and says when which was given up."""
NEWCOMER = """
import json, sys, time
import daos
from daos.errors import DaosError

took = {}

def timed(name, work):
    began = time.monotonic()
    try:
        return work()
    except DaosError as error:
        took["told"] = type(error).__name__
    finally:
        took[name] = time.monotonic() - began

def connect():
    began = time.monotonic()
    while True:
        try:
            return daos.connect("daos://tank", timeout=3)
        except DaosError:
            # Both services elect, and one that is undecided at first takes longer than a connection's time.
            if time.monotonic() - began > float(sys.argv[1]):
                raise

with timed("connect", connect) as pool:
    timed("attribute", lambda: pool.attributes.update({"away": b"1"}))
    timed("create", lambda: pool.container("away", create=True))
    timed("close", pool.close)
print(json.dumps(took))
"""
"""Comes when a host is away, tries until a service leads, and needs one thing that takes all ranks."""
NUMBERS = """
import json, sys
import daos

with daos.connect("daos://tank") as pool:
    store = pool.container("home").kv(sys.argv[1], keys="int")
    print(json.dumps({key: int(value) for key, value in store.items()}))
"""
MARKS = """
import daos

with daos.connect("daos://tank") as pool:
    print(*sorted(pool.attributes))
"""


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Hosts with certificates, servers that were formatted, agents, and two pools; all of it is gone at the end."""
    with ExitStack() as stack:
        try:
            network = stack.enter_context(Network(tmp_path_factory.mktemp("hosts"), (*SERVERS, CLIENT, ADMIN, SPARE)))
        except NotPermittedError as error:
            pytest.skip(f"no namespaces for hosts: {error}")
        try:
            certify(network)
            configure(network)
            for name in SERVERS:
                network[name].start("daos_server", "start")
            form(network)
        except BaseException as error:
            error.add_note(tails(network))
            raise
        yield network


@pytest.fixture(scope="module")
def job(net: Network) -> dict[str, int]:
    """Run a user's program on his host, and return how it was connected."""
    return connections(python(net[CLIENT], JOB))


@pytest.fixture(autouse=True)
def _logs_of_a_failure(net: Network, request: pytest.FixtureRequest) -> Iterator[None]:
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        print(tails(net))  # noqa: T201 -- pytest shows it with the failure


def tails(net: Network) -> str:
    """Return the ends of all logs."""
    paths = [
        path for host in net.hosts for path in sorted((*host.home.glob("*.out"), *host.home.glob("log/daos/*.log")))
    ]
    return "\n".join(f"--- {path}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-40:]) for path in paths)


def certify(net: Network) -> None:
    """Make a CA and certificates where the administrator is, and bring to each host what it needs."""
    admin = net[ADMIN]
    ca, issued = admin.home / "ca", admin.home / "issued"
    admin.run("daos", "cert", "init", "--host", ADMIN, str(ca))
    wanted = [("server", name) for name in (*SERVERS, SPARE)] + [("agent", name) for name in (CLIENT, *SERVERS)]
    together(
        *(
            partial(
                admin.run,
                "daos",
                "cert",
                "issue",
                *(role, "--host", name),
                "--ca",
                str(ca),
                "--out",
                str(issued / name),
            )
            for role, name in wanted
        )
    )
    certs = ca / "daosCA" / "certs"
    for host in net.hosts:
        folder = host.etc / "certs"
        folder.mkdir()
        for path in (certs / "daosCA.crt", *certs.glob("admin.*"), *(issued / host.name).glob("*.*")):
            shutil.copy(path, folder)


def configure(net: Network) -> None:
    """Write the configurations: what a server prints for its host, with sizes of a test; the others by hand."""
    replicas = [net["node1"].address, *SERVERS[1:]]
    words = ("config", "generate", "-r", ",".join(replicas), "--scm-only", "--num-engines", "1")
    servers = (*SERVERS, SPARE)
    printed = together(*(partial(net[name].run, "daos_server", *words) for name in servers))
    for name, done in zip(servers, printed, strict=True):
        config = yaml.safe_load(done.stdout)
        (engine,) = config["engines"]
        assert engine["fabric_iface"] == "eth0", "the interface of the loop leads nowhere"
        engine |= {"targets": 2, "log_mask": "INFO"}
        engine["storage"][0]["scm_size"] = 1
        (net[name].etc / "daos_server.yml").write_text(yaml.safe_dump(config))
    agent = yaml.safe_dump({"access_points": replicas})
    for name in (CLIENT, *SERVERS):
        (net[name].etc / "daos_agent.yml").write_text(agent)
    for host in net.hosts:
        (host.etc / "daos_control.yml").write_text("hostlist: ['node[1-3]']\n")


def form(net: Network) -> None:
    """Format the storage of servers that run, and make a system with two pools of it."""
    admin = net[ADMIN]
    poll(lambda: admin.run("dmg", "storage", "scan", check=False).returncode == 0, "servers that answer")
    told = admin.run("dmg", "storage", "format", "-l", "node[1-3]").stdout
    assert "node[1-3]" in told, told
    for name in (CLIENT, *SERVERS):
        net[name].start("daos_agent", "start")
    wait_joined(net)
    together(
        partial(admin.run, "dmg", "pool", "create", "tank", "-z", "300MB", "-P", "svc_rf:1"),
        partial(admin.run, "dmg", "pool", "create", "one", "-z", "100MB", "-r", "0"),
    )


def together(*works: Callable[[], T]) -> list[T]:
    """Do things at once, and return what each returns."""
    with ThreadPoolExecutor(len(works)) as pool:
        return [each.result() for each in [pool.submit(work) for work in works]]


def ask(host: Host, *words: str) -> dict[str, object]:
    """Run `dmg` on a host, which has to succeed, and return its answer."""
    status, said = host.dmg("-j", *words)
    assert status == 0, f"dmg {' '.join(words)}: {said}"
    answer = json.loads(said)["response"]
    assert isinstance(answer, dict)
    return answer


def members(net: Network) -> dict[str, tuple[int, str]]:
    """Return the rank and the state of each server, as the administrator sees them."""
    status, said = net[ADMIN].dmg("-j", "system", "query")
    if status:
        return {}
    found = json.loads(said)["response"]["members"]
    return {str(each["addr"]).partition(":")[0]: (int(each["rank"]), str(each["state"])) for each in found}


def name_of(net: Network, host: str) -> str:
    """Return the name of a server that may be named by its address."""
    return next(each.name for each in net.hosts if host in {each.name, each.address})


def wait_joined(net: Network) -> None:
    """Wait until all servers have a rank that has joined."""
    poll(lambda: [state for _, state in members(net).values()].count("joined") == len(SERVERS), "ranks that joined")


def start_again(net: Network, *names: str) -> None:
    """Start servers that have ended, and wait until their ranks have joined: nobody noticed that they were gone."""
    logs = {name: net[name].home / "log" / "daos" / "daos_server.log" for name in names}
    counts = {name: log.read_text().count(JOINED) for name, log in logs.items()}
    for name in names:
        net[name].start("daos_server", "start")
    poll(lambda: all(logs[name].read_text().count(JOINED) > counts[name] for name in names), "ranks that join again")
    wait_joined(net)


def leader_of(net: Network, what: str) -> str:
    """Return the host that leads the system or the pool."""
    if what == "system":
        return name_of(net, str(ask(net[ADMIN], "system", "leader-query")["current_leader"]).partition(":")[0])
    leader = ask(net[ADMIN], "pool", "query", "tank")["svc_ldr"]
    return next(name_of(net, name) for name, (rank, _) in members(net).items() if rank == leader)


def python(host: Host, script: str, *words: str) -> str:
    """Run a program on a host, which has to succeed, and return what it said."""
    return host.run(sys.executable, "-c", script, *words).stdout.strip()


def seconds(host: Host, *words: str) -> float:
    """Run `dmg system` on a host, which has to succeed, and return how long it took."""
    began = time.monotonic()
    host.run("dmg", "system", *words)
    return time.monotonic() - began


def connections(said: str) -> dict[str, int]:
    """Return how many connections of each kind a program told of."""
    words = said.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


@contextmanager
def alone(host: Host) -> Iterator[None]:
    """Take a host from the network for the time of a block."""
    host.pull_plug()
    try:
        yield
    finally:
        host.plug_in()


class Writer:
    """A program that writes number after number, and tells each that was acknowledged.

    Args:
        host: Where it runs.
        name: Of its store.
    """

    def __init__(self, host: Host, name: str) -> None:
        self._host, self._name = host, name
        self._daemon = host.start(sys.executable, "-c", WRITER, name, name=name)
        self.wait_for_more()

    def told(self) -> list[int]:
        """Return what it has told; a line that was cut says nothing."""
        lines = self._host.log(self._name).read_text().splitlines(keepends=True)
        assert all(line.strip().isdigit() for line in lines), "".join(lines[-30:])
        return [int(line) for line in lines if line.endswith("\n")]

    def wait_for_more(self) -> None:
        """Wait until it has told of some more."""
        count = len(self.told())
        poll(lambda: len(self.told()) > count + KEYS, f"numbers of {self._name} behind {count}")

    def check(self, net: Network) -> None:
        """End it, and compare what is there: the last number of each key, or the one that was under way."""
        self._daemon.end(signal.SIGKILL)
        told = self.told()
        assert told == list(range(len(told)))
        found = json.loads(python(net[CLIENT], NUMBERS, self._name))
        assert len(found) == KEYS
        for key in range(KEYS):
            last = max(number for number in told if number % KEYS == key)
            assert found[str(key)] == last or (found[str(key)] == last + KEYS == len(told)), (key, last, found)


def test_what_the_administrator_sees(net: Network) -> None:
    told = ask(net[ADMIN], "system", "query", "-v")["members"]
    assert isinstance(told, list)
    assert {str(each["fault_domain"]) for each in told} == {f"/{name}" for name in SERVERS}
    addresses = {net[name].address for name in SERVERS}
    assert {str(each["fabric_uri"]).rpartition(":")[0].rpartition("/")[2] for each in told} == addresses


def test_a_job_on_a_host_without_an_engine(net: Network, job: dict[str, int]) -> None:
    assert job["shm"] == 0, "there is no memory that hosts share"
    assert job["tcp"] > 0
    assert connections(python(net[CLIENT], LOOK))["shm"] == 0


def test_a_job_beside_an_engine(net: Network, job: dict[str, int]) -> None:
    found = connections(python(net["node2"], LOOK))
    assert found["shm"] > 0, "the engine of this host is reached by its memory"
    assert found["tcp"] > found["shm"], "the engines of the others are not"


def test_another_hosts_certificate(net: Network) -> None:
    """An agent vouches for users of the host that its certificate names; this one is of another."""
    host = net["node3"]
    folder = host.home / "stolen"
    folder.mkdir()
    for path in (net[CLIENT].etc / "certs").iterdir():
        shutil.copy(path, folder)
    config = {
        "access_points": [net["node1"].address],
        "runtime_dir": "/run/stolen",
        "transport_config": {
            name: str(folder / file)
            for name, file in (("ca_cert", "daosCA.crt"), ("cert", "agent.crt"), ("key", "agent.key"))
        },
    }
    (folder / "agent.yml").write_text(yaml.safe_dump(config))
    done = host.run("daos_agent", "-o", str(folder / "agent.yml"), "start", check=False)
    assert done.returncode == 1
    assert f"the agent's certificate is for {CLIENT}, this host is node3: DER_BAD_CERT" in done.stderr
    assert "daos cert issue agent --host node3" in done.stderr


def test_leaders_that_are_alone_change_nothing(net: Network, job: dict[str, int]) -> None:
    """The link of a host that leads goes down: what it is asked is not done, the others go on, and all heals."""
    for left in sorted({leader_of(net, "system"), leader_of(net, "pool")}):
        lonely, others = net[left], [net[name] for name in SERVERS if name != left]
        for host, known in ((lonely, [lonely]), (others[0], others)):
            (host.etc / "some.yml").write_text(yaml.safe_dump({"hostlist": [each.name for each in known]}))
        set_attribute = ("dmg", "-o", "/etc/daos/some.yml", "system", "set-attr")
        writer = Writer(net[CLIENT], f"numbers-{left}")
        with alone(lonely):
            began = time.monotonic()
            tool = lonely.begin(*set_attribute, f"lonely-{left}:yes")
            program = lonely.begin(sys.executable, "-c", MARK, f"lonely-{left}", str(MINORITY_S))
            # They have another leader, of the system and of the pool.
            together(
                partial(others[0].run, *set_attribute, f"{left}:others"),
                partial(python, net[CLIENT], MARK, f"others-{left}", str(BUDGET_S)),
            )
            poll(lambda began=began: time.monotonic() - began > MINORITY_S, "the end of the minority")  # type: ignore[misc]
            assert tool.poll() is None or tool.returncode, "a leader without followers has told of a change"
            _, error = program.communicate(timeout=BUDGET_S)
            assert program.returncode == 1
            assert "daos.errors." in error, "it was not refused"
        said, error = tool.communicate(timeout=BUDGET_S)
        wait_joined(net)
        attributes = ask(net[ADMIN], "system", "get-attr")["attributes"]
        assert isinstance(attributes, dict)
        assert attributes[left] == "others"
        # Who waited that long was served by the majority that came back, or does not know.
        assert f"lonely-{left}" in attributes or tool.returncode, (said, error)
        marks = python(net[CLIENT], MARKS).split()
        assert f"others-{left}" in marks
        assert f"lonely-{left}" not in marks, "its client was told that it failed"
        writer.wait_for_more()
        writer.check(net)


def test_a_host_that_is_away_holds_up_nobody(net: Network, job: dict[str, int]) -> None:
    """What does not take it goes on at once; what does ends in its time; who has connections there notices."""
    left = leader_of(net, "pool")
    other = next(net[name] for name in SERVERS if name != left)
    program = net[CLIENT].begin(sys.executable, "-c", AWAY, str(AWAY_S))
    assert program.stdin is not None
    assert program.stdout is not None
    begun = json.loads(program.stdout.readline())
    assert begun["there"] >= len(SERVERS)
    assert begun["asked"] >= begun["there"], "connections that are silent are not asked whether they are there"
    with alone(net[left]):
        program.stdin.write("go\n")
        program.stdin.flush()
        newcomer = net[CLIENT].begin(sys.executable, "-c", NEWCOMER, str(AT_ONCE_S - 3.0))
        asked = (("set-attr", "away:yes"), ("leader-query",), ("query",))
        took = together(*(partial(seconds, other, *words) for words in asked))
        told, unsaid = newcomer.communicate(timeout=BUDGET_S)
        said, error = program.communicate(timeout=BUDGET_S)
    assert newcomer.returncode == 0, unsaid
    assert max(took) < AT_ONCE_S, took
    found = json.loads(told)
    assert found["told"] == "UncertainError", found
    assert found["connect"] < AT_ONCE_S, found
    assert found["attribute"] < AT_ONCE_S, found
    assert 3.0 <= found["create"] < 3.0 + GRACE_S, found
    assert found["close"] < GRACE_S, found
    assert program.returncode == 0, error
    seen = json.loads(said)
    assert 4.5 <= seen["noticed"] < AWAY_S, seen
    assert {what for _, what in seen["ends"]} == {"", "UncertainError"}, seen
    assert max(end for end, _ in seen["ends"]) < AWAY_S + GRACE_S, seen
    wait_joined(net)


def test_a_server_is_started_anew(net: Network, job: dict[str, int]) -> None:
    """Meanwhile its storage is copied to another host, as by who restores a backup at the wrong place."""
    original, spare = net["node1"], net[SPARE]
    assert original.daemons["daos_server"].end() == 0
    shutil.copytree(original.home / "mnt", spare.home / "mnt", dirs_exist_ok=True)
    start_again(net, "node1")
    before = members(net)
    server = spare.start("daos_server", "start")
    log = spare.home / "log" / "daos" / "daos_server.log"
    poll(lambda: log.exists() and "engine_join_failed" in log.read_text(), "the refusal of a copy")
    (line,) = (line for line in log.read_text().splitlines() if "engine_join_failed" in line)
    rank = next(rank for host, (rank, _) in before.items() if name_of(net, host) == original.name)
    assert f"rank {rank} runs at {original.address}:10001; {spare.name}:10001 has storage of the same uuid" in line
    assert "one is a copy: format it with --force" in line
    assert members(net) == before
    assert server.end() == 0
    python(net[CLIENT], LOOK)


def test_hosts_lose_power(net: Network, job: dict[str, int]) -> None:
    """First one that a client writes to, then all servers at once; what was acknowledged is there."""
    writer = Writer(net[CLIENT], "numbers-power")
    for names in (("node2",), SERVERS):
        writer.wait_for_more()
        for name in names:
            net[name].lose_power()
        together(*(net[name].boot for name in names))
        start_again(net, *names)
    writer.wait_for_more()
    writer.check(net)
    python(net[CLIENT], LOOK)


def test_nothing_is_left_on_this_machine(net: Network, tmp_path: Path) -> None:
    before = {path.name for path in Path("/sys/class/net").iterdir()}
    network = Network(tmp_path, ("left", "right"))
    pids: list[int] = []

    def fail() -> None:
        with network as made:
            pids.extend(host.pid for host in made.hosts if host.pid is not None)
            daemon = made["left"].start("sleep", "1000")
            made["left"].run("sh", "-c", "echo test > /etc/daos/mine")
            assert {path.name for path in Path("/sys/class/net").iterdir()} == before
            assert (made["left"].etc / "mine").exists()
            assert daemon.status is None
            made["left"].run("false")

    with pytest.raises(AssertionError, match="left: false"):
        fail()
    assert network["left"].daemons["sleep"].status is not None
    assert len(pids) == 2
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert not Path("/etc/daos/mine").exists()
