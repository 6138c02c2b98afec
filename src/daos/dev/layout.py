"""Where the parts of a system for development are, and the configuration of each."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

from daos.errors import DER, CorruptionError, InvalidError, NotFoundError, UnavailableError
from daos.rsvc.files import write_durably

HOST = "127.0.0.1"
PORTS_FIRST, PORTS_LAST = 20_000, 32_000
"""Below those that the kernel gives to clients."""
PORTS_OF_CLAIM = 32
"""Ports that one claim is for."""
_CLAIMED: dict[int, int] = {}
"""What this process has claimed, and the descriptors that hold it."""
CONTROL_PORTS = 4
"""Of a server: its own, that of its replica, and some to grow."""
SERVERS_MAX, TARGETS_MAX = 16, 16
STATE = "dev.json"
SOCKET_BYTES_MAX = 80
"""Of the directory of a socket: what is left of the length of its path goes to its name."""


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a system is made of.

    Attributes:
        system: Its name.
        servers: How many, each with an engine.
        targets: Of each engine.
        size: Bytes of each engine's storage.
        insecure: Without certificates.
        ports: The first port of each server.
    """

    system: str = "daos_dev"
    servers: int = 3
    targets: int = 2
    size: int = 1 << 30
    insecure: bool = False
    ports: tuple[int, ...] = ()

    def check(self) -> None:
        """Return if there can be such a system.

        Raises:
            InvalidError: `DER.INVAL`.
        """
        if not 1 <= self.servers <= SERVERS_MAX:
            raise InvalidError(f"{self.servers} servers", hint=f"1 to {SERVERS_MAX}")
        if not 1 <= self.targets <= TARGETS_MAX:
            raise InvalidError(f"{self.targets} targets", hint=f"1 to {TARGETS_MAX}")
        least = self.targets * (64 << 20)
        if self.size < least:
            raise InvalidError(f"an engine of {self.size} bytes", hint=f"at least {least}: 64 MiB a target")


