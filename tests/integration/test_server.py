"""Three servers on loopback, with engines: format, join, pools, leaders that die, engines that die, bad starts."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import uuid
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest

from daos import errors
from daos.errors import DER
from daos.mgmt import methods
from daos.mgmt.client import ManagementClient
from daos.mgmt.methods import Request, Response
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.roles import Role
from tests.servers import Servers, pool_request

Body = Callable[[Servers, ManagementClient], Coroutine[object, object, None]]


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    found = Servers(tmp_path)
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Three servers that several tests use, one after the other; each leaves them running."""
    found = Servers(tmp_path_factory.mktemp("system"))
    try:
        run(found, begun)
        yield found
    finally:
        found.close()


@pytest.fixture
def running(system: Servers) -> Servers:
    """Return the servers without pools."""

    async def empty(servers: Servers, client: ManagementClient) -> None:
        servers.revive()
        await servers.joined(client)
        for pool in await pools_of(client):
            await client.ask(methods.POOL_DESTROY, pb.PoolDestroyRequest(pool=pool, force=True, recursive=True))
        await agree(servers, client)
        for number in range(servers.count):
            (servers.storage(number) / "begun").unlink(missing_ok=True)

    run(system, empty)
    return system


def run(servers: Servers, body: Body) -> None:
    async def main() -> None:
        async with servers.client() as client, asyncio.timeout(58):
            await body(servers, client)

    asyncio.run(main())


async def begun(servers: Servers, client: ManagementClient) -> None:
    """Start all servers with fresh storage, and wait for the ranks and replicas."""
    servers.start_all("--auto-format")
    await servers.joined(client)
    await servers.replicated()


async def pools_of(client: ManagementClient) -> dict[str, str]:
    answer = await client.ask(methods.POOL_LIST, pb.PoolListRequest())
    return {pool.uuid: pool.state for pool in answer.pools}


async def agree(servers: Servers, client: ManagementClient) -> None:
    """Wait until the list of pools and the shards of the engines are the same: each pool whole, nothing else."""

    async def same() -> bool:
        pools = await pools_of(client)
        return set(pools.values()) <= {"Ready"} and all(there == set(pools) for there in servers.shards().values())

    await servers.until("pools and shards agree", same)


def test_from_format_to_pools_and_a_restart(servers: Servers) -> None:
    async def body(servers: Servers, client: ManagementClient) -> None:
        servers.start_all()
        hosts = servers.addresses

        async def waiting() -> bool:
            return all(
                not isinstance(answer, errors.DaosError)
                for answer in (await client.on_hosts(hosts, methods.VERSION, pb.VersionRequest())).values()
            ) and all("engine_format_required" in servers.log(number) for number in range(3))

        await servers.until("servers that wait for a format", waiting)
        formatted = await client.on_hosts(hosts, methods.STORAGE_FORMAT, pb.StorageFormatRequest())
        for answer in formatted.values():
            assert isinstance(answer, pb.StorageFormatResponse), answer
            assert [result.code for result in answer.results] == [0]
        await servers.joined(client)
        again = await client.on_host(hosts[0], methods.STORAGE_FORMAT, pb.StorageFormatRequest(force=True))
        assert again.results[0].code == DER.BUSY

        request = pool_request(svc_rf=1)
        created = await client.ask(methods.POOL_CREATE, request)
        assert sorted(created.ranks) == [0, 1, 2]
        assert len(created.services) == 3
        with pytest.raises(errors.ExistsError):
            await client.ask(methods.POOL_CREATE, pool_request())
        info = await client.ask(methods.POOL_QUERY, pb.PoolQueryRequest(pool="pool"))
        assert (info.uuid, info.total_targets, info.state, list(info.enabled_ranks)) == (
            request.uuid,
            6,
            "Ready",
            [0, 1, 2],
        )
        await change(client)
        found = await client_of_agent(servers, methods.POOL_FIND, pb.PoolFindRequest(pool="renamed"))
        assert found.uuid == request.uuid
        attach = await client_of_agent(servers, methods.GET_ATTACH_INFO, pb.GetAttachInfoRequest())
        assert [len(rank.target_addresses) for rank in attach.ranks] == [2, 2, 2]

        digest = await told(client)
        assert servers.stop_all() == [0, 0, 0]
        assert "prepared" in {path.name for path in servers.storage(0).iterdir()}
        servers.start_all()
        await servers.joined(client)
        assert await told(client) == digest
        for number in range(3):
            servers.kill(number)
        servers.start_all()
        await servers.joined(client)
        assert await told(client) == digest
        await client.ask(methods.POOL_DESTROY, pb.PoolDestroyRequest(pool="renamed"))
        await agree(servers, client)
        assert await pools_of(client) == {}

    run(servers, body)


