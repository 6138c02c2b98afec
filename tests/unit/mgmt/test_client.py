from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from daos.errors import DER, AccessError, DaosError, InvalidError, TimedOutError, UnavailableError, UncertainError
from daos.mgmt import client as client_module
from daos.mgmt import methods
from daos.mgmt.agent_upstream import Upstream, connect
from daos.mgmt.client import ManagementClient, _Search
from daos.mgmt.probe import PROBE_S
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.race import STAGGER_S
from daos.mgmt.roles import Role
from daos.model.acl import Acl
from tests.ports import free_port
from tests.unit.mgmt.certificates import Authority
from tests.unit.mgmt.fake_management import FakePool
from tests.unit.mgmt.test_server import ADMIN, SERVER, Served, run, served


@asynccontextmanager
async def three() -> AsyncIterator[list[Served]]:
    """Three servers, of which the third leads; the first does not know who does, the second says the third."""
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(served()) for _ in range(3)]
        servers[0].management.not_leading = ""
        servers[1].management.not_leading = servers[2].address
        yield servers


def names(served: Served) -> list[str]:
    return [name for name, _ in served.management.calls]


def test_the_leader_is_found_and_kept() -> None:
    async def test() -> None:
        async with three() as (first, second, third):
            # The third is not among those that the client knows.
            async with ManagementClient([first.address, second.address], None) as client:
                for _ in range(3):
                    await change(client)
            # A change is sent to whom somebody takes for the leader only.
            assert names(first) == names(second) == ["leader_query"]
            assert names(third) == ["system_stop"] * 3
            assert len(set(third.management.seen)) == 3

    run(test)


def test_a_query_goes_anywhere_and_on_to_the_leader() -> None:
    async def test() -> None:
        async with three() as (first, second, third):
            async with ManagementClient([first.address, second.address], None) as client:
                for _ in range(3):
                    await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
            assert (len(names(first)), len(names(second)), len(names(third))) == (1, 1, 3)

    run(test)


def test_a_leader_that_moves_is_followed() -> None:
    async def test() -> None:
        async with three() as (first, second, third):
            hosts = [one.address for one in (first, second, third)]
            client = ManagementClient(hosts, None)
            await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
            third.management.not_leading = first.address
            first.management.not_leading = None
            await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
            assert [len(names(one)) for one in (first, second, third)] == [2, 1, 2]
            await client.close()

    run(test)


def test_while_nobody_leads_it_is_waited_until_somebody_does() -> None:
    async def test() -> None:
        async with served() as there:
            there.management.not_leading = ""

            async def elected() -> None:
                if len(there.management.calls) == 3:
                    there.management.not_leading = None

            there.management.before = elected
            async with there.client() as client:
                await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
            assert len(there.management.calls) == 3

    run(test)


def test_while_nobody_leads_no_change_is_sent() -> None:
    async def test() -> None:
        async with served() as there:
            there.management.not_leading = ""
            async with there.client(deadline_s=0.5) as client:
                with pytest.raises(UnavailableError, match="knows of no leader"):
                    await client.ask(methods.SYSTEM_STOP, pb.SystemStopRequest())
            async with there.client() as client:
                task = asyncio.create_task(client.ask(methods.SYSTEM_STOP, pb.SystemStopRequest()))
                there.management.calls.clear()
                while not there.management.calls:
                    await asyncio.sleep(0.01)
                there.management.not_leading = None
                await task
            assert len(there.management.seen) == 1

    run(test)


def test_a_change_at_a_leader_that_stepped_down_is_uncertain_until_the_next_answers() -> None:
    async def test() -> None:
        async with served() as there:

            async def step_down() -> None:
                there.management.not_leading = ""

            there.management.before = step_down
            async with there.client(deadline_s=2) as client:
                with pytest.raises(UncertainError, match="SystemStop was sent and not answered"):
                    await client.ask(methods.SYSTEM_STOP, pb.SystemStopRequest())
            tries = len(there.management.seen)
            there.management.not_leading = None

            async def step_down_once() -> None:
                there.management.not_leading = "" if len(there.management.seen) == tries + 1 else None
                asyncio.get_running_loop().call_later(0.2, lead)

            def lead() -> None:
                there.management.not_leading = None

            there.management.before = step_down_once
            async with there.client() as client:
                await client.ask(methods.SYSTEM_STOP, pb.SystemStopRequest())
            assert len(there.management.seen) == tries + 2
            assert len(set(there.management.seen[tries:])) == 1

    run(test)


