"""Hosts on this machine: each with a network, a name, processes and directories of its own, joined by a switch.

A host is a set of namespaces, and its first process holds them: what kills that process kills all of the host, as a
loss of power does, and its disk, a directory, is there when it is booted again. The switch is such a host too, around
all others: it ends when this process ends, however it ends, and nothing of it is left on the machine. Where this
process is not root they are in a user namespace.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from types import TracebackType
from typing import Self

from tests.system.running import poll

NETWORK = "10.79.44"
"""Of all hosts; inside of their namespaces only."""
COMMAND_S_MAX = 50.0
NEIGHBOURS = "/proc/sys/net/ipv4/neigh/eth0"
SOONER = {"retrans_time_ms": 200, "delay_first_probe_time": 1}
"""Hosts notice within two seconds that an address is not there any more; by default it takes eight."""
MODULES = {
    "daos": "daos.cli",
    "dmg": "daos.cli.dmg",
    "daos_server": "daos.server.main",
    "daos_agent": "daos.agent.main",
}
"""What the commands run: those of the Python that runs this."""
NAMESPACES = ("--net", "--uts", "--ipc", "--mount", "--pid")
UNSHARE = ("unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc")
BOOT = """set -e
hostname {name}
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/etc /run/etc/upper /run/etc/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work overlay /etc
mkdir -p /etc/daos
mount --bind {home}/etc /etc/daos
mount --bind {home}/mnt /mnt
mount --bind {home}/log /var/log
echo '{hosts}' > /etc/hosts
ip link set lo up
echo ready
while :; do sleep 3600; done
"""
"""What the first process of a host does; at the end it reaps what has lost its parent."""
ADMINISTRATOR = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from daos.cli.dmg._base import Admin
from daos.cli.dmg._main import run

for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = run(json.loads(line), Admin())
    print(json.dumps([status, out.getvalue(), err.getvalue()]), flush=True)
"""
"""Runs one `dmg` after the other: most of the time of a command goes to the start of Python."""


class NotPermittedError(Exception):
    """This machine gives this process no namespaces."""


def command(words: Sequence[str]) -> list[str]:
    """Return how a command of the system is run by the Python that runs this."""
    module = MODULES.get(words[0])
    return [sys.executable, "-m", module, *words[1:]] if module else list(words)


def child_of(parent: int) -> int | None:
    """Return the child of a process; None if it has none."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            return int(path.parent.name)
    return None


class Daemon:
    """A command that runs on a host.

    Args:
        entry: The process that waits for it, outside of the host.
    """

    def __init__(self, entry: subprocess.Popen[bytes]) -> None:
        self._entry = entry

    @property
    def status(self) -> int | None:
        """What it ended with; None while it runs."""
        return self._entry.poll()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal that ends it, and return what it ended with."""
        # Who has just been started has not entered the host yet.
        poll(lambda: self.status is not None or child_of(self._entry.pid) is not None, "process", COMMAND_S_MAX)
        pid = child_of(self._entry.pid)
        if pid is not None:
            os.kill(pid, number)
        return self._entry.wait(COMMAND_S_MAX)


