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
from daos.control.system.members import Joined, ReportMember
from daos.errors import DER
from daos.local import Carry
from daos.model.members import MemberState
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
