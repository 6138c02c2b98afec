from __future__ import annotations

import pytest

from daos.errors import DER, UnavailableError
from daos.mgmt import methods
from daos.mgmt.client import ManagementClient
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.releases import check_client, check_release
from daos.mgmt.roles import Role
from daos.mgmt.server import serve
from tests.unit.mgmt.fake_management import FakeManagement, FakeServer
from tests.unit.mgmt.test_server import run

GOOD = [
    (Role.ADMIN, "1.2.0", "1.2.9"),
    (Role.ADMIN, "1.2.0-rc1", "1.2.0"),
    (Role.AGENT, "1.3.0", "1.2.0"),
    (Role.AGENT, "1.1.7", "1.2.0"),
    (Role.SERVER, "1.3.0", "1.2.0"),
    (Role.ADMIN, "", "1.2.0"),
    (Role.ADMIN, "odd", "odd"),
]
BAD = [
    (Role.ADMIN, "1.3.0", "1.2.0"),
    (Role.AGENT, "1.4.0", "1.2.0"),
    (Role.AGENT, "2.2.0", "1.2.0"),
    (Role.SERVER, "1.0.0", "1.2.0"),
    (Role.ADMIN, "odd", "1.2.0"),
    (Role.ADMIN, "1", "1.2.0"),
    (Role.ADMIN, "1.20.0", "1.2.0"),
]


@pytest.mark.parametrize(("role", "theirs", "ours"), GOOD)
def test_releases_that_go_together(role: Role, theirs: str, ours: str) -> None:
    check_release(role, theirs, ours)


@pytest.mark.parametrize(("role", "theirs", "ours"), BAD)
def test_releases_that_do_not(role: Role, theirs: str, ours: str) -> None:
    with pytest.raises(UnavailableError) as refused:
        check_release(role, theirs, ours)
    assert refused.value.code is DER.CONTROL_INCOMPAT


@pytest.mark.parametrize(
    ("role", "hint"),
    [
        (Role.ADMIN, "use the one that belongs to the servers"),
        (Role.AGENT, "start daos_agent again"),
        (Role.SERVER, "install the same release on all servers"),
    ],
)
def test_each_is_told_what_to_do(role: Role, hint: str) -> None:
    with pytest.raises(UnavailableError, match=rf"the {role} is of release 9\.0\.0, this server of 1\.2\.0") as refused:
        check_release(role, "9.0.0", "1.2.0")
    assert hint in (refused.value.hint or "")


def test_a_program_and_the_agent_of_its_host() -> None:
    for theirs in ("", "1.2.0", "1.1.7", "1.3.0"):
        check_client(theirs, "1.2.0")
    for theirs in ("1.4.0", "2.2.0", "odd", "1"):
        with pytest.raises(
            UnavailableError, match=rf"the client is of release {theirs}, the agent of this host of"
        ) as no:
            check_client(theirs, "1.2.0")
        assert no.value.code is DER.CONTROL_INCOMPAT
        assert no.value.context["release"] == "1.2.0"


def test_a_server_refuses_another_release_but_tells_its_own() -> None:
    async def test() -> None:
        running = await serve("127.0.0.1:0", FakeManagement(), FakeServer(), None, release="7.1.0")
        for release, answered in (("7.1.5", True), ("7.2.0", False), ("", True)):
            async with ManagementClient([running.address], None, release=release) as client:
                assert (await client.on_host(running.address, methods.VERSION, pb.VersionRequest())).version == "0.3.0"
                if answered:
                    await client.ask(methods.POOL_LIST, pb.PoolListRequest())
                    continue
                with pytest.raises(UnavailableError, match=r"the admin is of release 7\.2\.0, this server of 7\.1\.0"):
                    await client.ask(methods.POOL_LIST, pb.PoolListRequest())
        await running.stop(0)

    run(test)
