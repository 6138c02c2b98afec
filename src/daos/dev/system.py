"""A system for development: its processes."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from daos.dev.layout import HOST, Layout, Plan, choose_ports
from daos.errors import DER, DaosError, InvalidError, NotFoundError, TimedOutError, UnavailableError
from daos.rsvc.clock import stamp_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from daos.mgmt.proto import daos_mgmt_pb2 as pb

START_S_MAX = 90.0
STOP_S_MAX = 40.0
POLL_S = 0.05
CLOCK_S_MAX = 0.5
"""Of a clock that is set back between the start of a server and that of its engine, which takes longer."""
AGENT = "agent"
TAIL_LINES = 20


@dataclass(frozen=True)
class Process:
    """A daemon of the system.

    Attributes:
        name: `server0`, ..., `agent`.
        pid: Its process; None if it does not run.
        log: Its log.
    """

    name: str
    pid: int | None
    log: Path


class DevSystem:
    """A system in a directory. As a context manager it is stopped at the end.

    Args:
        root: The directory.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.layout = Layout(Path(root).absolute())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    # Up and down

    def up(self, plan: Plan | None = None) -> Plan:
        """Start the system, made by a plan if it is not there; return when all ranks have joined.

        Args:
            plan: Of a new system; one that is there keeps its own.

        Raises:
            InvalidError: `DER.INVAL`: there can be no such system; or the directory is of something else.
            TimedOutError: It did not come up; the message tells what the logs say last.
            DaosError: A part of it cannot be made.
        """
        layout = self.layout
        made = layout.load() if layout.state.exists() else self._make(plan or Plan())
        layout.sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(made.servers):
            self.start(f"server{number}")
        self.wait_joined(made)
        self.start(AGENT)
        self._wait(self._agent_listens, "agent", START_S_MAX)
        return made

    def _make(self, plan: Plan) -> Plan:
        plan.check()
        root = self.layout.root
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise InvalidError(
                f"{root} is there, and is no system for development", hint="name an empty or new directory"
            )
        made = choose_ports(plan)
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not made.insecure:
            _issue(self.layout.authority)
        self.layout.write(made)
        return made

    def down(self, *, destroy: bool = False) -> None:
        """Stop all processes; with `destroy`, delete all of it. Of a system that is down it changes nothing.

        Raises:
            TimedOutError: A process did not end, not even killed.
        """
        running = [process for process in self.processes() if process.pid is not None]
        # The agent first: it evicts what its clients have left while there is somebody to ask.
        for process in sorted(running, key=lambda process: process.name != AGENT):
            self._signal(process, signal.SIGTERM)
            if process.name == AGENT:
                self._ended([process], STOP_S_MAX)
        left = self._ended(running, STOP_S_MAX)
        for process in left:
            self._signal(process, signal.SIGKILL)
        if self._ended(left, 5.0):
            raise TimedOutError(f"{left[0].name}, process {left[0].pid}, does not end")
        if destroy and self.layout.state.exists():
            shutil.rmtree(self.layout.sockets, ignore_errors=True)
            shutil.rmtree(self.layout.root)

    def start(self, name: str) -> None:
        """Start a daemon that does not run.

        Raises:
            NotFoundError: `DER.NONEXIST`: there is none of this name.
        """
        process = self._process(name)
        if process.pid is not None:
            return
        if name == AGENT:
            command = [sys.executable, "-m", "daos.agent.main", "-o", str(self.layout.agent_config), "start"]
            home = self.layout.root
        else:
            home = self.layout.server(int(name.removeprefix("server")))
            config = home / "daos_server.yml"
            command = [sys.executable, "-m", "daos.server.main", "-o", str(config), "start", "--auto-format"]
        environment = {**os.environ, "GRPC_VERBOSITY": "NONE"}
        # Not `subprocess`: nobody waits for it. In a session of its own it outlives this process and its terminal.
        pid = os.posix_spawn(
            sys.executable,
            command,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, home / f"{name}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        (home / f"{name}.pid").write_text(f"{pid}\n")

    def stop(self, name: str, *, kill: bool = False) -> None:
        """End a daemon, as systemd does, or by SIGKILL; return when it is gone.

        Raises:
            NotFoundError: `DER.NONEXIST`: there is none of this name.
            TimedOutError: It does not end.
        """
        process = self._process(name)
        if process.pid is None:
            return
        self._signal(process, signal.SIGKILL if kill else signal.SIGTERM)
        if self._ended([process], STOP_S_MAX):
            raise TimedOutError(f"{name}, process {process.pid}, does not end", hint="kill it")

    def kill_rank(self, rank: int) -> int:
        """Kill the engine of a rank by SIGKILL; its server starts it again. Return the process that was killed.

        Raises:
            NotFoundError: `DER.NONEXIST`: there is no such rank, or its engine does not run.
        """
        for member in self.members():
            if member.rank == rank:
                number = self.layout.load().ports.index(int(member.address.rpartition(":")[2]))
                pid = self.engine_pid(number)
                if pid is None:
                    raise NotFoundError(f"the engine of rank {rank} does not run")
                os.kill(pid, signal.SIGKILL)
                return pid
        raise NotFoundError(f"there is no rank {rank}", hint="daos dev status lists the ranks")

    def engine_pid(self, server: int) -> int | None:
        """Return the process of a server's engine; None if there is none."""
        parent = self._process(f"server{server}").pid
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
                command = (path.parent / "cmdline").read_bytes()
            except OSError:
                continue
            if parent is not None and int(fields[1]) == parent and b"daos.engine" in command:
                return int(path.parent.name)
        return None

    # Looking at it

    def processes(self) -> list[Process]:
        """Return the daemons of the system.

        Raises:
            NotFoundError: `DER.NONEXIST`: there is no system here.
        """
        plan = self.layout.load()
        found = []
        for number in range(plan.servers):
            home = self.layout.server(number)
            found.append(Process(home.name, _alive(home / f"{home.name}.pid", str(home)), home / "server.log"))
        pid = _alive(self.layout.root / "agent.pid", str(self.layout.agent_config))
        return [*found, Process(AGENT, pid, self.layout.root / "agent.log")]

    def logs(self, name: str) -> list[Path]:
        """Return the logs of a daemon, that of its engine too.

        Raises:
            NotFoundError: `DER.NONEXIST`: there is none of this name.
        """
        process = self._process(name)
        more = [process.log.with_name("engine.log")] if name != AGENT else []
        return [path for path in (process.log, *more, process.log.with_name(f"{name}.out")) if path.exists()]

    def members(self) -> list[pb.Member]:
        """Return the ranks of the system, by number.

        Raises:
            DaosError: Its servers do not answer.
        """
        from daos.mgmt import methods
        from daos.mgmt.proto import daos_mgmt_pb2

        async def ask() -> list[pb.Member]:
            async with self._client(self.layout.load()) as client:
                answer = await client.ask(methods.SYSTEM_QUERY, daos_mgmt_pb2.SystemQueryRequest())
                return sorted(answer.members, key=lambda member: member.rank)

        return asyncio.run(ask())

    def wait_joined(self, plan: Plan) -> None:
        """Wait until all ranks have joined since their servers run, and the service of the pools may be asked.

        Raises:
            TimedOutError: They have not in time.
        """
        from daos.mgmt.proto import daos_mgmt_pb2

        def joined() -> bool:
            for process in self.processes():
                if process.name != AGENT and process.pid is None:
                    raise UnavailableError(
                        f"{process.name} has ended:\n{self._tail(process.name)}",
                        code=DER.SHUTDOWN,
                        hint="look at its logs",
                    )
            try:
                members = self.members()
            except DaosError:
                return False
            there = [member for member in members if member.state == daos_mgmt_pb2.MEMBER_STATE_JOINED]
            return sum(self._is_new(plan, member) for member in there) == plan.servers

        self._wait(joined, f"{plan.servers} ranks that have joined", START_S_MAX)

    def environment(self) -> dict[str, str]:
        """Return the variables by which clients and tools find the system."""
        return {
            "DAOS_AGENT_DRPC_DIR": str(self.layout.sockets),
            "DAOS_CONTROL_CONFIG": str(self.layout.control_config),
        }

    # Helpers

    def _is_new(self, plan: Plan, member: pb.Member) -> bool:
        """Tell whether a rank has joined since its server was started; that of before may not have been missed."""
        server = self.layout.server(plan.ports.index(int(member.address.rpartition(":")[2])))
        started = (server / f"{server.name}.pid").stat().st_mtime
        return stamp_ns(member.incarnation) / 1e9 > started - CLOCK_S_MAX

    def _agent_listens(self) -> bool:
        """Tell whether the agent takes connections; one that was killed has left its socket behind."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.layout.sockets / "daos_agent.sock"))
            except OSError:
                return False
        return True

    def _client(self, plan: Plan):  # type: ignore[no-untyped-def] # noqa: ANN202 -- its type would load gRPC
        from daos.mgmt.client import ManagementClient
        from daos.mgmt.identity import IdentityFiles

        folder = self.layout.certificates
        identity = (
            None if plan.insecure else IdentityFiles(folder / "daosCA.crt", folder / "admin.crt", folder / "admin.key")
        )
        hosts = [f"{HOST}:{port}" for port in plan.ports]
        return ManagementClient(hosts, identity, deadline_s=10.0, system=plan.system)

    def _process(self, name: str) -> Process:
        for process in self.processes():
            if process.name == name:
                return process
        known = ", ".join(process.name for process in self.processes())
        raise NotFoundError(f"there is no {name}", hint=f"one of {known}")

    @staticmethod
    def _signal(process: Process, number: signal.Signals) -> None:
        if process.pid is not None:
            try:
                os.kill(process.pid, number)
            except ProcessLookupError:
                return

    def _ended(self, processes: list[Process], seconds: float) -> list[Process]:
        """Wait until processes have ended; return those that have not in time."""
        end = time.monotonic() + seconds
        left = list(processes)
        while left and time.monotonic() < end:
            left = [process for process in left if process.pid is not None and _runs(process.pid)]
            time.sleep(POLL_S if left else 0)
        return left

    def _wait(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                tails = "\n".join(f"--- {name}\n{self._tail(name)}" for name in self._names())
                raise TimedOutError(f"no {what} within {seconds:g} s\n{tails}", hint="look at the logs")
            time.sleep(POLL_S)

    def _names(self) -> Iterator[str]:
        return (process.name for process in self.processes())

    def _tail(self, name: str) -> str:
        lines = [
            line for path in self.logs(name) for line in path.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        ]
        return "\n".join(lines)


def _issue(root: Path) -> None:
    """Make a CA and what it issues for this host, as `daos cert init` does."""
    from daos.security import certificates as c

    folder = c.Folder(root)
    now = datetime.now(UTC)
    authority = c.Authority.make(now, c.DAYS)
    hosts = sorted({"localhost", socket.gethostname()})
    folder.create(authority)
    for role in c.ROLES:
        issued = authority.issue(role, hosts if role != "admin" else (), [ip_address(HOST)], now, c.DAYS)
        c.store_issued(role, issued, folder.certificates, replace=False)


def _alive(pid_file: Path, mark: str) -> int | None:
    """Return the process that a file names, if it runs and is the one that was started."""
    try:
        pid = int(pid_file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (OSError, ValueError):
        return None
    # For a moment while it begins a program, a process has no command line at all.
    return pid if (mark in command or not command) and _runs(pid) else None


def _runs(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and that nobody waited for does not."""
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:
        pass  # another process started it
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
