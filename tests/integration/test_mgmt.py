"""The management API and `dmg` between processes, under TLS. This file is also what the processes run."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from daos.cli.dmg._base import Admin
from daos.cli.dmg._main import run as run_dmg
from daos.cli.dmg._settings import Settings
from daos.errors import AccessError, UncertainError
from daos.mgmt import methods
from daos.mgmt.client import ManagementClient
from daos.mgmt.handlers import Caller
from daos.mgmt.identity import Identity, IdentityFiles
from daos.mgmt.probe import probe
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.server import serve
from daos.mgmt.wire import PING_MS
from tests.unit.mgmt.certificates import Authority
from tests.unit.mgmt.fake_management import FakeManagement, FakeServer

DEADLINE_S = 30.0
SILENT_S_MAX = 20.0
ROOT = Path(__file__).resolve().parents[2]


# What the processes run


class _Management(FakeManagement):
    """Knows at any time who leads."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def look(self) -> None:
        leader = (self._folder / "leader").read_text()
        self.not_leading = None if leader == self.address else leader

    async def leader_query(self, request: pb.LeaderQueryRequest, caller: Caller) -> pb.LeaderQueryResponse:
        self.look()
        return await super().leader_query(request, caller)


async def _serve(folder: Path, number: str) -> None:
    """Serve until the end; the file `leader` says who leads, the file `log` gets a line for each request."""
    management = _Management(folder)
    files = IdentityFiles(*(folder / f"server.{name}" for name in ("ca", "crt", "key")))
    running = await serve("127.0.0.1:0", management, FakeServer(), files)
    management.address = running.address

    async def before() -> None:
        name = management.calls[-1][0]
        with (folder / f"log{number}").open("a") as log:
            log.write(f"{name} {management.seen[-1] if management.seen else ''}\n")
        management.look()
        if management.not_leading is None and name == "system_stop" and (folder / "hang").exists():
            await asyncio.sleep(3600)

    management.before = before
    new = folder / f"new{number}"
    new.write_text(running.address)
    new.rename(folder / f"address{number}")
    await asyncio.Event().wait()


def _dmg(folder: Path, role: str, hosts: str, words: list[str]) -> int:
    def load(_: object) -> Settings:
        files = IdentityFiles(*(folder / f"{role}.{name}" for name in ("ca", "crt", "key")))
        return Settings(tuple(hosts.split(",")), files, "", 10001)

    return run_dmg(words, Admin(load=load))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(_serve(Path(sys.argv[2]), sys.argv[3]))
    else:
        sys.exit(_dmg(Path(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:]))


# The tests


def until(what: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < end, "too late"
        time.sleep(0.01)


async def soon(what: Callable[[], object]) -> None:
    while not what():
        await asyncio.sleep(0.01)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "tests.integration.test_mgmt", *words]


ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "GRPC_VERBOSITY": "NONE"}


def _at_least(done: list[None], count: int) -> bool:
    return len(done) >= count