@asynccontextmanager
async def silent() -> AsyncIterator[tuple[str, list[asyncio.StreamWriter]]]:
    """Somebody who takes connections and says nothing; who came."""
    came: list[asyncio.StreamWriter] = []

    async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer)

    async with await asyncio.start_server(take, "127.0.0.1", 0) as listening:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}", came
        for writer in came:
            writer.transport.abort()


async def query(client: ManagementClient) -> None:
    await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())


async def change(client: ManagementClient) -> None:
    await client.ask(methods.SYSTEM_STOP, pb.SystemStopRequest(ranks=[1]))


@pytest.mark.parametrize("ask", [query, change])
def test_who_does_not_answer_is_not_waited_for(ask: Callable[[ManagementClient], Awaitable[None]]) -> None:
    async def test() -> None:
        async with silent() as (first, came), silent() as (second, _), served() as there:
            began = asyncio.get_running_loop().time()
            async with ManagementClient([first, second, there.address], None) as client:
                await ask(client)
            took = asyncio.get_running_loop().time() - began
            assert 2 * STAGGER_S <= took < PROBE_S / 2
            assert len(came) == 1
            assert len(there.management.seen) == (ask is change)

    run(test)


def test_a_leader_that_falls_silent_is_left_for_the_next() -> None:
    """It has a connection that was good, so only the others can tell: by and by they have another leader."""

    async def test() -> None:
        async with three() as (first, second, third):
            gone = asyncio.Event()

            async def hang() -> None:
                gone.set()
                await asyncio.sleep(30)

            async def elect() -> None:
                await gone.wait()
                first.management.not_leading, second.management.not_leading = None, first.address

            hosts = [one.address for one in (first, second, third)]
            async with ManagementClient(hosts, None) as client:
                await change(client)
                third.management.before = hang
                election = asyncio.create_task(elect())
                await change(client)
                await election
            assert first.management.seen == third.management.seen[1:]
            assert "system_stop" not in names(second)

    run(test)


def test_a_leader_that_takes_long_is_sent_a_change_once() -> None:
    async def test() -> None:
        async with three() as (first, second, third):

            async def take_long() -> None:
                await asyncio.sleep(4 * STAGGER_S)

            third.management.before = take_long
            async with ManagementClient([first.address, second.address], None) as client:
                await change(client)
            assert names(third) == ["system_stop"]
            # They are asked now and then whether there is another leader.
            for other in (first, second):
                assert set(names(other)) == {"leader_query"}
                assert len(names(other)) < 6

    run(test)


@pytest.mark.parametrize("ask", [query, change])
def test_one_that_does_not_want_us_does_not_end_what_another_is_at(
    ask: Callable[[ManagementClient], Awaitable[None]],
) -> None:
    async def test() -> None:
        async with served() as leading, served(release="99.0.0") as strange:

            async def take_long() -> None:
                await asyncio.sleep(2 * STAGGER_S)

            leading.management.before = take_long
            async with ManagementClient([leading.address, strange.address], None) as client:
                await ask(client)
            # Asked first, it has the last word.
            async with ManagementClient([strange.address, leading.address], None) as client:
                with pytest.raises(UnavailableError, match=r"this server of 99\.0\.0"):
                    await ask(client)

    run(test)


def test_a_leader_that_has_another_name_for_itself() -> None:
    async def test() -> None:
        async with served() as there:
            there.management.address = f"no-such-host.invalid:{free_port()}"
            async with there.client() as client:
                await change(client)
            assert names(there) == ["leader_query", "system_stop"]

    run(test)


def test_a_change_that_a_silent_leader_was_sent_is_uncertain() -> None:
    async def test() -> None:
        async with three() as (first, second, third):

            async def hang() -> None:
                await asyncio.sleep(30)

            third.management.before = hang
            client = ManagementClient([first.address, second.address], None, deadline_s=1.0)
            began = asyncio.get_running_loop().time()
            with pytest.raises(UncertainError, match="was sent and not answered"):
                await change(client)
            assert asyncio.get_running_loop().time() - began < 2
            await client.close()

    run(test)