async def client_of_agent(servers: Servers, method: methods.Method[Request, Response], request: Request) -> Response:
    async with ManagementClient(servers.addresses, None, deadline_s=30, role=Role.AGENT) as client:
        return await client.ask(method, request)


async def change(client: ManagementClient) -> None:
    """Change all that an administrator may change of a pool."""
    await client.ask(
        methods.POOL_SET_PROP,
        pb.PoolSetPropRequest(
            pool="pool",
            properties={"label": pb.PropertyValue(text="renamed"), "reclaim": pb.PropertyValue(text="disabled")},
        ),
    )
    found = await client.ask(methods.POOL_GET_PROP, pb.PoolGetPropRequest(pool="renamed", names=["reclaim", "label"]))
    assert {name: value.text for name, value in found.properties.items()} == {"label": "renamed", "reclaim": "disabled"}
    acl = await client.ask(methods.POOL_UPDATE_ACL, pb.PoolUpdateAclRequest(pool="renamed", entries=["A::alice@:rw"]))
    assert "A::alice@:rw" in acl.entries
    acl = await client.ask(methods.POOL_DELETE_ACL, pb.PoolDeleteAclRequest(pool="renamed", principal="u:alice@"))
    assert "A::alice@:rw" not in acl.entries
    acl = await client.ask(
        methods.POOL_OVERWRITE_ACL, pb.PoolOverwriteAclRequest(pool="renamed", entries=["A::OWNER@:rw"])
    )
    assert list((await client.ask(methods.POOL_GET_ACL, pb.PoolGetAclRequest(pool="renamed"))).entries) == [
        "A::OWNER@:rw"
    ]
    evicted = await client.ask(methods.POOL_EVICT, pb.PoolEvictRequest(pool="renamed"))
    assert evicted.count == 0
    targets = await client.ask(methods.POOL_QUERY_TARGETS, pb.PoolQueryTargetsRequest(pool="renamed", rank=1))
    assert [(target.index, target.state) for target in targets.targets] == [(0, "up_in"), (1, "up_in")]
    with pytest.raises(errors.NotFoundError):
        await client.ask(
            methods.CONTAINER_SET_OWNER,
            pb.ContainerSetOwnerRequest(pool="renamed", container="absent", owner="bob@"),
        )
    with pytest.raises(errors.InvalidError):
        await client.ask(methods.POOL_GET_PROP, pb.PoolGetPropRequest(pool="renamed", names=["what"]))
    await client.ask(methods.SYSTEM_SET_ATTR, pb.SystemSetAttrRequest(attributes={"site": "here"}))
    await client.ask(methods.SYSTEM_SET_PROP, pb.SystemSetPropRequest(properties={"self_heal": "exclude"}))


async def told(client: ManagementClient) -> object:
    """Return all that the system tells of itself and that a restart leaves as it is."""
    attributes = await client.ask(methods.SYSTEM_GET_ATTR, pb.SystemGetAttrRequest())
    properties = await client.ask(methods.SYSTEM_GET_PROP, pb.SystemGetPropRequest())
    pools = await client.ask(methods.POOL_LIST, pb.PoolListRequest())
    system = await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
    pool = await client.ask(methods.POOL_GET_PROP, pb.PoolGetPropRequest(pool="renamed"))
    acl = await client.ask(methods.POOL_GET_ACL, pb.PoolGetAclRequest(pool="renamed"))
    return (
        dict(attributes.attributes),
        dict(properties.properties),
        [(one.uuid, one.label, list(one.ranks), list(one.services)) for one in pools.pools],
        [(member.rank, member.uuid, member.address, list(member.domain)) for member in system.members],
        {name: (value.text, value.number) for name, value in pool.properties.items()},
        list(acl.entries),
    )


@pytest.mark.parametrize("slow", ["create_shards", "start_service"])
def test_the_leader_dies_while_a_pool_is_made(running: Servers, slow: str) -> None:
    async def body(servers: Servers, client: ManagementClient) -> None:
        leader = await servers.leader(client)
        for number in range(3):
            servers.tell_engine(number, "slow.json", [slow])
        request = pool_request(svc_rf=1)
        creating = asyncio.ensure_future(client.ask(methods.POOL_CREATE, request))

        await servers.begun(slow)
        servers.kill(leader)
        for number in range(3):
            servers.tell_engine(number, "slow.json", [])
        servers.start(leader)
        done = True
        try:
            await creating
        except errors.DaosError:
            done = False
        await servers.joined(client)
        await agree(servers, client)
        assert (await pools_of(client) == {request.uuid: "Ready"}) is done

    run(running, body)