@dataclass
class Host:
    """A host.

    Attributes:
        name: Of it, as `hostname` tells.
        address: Of it in the network.
        home: The directory of what it keeps: `etc` is its `/etc/daos`, `mnt` its `/mnt`, `log` its `/var/log`.
        pid: Its first process; None while it is off.
    """

    name: str
    address: str
    home: Path
    network: Network
    pid: int | None = None
    daemons: dict[str, Daemon] = field(default_factory=dict)
    _boot: subprocess.Popen[bytes] | None = None
    _administrator: subprocess.Popen[str] | None = None

    @property
    def etc(self) -> Path:
        """Its `/etc/daos`."""
        return self.home / "etc"

    def log(self, name: str) -> Path:
        """Return where a daemon's output goes."""
        return self.home / f"{name}.out"

    def boot(self) -> None:
        """Turn it on: no daemon runs yet.

        Raises:
            NotPermittedError: It cannot have what a host has.
        """
        hosts = "\n".join(["127.0.0.1 localhost", *(f"{each.address} {each.name}" for each in self.network.hosts)])
        script = BOOT.format(name=self.name, home=self.home, hosts=hosts)
        self._boot = self.network.spawn([*UNSHARE, "sh", "-c", script], self.home / "boot.out")
        self.pid = _init_of(self._boot, self.home / "boot.out")
        # The same card as before, or others would look for the old one for a while.
        card = f"02:00:00:00:00:{int(self.address.rpartition('.')[2]):02x}"
        wire = ("type", "veth", "peer", "name", "eth0", "address", card, "netns", str(self.pid))
        self.network.ip("link", "add", self.name, *wire)
        self.network.ip("link", "set", self.name, "master", "switch", "up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        sooner = "; ".join(f"echo {value} > {NEIGHBOURS}/{name}" for name, value in SOONER.items())
        self.run("sh", "-c", f"ip link set eth0 up; {sooner}")

    def lose_power(self) -> None:
        """Kill all that runs on it at once."""
        assert self.pid is not None
        assert self._boot is not None
        # By itself it would go a while after the processes, and its name is needed again.
        self.network.ip("link", "del", self.name)
        os.kill(self.pid, signal.SIGKILL)
        self._boot.wait(COMMAND_S_MAX)
        for daemon in self.daemons.values():
            daemon.end()
        self.release()
        self.daemons, self.pid = {}, None

    def release(self) -> None:
        """Take note of the end of what asks for an administrator, behind that of the host."""
        if self._administrator is not None:
            self._administrator.communicate(timeout=COMMAND_S_MAX)
            self._administrator = None

    def pull_plug(self) -> None:
        """Take it from the network: all goes on on it, and nothing comes or goes."""
        self.network.ip("link", "set", self.name, "down")

    def plug_in(self) -> None:
        """Give it the network back."""
        self.network.ip("link", "set", self.name, "up")

    def run(self, *words: str, check: bool = True, timeout: float = COMMAND_S_MAX) -> subprocess.CompletedProcess[str]:
        """Run a command on it, and return what it said; with `check` it has to succeed."""
        entered = self._enter(words)
        done = subprocess.run(entered, capture_output=True, text=True, timeout=timeout, check=False)
        assert not (check and done.returncode), f"{self.name}: {' '.join(words)}: {done.stdout}{done.stderr}"
        return done

    def dmg(self, *words: str) -> tuple[int, str]:
        """Run `dmg` on it, in a process that stays; return its status, and what it said."""
        if self._administrator is None:
            self._administrator = self.begin(sys.executable, "-c", ADMINISTRATOR)
        asked, told = self._administrator.stdin, self._administrator.stdout
        assert asked is not None
        assert told is not None
        asked.write(f"{json.dumps(words)}\n")
        asked.flush()
        assert select([told], [], [], COMMAND_S_MAX)[0], f"dmg {' '.join(words)} does not end"
        line = told.readline()
        if not line:
            raise AssertionError(f"dmg {' '.join(words)}: {self._administrator.communicate()[1]}")
        status, out, err = json.loads(line)
        return int(status), f"{out}{err}"

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start a command on it, and do not wait for it."""
        return subprocess.Popen(
            self._enter(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def start(self, *words: str, name: str = "") -> Daemon:
        """Start what runs on: a daemon, or what a name is given."""
        name = name or words[0]
        with self.log(name).open("ab") as output:
            entry = subprocess.Popen(self._enter(words), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.daemons[name] = Daemon(entry)
        return self.daemons[name]

    def _enter(self, words: Sequence[str]) -> list[str]:
        assert self.pid is not None, f"{self.name} is off"
        return [*self.network.entry(self.pid), *command(words)]


class Network:
    """Hosts at one switch. As a context manager all of it is gone at the end.

    Args:
        root: A directory for what they keep.
        names: Of the hosts.
    """

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self.root = root
        self.hosts = [
            Host(name, f"{NETWORK}.{number}", root / name, self) for number, name in enumerate(names, start=1)
        ]
        self._user = [] if os.geteuid() == 0 else ["--user"]
        self._switch: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None

    def __getitem__(self, name: str) -> Host:
        (found,) = (host for host in self.hosts if host.name == name)
        return found

    def __enter__(self) -> Self:
        try:
            self._turn_on()
        except BaseException:
            self._turn_off()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turn_off()

    def entry(self, pid: int) -> list[str]:
        """Return how a process is entered that holds a host."""
        user = ["--user", "--preserve-credentials"] if self._user else []
        return ["nsenter", "--target", str(pid), *user, *NAMESPACES, "--"]

    def spawn(self, words: Sequence[str], output: Path) -> subprocess.Popen[bytes]:
        """Start what holds a host, inside of the switch."""
        assert self._pid is not None
        output.unlink(missing_ok=True)
        with output.open("ab") as file:
            return subprocess.Popen(
                [*self.entry(self._pid), *words], stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )

    def ip(self, *words: str) -> None:
        """Run `ip` at the switch, with the process ids of this process.

        Raises:
            NotPermittedError: It may not.
        """
        user = ["--user", "--preserve-credentials"] if self._user else []
        entry = ["nsenter", "--target", str(self._pid), *user, "--net", "--", "ip"]
        done = subprocess.run([*entry, *words], capture_output=True, text=True, timeout=COMMAND_S_MAX, check=False)
        if done.returncode:
            raise NotPermittedError(f"ip {' '.join(words)}: {done.stderr.strip()}")

    def _turn_on(self) -> None:
        for host in self.hosts:
            for folder in ("etc", "log", "mnt"):
                (host.home / folder).mkdir(parents=True)
        for tool in ("unshare", "nsenter", "ip"):
            if shutil.which(tool) is None:
                raise NotPermittedError(f"there is no {tool}")
        user = ["--user", "--map-root-user"] if self._user else []
        output = self.root / "switch.out"
        # It ends when nobody can write to its input any more: with this process at the latest.
        with output.open("wb") as file:
            self._switch = subprocess.Popen(
                [UNSHARE[0], *user, *UNSHARE[1:], "sh", "-c", "echo ready; read end"],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
            )
        self._pid = _init_of(self._switch, output)
        self.ip("link", "add", "switch", "type", "bridge")
        self.ip("link", "set", "switch", "up")
        for host in self.hosts:
            host.boot()

    def _turn_off(self) -> None:
        if self._switch is not None:
            assert self._switch.stdin is not None
            self._switch.stdin.close()
            self._switch.wait(COMMAND_S_MAX)
        # All have been killed; their ends are taken note of, so that no process is left behind.
        for host in self.hosts:
            for daemon in host.daemons.values():
                daemon.end()
            host.release()
            if host._boot is not None:
                host._boot.wait(COMMAND_S_MAX)


def _init_of(entry: subprocess.Popen[bytes], output: Path) -> int:
    """Wait until a first process says that it is ready, and return it."""

    def ready() -> bool:
        status = entry.poll()
        said = output.read_text(errors="replace")
        if status is not None:
            raise NotPermittedError(f"{' '.join(map(str, entry.args[:8]))}: {said.strip()}")  # type: ignore[index]
        return said.endswith("ready\n")

    poll(ready, "namespaces", 10.0)
    pid: int | None = entry.pid
    last = entry.pid
    # The chain of nsenter and unshare ends at the first process.
    while pid is not None:
        last = pid
        pid = child_of(pid)
    return last
