"""Whoever is not who he should be, or says what nobody understands, is refused; and nothing dies of it."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest
import yaml

import daos
from daos import _core
from daos.agent.client import AgentClient
from daos.dev import DevSystem
from daos.errors import DER, AccessError, DaosError, NotFoundError, UnavailableError
from daos.mgmt import methods
from daos.mgmt.client import ManagementClient
from daos.mgmt.identity import IdentityFiles
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.roles import Role
from daos.security import certificates as c
from daos.security.credentials import Token, sign
from tests.system.running import all_pids, ask, memory_of, poll, pool_list

GROWTH_MAX = 96 << 20
"""Bytes that a daemon's memory may grow by, whatever it is sent."""
REVOKED_S_MAX = 5.0
ANSWER_S_MAX = 20.0


@pytest.fixture(scope="module")
def pool(system: DevSystem) -> str:
    ask(system, "pool", "create", "safe", "-z", "300MB", "-P", "svc_rf:1")
    ask(system, "pool", "create", "other", "-z", "60MB", "-r", "0")
    with daos.connect("daos://safe") as opened:
        opened.container("c", create="exclusive").kv("k", create=True)["a"] = b"1"
    return next(str(each["uuid"]) for each in pool_list(system) if each["label"] == "safe")


@dataclass
class Forger:
    """Somebody who makes credentials with any identity."""

    system: DevSystem
    pool: str

    def identity(self, role: c.Role) -> c.Identity:
        folder = self.system.layout.certificates
        names = (folder / f"{role}.crt", folder / f"{role}.key", folder / "daosCA.crt")
        return c.load_identity(*names, now=datetime.now(UTC))

    def issued(self, authority: c.Authority, now: datetime, days: int) -> c.Identity:
        """Return an agent's identity of any authority, from any time on."""
        made = authority.issue("agent", [socket.gethostname()], (), now, days)
        good = self.identity("agent")
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        key = load_pem_private_key(made.key_pem, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return c.Identity(
            "agent",
            good.hosts,
            made.certificate.not_valid_after_utc,
            made.certificate,
            key,
            good.authorities,
            made.certificate_pem,
            made.key_pem,
            good.ca_pem,
        )

    def token(self, **changes: object) -> Token:
        now = time.time()
        token = Token(
            flavour="AUTH_SYS",
            user="root@",
            group="root@",
            groups=(),
            machine=socket.gethostname(),
            system="daos_dev",
            pool=self.pool,
            session=b"",
            issued=now,
            expires=now + 300,
            nonce=os.urandom(16),
        )
        return msgspec.structs.replace(token, **changes)

    def present(self, credential: bytes, pool: str = "", *, plain: bool = False) -> None:
        """Open the pool with a credential, straight at its service."""
        with closing(AgentClient()) as agent:
            info, found = agent.attach(), agent.find_pool("safe")
        core = _core.Embedded.connect_service(
            pool or self.pool,
            system=info.system,
            engines={rank.rank: rank.addresses[0] for rank in info.ranks},
            replicas=list(found.services),
            credential=credential,
            handle=str(uuid.uuid4()),
            access=2,
            durability=2,
            timeout_s=ANSWER_S_MAX if not plain else 3.0,
            ca=None if plain else str(self.system.layout.certificates / "daosCA.crt"),
        )
        try:
            core.pool_open(pool or self.pool)
        finally:
            core.close()


@pytest.fixture
def forger(system: DevSystem, pool: str) -> Forger:
    return Forger(system, pool)


def test_a_credential_opens_a_pool_once(forger: Forger) -> None:
    credential = sign(forger.identity("agent"), forger.token())
    forger.present(credential)
    with pytest.raises(AccessError, match="was used before"):
        forger.present(credential)


def test_credentials_that_were_altered(forger: Forger) -> None:
    whole = sign(forger.identity("agent"), forger.token())
    for place in sorted(random.Random(1).sample(range(len(whole)), 12)):  # noqa: S311 -- chance, no secret
        altered = bytearray(whole)
        altered[place] ^= 1 << place % 8
        with pytest.raises(AccessError):
            forger.present(bytes(altered))
    for made in (b"", b"\x00", whole[:-1], whole + b"\x00", b"\xc1" * 100, b"\x94" * 5000):
        with pytest.raises(DaosError) as refused:
            forger.present(made)
        assert not isinstance(refused.value, UnavailableError)
    forger.present(whole)  # what was refused has not used it up


HOUR_S = 3600.0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"machine": "elsewhere"}, 'of the host "elsewhere"'),
        ({"pool": str(uuid.UUID(int=7))}, "for the pool"),
        ({"system": "another"}, "for the system another"),
        ({"issued": time.time() - HOUR_S, "expires": time.time() - HOUR_S + 300}, "expired"),
        ({"issued": time.time() + HOUR_S, "expires": time.time() + HOUR_S + 300}, "in the future"),
    ],
)
def test_credentials_for_something_else(changes: dict[str, object], said: str, forger: Forger) -> None:
    with pytest.raises(AccessError, match=said):
        forger.present(sign(forger.identity("agent"), forger.token(**changes)))


