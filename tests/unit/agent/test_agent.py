"""The agent on a real socket, before servers that are not there."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ParamSpec

import msgspec
import pytest
import structlog
from structlog.testing import capture_logs

from daos.agent import messages as m
from daos.agent import server as module
from daos.agent.client import AgentClient, socket_path
from daos.agent.listening import listening_socket
from daos.agent.server import Agent, Clock, check_machine, machine_name
from daos.agent.users import Peer, User
from daos.config import AgentConfig
from daos.errors import (
    DER,
    AccessError,
    BusyError,
    DaosError,
    InternalError,
    InvalidError,
    NotFoundError,
    TimedOutError,
    UnavailableError,
)
from daos.security.certificates import Authority, Folder, Identity, load_identity, store_issued
from daos.security.credentials import Verifier
from tests.unit.agent.fakes import AccessList, Entry, FakeUpstream, Info, asynchronous

P = ParamSpec("P")
POOL = "00000000-0000-0000-0000-00000000000a"
ONE = "00000000-0000-0000-0000-000000000001"
TWO = "00000000-0000-0000-0000-000000000002"
THREE = "00000000-0000-0000-0000-000000000003"


class Flavour:
    """Everybody is ada, unless `error` says otherwise."""

    name = "AUTH_SYS"

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.block = threading.Event()
        self.block.set()

    def user_of(self, peer: Peer) -> User:
        assert peer == Peer(os.getpid(), os.geteuid(), os.getegid())
        self.block.wait(20)
        if self.error is not None:
            raise self.error
        return User("ada@", "analysts@", ("readers@",))


@dataclass
class Case:
    """An agent that runs, and what it is made of."""

    agent: Agent
    config: AgentConfig
    upstream: FakeUpstream
    flavour: Flavour
    now: list[datetime]
    clients: list[AgentClient] = field(default_factory=list)

    def client(self) -> AgentClient:
        made = AgentClient(self.config.socket, timeout_s=10)
        self.clients.append(made)
        return made


@asynccontextmanager
async def running(
    tmp_path: Path,
    identity: Identity | None = None,
    upstream: FakeUpstream | None = None,
    keys: dict[str, object] | None = None,
) -> AsyncIterator[Case]:
    config = AgentConfig.model_validate(
        {"runtime_dir": tmp_path, "transport_config": {"allow_insecure": True}} | (keys or {})
    )
    upstream = upstream or FakeUpstream(pools={"tank": POOL}, acls={POOL: AccessList(["A::ada@:rw"])})
    flavour, now = Flavour(), [datetime(2026, 5, 1, 12, tzinfo=UTC)]
    agent = Agent(
        config,
        upstream,
        None if identity is None else lambda: identity,
        flavour=flavour,
        clock=Clock(time.monotonic, lambda: now[0]),
        machine="host1.example",
    )
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(agent.run(stop, ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        waiting.cancel()
        task.result()
    case = Case(agent, config, upstream, flavour, now)
    try:
        yield case
    finally:
        flavour.block.set()
        for client in case.clients:
            client.close()
        stop.set()
        await task
        assert not config.socket.exists()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def refused(call: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> DaosError:
    with pytest.raises(DaosError) as caught:
        await asyncio.to_thread(call, *args, **kwargs)
    return caught.value


@pytest.fixture
def authority() -> Authority:
    return Authority.make(datetime(2026, 5, 1, tzinfo=UTC))


@pytest.fixture
def identity(authority: Authority, tmp_path: Path) -> Identity:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    folder = Folder(tmp_path / "ca")
    folder.create(authority)
    files = store_issued(
        "agent", authority.issue("agent", ["host1.example"], (), now, 40), folder.certificates, replace=False
    )
    return load_identity(*files, folder.ca_certificate, now=now)


@asynchronous
async def test_attach(tmp_path: Path) -> None:
    async with running(tmp_path, upstream=FakeUpstream(Info(insecure=True))) as case:
        assert stat.S_IMODE(case.config.socket.stat().st_mode) == 0o666
        info = await asyncio.to_thread(case.client().attach)
        assert info.ranks[0].addresses == ("tcp://10.0.0.1:20000", "tcp://10.0.0.1:20001")
        assert info.insecure
        case.upstream.info = Info(insecure=True, version=2)
        client = case.client()
        assert (await asyncio.to_thread(client.attach, "daos_server")).version == 1
        assert (await asyncio.to_thread(lambda: client.attach(refresh=True))).version == 2
        error = await refused(client.attach, "other")
        assert isinstance(error, NotFoundError)
        assert error.message == "this host's agent is of the system daos_server, not other"


@asynchronous
async def test_credentials_are_believed(tmp_path: Path, identity: Identity, authority: Authority) -> None:
    verifier = Verifier([authority.certificate], "daos_server")
    async with running(tmp_path, identity) as case:
        client = case.client()
        now = case.now[0].timestamp()
        for pool in ("", POOL):
            raw = await asyncio.to_thread(client.credential, "", pool, b"session")
            token = verifier.check(raw, now, pool=pool)
            assert (token.user, token.groups, token.machine) == ("ada@", ("readers@",), "host1.example")
            assert (token.session, token.pool, token.expires - now) == (b"session", pool, 300)
        assert (await asyncio.to_thread(client.attach)).ca_certificate == identity.ca_pem


@asynchronous
async def test_insecure_credentials(tmp_path: Path) -> None:
    async with running(tmp_path) as case:
        raw = await asyncio.to_thread(case.client().credential)
        now = case.now[0].timestamp()
        assert Verifier([], "daos_server", allow_insecure=True).verify(raw, now).user == "ada@"
        with pytest.raises(AccessError, match="not signed"):
            Verifier([], "daos_server").verify(raw, now)


@asynchronous
async def test_credentials_that_are_not_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as case:
        client = case.client()
        assert (await refused(client.credential, "other")).code is DER.NONEXIST
        assert "uuid of a pool" in (await refused(client.credential, "", "tank")).message
        assert "65 bytes" in (await refused(client.credential, "", "", b"k" * 65)).message
        case.flavour.error = AccessError("nobody knows you")
        assert (await refused(client.credential)).message == "nobody knows you"
        case.flavour.error = RuntimeError("a defect")
        with capture_logs() as logs:
            error = await refused(client.credential)
        assert isinstance(error, InternalError)
        assert "a defect" not in str(error), "what is inside stays in the log"
        assert [one["event"] for one in logs] == ["request failed", "request refused"]
        case.flavour.error = None
        monkeypatch.setattr(module, "USER_S_MAX", 0.05)
        case.flavour.block.clear()
        assert isinstance(await refused(client.credential), TimedOutError)
        case.flavour.block.set()
        assert await asyncio.to_thread(client.credential), "the connection goes on after each refusal"


@asynchronous
async def test_one_user_cannot_have_all_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daos.agent.handles.Allowance.AT_ONCE", 3)
    monkeypatch.setattr("daos.agent.handles.Allowance.A_SECOND", 0.0)
    async with running(tmp_path) as case:
        client = case.client()
        for _ in range(3):
            await asyncio.to_thread(client.credential)
        assert isinstance(await refused(client.credential), BusyError)


@asynchronous
async def test_a_list_of_pools_has_those_only_that_the_user_may_open(tmp_path: Path) -> None:
    names = ("theirs", "ours", "mine", "written", "readers", "absent", "silent", "shut", "made", "")
    entries = [
        Entry(f"00000000-0000-0000-0000-0000000001{at:02}", name, "Creating" if name == "made" else "Ready", (at,))
        for at, name in enumerate(names)
    ]
    lists: dict[str, AccessList | Exception] = {
        "theirs": AccessList(("A::OWNER@:rw", "A:G:GROUP@:rw"), "bob@", "other@"),
        "ours": AccessList(("A::OWNER@:rw", "A:G:GROUP@:r"), "bob@", "analysts@"),
        "mine": AccessList(("A::OWNER@:rw",), "ada@"),
        "written": AccessList(("A::ada@:w",)),
        "readers": AccessList(("A:G:readers@:t",)),
        "absent": NotFoundError("it went"),
        "silent": UnavailableError("nobody answers"),
        "shut": AccessList(("A::ada@:", "A::EVERYONE@:rw")),
        "": AccessList(("A::EVERYONE@:r",)),
    }
    upstream = FakeUpstream(
        entries=entries, acls={entry.uuid: lists[entry.label] for entry in entries if entry.label != "made"}
    )
    with capture_logs() as logs:
        async with running(tmp_path, upstream=upstream) as case:
            listed = await asyncio.to_thread(case.client().list_pools)
            assert [pool.label for pool in listed] == ["mine", "ours", "readers", ""]
            assert listed[0] == m.ListedPool(uuid=entries[2].uuid, label="mine", state="Ready", services=(2,))
            error = await refused(case.client().list_pools, "other")
            assert (error.code, error.context) == (DER.NONEXIST, {"system": "daos_server"})
            case.flavour.error = AccessError("nobody knows you")
            assert isinstance(await refused(case.client().list_pools), AccessError)
    assert [log["pool"] for log in logs if "access list" in log["event"]] == [entries[6].uuid]


@asynchronous
async def test_find_pool(tmp_path: Path) -> None:
    async with running(tmp_path) as case:
        client = case.client()
        found = await asyncio.to_thread(client.find_pool, "tank")
        assert (found.uuid, found.services) == (POOL, (0, 2))
        assert "invalid pool label" in (await refused(client.find_pool, "a b")).message


@asynchronous
async def test_servers_that_do_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UPSTREAM_S_MAX", 0.05)
    async with running(tmp_path) as case:
        case.upstream.gate = asyncio.Event()
        assert isinstance(await refused(case.client().find_pool, "tank"), TimedOutError)
        case.upstream.gate.set()


@asynchronous
async def test_handles_of_a_process_that_ends_are_evicted(tmp_path: Path) -> None:
    async with running(tmp_path) as case:
        client, other = case.client(), case.client()
        await asyncio.to_thread(client.notify_open, POOL, ONE)
        await asyncio.to_thread(client.notify_open, POOL, TWO)
        await asyncio.to_thread(client.notify_closed, POOL, TWO)
        await asyncio.to_thread(other.notify_open, POOL, THREE)
        client.close()
        await until(lambda: case.upstream.calls == [("evict", POOL, ONE)])
        assert "uuids" in (await refused(other.notify_open, "tank", ONE)).message
        await until(lambda: case.agent.statistics.evicted == 1)


@asynchronous
async def test_evictions_are_tried_until_they_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", (0.001,))
    async with running(tmp_path) as case:
        case.upstream.error = UnavailableError("the servers are away")
        client = case.client()
        await asyncio.to_thread(client.notify_open, POOL, ONE)
        client.close()
        await until(lambda: len(case.upstream.calls) >= 3)
        case.upstream.error = None
        await until(lambda: case.agent.statistics.evicted == 1)
        case.upstream.error = NotFoundError("the pool is gone")
        client = case.client()
        await asyncio.to_thread(client.notify_open, POOL, TWO)
        client.close()
        await until(lambda: case.agent.statistics.evicted == 2)


@pytest.mark.parametrize(
    ("keys", "calls"),
    [
        ({}, [("cleanup", "host1.example")]),
        ({"disable_auto_evict": True}, []),
        ({"enable_evict_on_start": True, "disable_auto_evict": True}, [("cleanup", "host1.example")]),
    ],
)
def test_handles_at_start_and_end(tmp_path: Path, keys: dict[str, object], calls: list[tuple[object, ...]]) -> None:
    @asynchronous
    async def case() -> None:
        async with running(tmp_path, keys=keys) as made:
            upstream = made.upstream
        assert upstream.calls == [*calls, ("close",)]

    case()


@asynchronous
async def test_what_dead_processes_left_is_evicted_before_the_end(tmp_path: Path) -> None:
    async with running(tmp_path, keys={"disable_auto_evict": True}) as case:
        await asyncio.to_thread(case.client().notify_open, POOL, ONE)
    # All connections have ended with the agent.
    assert case.upstream.calls == [("evict", POOL, ONE), ("close",)]


@asynchronous
async def test_servers_that_are_away_do_not_hold_up_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_S_MAX", 0.05)
    async with running(tmp_path) as case:
        case.upstream.gate = asyncio.Event()
    assert case.upstream.calls[-1] == ("close",)


@asynchronous
async def test_a_new_agent_is_told_what_is_open(tmp_path: Path) -> None:
    async with running(tmp_path, keys={"disable_auto_evict": True}) as case:
        client = case.clients[0] if case.clients else AgentClient(case.config.socket, timeout_s=10)
        await asyncio.to_thread(client.notify_open, POOL, ONE)
        await asyncio.to_thread(client.notify_open, POOL, TWO)
        await asyncio.to_thread(client.notify_closed, POOL, TWO)
    async with running(tmp_path, keys={"disable_auto_evict": True}) as case:
        assert (await asyncio.to_thread(client.find_pool, "tank")).uuid == POOL
        assert len(case.agent._handles) == 1
        client.close()
        await until(lambda: ("evict", POOL, ONE) in case.upstream.calls)


@asynchronous
async def test_refresh(tmp_path: Path) -> None:
    async with running(tmp_path) as case:
        client = case.client()
        assert (await asyncio.to_thread(client.attach)).version == 1
        case.upstream.info = Info(version=2)
        case.agent.refresh()
        assert (await asyncio.to_thread(client.attach)).version == 2


@asynchronous
async def test_methods_and_bodies_that_are_none(tmp_path: Path) -> None:
    async with running(tmp_path) as case:
        client = case.client()
        error = await refused(client._call, "dance", m.Attach(), bytes)
        assert (error.code, error.message) == (DER.NOSYS, "the agent does not know 'dance'")
        assert "missing required field" in (await refused(client._call, "find_pool", m.Attach(), bytes)).message
        assert case.agent.statistics.refused == {"unknown": 1, "find_pool": 1}


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff" * 100,
        struct.pack("<I", 1 << 30),
        struct.pack("<I", 5) + b"hello",
        struct.pack("<I", 3) + msgspec.msgpack.encode([1, 2]),
        m.encode(1, 0, None),
        struct.pack("<I", 0),
        b"\x01",
    ],
)
def test_what_is_no_request_ends_its_own_connection_only(tmp_path: Path, sent: bytes) -> None:
    @asynchronous
    async def case() -> None:
        async with running(tmp_path) as made:
            good = made.client()
            await asyncio.to_thread(good.find_pool, "tank")
            reader, writer = await asyncio.open_unix_connection(str(made.config.socket))
            writer.write(sent)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            if answer:
                frame = m.decode(answer[4:])
                assert frame.id == m.NOBODY
                assert isinstance(frame.what, int)
                assert isinstance(m.decode_error(frame.what, bytes(frame.body)), InvalidError)
            await asyncio.to_thread(good.find_pool, "tank")
            await until(lambda: made.agent.statistics.connections == 1)

    case()


@asynchronous
async def test_a_request_that_stays_half_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRAME_S_MAX", 0.05)
    async with running(tmp_path) as case:
        reader, writer = await asyncio.open_unix_connection(str(case.config.socket))
        writer.write(struct.pack("<I", 100) + b"half")
        assert await reader.read() == b""
        writer.close()
        assert (await asyncio.to_thread(case.client().find_pool, "tank")).uuid == POOL


@asynchronous
async def test_connections_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTIONS_OF_USER_MAX", 2)
    async with running(tmp_path) as case:
        first, second, third = case.client(), case.client(), case.client()
        await asyncio.to_thread(first.find_pool, "tank")
        await asyncio.to_thread(second.find_pool, "tank")
        error = await refused(third.find_pool, "tank")
        assert isinstance(error, BusyError)
        assert "3 connections of the user" in error.message
        first.close()
        await until(lambda: case.agent.statistics.connections == 1)
        await asyncio.to_thread(third.find_pool, "tank")


@asynchronous
async def test_requests_of_a_user_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUESTS_OF_USER_MAX", 2)
    async with running(tmp_path) as case:
        case.upstream.gate = asyncio.Event()
        asking = [asyncio.create_task(asyncio.to_thread(case.client().find_pool, "tank")) for _ in range(5)]
        await until(lambda: case.agent.statistics.connections == 5)
        await until(lambda: len(case.upstream.calls) == 2)
        await asyncio.sleep(0.05)
        assert len(case.upstream.calls) == 2
        case.upstream.gate.set()
        assert {(await one).uuid for one in asking} == {POOL}
        assert case.upstream.calls.count(("find_pool", "tank")) == 5


@asynchronous
async def test_a_client_in_a_forked_child_begins_anew(tmp_path: Path) -> None:
    async with running(tmp_path) as case:
        client = case.client()
        await asyncio.to_thread(client.notify_open, POOL, ONE)
        inherited = client._socket
        assert inherited is not None
        client._pid -= 1  # as in a child
        client._socket = inherited.dup()
        assert (await asyncio.to_thread(client.find_pool, "tank")).uuid == POOL
        assert client._open == {}
        assert case.agent.statistics.connections == 2
        assert ("evict", POOL, ONE) not in case.upstream.calls, "the parent's handles are open"
        inherited.close()
        # The parent has ended. The child has what it inherited until it closes it.
        assert (await asyncio.to_thread(client.find_pool, "tank")).uuid == POOL
        assert ("evict", POOL, ONE) not in case.upstream.calls
        await asyncio.to_thread(client.close)
        await until(lambda: ("evict", POOL, ONE) in case.upstream.calls)


def test_without_an_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAOS_AGENT_DRPC_DIR", str(tmp_path))
    assert socket_path() == tmp_path / "daos_agent.sock"
    with pytest.raises(UnavailableError, match="cannot be reached: No such file or directory") as caught:
        AgentClient().attach()
    assert caught.value.code is DER.AGENT_COMM
    assert "DAOS_AGENT_DRPC_DIR" in str(caught.value.hint)
    monkeypatch.delenv("DAOS_AGENT_DRPC_DIR")
    assert socket_path() == Path("/var/run/daos_agent/daos_agent.sock")
    with pytest.raises(UnavailableError, match="cannot be reached: AF_UNIX path too long"):
        AgentClient(tmp_path / ("x" * 120)).attach()


def silent(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    made.listen()
    return made


def test_an_agent_that_does_not_answer(tmp_path: Path) -> None:
    with silent(tmp_path / "s"), pytest.raises(UnavailableError, match=r"does not answer attach within 0.1 s"):
        AgentClient(tmp_path / "s", timeout_s=0.1).attach()


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b"", "ended the connection"),
        (struct.pack("<I", 1 << 31), "sent a frame of 2147483648 bytes"),
        (struct.pack("<I", 4) + b"\xc1\xc1\xc1\xc1", "sent what is no message"),
        (m.encode(1, 0, 5), "answered attach with what is no answer"),
        (struct.pack("<I", 10) + b"half", "ended the connection"),
    ],
)
def test_an_agent_that_is_none(tmp_path: Path, answer: bytes, what: str) -> None:
    with silent(tmp_path / "s") as listening:

        def serve() -> None:
            for _ in range(2 if what == "ended the connection" else 1):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with AgentClient(tmp_path / "s", timeout_s=5) as client, pytest.raises(UnavailableError, match=what) as caught:
            client.attach()
        thread.join(5)
        assert not thread.is_alive()
        assert caught.value.code is DER.AGENT_COMM


def test_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "run" / "daos_agent.sock"
    first = listening_socket(path)
    with pytest.raises(BusyError, match="another agent serves"):
        listening_socket(path)
    first.close()
    listening_socket(path).close()  # what a dead one left is replaced
    path.unlink()
    path.write_text("mine")
    with pytest.raises(BusyError, match="is no socket"):
        listening_socket(path)
    assert path.read_text() == "mine"
    with pytest.raises(UnavailableError, match="File exists"):
        listening_socket(path / "x")
    with pytest.raises(InvalidError, match="at most 107 bytes"):
        listening_socket(tmp_path / ("x" * 100))


def test_names_of_this_host(identity: Identity) -> None:
    assert machine_name(identity, ("host1", "HOST1.example")) == "host1.example"
    assert machine_name(identity, ("Host9", "host9.example")) == "host9"
    assert machine_name(None, ("Host9",)) == "host9"
    check_machine(identity, "host1.example")
    with pytest.raises(AccessError, match=r"is for host1.example, this host is host9") as caught:
        check_machine(identity, "host9")
    assert caught.value.hint == "daos cert issue agent --host host9"


def test_an_agent_whose_certificate_is_of_another_host_does_not_start(tmp_path: Path, identity: Identity) -> None:
    config = AgentConfig.model_validate({"runtime_dir": tmp_path})
    clock = Clock(time.monotonic, lambda: datetime(2026, 5, 1, tzinfo=UTC))
    with pytest.raises(AccessError, match="this host is host2"):
        Agent(config, FakeUpstream(), lambda: identity, flavour=Flavour(), clock=clock, machine="host2")


@asynchronous
async def test_one_is_warned_three_times_before_a_certificate_ends(tmp_path: Path, identity: Identity) -> None:
    async with running(tmp_path, identity) as case:
        warnings = []
        for day in range(41):
            case.now[0] = datetime(2026, 5, 1, 12, tzinfo=UTC) + timedelta(days=day)
            with capture_logs() as logs:
                case.agent.warn_of_expiry(identity)
            warnings += [(day, one["event"]) for one in logs]
        assert warnings == [
            (10, "the agent's certificate ends within 30 days"),
            (33, "the agent's certificate ends within 7 days"),
            (39, "the agent's certificate ends within 1 days"),
        ]


@asynchronous
async def test_what_is_logged_holds_no_secret(tmp_path: Path, identity: Identity) -> None:
    structlog.reset_defaults()
    with capture_logs() as logs:
        async with running(tmp_path, identity) as case:
            client = case.client()
            raw = await asyncio.to_thread(client.credential, "", "", b"my session key")
            await asyncio.to_thread(client.attach)
            await refused(client.attach, "other")
        text = str(logs)
    _, said, _, _ = msgspec.msgpack.decode(raw)
    nonce = msgspec.msgpack.decode(said)[-1]
    assert "request refused" in text
    for secret in (nonce, b"my session key", identity.key_pem, raw):
        assert repr(secret) not in text
    assert "PRIVATE" not in text