@dataclass(frozen=True)
class Layout:
    """The files of a system.

    Attributes:
        root: The directory of all of them.
    """

    root: Path

    @property
    def state(self) -> Path:
        """Where the plan is kept."""
        return self.root / STATE

    @property
    def sockets(self) -> Path:
        """The directory of the sockets: elsewhere, where the path would be too long for one."""
        inside = self.root / "run"
        if len(os.fsencode(inside)) <= SOCKET_BYTES_MAX:
            return inside
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"daos-dev-{os.getuid()}-{name}"

    @property
    def authority(self) -> Path:
        """The directory in which the CA is made."""
        return self.root / "certs"

    @property
    def certificates(self) -> Path:
        """The directory of what the CA issued."""
        return self.authority / "daosCA" / "certs"

    @property
    def agent_config(self) -> Path:
        """The agent's configuration."""
        return self.root / "daos_agent.yml"

    @property
    def control_config(self) -> Path:
        """The configuration of `dmg`."""
        return self.root / "daos_control.yml"

    def server(self, number: int) -> Path:
        """Return the directory of a server."""
        return self.root / f"server{number}"

    def server_config(self, number: int) -> Path:
        """Return the configuration of a server."""
        return self.server(number) / "daos_server.yml"

    def load(self) -> Plan:
        """Return the plan of the system that is here.

        Raises:
            NotFoundError: `DER.NONEXIST`: there is none.
            CorruptionError: `DER.DF_INVAL`: the plan's file is damaged.
        """
        try:
            return msgspec.json.decode(self.state.read_bytes(), type=Plan)
        except FileNotFoundError:
            raise NotFoundError(
                f"there is no system for development in {self.root}", hint="daos dev up makes one"
            ) from None
        except msgspec.DecodeError as error:
            raise CorruptionError(f"{self.state}: {error}", code=DER.DF_INVAL, hint="make it anew") from None

    def write(self, plan: Plan) -> None:
        """Write the configurations of all parts, and the plan at the end."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        hosts = [f"{HOST}:{port}" for port in plan.ports[: _replicas(plan.servers)]]
        for number, port in enumerate(plan.ports):
            self.server(number).mkdir(mode=0o700, exist_ok=True)
            self.server_config(number).write_text(
                yaml.safe_dump(self._server(plan, number, port, hosts), sort_keys=False)
            )
        agent = {
            "name": plan.system,
            "access_points": hosts,
            "runtime_dir": str(self.sockets),
            "log_file": str(self.root / "agent.log"),
            "transport_config": self._transport(plan, "agent"),
        }
        control = {"name": plan.system, "hostlist": hosts, "transport_config": self._transport(plan, "admin")}
        self.agent_config.write_text(yaml.safe_dump(agent, sort_keys=False))
        self.control_config.write_text(yaml.safe_dump(control, sort_keys=False))
        write_durably(self.state, msgspec.json.encode(plan))

    def _server(self, plan: Plan, number: int, port: int, hosts: list[str]) -> dict[str, object]:
        home = self.server(number)
        engine = {
            "targets": plan.targets,
            "fabric_iface": "lo",
            "fabric_iface_port": port + CONTROL_PORTS,
            "log_file": str(home / "engine.log"),
            "log_mask": "INFO",
            "storage": [{"class": "ram", "scm_mount": str(home / "scm"), "scm_size": max(plan.size >> 30, 1)}],
        }
        return {
            "name": plan.system,
            "mgmt_svc_replicas": hosts,
            "port": port,
            "control_iface": "lo",
            "fault_path": f"/dev{number}",
            "socket_dir": str(self.sockets / f"s{number}"),
            "control_log_file": str(home / "server.log"),
            "engine_restart_min_s": 2,
            "transport_config": self._transport(plan, "server"),
            "engines": [engine],
        }

    def _transport(self, plan: Plan, role: str) -> dict[str, object]:
        if plan.insecure:
            return {"allow_insecure": True}
        folder = self.certificates
        paths = {
            "allow_insecure": False,
            "ca_cert": str(folder / "daosCA.crt"),
            "cert": str(folder / f"{role}.crt"),
            "key": str(folder / f"{role}.key"),
        }
        return {**paths, "client_cert_dir": str(folder / "clients")} if role == "server" else paths


def _replicas(servers: int) -> int:
    """Return how many replicas the management service has: an odd number, at most 5."""
    return min(servers - 1 + servers % 2, 5)


def choose_ports(plan: Plan) -> Plan:
    """Return a plan whose ports are free now, and which no other process chooses as long as this one lives.

    Raises:
        UnavailableError: There are not so many.
    """
    span = CONTROL_PORTS + 1 + plan.targets
    found: list[int] = []
    firsts = range(PORTS_FIRST, PORTS_LAST - span, span)
    # Those that are made at once need not try each other's.
    begin = os.getpid() * plan.servers % len(firsts)
    for first in (*firsts[begin:], *firsts[:begin]):
        ports = range(first, first + span)
        if all(_claim(port) for port in ports) and all(_is_free(port) for port in ports):
            found.append(first)
        if len(found) == plan.servers:
            return msgspec.structs.replace(plan, ports=tuple(found))
    raise UnavailableError(f"no {plan.servers * span} ports are free below {PORTS_LAST}", code=DER.BUSY)


def _claim(port: int) -> bool:
    """Make sure that no other process chooses a port, nor those around it; tell whether none has.

    Between the choice of a port and the start of who listens there it looks free to all. So a name stands for it, that
    the kernel gives to one process, in the network that the ports are of.
    """
    block = port // PORTS_OF_CLAIM
    if block in _CLAIMED:
        return True
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0daos-dev-ports-{block}")
    except OSError:
        name.close()
        return False
    # Until the end of the process: a system that is stopped for a while finds its ports again.
    _CLAIMED[block] = name.detach()
    return True


def _is_free(port: int) -> bool:
    with ExitStack() as stack:
        probe = stack.enter_context(socket.socket())
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
