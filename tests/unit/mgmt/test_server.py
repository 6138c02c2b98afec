from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import structlog

from daos.errors import DER, AccessError, InternalError, InvalidError, NotFoundError, UnavailableError
from daos.mgmt import methods
from daos.mgmt import server as server_module
from daos.mgmt.client import ManagementClient
from daos.mgmt.identity import Identities, Identity, IdentityFiles, check_identity
from daos.mgmt.probe import probe
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.roles import ROLES, Role
from daos.mgmt.server import Running, host_of, serve
from daos.mgmt.wire import error_in
from tests.unit.mgmt.certificates import Authority
from tests.unit.mgmt.fake_management import FakeManagement, FakeServer

AUTHORITY = Authority()
SERVER = AUTHORITY.issue("server", hosts=("node1", "127.0.0.1"))
ADMIN = AUTHORITY.issue("admin")


@dataclass
class Served:
    address: str
    management: FakeManagement
    server: FakeServer
    running: Running

    @asynccontextmanager
    async def client(
        self, identity: Identity | None = None, role: Role = Role.ADMIN, system: str = "", deadline_s: float = 20
    ) -> AsyncIterator[ManagementClient]:
        identities = None if identity is None else lambda: identity
        async with ManagementClient(
            [self.address], identities, role=role, system=system, deadline_s=deadline_s
        ) as client:
            yield client


@asynccontextmanager
async def served(
    identity: Identities | None = None, system: str = "", release: str | None = None
) -> AsyncIterator[Served]:
    management, server = FakeManagement(), FakeServer()
    running = await serve("127.0.0.1:0", management, server, identity, system=system, release=release)
    management.address = running.address
    try:
        yield Served(running.address, management, server, running)
    finally:
        await running.stop(0)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(50):
            await test()

    asyncio.run(bounded())


def test_with_tls_the_certificate_is_the_role() -> None:
    async def test() -> None:
        async with served(lambda: SERVER) as there, there.client(ADMIN, role=Role.SERVER) as client:
            told = await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
            assert [member.rank for member in told.members] == [0, 1, 2]
            (called,) = there.management.calls
            assert called[0] == "system_query"
            assert (called[1].role, called[1].host, called[1].machines) == (Role.ADMIN, "127.0.0.1", ())
            agent = AUTHORITY.issue("agent", hosts=("node7",))
            async with there.client(agent) as other:
                await other.ask(methods.GET_ATTACH_INFO, pb.GetAttachInfoRequest())
                assert there.management.calls[-1][1].machines == ("node7",)
                with pytest.raises(AccessError, match="SystemQuery is not for the role agent") as refused:
                    await other.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
                assert refused.value.code is DER.NO_PERM
                assert refused.value.hint == "it takes the certificate admin.crt or server.crt"
                with pytest.raises(AccessError, match="may not close handles of node8"):
                    await other.ask(methods.SYSTEM_CLEANUP, pb.SystemCleanupRequest(machine="node8"))

    run(test)


def test_every_method_is_refused_to_each_role_that_it_is_not_given_to() -> None:
    by_path = {method.path: method for method in vars(methods).values() if isinstance(method, methods.Method)}

    async def test() -> None:
        async with served() as there:
            for role in Role:
                async with there.client(role=role) as client:
                    for path, allowed in ROLES.items():
                        method = by_path[path]
                        if role in allowed or method is methods.COLLECT_LOG:
                            continue
                        with pytest.raises(AccessError, match="is not for the role"):
                            await client.on_host(there.address, method, method.request())
                    if role is not Role.ADMIN:
                        with pytest.raises(AccessError, match="is not for the role"):
                            async for _ in client.collect_log(there.address, pb.CollectLogRequest()):
                                pass
            assert there.management.calls == []
            assert there.server.calls == []

    run(test)


def test_without_a_role_nothing_is_answered() -> None:
    async def test() -> None:
        async with served() as there, grpc.aio.insecure_channel(there.address) as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
            call = channel.unary_unary("/daos.mgmt.v1.Management/LeaderQuery")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(b"")
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(b"", metadata=(("daos-role", "root"),))
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
            call = channel.unary_unary("/daos.mgmt.v1.Management/Nothing")
            with pytest.raises(grpc.aio.AioRpcError) as unknown:
                await call(b"", metadata=(("daos-role", "admin"),))
            assert unknown.value.code() is grpc.StatusCode.UNIMPLEMENTED
            assert there.management.calls == []

    run(test)


CASES = {
    "another CA": (Authority().issue("admin"), "certificate", DER.BAD_CERT),
    "expired": (AUTHORITY.issue("admin", days=-1), "it is expired", DER.BAD_CERT),
    "no role": (AUTHORITY.issue("root"), '"root" is no role', DER.NO_PERM),
    "no PEM": (Identity(AUTHORITY.pem, b"x", b"y"), "the certificates cannot be used", DER.BAD_CERT),
    "key of another": (Identity(AUTHORITY.pem, ADMIN.certificate, SERVER.key), "key values mismatch", DER.BAD_CERT),
    "insecure": (None, "speaks TLS only", DER.NO_CERT),
}