class System:
    """Servers, each a process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority()
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.write("server", self.authority.issue("server"))
        self.write("admin", self.authority.issue("admin"))

    def write(self, name: str, identity: Identity) -> None:
        parts = {"ca": identity.ca, "crt": identity.certificate, "key": identity.key}
        for end, content in parts.items():
            new = self.folder / f"{name}.{end}.new"
            new.write_bytes(content)
            new.chmod(0o400)
            new.rename(self.folder / f"{name}.{end}")

    def start(self, number: int) -> None:
        self.address_file(number).unlink(missing_ok=True)
        words = command("serve", str(self.folder), str(number))
        with (self.folder / f"output{number}").open("ab") as output:
            self.processes[number] = subprocess.Popen(words, cwd=ROOT, env=ENVIRONMENT, stdout=output, stderr=output)
        until(lambda: self.address_file(number).exists() or self.processes[number].poll() is not None)

    def address_file(self, number: int) -> Path:
        return self.folder / f"address{number}"

    def address(self, number: int) -> str:
        return self.address_file(number).read_text()

    def lead(self, number: int) -> None:
        new = self.folder / "leader.new"
        new.write_text(self.address(number))
        new.rename(self.folder / "leader")

    def kill(self, number: int) -> None:
        process = self.processes.pop(number)
        process.kill()
        process.wait(DEADLINE_S)

    def log(self, number: int) -> list[str]:
        path = self.folder / f"log{number}"
        return path.read_text().splitlines() if path.exists() else []

    def identity(self, name: str = "admin") -> IdentityFiles:
        return IdentityFiles(*(self.folder / f"{name}.{end}" for end in ("ca", "crt", "key")))

    def dmg(self, *words: str, role: str = "admin") -> subprocess.Popen[str]:
        hosts = ",".join(self.address(number) for number in self.processes)
        line = command("dmg", str(self.folder), role, hosts, *words)
        pipes = subprocess.PIPE
        return subprocess.Popen(line, cwd=ROOT, env=ENVIRONMENT, stdout=pipes, stderr=pipes, text=True)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    made = System(tmp_path)
    made.start(0)
    made.start(1)
    made.lead(0)
    yield made
    for number in list(made.processes):
        made.kill(number)


def test_a_leader_that_dies_under_a_request(system: System) -> None:
    (system.folder / "hang").touch()

    async def test() -> None:
        async with ManagementClient([system.address(1), system.address(0)], system.identity()) as client:
            task = asyncio.create_task(client.ask(methods.SYSTEM_STOP, pb.SystemStopRequest(ranks=[1])))
            await soon(lambda: any(line.startswith("system_stop") for line in system.log(0)))
            await asyncio.to_thread(system.kill, 0)
            (system.folder / "hang").unlink()
            system.lead(1)
            assert [result.rank for result in (await task).results] == [1]

    asyncio.run(asyncio.wait_for(test(), DEADLINE_S))
    ids = {line.split()[1] for number in (0, 1) for line in system.log(number)}
    assert len(ids) == 1, "one request, one id, whoever was asked"


def test_a_server_that_goes_silent_is_given_up(system: System) -> None:
    """It takes what is sent and answers nothing, as a host whose link was cut: another is asked within seconds."""

    async def test() -> None:
        async with ManagementClient([system.address(0), system.address(1)], system.identity()) as client:
            await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
            process = system.processes[0]
            process.send_signal(signal.SIGSTOP)
            system.lead(1)
            try:
                began = time.monotonic()
                await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
                assert time.monotonic() - began < SILENT_S_MAX
                await client.ask(methods.SYSTEM_STOP, pb.SystemStopRequest(ranks=[1]))
            finally:
                process.send_signal(signal.SIGCONT)

    asyncio.run(asyncio.wait_for(test(), DEADLINE_S))


def test_a_server_that_is_busy_for_long_is_waited_for(system: System) -> None:
    """Pings are answered while a request is worked at, as often as they come."""
    (system.folder / "hang").touch()

    async def test() -> None:
        async with ManagementClient([system.address(0)], system.identity(), deadline_s=3.5 * PING_MS / 1000) as client:
            with pytest.raises(UncertainError, match="does not answer in time"):
                await client.ask(methods.SYSTEM_STOP, pb.SystemStopRequest(ranks=[1]))

    asyncio.run(asyncio.wait_for(test(), DEADLINE_S))
    assert len(system.log(0)) == 1, "the connection held: it was sent once"


def test_certificates_are_exchanged_under_load(system: System) -> None:
    async def test() -> None:
        ended = asyncio.Event()
        done: list[None] = []

        async def load() -> None:
            while not ended.is_set():
                # A new client each time: a connection and a handshake.
                async with ManagementClient([system.address(0)], system.identity()) as client:
                    await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
                done.append(None)

        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(load())
            for _ in range(3):
                before, news = len(done), system.authority.issue("server", hosts=("elsewhere",))
                await asyncio.to_thread(system.write, "server", news)
                assert (await probe(system.address(0), system.identity()())).certificate == news.certificate
                await soon(partial(_at_least, done, before + 5))
            ended.set()

    asyncio.run(asyncio.wait_for(test(), DEADLINE_S))


def test_a_certificate_of_another_authority_is_refused_from_then_on(system: System) -> None:
    async def test() -> None:
        other = Authority()
        system.write("server", other.issue("server"))
        async with ManagementClient([system.address(0)], system.identity(), deadline_s=10) as client:
            with pytest.raises(AccessError, match="cannot be believed"):
                await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
        system.write("admin", other.issue("admin"))
        async with ManagementClient([system.address(0)], system.identity(), deadline_s=10) as client:
            await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())

    asyncio.run(asyncio.wait_for(test(), DEADLINE_S))


def test_the_tool_is_a_process_too(system: System) -> None:
    tool = system.dmg("system", "query")
    out, err = tool.communicate(timeout=DEADLINE_S)
    assert (tool.returncode, err) == (0, "")
    assert "[0-2] Joined" in out
    refused = system.dmg("pool", "destroy", "nothing")
    out, err = refused.communicate(timeout=DEADLINE_S)
    assert refused.returncode == 1
    assert out.startswith("Pool-destroy command failed: unable to find pool service")
    assert err.splitlines()[0].startswith("ERROR: dmg: pool destroy failed: unable to find pool service")
    system.write("agent", system.authority.issue("agent"))
    agent = system.dmg("system", "stop", role="agent")
    out, err = agent.communicate(timeout=DEADLINE_S)
    assert (agent.returncode, out) == (1, "")
    assert "SystemStop is not for the role agent" in err


def test_the_tool_can_be_interrupted(system: System) -> None:
    (system.folder / "hang").touch()
    tool = system.dmg("system", "stop", "-j")
    until(lambda: any(line.startswith("system_stop") for line in system.log(0)))
    tool.send_signal(signal.SIGINT)
    out, err = tool.communicate(timeout=DEADLINE_S)
    assert tool.returncode == 1
    assert '"error": "interrupted: DER_CANCELED(-1018): Operation canceled"' in out
    assert err.splitlines()[0] == "ERROR: dmg: interrupted: DER_CANCELED(-1018): Operation canceled"
    assert err.splitlines()[1].startswith("hint: what was asked for may be done")


def test_help_loads_neither_grpc_nor_the_messages() -> None:
    code = (
        "import sys; from daos.cli.dmg._base import Admin; from daos.cli.dmg._main import run; "
        "run(['pool', '-h'], Admin()); sys.exit('grpc' in sys.modules or 'google.protobuf' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, check=True, capture_output=True, timeout=DEADLINE_S)
