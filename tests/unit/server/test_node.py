"""What servers say to each other: finding the leader, effects that are late, calls that nobody knows."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

import msgspec
import pytest

from daos import errors
from daos.control.outcomes import Outcome
from daos.control.system import effects
from daos.control.system.members import Join, Joined, ReportMember
from daos.control.system.state import Member, SystemState
from daos.errors import DER
from daos.local import Carry, Ready
from daos.model.members import MemberState
from daos.server import superblock
from daos.server.engines import EngineState
from daos.server.management import Management, confirmed
from daos.server.node import CarryFor, Membership, Server
from daos.server.replica import ReplicaStatus
from daos.server.superblock import Superblock
from tests.unit.server.fakes import FakePeers, engine_settings, server_settings

REPLICAS = ("a:1", "b:1", "c:1")
COMMAND = ReportMember(rank=1, incarnation=1, state=MemberState.STOPPED)


def make(path: Path, peers: FakePeers) -> Server:
    mount = path / "scm"
    mount.mkdir()
    settings = server_settings(path, engine_settings(mount), address="z:1", replicas=REPLICAS)
    return Server(settings, peers, command=(sys.executable, "-c", ""), syslog=False)


def run(tmp_path: Path, peers: FakePeers, body: Callable[[Server], Coroutine[object, object, None]]) -> None:
    async def main() -> None:
        server = make(tmp_path, peers)
        await asyncio.wait_for(body(server), 30)
        await server.close()

    asyncio.run(main())


def not_leader(leader: str | None) -> errors.DaosError:
    context = {} if leader is None else {"leader": leader}
    return errors.StaleError("elsewhere", code=DER.NOTLEADER, context=context)


def test_the_leader_is_found_by_what_others_say(tmp_path: Path) -> None:
    peers = FakePeers()
    peers.answers["a:1"] = [errors.UnavailableError("gone", code=DER.UNREACH)] * 9
    peers.answers["b:1"] = [not_leader("c:1")]
    outcome = Outcome.done(Joined(rank=4, state=MemberState.JOINED, version=2))
    peers.answers["c:1"] = [not_leader(None), msgspec.msgpack.encode(outcome), msgspec.msgpack.encode(Outcome())]

    async def body(server: Server) -> None:
        assert (await server.submit_anywhere(COMMAND, timeout_s=10)).value(Joined).rank == 4
        (await server.submit_anywhere(COMMAND, timeout_s=10)).check()
        assert [address for address, _, _ in peers.asked][-1] == "c:1"
        assert peers.asked[-2][0] == "c:1"  # the second time it is asked at once
        assert server.leader() == "c:1"

    run(tmp_path, peers, body)
    ids = {msgspec.msgpack.decode(body)["request"][1] for _, _, body in peers.asked}
    assert len(ids) == 2  # the same id, however often it is sent


def test_a_refusal_is_passed_on_and_silence_ends(tmp_path: Path) -> None:
    peers = FakePeers()

    async def body(server: Server) -> None:
        with pytest.raises(errors.TimedOutError, match="no leader"):
            await server.submit_anywhere(COMMAND, timeout_s=0.3)
        peers.answers["a:1"] = [errors.AccessError("certificate")]
        with pytest.raises(errors.AccessError):
            await server.submit_anywhere(COMMAND, timeout_s=10)

    run(tmp_path, peers, body)


def test_a_server_without_a_replica_names_another(tmp_path: Path) -> None:
    async def body(server: Server) -> None:
        with pytest.raises(errors.StaleError) as elsewhere:
            await server.query(lambda state: state.version, timeout_s=1)
        assert elsewhere.value.code is DER.NOTLEADER
        assert elsewhere.value.context["leader"] == "a:1"
        answer = await server.server_call("replica_status", b"\xc0")
        assert msgspec.msgpack.decode(answer, type=ReplicaStatus) == ReplicaStatus(there=False)
        for method, message in (("replica_add", {"number": 1, "generation": 1}),):
            with pytest.raises(errors.StaleError):
                await server.server_call(method, msgspec.msgpack.encode(message))
        news = Membership(rank=1, incarnation=1, alive=False)
        with pytest.raises(errors.StaleError):
            await server.server_call("membership", msgspec.msgpack.encode(news))

    run(tmp_path, FakePeers(), body)


def carry_for(effect: effects.AnyEffect, number: int = 5, rank: int = 3) -> bytes:
    carry = Carry(number=number, floor=0, effect=msgspec.msgpack.encode(effect))
    return msgspec.msgpack.encode(CarryFor(rank=rank, carry=carry))


def test_effects_beside_engines(tmp_path: Path) -> None:
    async def body(server: Server) -> None:
        engine = server.engines[0]
        engine.block = Superblock(uuid="u", system="s", rank=3)
        stop = effects.StopEngines(subject=effects.ENGINE, operation="stop 1", force=False)
        await server.server_call("carry", carry_for(stop))
        await server.server_call("carry", carry_for(stop))  # twice is once
        prepare = effects.PrepareShutdown(subject=effects.ENGINE, operation="stop 1")
        with pytest.raises(errors.StaleError, match="too late"):
            await server.server_call("carry", carry_for(prepare, number=4))
        await server.server_call("carry", carry_for(prepare, number=6))  # it does not run: nothing to prepare
        with pytest.raises(errors.InvalidError, match="does not carry out"):
            await server.server_call("carry", carry_for(effects.CreateShards(subject="p", tiers=(1, 1)), number=7))
        with pytest.raises(errors.NotFoundError):
            await server.server_call("carry", carry_for(stop, number=8, rank=9))
        erase = effects.EraseEngines(subject=effects.ENGINE, operation="erase 9")
        await server.server_call("carry", carry_for(erase, number=9))
        assert engine.rank is None
        await server.server_call("carry", carry_for(erase, number=9))  # it is erased already
        assert list(engine.settings.metadata.iterdir()) == []

    run(tmp_path, FakePeers(), body)


def test_messages_for_engines(tmp_path: Path) -> None:
    async def body(server: Server) -> None:
        with pytest.raises(errors.UnavailableError) as elsewhere:
            await server.engine_call(3, "space", b"\xc0")
        assert elsewhere.value.code is DER.UNREACH
        server.engines[0].block = Superblock(uuid="u", system="s", rank=3)
        late = Carry(number=1, floor=1, effect=b"", incarnation=8)
        with pytest.raises(errors.StaleError, match="started again"):
            await server.engine_call(3, "carry", msgspec.msgpack.encode(late))
        with pytest.raises(errors.UnavailableError):
            await server.engine_call(3, "carry", msgspec.msgpack.encode(Carry(number=1, floor=1, effect=b"")))
        with pytest.raises(errors.InvalidError):
            await server.engine_call(3, "carry", b"\xc1")

    run(tmp_path, FakePeers(), body)


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\xc0\xc0", msgspec.msgpack.encode({"rank": "x"})]
)
@pytest.mark.parametrize("method", ["carry", "replica_status", "replica_add", "submit", "membership"])
def test_rubbish_is_refused(tmp_path: Path, method: str, body: bytes) -> None:
    async def check(server: Server) -> None:
        with pytest.raises((errors.InvalidError, errors.StaleError)):
            await server.server_call(method, body)
        with pytest.raises(errors.InvalidError) as unknown:
            await server.server_call("what", body)
        assert unknown.value.code is DER.NOSYS

    run(tmp_path, FakePeers(), check)


STORAGE = "8c2f5e3a-1111-4222-8333-944455556666"


class Leading:
    """A replica that leads, of a state with one rank that is at b:1."""

    failed = None
    leads = True
    leader = 1

    def __init__(self, state: MemberState = MemberState.JOINED) -> None:
        self.host = self
        self.submitted: list[object] = []
        self.state = SystemState()
        self.state.members[2] = Member(
            rank=2,
            uuid=STORAGE,
            address="b:1",
            uri="b:2",
            domain=("b",),
            incarnation=7,
            targets=1,
            capacity=(1, 0),
            state=state,
        )

    async def submit(self, command: object, request: object, *, timeout_s: float) -> Outcome:
        self.submitted.append(command)
        return Outcome()

    async def close(self) -> None:
        pass


def join(address: str, uuid: str = STORAGE) -> Join:
    return Join(
        uuid=uuid,
        rank=2,
        address=address,
        uri="x:2",
        domain=("x",),
        incarnation=9,
        targets=1,
        capacity=(1, 0),
    )


@pytest.mark.parametrize(
    ("address", "state", "there"),
    [
        ("b:1", MemberState.JOINED, None),  # it was started again where it was
        ("c:1", MemberState.STOPPED, None),  # it was brought to another host
        ("c:1", MemberState.JOINED, 0),  # the same, and nobody had noticed
        ("c:1", MemberState.JOINED, errors.UncertainError("no answer", code=DER.NOREPLY)),  # its host is gone
        ("c:1", MemberState.JOINED, 9),  # its host has another address
    ],
)
def test_a_rank_that_joins_from_elsewhere(
    tmp_path: Path, address: str, state: MemberState, there: int | errors.DaosError | None
) -> None:
    peers = FakePeers()
    if there is not None:
        peers.answers["b:1"] = [there if isinstance(there, errors.DaosError) else msgspec.msgpack.encode(there)]

    async def body(server: Server) -> None:
        replica = Leading(state)
        server.replica = replica  # type: ignore[assignment]
        (await server.submit(join(address), None, timeout_s=5)).check()
        assert len(replica.submitted) == 1
        assert len(peers.asked) == (there is not None)

    run(tmp_path, peers, body)


def test_a_copy_of_storage_whose_rank_runs_is_refused(tmp_path: Path) -> None:
    peers = FakePeers()
    peers.answers["b:1"] = [msgspec.msgpack.encode(7)]

    async def body(server: Server) -> None:
        replica = Leading()
        server.replica = replica  # type: ignore[assignment]
        with pytest.raises(
            errors.ExistsError, match=f"rank 2 runs at b:1; c:1 has storage of the same uuid {STORAGE}"
        ) as refused:
            await server.submit(join("c:1"), None, timeout_s=5)
        assert "format it with --force" in (refused.value.hint or "")
        assert peers.asked == [("b:1", "incarnation", msgspec.msgpack.encode({"uuid": STORAGE}))]
        # Other storage is no copy.
        (await server.submit(join("c:1", STORAGE.replace("8c", "9c")), None, timeout_s=5)).check()
        assert len(replica.submitted) == 1

    run(tmp_path, peers, body)


def test_a_server_tells_which_engine_it_runs(tmp_path: Path) -> None:
    async def body(server: Server) -> None:
        ask = msgspec.msgpack.encode({"uuid": STORAGE})
        assert await server.server_call("incarnation", ask) == msgspec.msgpack.encode(0)
        (engine,) = server.engines
        engine.block = Superblock(uuid=STORAGE, system="daos_server", rank=2)
        engine.ready = Ready(pid=1, incarnation=7, uuid=STORAGE, uri="u", targets=(), capacity=(0, 0), domain=("h",))
        assert await server.server_call("incarnation", ask) == msgspec.msgpack.encode(0), "it does not run"
        engine.channel = object()  # type: ignore[assignment]
        assert await server.server_call("incarnation", ask) == msgspec.msgpack.encode(7)
        engine.channel = None
        with pytest.raises(errors.InvalidError, match="WhichEngine"):
            await server.server_call("incarnation", b"\xc0")

    run(tmp_path, FakePeers(), body)


def test_two_engines_of_a_host_with_copies_of_storage_do_not_start(tmp_path: Path) -> None:
    mounts = [tmp_path / name for name in ("one", "two")]
    for mount in mounts:
        mount.mkdir()
    both = [engine_settings(mount, index=index) for index, mount in enumerate(mounts)]
    for engine in both:
        engine.metadata.mkdir(parents=True, exist_ok=True)
        superblock.write(engine.metadata, Superblock(uuid=STORAGE, system="s", rank=2))

    async def main() -> None:
        settings = server_settings(tmp_path, *both, address="z:1", replicas=REPLICAS)
        server = Server(settings, FakePeers(), command=(sys.executable, "-c", ""), syslog=False)
        for engine in server.engines:
            with pytest.raises(errors.ExistsError, match=f"the same uuid {STORAGE}") as refused:
                await engine.start()
            assert "one is a copy of the other" in (refused.value.hint or "")
            assert engine.state is EngineState.ERRORED
            assert engine.starts == 0
        superblock.write(both[1].metadata, Superblock(uuid=STORAGE.replace("8c", "9c"), system="s"))
        for engine in server.engines:
            engine.load()
        await server.close()

    asyncio.run(main())


def test_a_server_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    class Hanging(FakePeers):
        async def server_call(self, address: str, method: str, body: bytes, *, timeout_s: float) -> bytes:
            if address == "a:1":
                self.asked.append((address, method, body))
                await asyncio.sleep(timeout_s)
            return await super().server_call(address, method, body, timeout_s=timeout_s)

    peers = Hanging()
    peers.answers["b:1"] = [not_leader("a:1"), not_leader("c:1")]
    peers.answers["c:1"] = [not_leader(None), msgspec.msgpack.encode(Outcome())]

    async def body(server: Server) -> None:
        began = asyncio.get_running_loop().time()
        (await server.submit_anywhere(COMMAND, timeout_s=20)).check()
        assert asyncio.get_running_loop().time() - began < 5
        assert [address for address, _, _ in peers.asked].count("a:1") == 1

    run(tmp_path, peers, body)


def test_who_leads_is_who_says_so_himself() -> None:
    leads, follows = ReplicaStatus(there=True, leads=True), ReplicaStatus(there=True, leader="a:1")
    assert confirmed({"a:1": leads, "b:1": follows, "c:1": None}, "a:1") == "a:1"
    # Whoever is asked has not heard of an election, or of none yet.
    assert confirmed({"a:1": None, "b:1": leads, "c:1": follows}, "a:1") == "b:1"
    assert confirmed({"a:1": follows, "b:1": leads}, None) == "b:1"
    # One that was cut off has not noticed.
    assert confirmed({"a:1": leads, "b:1": leads}, "b:1") == "b:1"
    assert confirmed({"a:1": None, "b:1": follows}, "a:1") is None


def test_a_leader_is_told_without_asking_anybody(tmp_path: Path) -> None:
    peers = FakePeers()

    async def body(server: Server) -> None:
        management = Management(server, "1.0")
        told = await management.leader_query(leader_only=True)
        assert (told.current, told.leads, told.down) == ("a:1", False, ())
        assert peers.asked == []
        peers.answers["b:1"] = [msgspec.msgpack.encode(ReplicaStatus(there=True, leads=True))]
        told = await management.leader_query()
        assert (told.current, told.leads, told.down) == ("b:1", False, ("a:1", "c:1"))

    run(tmp_path, peers, body)