@pytest.mark.parametrize("case", CASES)
def test_a_client_that_is_not_believed_is_told_why(case: str) -> None:
    identity, words, code = CASES[case]

    async def test() -> None:
        async with served(lambda: SERVER) as there, there.client(identity) as client:
            with pytest.raises(AccessError, match=words) as refused:
                await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
            assert refused.value.code is code
            assert refused.value.hint
            assert there.management.calls == []

    run(test)


SERVERS = {
    "another CA": (Authority().issue("server"), "cannot be believed"),
    "expired": (AUTHORITY.issue("server", days=-1), "cannot be believed: certificate has expired"),
    "another role": (AUTHORITY.issue("agent", hosts=("127.0.0.1", "server")), 'of the role "agent", not "server"'),
    "insecure": (None, "does not speak TLS"),
}


@pytest.mark.parametrize("case", SERVERS)
def test_a_server_that_is_not_believed_is_not_asked(case: str) -> None:
    identity, words = SERVERS[case]

    async def test() -> None:
        async with (
            served(None if identity is None else lambda: identity) as there,
            there.client(ADMIN) as client,
        ):
            with pytest.raises(AccessError, match=words) as refused:
                await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
            assert refused.value.code is DER.BAD_CERT
            assert there.management.calls == []

    run(test)


@pytest.mark.parametrize("hosts", [(), ("server",), ("node1",), ("10.1.2.3",), ("*.cluster", "127.0.0.1")])
def test_a_server_goes_by_its_role_whatever_hosts_its_certificate_names(hosts: tuple[str, ...]) -> None:
    identity = AUTHORITY.issue("server", hosts=hosts)

    async def test() -> None:
        async with served(lambda: identity) as there, there.client(ADMIN) as client:
            assert (await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())).version == 7

    run(test)


def test_certificates_change_without_a_restart() -> None:
    now = [SERVER]

    async def test() -> None:
        async with served(lambda: now[0]) as there:
            async with there.client(ADMIN) as client:
                await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
                before = (await probe(there.address, ADMIN)).certificate
                now[0] = AUTHORITY.issue("server")
                seen = await probe(there.address, ADMIN)
                assert seen.certificate == now[0].certificate != before
                await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
            other = Authority()
            now[0] = other.issue("server")
            async with there.client(ADMIN) as client:
                with pytest.raises(AccessError, match="cannot be believed"):
                    await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
            async with there.client(other.issue("admin")) as client:
                await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())

    run(test)


def test_the_connection_is_of_tls_1_3_also_with_those_who_offer_1_2() -> None:
    async def test() -> None:
        async with served(lambda: SERVER) as there:
            context = check_identity(ADMIN)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            host, port = there.address.split(":")
            _, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname=host)
            assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
            writer.transport.abort()

    run(test)


def test_errors_come_as_they_are_and_defects_without_what_they_know() -> None:
    async def test() -> None:
        async with served() as there:
            async with there.client() as client:
                with pytest.raises(NotFoundError, match='unable to find pool service with label "x"') as missing:
                    await client.ask(methods.POOL_QUERY, pb.PoolQueryRequest(pool="x"))
                assert missing.value.hint == "list the pools"
            async with there.client(role=Role.SERVER) as client:
                with pytest.raises(InternalError, match="the server failed") as defect:
                    await client.on_host(there.address, methods.SERVER_CALL, pb.ServerCallRequest(method="defect"))
                assert "secret" not in str(defect.value)
                answer = await client.on_host(
                    there.address, methods.ENGINE_CALL, pb.EngineCallRequest(rank=0, method="m", body=b"abc")
                )
                assert answer.body == b"cba"

    run(test)


def test_bytes_that_are_no_request() -> None:
    async def test() -> None:
        async with served() as there, grpc.aio.insecure_channel(there.address) as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
            call = channel.unary_unary("/daos.mgmt.v1.Management/PoolCreate")
            for role, expected in (("admin", grpc.StatusCode.INVALID_ARGUMENT), ("agent", None)):
                for body in (b"\xff", b"\x0a\xff\xff\xff\xff\x7f", b"\x0b" * 5000, bytes(range(255, 0, -1))):
                    with pytest.raises(grpc.aio.AioRpcError) as refused:
                        await call(body, metadata=(("daos-role", role),))
                    # Who may not ask is not even read.
                    assert refused.value.code() is (expected or grpc.StatusCode.PERMISSION_DENIED)
                    assert error_in(refused.value.trailing_metadata()) is not None
            assert there.management.calls == []
            async with there.client() as client:
                await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())

    run(test)