@pytest.mark.parametrize("ask", [query, change])
def test_servers_that_say_nothing_are_named_in_time(ask: Callable[[ManagementClient], Awaitable[None]]) -> None:
    async def test() -> None:
        async with AsyncExitStack() as stack:
            (first, _), (second, _) = [await stack.enter_async_context(silent()) for _ in range(2)]
            client = await stack.enter_async_context(ManagementClient([first, second], None, deadline_s=1.0))
            began = asyncio.get_running_loop().time()
            with pytest.raises(UnavailableError, match="unable to contact") as error:
                await ask(client)
            assert asyncio.get_running_loop().time() - began < 2
            assert error.value.code is DER.UNREACH
            assert all(f"the server at {host} does not answer" in error.value.message for host in (first, second))

    run(test)


def test_nobody_leads_until_the_deadline() -> None:
    async def test() -> None:
        async with served() as there:
            there.management.not_leading = ""
            async with there.client(deadline_s=0.5) as client:
                with pytest.raises(UnavailableError, match="no server leads the system") as error:
                    await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
                assert error.value.code is DER.NO_SERVICE

    run(test)


def test_servers_that_point_at_each_other_do_not_make_a_loop() -> None:
    async def test() -> None:
        async with served() as first, served() as second:
            first.management.not_leading, second.management.not_leading = second.address, first.address
            async with ManagementClient([first.address], None, deadline_s=0.5) as client:
                with pytest.raises(UnavailableError, match="no server leads"):
                    await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
            assert len(names(first)) < 6

    run(test)


def test_servers_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "SILENCE_S", 0.3)
    hosts = [f"127.0.0.1:{free_port()}", "no-such-host.invalid:1"]

    async def test() -> None:
        async with ManagementClient(hosts, None) as client:
            with pytest.raises(UnavailableError, match="unable to contact the DAOS Management Service") as error:
                await client.ask(methods.SYSTEM_STOP, pb.SystemStopRequest())
            assert error.value.code is DER.UNREACH
            assert f"the server at {hosts[0]} refused the connection" in error.value.message
            assert hosts[1] in error.value.message
            assert error.value.context["hosts"] == hosts
            assert error.value.hint

    started = time.monotonic()
    run(test)
    assert time.monotonic() - started < 20


def test_what_is_no_server_is_told() -> None:
    async def test() -> None:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-OpenSSH_9\r\n")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as other:
            host = f"127.0.0.1:{other.sockets[0].getsockname()[1]}"
            async with ManagementClient([host], None, deadline_s=0.5) as client:
                with pytest.raises(UnavailableError, match="is no daos_server"):
                    await client.on_host(host, methods.VERSION, pb.VersionRequest())

    run(test)


@pytest.mark.parametrize("host", ["", "a", "a:", ":1", "a:x", "a:0", "a:65536"])
def test_an_address_that_is_none(host: str) -> None:
    async def test() -> None:
        async with ManagementClient([host], None, deadline_s=0.2) as client:
            with pytest.raises(UnavailableError, match="invalid address"):
                await client.on_host(host, methods.VERSION, pb.VersionRequest())

    run(test)


def test_no_hosts() -> None:
    with pytest.raises(InvalidError, match="no servers given"):
        ManagementClient([], None)


def test_a_server_that_ends_under_way_is_asked_again_with_the_same_id() -> None:
    async def test() -> None:
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(served())
            second = await stack.enter_async_context(served())
            blocked = asyncio.Event()

            async def hang() -> None:
                blocked.set()
                await asyncio.sleep(30)

            first.management.before = hang
            async with ManagementClient([first.address, second.address], None) as client:
                task = asyncio.create_task(client.ask(methods.SYSTEM_STOP, pb.SystemStopRequest()))
                await blocked.wait()
                # Its calls are cancelled at once.
                await first.running.stop(0)
                await task
            assert first.management.seen == second.management.seen

    run(test)


def test_a_change_without_an_answer_is_uncertain_a_query_is_late() -> None:
    async def test() -> None:
        async with served() as there:

            async def hang() -> None:
                await asyncio.sleep(30)

            there.management.before = hang
            async with there.client(deadline_s=2) as client:
                with pytest.raises(UncertainError, match=r"was sent and not answered|time for the request is over"):
                    await client.ask(methods.SYSTEM_STOP, pb.SystemStopRequest())
                with pytest.raises(DaosError) as late:
                    await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
                assert isinstance(late.value, TimedOutError)

    run(test)


def test_what_a_server_is_uncertain_about_is_asked_again_with_the_same_id() -> None:
    async def test() -> None:
        async with served() as there:

            async def late_once() -> None:
                if len(there.management.seen) == 1:
                    raise UncertainError(
                        "no outcome within 1 s", code=DER.NOREPLY, hint="repeat the request with its id"
                    )

            there.management.before = late_once
            async with there.client() as client:
                await client.ask(methods.SYSTEM_STOP, pb.SystemStopRequest())
            assert len(there.management.seen) == 2
            assert len(set(there.management.seen)) == 1

    run(test)


