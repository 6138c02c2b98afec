"""Programs, tools and daemons of other releases: each is refused where it comes, and told what to do."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

import daos
from daos import build_info
from daos.client import served
from daos.dev import DevSystem
from daos.errors import DER, UnavailableError
from daos.mgmt import methods
from daos.mgmt.client import ManagementClient
from daos.mgmt.identity import IdentityFiles
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.roles import Role
from tests.system.running import ask

OTHER = "99.1.0"
OWN = build_info().version
DMG = """
import sys
from daos.mgmt import client
client.own_release = lambda: "99.1.0"
from daos.cli.dmg._main import main
sys.argv = ["dmg", *sys.argv[1:]]
sys.exit(main())
"""


@pytest.fixture(scope="module", autouse=True)
def pool(system: DevSystem) -> None:
    ask(system, "pool", "create", "release", "-z", "60MB", "-r", "0")


def test_a_program(system: DevSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    with daos.connect("daos://release") as pool:
        pool.attributes["of"] = b"this release"
    monkeypatch.setattr(served, "RELEASE", OTHER)
    with pytest.raises(UnavailableError) as refused:
        daos.connect("daos://release")
    assert refused.value.code is DER.CONTROL_INCOMPAT
    assert refused.value.message == f"the client is of release {OTHER}, the agent of this host of {OWN}"
    assert "give the program the agent's release of daos" in (refused.value.hint or "")


def test_dmg(system: DevSystem) -> None:
    command = [sys.executable, "-c", DMG, "-o", str(system.layout.control_config), "system", "set-attr", "a:b"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 1
    assert f"the admin is of release {OTHER}, this server of {OWN}" in done.stderr
    assert "hint: use the one that belongs to the servers" in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("role", [Role.AGENT, Role.SERVER])
def test_a_daemon(system: DevSystem, role: Role) -> None:
    folder, plan = system.layout.certificates, system.layout.load()
    identity = IdentityFiles(folder / "daosCA.crt", folder / f"{role}.crt", folder / f"{role}.key")
    hosts = [f"127.0.0.1:{port}" for port in plan.ports]

    async def come(release: str) -> None:
        async with ManagementClient(
            hosts, identity, deadline_s=10, system=plan.system, role=role, release=release
        ) as client:
            if role is Role.AGENT:
                await client.ask(methods.GET_ATTACH_INFO, pb.GetAttachInfoRequest())
            else:
                body = pb.ServerCallRequest(method="replica_status", body=b"\xc0")
                await client.on_host(hosts[0], methods.SERVER_CALL, body)

    asyncio.run(come(OWN))
    with pytest.raises(UnavailableError) as refused:
        asyncio.run(come(OTHER))
    assert refused.value.code is DER.CONTROL_INCOMPAT
    assert refused.value.message == f"the {role} is of release {OTHER}, this server of {OWN}"
    hint = "start daos_agent again" if role is Role.AGENT else "install the same release on all servers"
    assert hint in (refused.value.hint or "")