def test_more_calls_than_there_may_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "CALLS_MAX", 2)

    async def test() -> None:
        async with served() as there, there.client() as client:
            go, inside = asyncio.Event(), asyncio.Semaphore(0)

            async def wait() -> None:
                inside.release()
                await go.wait()

            there.management.before = wait
            tasks = [asyncio.create_task(client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())) for _ in range(2)]
            await inside.acquire()
            await inside.acquire()
            with pytest.raises(UnavailableError, match="refuses: Concurrent RPC limit exceeded"):
                await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
            go.set()
            for task in tasks:
                await task

    run(test)


def test_a_caller_that_leaves_is_logged() -> None:
    async def test() -> None:
        async with served() as there, there.client() as client:
            inside = asyncio.Event()

            async def wait() -> None:
                inside.set()
                await asyncio.sleep(30)

            there.management.before = wait
            with structlog.testing.capture_logs() as lines:
                task = asyncio.create_task(client.ask(methods.SYSTEM_STOP, pb.SystemStopRequest(ranks=[2])))
                await inside.wait()
                task.cancel()
                while not lines:
                    await asyncio.sleep(0.01)
            _has(lines[0], event="request", method="SystemStop", outcome="left", ranks=[2])

    run(test)


def test_another_system_is_refused() -> None:
    async def test() -> None:
        async with served(system="one") as there:
            async with there.client(system="two") as client:
                with pytest.raises(InvalidError, match='this is the system "one", not "two"'):
                    await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
            for system in ("one", ""):
                async with there.client(system=system) as client:
                    await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())

    run(test)


def test_changes_and_denials_are_logged_queries_are_not() -> None:
    lines: list[MutableMapping[str, Any]] = []  # type: ignore[explicit-any]  # structlog's

    async def test() -> None:
        async with served() as there:
            async with there.client() as client:
                with structlog.testing.capture_logs() as captured:
                    await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
                    assert captured == []
                    await client.ask(methods.SYSTEM_STOP, pb.SystemStopRequest(ranks=[1]))
                    with pytest.raises(NotFoundError):
                        await client.ask(methods.POOL_DESTROY, pb.PoolDestroyRequest(pool="x"))
                    lines.extend(captured)
            async with there.client(role=Role.AGENT) as client:
                with structlog.testing.capture_logs() as captured:
                    with pytest.raises(AccessError):
                        await client.ask(methods.POOL_QUERY, pb.PoolQueryRequest(pool="x"))
                    lines.extend(captured)

    run(test)
    stop, destroy, denied = lines
    _has(stop, event="request", method="SystemStop", outcome="done", role="admin", host="127.0.0.1", ranks=[1])
    assert "/" in stop["request"]
    _has(destroy, event="request", method="PoolDestroy", outcome="DER_NONEXIST", pool="x", log_level="info")
    _has(denied, event="denied", method="PoolQuery", outcome="DER_NO_PERM", role="agent", log_level="warning")


def _has(line: Mapping[str, object], **facts: object) -> None:
    assert {name: line.get(name) for name in facts} == facts


def test_a_port_that_is_taken_is_refused() -> None:
    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(UnavailableError, match=f"cannot listen on {address}") as refused:
                await serve(address, FakeManagement(), FakeServer(), None)
            assert refused.value.code is DER.UNREACH
        async with served() as there:
            with pytest.raises(UnavailableError, match="cannot listen"):
                await serve(there.address, FakeManagement(), FakeServer(), None)

    run(test)


def test_hosts_of_peers() -> None:
    assert host_of("ipv4:10.0.0.1:555") == "10.0.0.1"
    assert host_of("ipv6:%5B::1%5D:555") == "::1"
    assert host_of("unix:/x") == "unix:/x"


def test_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("ca", "crt", "key")]

    def write(identity: Identity) -> None:
        for path, content in zip(names, (identity.ca, identity.certificate, identity.key), strict=True):
            path.write_bytes(content)
            path.chmod(0o600)

    with pytest.raises(AccessError, match="No such file") as missing:
        IdentityFiles(*names)
    assert missing.value.code is DER.NO_CERT
    write(ADMIN)
    files = IdentityFiles(*names)
    assert files() == ADMIN
    write(SERVER)
    assert files() == SERVER
    names[2].unlink()
    assert files() == SERVER
    names[2].write_bytes(ADMIN.key)
    names[2].chmod(0o600)
    assert files() == SERVER, "the key of another certificate is half a change"
    names[1].write_bytes(ADMIN.certificate)
    names[1].chmod(0o644)
    assert files() == ADMIN
    names[2].write_bytes(b"no PEM")
    with pytest.raises(AccessError, match="the certificates cannot be used"):
        IdentityFiles(*names)
    names[2].write_bytes(ADMIN.key)
    names[2].chmod(0o440)
    assert IdentityFiles(*names)() == ADMIN
    names[2].chmod(0o444)
    with pytest.raises(AccessError, match="has the mode 0444: others may use it") as loose:
        IdentityFiles(*names)
    assert loose.value.hint == f"chmod 0400 {names[2]}"