@pytest.mark.parametrize("role", ["admin", "server"])
def test_only_agents_vouch_for_users(role: c.Role, forger: Forger) -> None:
    with pytest.raises(AccessError, match=f"signed by the role {role}"):
        forger.present(sign(forger.identity(role), forger.token()))


def test_agents_whose_certificate_is_another_ca_s_or_has_expired(system: DevSystem, forger: Forger) -> None:
    now = datetime.now(UTC)
    strange = forger.issued(c.Authority.make(now), now, 30)
    with pytest.raises(AccessError, match="not issued by this CA"):
        forger.present(sign(strange, forger.token()))
    past = now - timedelta(days=10)
    expired = forger.issued(c.Folder(system.layout.authority).authority(), past, 1)
    with pytest.raises(AccessError, match="expired"):
        forger.present(sign(expired, forger.token()))


def test_who_has_no_rights_is_told_what_is_told_of_what_does_not_exist(
    system: DevSystem, forger: Forger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotFoundError) as absent:
        daos.connect("daos://absent")

    def mallory(agent: AgentClient, name: str = "", pool: str = "", session: bytes = b"") -> bytes:
        del agent, name
        token = forger.token(user="mallory@", group="mallory@", pool=pool, session=session)
        return sign(forger.identity("agent"), token)

    monkeypatch.setattr(AgentClient, "credential", mallory)
    with pytest.raises(NotFoundError) as forbidden:
        daos.connect("daos://safe")
    assert forbidden.value.message == absent.value.message.replace("absent", "safe")
    assert (forbidden.value.code, forbidden.value.hint) == (absent.value.code, absent.value.hint)


def test_a_client_without_tls(forger: Forger) -> None:
    with pytest.raises(DaosError) as refused:
        forger.present(sign(forger.identity("agent"), forger.token()), plain=True)
    assert "\n" not in refused.value.message


def test_roles_of_certificates(system: DevSystem, pool: str) -> None:
    plan, folder = system.layout.load(), system.layout.certificates
    hosts = [f"127.0.0.1:{port}" for port in plan.ports]

    def client(name: str) -> ManagementClient:
        identity = IdentityFiles(folder / "daosCA.crt", folder / f"{name}.crt", folder / f"{name}.key")
        return ManagementClient(hosts, identity, deadline_s=10, system=plan.system, role=Role(name))

    async def ask_all() -> None:
        async with client("agent") as agent, client("admin") as admin:
            for asked in (
                agent.ask(methods.POOL_DESTROY, pb.PoolDestroyRequest(pool="safe", force=True)),
                agent.ask(methods.POOL_EVICT, pb.PoolEvictRequest(pool="safe")),
                admin.ask(methods.GET_ATTACH_INFO, pb.GetAttachInfoRequest()),
            ):
                with pytest.raises(AccessError) as refused:
                    await asked
                assert refused.value.code is DER.NO_PERM

    asyncio.run(ask_all())


@pytest.mark.parametrize("daemon", ["agent", "server"])
@pytest.mark.parametrize("wrong", ["role", "expired"])
def test_daemons_do_not_start_with(wrong: str, daemon: c.Role, system: DevSystem, tmp_path: Path) -> None:
    layout = system.layout
    config = yaml.safe_load((layout.agent_config if daemon == "agent" else layout.server_config(0)).read_text())
    transport = config["transport_config"]
    if wrong == "role":
        transport |= {part: str(layout.certificates / f"admin.{ending}") for part, ending in _PARTS}
    else:
        then = datetime.now(UTC) - timedelta(days=10)
        authority = c.Folder(layout.authority).authority()
        made = authority.issue(daemon, [socket.gethostname()], [ip_address("127.0.0.1")], then, 1)
        c.store_issued(daemon, made, tmp_path, replace=False)
        transport |= {part: str(tmp_path / f"{daemon}.{ending}") for part, ending in _PARTS}
    if daemon == "agent":
        config |= {"runtime_dir": str(tmp_path), "log_file": str(tmp_path / "log")}
    else:
        config |= {"socket_dir": str(tmp_path), "control_log_file": str(tmp_path / "log")}
    path = tmp_path / "daemon.yml"
    path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", f"daos.{daemon}.main", "-o", str(path), "start"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S_MAX, check=False)
    assert done.returncode != 0
    said = done.stderr + done.stdout
    assert "Traceback" not in said
    assert ("expired" if wrong == "expired" else "role admin") in said


_PARTS = (("cert", "crt"), ("key", "key"))