@pytest.mark.parametrize("slow", ["prepare_destroy", "destroy_shards"])
def test_the_leader_dies_while_a_pool_is_destroyed(running: Servers, slow: str) -> None:
    async def body(servers: Servers, client: ManagementClient) -> None:
        request = pool_request()
        await client.ask(methods.POOL_CREATE, request)
        leader = await servers.leader(client)
        for number in range(3):
            servers.tell_engine(number, "slow.json", [slow])
        destroying = asyncio.ensure_future(client.ask(methods.POOL_DESTROY, pb.PoolDestroyRequest(pool="pool")))
        await servers.begun(slow)
        servers.kill(leader)
        for number in range(3):
            servers.tell_engine(number, "slow.json", [])
        servers.start(leader)
        done = True
        try:
            await destroying
        except errors.DaosError:
            done = False
        await servers.joined(client)
        await agree(servers, client)
        assert (await pools_of(client) == {}) is done

    run(running, body)


def test_a_rank_that_cannot_make_its_shards_leaves_nothing(running: Servers) -> None:
    async def body(servers: Servers, client: ManagementClient) -> None:
        servers.tell_engine(1, "fail.json", {"create_shards": DER.NOSPACE.value})
        with pytest.raises(errors.NoSpaceError):
            await client.ask(methods.POOL_CREATE, pool_request())
        servers.tell_engine(1, "fail.json", {})
        await agree(servers, client)
        assert await pools_of(client) == {}

    run(running, body)


def test_an_engine_that_dies_is_told_and_started_again(running: Servers) -> None:
    async def body(servers: Servers, client: ManagementClient) -> None:
        leader = await servers.leader(client)
        victim = (leader + 1) % 3
        rank = await servers.rank_of(client, victim)
        pid = servers.engine_pid(victim)
        (servers.storage(victim) / "refuse_start").touch()
        os.kill(pid, signal.SIGKILL)

        async def errored() -> bool:
            return (await servers.states(client))[rank] == "ERRORED"

        await servers.until("it is told", errored)
        with pytest.raises(errors.InvalidError):
            await client.ask(methods.POOL_CREATE, pool_request(ranks=[rank]))
        (servers.storage(victim) / "refuse_start").unlink()
        await servers.joined(client)
        assert servers.engine_pid(victim) != pid
        log = servers.log(victim)
        assert "&&& RAS EVENT id: [engine_died]" in log
        assert f"killed by SIGKILL] rank: [{rank}]" in log.replace("\n", " ")
        await client.ask(methods.POOL_CREATE, pool_request(ranks=[rank]))

    run(running, body)


def test_engines_are_stopped_and_started_and_erased(servers: Servers) -> None:
    async def body(servers: Servers, client: ManagementClient) -> None:
        await begun(servers, client)
        first = await client.ask(methods.SYSTEM_STOP, pb.SystemStopRequest(ranks=[0, 2]))
        assert [(result.rank, result.code, result.state) for result in first.results] == [
            (0, 0, pb.MEMBER_STATE_STOPPED),
            (2, 0, pb.MEMBER_STATE_STOPPED),
        ]
        with pytest.raises(errors.BusyError):
            await client.ask(methods.SYSTEM_ERASE, pb.SystemEraseRequest())
        back = await client.ask(methods.SYSTEM_START, pb.SystemStartRequest())
        assert {result.state for result in back.results} == {pb.MEMBER_STATE_JOINED}
        excluded = await client.ask(methods.SYSTEM_EXCLUDE, pb.SystemExcludeRequest(ranks=[1]))
        assert excluded.results[0].state == pb.MEMBER_STATE_ADMIN_EXCLUDED
        await client.ask(methods.SYSTEM_EXCLUDE, pb.SystemExcludeRequest(ranks=[1], clear=True))
        await client.ask(methods.SYSTEM_STOP, pb.SystemStopRequest(force=True))
        await client.ask(methods.SYSTEM_START, pb.SystemStartRequest())
        await servers.joined(client)

        old = await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
        await client.ask(methods.SYSTEM_STOP, pb.SystemStopRequest(force=True))
        erased = await client.ask(methods.SYSTEM_ERASE, pb.SystemEraseRequest())
        assert {result.code for result in erased.results} == {0}
        assert await servers.states(client) == {}
        formatted = await client.on_hosts(servers.addresses, methods.STORAGE_FORMAT, pb.StorageFormatRequest())
        assert all(
            isinstance(answer, pb.StorageFormatResponse) and answer.results[0].code == 0
            for answer in formatted.values()
        )
        await servers.joined(client)
        new = await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
        assert not {member.uuid for member in old.members} & {member.uuid for member in new.members}

    run(servers, body)


