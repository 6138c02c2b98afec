"""Servers that are not to come up, or whose storage, certificates or ports are not in order."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding

from daos import errors
from daos.mgmt import methods
from daos.mgmt.client import ManagementClient
from daos.mgmt.identity import IdentityFiles
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.security.certificates import Authority
from tests.servers import DEADLINE_S, SCRIPT, Servers, pool_request

Body = Callable[[Servers, ManagementClient], Coroutine[object, object, None]]


def run(servers: Servers, body: Body) -> None:
    async def main() -> None:
        async with servers.client() as client, asyncio.timeout(58):
            await body(servers, client)

    asyncio.run(main())


def start(config: Path, *arguments: str) -> tuple[int, str]:
    """Start a server that is not to come up; return its status and what it says."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "start", "-o", str(config), *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return done.returncode, done.stderr


def change_config(servers: Servers, **changes: object) -> Path:
    path = servers.config(0)
    config = yaml.safe_load(path.read_text())
    config.update(changes)
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Servers]:
    found = Servers(tmp_path, 1)
    try:
        yield found
    finally:
        found.close()


def test_a_port_that_is_taken_ends_the_start(one: Servers) -> None:
    async def body(servers: Servers, client: ManagementClient) -> None:
        servers.start_all("--auto-format")
        await servers.joined(client)

    run(one, body)
    status, said = start(one.config(0))
    assert status == 1
    assert said.splitlines()[0].startswith("ERROR: daos_server: cannot listen on 127.0.0.1:")
    assert "Traceback" not in said
    other = change_config(one, port=one.ports[0] + 1, raft_port=one.ports[0] + 5)
    status, said = start(other)
    assert status == 1
    assert "somebody listens at" in said or "Address already in use" in said or "in use" in said


def test_a_directory_of_others_is_not_formatted(one: Servers) -> None:
    one.storage(0).mkdir()
    (one.storage(0) / "thesis.tex").write_text("dear")
    status, said = start(one.config(0), "--auto-format")
    assert status == 1
    assert "is not empty: thesis.tex" in said
    assert (one.storage(0) / "thesis.tex").read_text() == "dear"


def test_storage_of_another_system_is_not_used(one: Servers) -> None:
    async def body(servers: Servers, client: ManagementClient) -> None:
        servers.start_all("--auto-format")
        await servers.joined(client)
        servers.stop(0)
        change_config(servers, name="other")
        servers.start(0)

        async def refused() -> bool:
            return "belongs to the system test, not other" in servers.log(0)

        await servers.until("a refusal", refused)

    run(one, body)


def test_a_damaged_superblock_is_told_and_left(one: Servers) -> None:
    async def body(servers: Servers, client: ManagementClient) -> None:
        servers.start_all("--auto-format")
        await servers.joined(client)
        servers.stop(0)
        block = servers.storage(0) / "superblock"
        block.write_text("version: [")
        servers.start(0)

        async def told_so() -> bool:
            return "superblock is damaged" in servers.log(0)

        await servers.until("it is told", told_so)
        assert block.read_text() == "version: ["
        assert "engine 0 started" not in servers.log(0).rpartition("superblock is damaged")[2]

    run(one, body)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"engines": [{"targets": 0}]}, "targets"),
        ({"prot": 1}, "prot"),
        ({"control_iface": "none0"}, "none0"),
        ({"transport_config": {"allow_insecure": False, "ca_cert": "/absent/ca.crt"}}, "transport_config"),
    ],
)
def test_a_wrong_configuration_ends_the_start_in_a_line(one: Servers, changes: dict[str, object], words: str) -> None:
    status, said = start(change_config(one, **changes))
    assert status == 1
    assert words in said
    assert said.startswith("ERROR: daos_server: ")
    assert "Traceback" not in said


def test_the_rate_of_restarts_is_limited(one: Servers) -> None:
    async def body(servers: Servers, client: ManagementClient) -> None:
        servers.start_all("--auto-format")
        await servers.joined(client)
        (servers.storage(0) / "refuse_start").touch()
        os.kill(servers.engine_pid(0), signal.SIGKILL)

        async def died_again() -> bool:
            return servers.log(0).count("engine_died") >= 3

        began = asyncio.get_running_loop().time()
        await servers.until("it dies again", died_again)
        assert asyncio.get_running_loop().time() - began >= 0.9  # two more starts are a second apart at least
        assert "ended with status 3" in servers.log(0)

    run(one, body)


def test_servers_speak_tls_and_refuse_who_has_no_certificate(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority = Authority.make(now)
    loopback = ip_address("127.0.0.1")
    for role in ("server", "admin"):
        issued = authority.issue(role, ["localhost"], [loopback], now)
        (tmp_path / f"{role}.crt").write_bytes(issued.certificate_pem)
        (tmp_path / f"{role}.key").write_bytes(issued.key_pem)
        (tmp_path / f"{role}.key").chmod(0o400)
    (tmp_path / "ca.crt").write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    transport = {
        "allow_insecure": False,
        "ca_cert": str(tmp_path / "ca.crt"),
        "cert": str(tmp_path / "server.crt"),
        "key": str(tmp_path / "server.key"),
    }
    servers = Servers(tmp_path / "system", transport_config=transport)
    identity = IdentityFiles(*(str(tmp_path / name) for name in ("ca.crt", "admin.crt", "admin.key")))

    async def main() -> None:
        servers.start_all("--auto-format")
        async with ManagementClient(servers.addresses, identity, deadline_s=50, system="test") as client:
            await servers.joined(client)
            await client.ask(methods.POOL_CREATE, pool_request())
            # Other certificates of the same CA, while all is running.
            issued = authority.issue("server", ["localhost"], [loopback], now)
            for suffix, content, mode in (("crt", issued.certificate_pem, 0o644), ("key", issued.key_pem, 0o400)):
                new = tmp_path / f"server.{suffix}.new"
                new.write_bytes(content)
                new.chmod(mode)
                new.replace(tmp_path / f"server.{suffix}")
            await client.ask(methods.SYSTEM_STOP, pb.SystemStopRequest(ranks=[0, 1]))
        async with servers.client(3) as plain:
            with pytest.raises(errors.DaosError):
                await plain.ask(methods.POOL_LIST, pb.PoolListRequest())

    try:
        asyncio.run(asyncio.wait_for(main(), 58))
    finally:
        servers.close()
    (tmp_path / "server.key").chmod(0o444)
    status, said = start(servers.config(0))
    assert status == 1
    assert "server.key" in said
    assert "Traceback" not in said
