"""`daos_agent` as a process, with clients that are processes: credentials, signals, the death of either."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daos.agent.client import AgentClient
from daos.errors import AccessError, NotFoundError, UnavailableError
from daos.security.certificates import Authority, Folder, store_issued
from daos.security.credentials import Verifier
from tests.integration.agent_upstream import POOL

ROOT = Path(__file__).resolve().parents[2]
ONE = "00000000-0000-0000-0000-000000000001"
WAIT_S = 40
START = """\
import daos.agent.upstream
daos.agent.upstream.MODULE = "tests.integration.agent_upstream"
from daos.agent.main import main
main()
"""
CLIENT = """\
import sys
from daos.agent.client import AgentClient
client = AgentClient()
client.attach()
{body}
print("told", flush=True)
sys.stdin.read()
"""


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_S} s: {what}"
        time.sleep(0.01)


class RunningAgent:
    """A `daos_agent` and its folder."""

    def __init__(self, folder: Path, *, hosts: list[str] | None = None, more: str = "") -> None:
        self.folder = folder
        self.more = more
        self.authority = Authority.make(datetime.now(UTC))
        self.ca = Folder(folder)
        self.ca.create(self.authority)
        self.issue(hosts or [socket.gethostname()])
        (folder / "version").write_text("1")
        self.config = folder / "daos_agent.yml"
        self.write(more)
        self.environment = dict(
            os.environ,
            DAOS_TEST_UPSTREAM=str(folder),
            DAOS_AGENT_DRPC_DIR=str(folder / "run"),
            PYTHONPATH=f"{ROOT}:{ROOT / 'src'}",
            PYTHONWARNINGS="error",
        )
        self.process: subprocess.Popen[bytes] | None = None
        self.clients: list[subprocess.Popen[str]] = []

    def issue(self, hosts: list[str], *, replace: bool = False) -> None:
        issued = self.authority.issue("agent", hosts, (), datetime.now(UTC))
        store_issued("agent", issued, self.ca.certificates, replace=replace)

    def write(self, more: str) -> None:
        certificates = self.ca.certificates
        self.config.write_text(
            f"runtime_dir: {self.folder}/run\n"
            f"log_file: {self.folder}/log\n"
            f"transport_config:\n  ca_cert: {certificates}/daosCA.crt\n  cert: {certificates}/agent.crt\n"
            f"  key: {certificates}/agent.key\n{more}"
        )

    def start(self, *words: str) -> None:
        before = self.log().count("agent ready")
        command = [sys.executable, "-c", START, "-J", "-o", str(self.config), *words]
        self.process = subprocess.Popen(
            command, env=self.environment, cwd=self.folder, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        until(lambda: self.log().count("agent ready") > before or self.ended(), "start")
        assert not self.ended(), self.log()

    def fail(self) -> str:
        """Start it where it must not start; return what it says."""
        command = [sys.executable, "-c", START, "-o", str(self.config)]
        done = subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=WAIT_S, check=False
        )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        return done.stderr

    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.send(number)
        status = self.process.wait(WAIT_S)
        assert self.process.stderr is not None
        text = self.process.stderr.read()
        self.process.stderr.close()
        self.process = None
        assert text == b"", text.decode()
        return status

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def calls(self) -> list[list[str]]:
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def client(self, body: str, user: int | None = None) -> subprocess.Popen[str]:
        """Start a client that does something and then waits."""
        made = subprocess.Popen(
            [sys.executable, "-c", CLIENT.format(body=body)],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        self.clients.append(made)
        return made

    def own_client(self) -> AgentClient:
        return AgentClient(self.folder / "run/daos_agent.sock", timeout_s=WAIT_S)

    def verifier(self) -> Verifier:
        return Verifier([self.authority.certificate], "daos_server")

    def close(self) -> None:
        for client in self.clients:
            client.kill()
            client.communicate(timeout=WAIT_S)
        if self.process is not None:
            self.process.kill()
            self.process.communicate(timeout=WAIT_S)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[RunningAgent]:
    made = RunningAgent(tmp_path)
    yield made
    made.close()


def lines(client: subprocess.Popen[str]) -> str:
    assert client.stdout is not None
    return client.stdout.readline()


def test_a_client_is_who_the_kernel_says(agent: RunningAgent) -> None:
    agent.start()
    with agent.own_client() as client:
        assert client.attach().ca_certificate == agent.ca.ca_certificate.read_bytes()
        who = agent.verifier().verify(client.credential(pool=POOL), time.time(), pool=POOL)
    import grp
    import pwd

    assert who.user == f"{pwd.getpwuid(os.geteuid()).pw_name}@"
    assert who.group == f"{grp.getgrgid(os.getegid()).gr_name}@"
    assert who.machine == socket.gethostname().lower()
    assert agent.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="runs a client as another user")
def test_another_user(agent: RunningAgent, tmp_path: Path) -> None:
    # The folders of pytest are for one user: the socket goes where all users can reach it.
    import tempfile

    with tempfile.TemporaryDirectory() as open_to_all:
        Path(open_to_all).chmod(0o755)
        agent.environment["DAOS_AGENT_DRPC_DIR"] = open_to_all
        agent.start("-s", open_to_all)
        path = Path(open_to_all, "daos_agent.sock")
        code = (
            "import os, sys\n"
            "from daos.agent.client import AgentClient\n"
            "client = AgentClient(sys.argv[1])\n"
            "os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))\n"
            "try:\n    print(client.credential().hex())\n"
            "except PermissionError as error:\n    print(error.message)\n"
        )

        def ask(uid: int) -> str:
            command = [sys.executable, "-c", code, str(path), str(uid)]
            done = subprocess.run(
                command, env=agent.environment, capture_output=True, text=True, timeout=WAIT_S, check=True
            )
            return done.stdout.strip()

        who = agent.verifier().verify(bytes.fromhex(ask(65534)), time.time())
        assert who.user == "nobody@"
        assert "the uid 54321 or the gid 54321" in ask(54321)
        agent.stop()
        agent.write("credential_config: {client_user_map: {54321: {user: ada, group: analysts}}}\n")
        agent.start("-s", open_to_all)
        who = agent.verifier().verify(bytes.fromhex(ask(54321)), time.time())
        assert (who.user, who.group) == ("ada@", "analysts@")
        agent.stop()


def test_handles_of_a_client_that_is_killed(agent: RunningAgent) -> None:
    agent.start()
    told = agent.client(f'client.notify_open("{POOL}", "{ONE}")')
    assert lines(told) == "told\n"
    (agent.folder / "away").touch()
    told.kill()
    until(lambda: agent.calls().count(["evict", POOL, ONE]) >= 1, "first attempt")
    (agent.folder / "away").unlink()
    until(lambda: '"handles evicted"' in agent.log(), "evicted")
    assert agent.stop() == 0
    assert agent.calls()[-2:] == [["cleanup", socket.gethostname().lower()], ["close"]]


def test_systemd_is_told(agent: RunningAgent) -> None:
    path = agent.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        listening.settimeout(WAIT_S)
        agent.environment["NOTIFY_SOCKET"] = str(path)
        agent.start()
        assert listening.recv(200) == b"READY=1\nSTATUS=serving daos_server"
        with agent.own_client() as client:
            client.attach()
        assert agent.stop() == 0
        assert listening.recv(200) == b"STOPPING=1"


def test_signals(agent: RunningAgent) -> None:
    agent.start()
    with agent.own_client() as client:
        assert client.attach().version == 1
        (agent.folder / "version").write_text("2")
        assert client.attach().version == 1
        agent.send(signal.SIGUSR2)
        until(lambda: client.attach().version == 2, "SIGUSR2")
        agent.send(signal.SIGUSR1)
        until(lambda: agent.calls()[-1][0] == "cleanup", "SIGUSR1")
        (agent.folder / "away").touch()
        agent.send(signal.SIGUSR2)
        until(lambda: "asked anew" in agent.log().splitlines()[-1], "second SIGUSR2")
        assert client.attach().version == 2, "an old answer helps out"
        with pytest.raises(NotFoundError):
            client.attach("other")
        with pytest.raises(UnavailableError, match="the servers are away"):
            client.find_pool("tank")
        (agent.folder / "away").unlink()
        assert client.find_pool("tank").uuid == POOL
    assert agent.stop(signal.SIGINT) == 0


def test_an_agent_that_is_killed_and_started_anew(agent: RunningAgent) -> None:
    agent.start()
    with agent.own_client() as client:
        client.notify_open(POOL, ONE)
        assert agent.process is not None
        agent.process.kill()
        agent.process.communicate(timeout=WAIT_S)
        with pytest.raises(UnavailableError, match="cannot be reached: Connection refused"):
            client.find_pool("tank")
        agent.start()
        assert client.find_pool("tank").uuid == POOL
    until(lambda: ["evict", POOL, ONE] in agent.calls(), "the new agent knows the handle")
    agent.stop()


def test_certificates_are_exchanged_under_way(agent: RunningAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    old = agent.authority
    agent.start()
    with agent.own_client() as client:
        agent.verifier().verify(client.credential(), time.time())
        agent.authority = Authority.make(datetime.now(UTC))
        agent.ca.store(agent.authority)
        agent.issue([socket.gethostname()], replace=True)
        new = agent.verifier()
        believed = False

        def exchanged() -> bool:
            nonlocal believed
            try:
                new.verify(client.credential(), time.time())
                believed = True
            except AccessError:
                time.sleep(0.2)
            return believed

        until(exchanged, "new certificate in force")
        with pytest.raises(AccessError, match="not issued by this CA"):
            Verifier([old.certificate], "daos_server").verify(client.credential(), time.time())
    agent.stop()


def test_what_prevents_a_start(agent: RunningAgent) -> None:
    key = agent.ca.certificates / "agent.key"
    key.chmod(0o644)
    assert f"key {key} has mode 0644: others may read it: DER_NO_CERT" in agent.fail()
    key.chmod(0o400)
    agent.issue(["elsewhere"], replace=True)
    said = agent.fail()
    assert "the agent's certificate is for elsewhere, this host is" in said
    assert "hint: daos cert issue agent --host " in said
    agent.issue([socket.gethostname()], replace=True)
    agent.start()
    assert "another agent serves" in agent.fail()
    agent.stop()


def test_many_clients_at_once(agent: RunningAgent) -> None:
    import threading

    agent.start()
    verifier, lock = agent.verifier(), threading.Lock()
    failures: list[str] = []

    def work() -> None:
        try:
            with agent.own_client() as client:
                for _ in range(10):
                    raw = client.credential()
                    with lock:
                        verifier.verify(raw, time.time())
                    client.attach()
        except Exception as error:  # noqa: BLE001 -- told below
            failures.append(repr(error))

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert failures == []
    assert agent.calls().count(["attach_info"]) == 1
    agent.stop()