def test_a_host_whose_storage_was_lost_takes_its_rank_and_replica_back(servers: Servers) -> None:
    async def body(servers: Servers, client: ManagementClient) -> None:
        await begun(servers, client)
        request = pool_request()
        await client.ask(methods.POOL_CREATE, request)
        victim = ((await servers.leader(client)) + 1) % 3
        rank = await servers.rank_of(client, victim)
        servers.kill(victim)
        await asyncio.to_thread(shutil.rmtree, servers.storage(victim))
        (servers.folder(victim) / "server.log").unlink()
        servers.start(victim)

        async def formatted() -> bool:
            answer = await client.on_host(
                servers.addresses[victim], methods.STORAGE_FORMAT, pb.StorageFormatRequest(replace=True)
            )
            return answer.results[0].code == 0

        await servers.until("a format", formatted)

        async def gone() -> bool:
            # Nobody reports the death of a rank here but its server, which had no rank to report.
            return "engine_join_failed" in servers.log(victim)

        await servers.until("a refusal", gone)
        await client.ask(methods.SYSTEM_EXCLUDE, pb.SystemExcludeRequest(ranks=[rank]))
        await client.ask(methods.SYSTEM_EXCLUDE, pb.SystemExcludeRequest(ranks=[rank], clear=True))
        await servers.joined(client)
        assert await servers.rank_of(client, victim) == rank

        await servers.replicated([victim])
        leader = await servers.leader(client)
        other = next(number for number in range(3) if number not in {victim, leader})
        servers.kill(other)  # a majority needs the new replica now
        await servers.until("a majority", lambda: _answers(client))

    run(servers, body)


async def _answers(client: ManagementClient) -> bool:
    await client.ask(methods.SYSTEM_SET_ATTR, pb.SystemSetAttrRequest(attributes={"a": str(uuid.uuid4())}))
    return True


def test_hosts_tell_of_themselves(running: Servers) -> None:
    async def body(servers: Servers, client: ManagementClient) -> None:
        host = servers.addresses[1]
        rank = await servers.rank_of(client, 1)
        scan = await client.on_host(host, methods.STORAGE_SCAN, pb.StorageScanRequest())
        assert (scan.devices[0].storage_class, scan.devices[0].formatted) == ("ram", True)
        usage = await client.on_host(host, methods.STORAGE_QUERY_USAGE, pb.StorageQueryUsageRequest())
        assert [(one.rank, one.tiers[0].total) for one in usage.ranks] == [(rank, 16 << 30)]
        request = pool_request()
        await client.ask(methods.POOL_CREATE, request)
        pools = await client.on_host(host, methods.STORAGE_QUERY_POOLS, pb.StorageQueryPoolsRequest())
        assert [pool.uuid for pool in pools.ranks[0].pools] == [request.uuid]
        network = await client.on_host(host, methods.NETWORK_SCAN, pb.NetworkScanRequest())
        assert "lo" in {one.name for one in network.interfaces}
        facts = await client.on_host(host, methods.GENERATE_CONFIG_FACTS, pb.GenerateConfigFactsRequest())
        assert facts.memory > 0
        masks = await client.on_host(host, methods.SET_LOG_MASKS, pb.SetLogMasksRequest(masks="DEBUG"))
        assert [result.code for result in masks.results] == [0]
        assert (servers.storage(1) / "masks").read_text() == "DEBUG"
        names = set()
        async for piece in client.collect_log(host, pb.CollectLogRequest()):
            names.add(piece.name)
        assert "control/server.log" in names
        with pytest.raises(errors.InvalidError):
            async for _ in client.collect_log(host, pb.CollectLogRequest(log_types=["what"])):
                pass
        down = await client.ask(methods.LEADER_QUERY, pb.LeaderQueryRequest())
        assert list(down.down_replicas) == []
        killed = (await servers.leader(client) + 1) % 3
        servers.kill(killed)
        down = await client.ask(methods.LEADER_QUERY, pb.LeaderQueryRequest())
        assert list(down.down_replicas) == [servers.addresses[killed]]
        servers.start(killed)

    run(running, body)