def test_a_stamp_below_the_floor_is_drawn_again_for_a_request_that_was_not_sent_before() -> None:
    async def test() -> None:
        async with served() as there:
            floor = 1 << 62

            async def young() -> None:
                if int(there.management.seen[-1].rpartition("/")[2]) <= floor:
                    raise UncertainError("too old", code=DER.TX_ID_REUSED, context={"floor": floor})

            there.management.before = young
            async with there.client() as client:
                await client.ask(methods.SYSTEM_STOP, pb.SystemStopRequest())
            assert there.management.seen[1].endswith(f"/{floor + 1}")
            assert len(there.management.seen) == 2

    run(test)


def test_all_hosts_are_asked_at_once_and_each_has_its_answer() -> None:
    async def test() -> None:
        async with served() as first, served() as second:
            second.server.broken = True
            absent = f"127.0.0.1:{free_port()}"
            async with first.client() as client:
                hosts = [first.address, absent, second.address, first.address]
                told = await client.on_hosts(hosts, methods.STORAGE_SCAN, pb.StorageScanRequest())
            assert list(told) == [first.address, absent, second.address]
            good, refused, broken = told.values()
            assert isinstance(good, pb.StorageScanResponse)
            assert [device.media for device in good.devices] == ["scm", "nvme", "nvme"]
            assert isinstance(refused, UnavailableError)
            assert isinstance(broken, UnavailableError)
            assert broken.message == "the devices cannot be read"

    run(test)


def test_a_log_comes_in_pieces() -> None:
    async def test() -> None:
        async with served() as there, there.client() as client:
            pieces = [piece async for piece in client.collect_log(there.address, pb.CollectLogRequest())]
            assert b"".join(piece.data for piece in pieces) == b"started\nstopped\nengine\n"

    run(test)


def test_what_an_agent_asks() -> None:
    async def test() -> None:
        async with served() as there:
            pool = FakePool("u" * 8, "tank", [0], [1, 0], {}, Acl(), owner="", group="", services=[0, 2])
            there.management.pools["u"] = pool
            upstream = Upstream(ManagementClient([there.address], None, role=Role.AGENT))
            info = await upstream.attach_info()
            assert (info.system, [rank.rank for rank in info.ranks]) == ("daos_server", [0, 1, 2])
            found = await upstream.find_pool("tank")
            assert (found.uuid, found.services) == ("u" * 8, (0, 2))
            pool.handles = 3
            assert await upstream.evict("tank", []) == 0
            assert pool.handles == 3
            assert await upstream.evict("tank", ["h"]) == 3
            pool.handles = 2
            assert await upstream.cleanup("node1") == 2
            await upstream.close()

    run(test)


class _Transport:
    allow_insecure = True
    ca_cert = cert = key = Path("/nowhere")


class _Config:
    name = "daos_server"
    replicas = ("node1:10001", "node2:20")
    transport_config = _Transport()


def test_an_agent_s_configuration() -> None:
    client = connect(_Config())._client
    assert client.hosts == ["node1:10001", "node2:20"]
    assert client._role is Role.AGENT


def test_a_server_that_is_not_believed_does_not_stand_in_the_way_of_others() -> None:
    async def test() -> None:
        strange = Authority().issue("server")
        async with served(lambda: strange) as first, served(lambda: SERVER) as second:
            async with ManagementClient([first.address, second.address], lambda: ADMIN) as client:
                assert (await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())).version == 7
            began = asyncio.get_running_loop().time()
            async with ManagementClient([first.address], lambda: ADMIN) as client:
                with pytest.raises(AccessError, match="cannot be believed"):
                    await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
            assert asyncio.get_running_loop().time() - began < client_module.SILENCE_S

    run(test)


def test_rounds_of_a_search() -> None:
    search = _Search(["a", "b"], None, 0.0)
    assert [search.next(), search.next(), search.next()] == ["a", "b", None]
    pauses = []
    for _ in range(7):
        pauses.append(search.pause_s)
        search.begin_round()
    assert pauses[:3] == [0.1, 0.2, 0.4]
    assert pauses[-1] == 1.0
    known = _Search(["a", "b"], "c", 0.0)
    assert [known.next(), known.next(), known.next(), known.next()] == ["c", "a", "b", None]