def test_without_an_agent(system: DevSystem, pool: str) -> None:
    with daos.connect("daos://safe") as opened:
        store = opened.container("c").kv("k")
        system.stop("agent", kill=True)
        try:
            with pytest.raises(UnavailableError, match=r"the agent at .* cannot be reached") as refused:
                daos.connect("daos://safe")
            assert refused.value.code is DER.AGENT_COMM
            store["b"] = b"2"  # who is connected does not need it
            assert store["b"] == b"2"
        finally:
            system.up()
        store["b"] = b"3"
    with daos.connect("daos://safe") as opened:
        assert opened.container("c").kv("k")["b"] == b"3"


# What nobody understands

GARBAGE: dict[str, Callable[[], bytes]] = {
    "chance": lambda: os.urandom(1 << 16),
    "nothing": lambda: b"",
    "zeros": lambda: bytes(1 << 20),
    "lengths": lambda: b"\xff" * (1 << 20),
    "http": lambda: b"GET / HTTP/1.1\r\nHost: " + b"a" * (1 << 20),
    "half of a TLS greeting": lambda: b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + bytes(100),
    "a TLS record that never ends": lambda: (b"\x17\x03\x03\x40\x00" + bytes(0x4000)) * 64,
    "an HTTP/2 greeting": lambda: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\xff\xff\x04\x00\x00\x00\x00\x00" * 1000,
    "deep msgpack": lambda: (1 << 20).to_bytes(4, "little") + b"\x91" * (1 << 20),
    "a frame of 4 GiB": lambda: b"\xff\xff\xff\xff" + bytes(1 << 20),
}


def addresses(system: DevSystem) -> Iterator[tuple[str, int] | str]:
    """Yield all that a system listens at."""
    for port in system.layout.load().ports:
        # Control, its replica, and of the engine: control and two targets.
        yield from (("127.0.0.1", port + offset) for offset in (0, 1, 4, 5, 6))
    yield str(system.layout.sockets / "daos_agent.sock")
    yield from (str(system.layout.sockets / f"s{number}" / "daos_server.sock") for number in range(3))


def throw(address: tuple[str, int] | str, what: bytes) -> None:
    """Send bytes, and wait shortly for what comes."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(0.3)
        try:
            connection.connect(address)
            connection.sendall(what)
            while connection.recv(1 << 16):
                pass
        except OSError:
            return  # it was refused, as it should be


def test_garbage_at_every_port(system: DevSystem, pool: str) -> None:
    before = all_pids(system)
    assert len(before) == 7
    memory = {name: memory_of(pid) for name, pid in before.items()}
    for make in GARBAGE.values():
        throwers = [threading.Thread(target=throw, args=(address, make())) for address in addresses(system)]
        for thrower in throwers:
            thrower.start()
        for thrower in throwers:
            thrower.join()
    assert all_pids(system) == before, "nothing has died"
    grown = {name: memory_of(pid) - memory[name] for name, pid in before.items()}
    assert max(grown.values()) < GROWTH_MAX, grown
    with daos.connect("daos://safe") as opened:
        opened.container("c").kv("k")["c"] = b"4"
    assert pool_list(system)


# Rights that are taken away


class Writer:
    """Writes until it is refused; keeps when it was last told that it had written."""

    def __init__(self, url: str) -> None:
        self.last = 0.0
        self.error: DaosError | None = None
        self._url = url
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with daos.connect(self._url, timeout=ANSWER_S_MAX / 2) as opened:
                store = opened.container("c").kv("k")
                number = 0
                while True:
                    store["loop"] = b"%d" % number
                    self.last = time.monotonic()
                    number += 1
        except DaosError as error:
            self.error = error

    def join(self) -> None:
        self._thread.join(ANSWER_S_MAX)
        assert not self._thread.is_alive(), "it still writes"


def test_who_was_evicted_is_refused(system: DevSystem, pool: str) -> None:
    writer = Writer("daos://safe")
    poll(lambda: writer.last > 0, "a first write")
    ask(system, "pool", "evict", "safe")
    told = time.monotonic()
    writer.join()
    assert isinstance(writer.error, daos.ClosedError | AccessError), writer.error
    assert writer.last - told < REVOKED_S_MAX
    with daos.connect("daos://safe") as opened:  # he may come again
        assert opened.container("c").kv("k")["loop"]


def test_who_lost_his_rights_is_refused_and_does_not_come_again(system: DevSystem, pool: str, tmp_path: Path) -> None:
    file = tmp_path / "acl"
    before = ask(system, "pool", "get-acl", "safe")["ACL"]
    assert isinstance(before, dict)
    writer = Writer("daos://safe")
    poll(lambda: writer.last > 0, "a first write")
    file.write_text("A::alice@:rw\n")
    ask(system, "pool", "overwrite-acl", "safe", "-a", str(file))
    ask(system, "pool", "evict", "safe")
    told = time.monotonic()
    writer.join()
    assert writer.last - told < REVOKED_S_MAX
    with pytest.raises((NotFoundError, AccessError)):
        daos.connect("daos://safe")
    file.write_text("".join(f"{entry}\n" for entry in before["entries"]))
    ask(system, "pool", "overwrite-acl", "safe", "-a", str(file))
    daos.connect("daos://safe").close()
