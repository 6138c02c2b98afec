"""Servers of a system on loopback, each a process with fake engines, and how tests ask them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import yaml

from daos.errors import DaosError
from daos.mgmt import methods
from daos.mgmt.client import ManagementClient
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from tests.fake_engine import tell
from tests.ports import free_ports

SCRIPT = Path(__file__).with_name("server_process.py")
DEADLINE_S = 30.0
TIERS = (1 << 30, 0)
PORTS = 20
"""Of a server and its engine."""
JOINED = "joined as rank"
T = TypeVar("T")


class Servers:
    """Servers by their number.

    Args:
        path: Of their files.
        count: How many.
        real: With engines of ours, not with fake ones.
        changes: To the configuration of each.
    """

    def __init__(self, path: Path, count: int = 3, *, real: bool = False, **changes: object) -> None:
        self.path, self.count = path, count
        self._program = ["-m", "daos.server.main"] if real else [str(SCRIPT)]
        self.ports = [free_ports(PORTS) for _ in range(count)]
        self.addresses = [f"127.0.0.1:{port}" for port in self.ports]
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self._joins: dict[int, int] = {}
        for number, port in enumerate(self.ports):
            folder = self.folder(number)
            folder.mkdir(parents=True)
            config = {
                "name": "test",
                "mgmt_svc_replicas": self.addresses,
                "port": port,
                "control_iface": "lo",
                "transport_config": {"allow_insecure": True},
                "fault_path": f"/host{number}",
                "socket_dir": str(folder / "run"),
                "control_log_file": str(folder / "server.log"),
                "control_log_mask": "DEBUG",
                "engine_restart_min_s": 1,
                "engines": [
                    {
                        "targets": 2,
                        "fabric_iface": "lo",
                        "fabric_iface_port": port + 10,
                        "log_file": str(folder / "engine.log"),
                        "storage": [{"class": "ram", "scm_mount": str(self.storage(number)), "scm_size": 16}],
                    }
                ],
                **changes,
            }
            self.config(number).write_text(yaml.safe_dump(config))

    def folder(self, number: int) -> Path:
        return self.path / f"s{number}"

    def config(self, number: int) -> Path:
        return self.folder(number) / "server.yml"

    def storage(self, number: int) -> Path:
        return self.folder(number) / "scm"

    def log(self, number: int) -> str:
        return (self.folder(number) / "server.log").read_text()

    def start(self, number: int, *arguments: str) -> None:
        command = [sys.executable, *self._program, "start", "-o", str(self.config(number)), *arguments]
        environment = {**os.environ, "GRPC_VERBOSITY": "NONE"}
        self._joins[number] = self._joined(number)
        with (self.folder(number) / "output").open("ab") as output:
            self.processes[number] = subprocess.Popen(command, stdout=output, stderr=output, env=environment)

    def _joined(self, number: int) -> int:
        """Return how often an engine of a server has joined."""
        path = self.folder(number) / "server.log"
        return path.read_text().count(JOINED) if path.exists() else 0

    def start_all(self, *arguments: str) -> None:
        for number in range(self.count):
            self.start(number, *arguments)

    def kill(self, number: int) -> None:
        """End a server as a power cut would."""
        process = self.processes.pop(number)
        process.kill()
        process.wait(DEADLINE_S)

    def stop(self, number: int) -> int:
        """End a server as systemd would."""
        process = self.processes.pop(number)
        process.send_signal(signal.SIGTERM)
        return process.wait(DEADLINE_S)

    def stop_all(self) -> list[int]:
        """End all servers at once; return their statuses."""
        processes = [self.processes.pop(number) for number in range(self.count)]
        for process in processes:
            process.send_signal(signal.SIGTERM)
        return [process.wait(DEADLINE_S) for process in processes]

    def close(self) -> None:
        """End all, and see that no engine outlives its server."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(DEADLINE_S)
        self.processes.clear()
        pids = [self.engine_pid(number) for number in range(self.count)]
        end = time.monotonic() + DEADLINE_S
        while any(_alive(pid) for pid in pids):
            assert time.monotonic() < end, f"an engine is left of {pids}"
            time.sleep(0.02)

    def engine_pid(self, number: int) -> int:
        """Return the pid of the last engine of a server; 0 for none."""
        path = self.storage(number) / "pid"
        return int(path.read_text().split()[0]) if path.exists() else 0

    def shards(self) -> dict[int, set[str]]:
        """Return the pools of which each engine has shards."""
        found = {}
        for number in range(self.count):
            path = self.storage(number) / "shards.json"
            found[number] = set(json.loads(path.read_text())) if path.exists() else set()
        return found

    def tell_engine(self, number: int, file: str, content: object) -> None:
        """Have an engine be slow, or fail: `slow.json`, `fail.json`."""
        tell(self.storage(number) / file, json.dumps(content))

    def revive(self) -> None:
        """Have all run, with engines that do as they should, whatever a test has left."""
        for number in range(self.count):
            for file in ("slow.json", "fail.json", "refuse_start", "begun"):
                (self.storage(number) / file).unlink(missing_ok=True)
            process = self.processes.get(number)
            if process is None or process.poll() is not None:
                self.start(number)

    async def begun(self, effect: str) -> None:
        """Wait until an engine carries out an effect, which `slow.json` makes long."""

        async def begun() -> bool:
            paths = [self.storage(number) / "begun" for number in range(self.count)]
            return effect in [path.read_text() for path in paths if path.exists()]

        await self.until(f"{effect} is under way", begun)

    def client(self, deadline_s: float = 60.0) -> ManagementClient:
        return ManagementClient(self.addresses, None, deadline_s=deadline_s, system="test")

    async def until(self, what: str, condition: Callable[[], Awaitable[bool]], wait_s: float = DEADLINE_S) -> None:
        """Wait until something holds; what is refused meanwhile is tried again."""
        end = time.monotonic() + wait_s
        last: DaosError | None = None
        while True:
            try:
                if await condition():
                    return
            except DaosError as error:
                last = error
            assert time.monotonic() < end, f"not in time: {what}: {last}"
            await asyncio.sleep(0.05)

    async def states(self, client: ManagementClient) -> dict[int, str]:
        answer = await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
        return {
            member.rank: pb.MemberState.Name(member.state).removeprefix("MEMBER_STATE_") for member in answer.members
        }

    async def joined(self, client: ManagementClient, count: int | None = None) -> None:
        """Wait until all ranks have joined, and those of servers that were started have since then.

        Of one that was killed and started again nobody may have noticed that it was gone.
        """
        wanted = self.count if count is None else count

        async def all_there() -> bool:
            states = await self.states(client)
            here = all(self._joined(number) > self._joins[number] for number in self.processes)
            return here and len(states) == wanted and set(states.values()) == {"JOINED"}

        await self.until("all ranks have joined", all_there)

    async def leader(self, client: ManagementClient) -> int:
        """Return which server leads."""
        found: list[int] = []

        async def one() -> bool:
            answer = await client.ask(methods.LEADER_QUERY, pb.LeaderQueryRequest())
            if answer.current_leader:
                found.append(self.addresses.index(answer.current_leader))
            return bool(answer.current_leader)

        await self.until("a leader", one)
        return found[-1]

    async def rank_of(self, client: ManagementClient, number: int) -> int:
        answer = await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
        return next(member.rank for member in answer.members if member.address == self.addresses[number])

    async def replicated(self, numbers: Sequence[int] | None = None) -> None:
        """Wait until servers know that all management replicas vote: before that, one may be needed by the others."""
        wanted = f"system service: replicas {list(range(self.count))}, joining []"

        async def all_vote() -> bool:
            logs = [self.log(number) for number in (range(self.count) if numbers is None else numbers)]
            return all(wanted in log and log.rindex(wanted) == log.rindex("system service: replicas") for log in logs)

        await self.until("replicas that vote", all_vote)


def pool_request(label: str = "pool", *, svc_rf: int | None = None, ranks: Sequence[int] = ()) -> pb.PoolCreateRequest:
    properties = {} if svc_rf is None else {"svc_rf": pb.PropertyValue(number=svc_rf)}
    return pb.PoolCreateRequest(
        uuid=str(uuid.uuid4()),
        label=label,
        tiers=TIERS,
        owner="owner@",
        group="group@",
        properties=properties,
        ranks=ranks,
    )


def _alive(pid: int) -> bool:
    if not pid:
        return False
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z" and b"fake_engine" in command
