"""The replica of a management host that has lost its storage."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from daos.rsvc.clock import Clock
from daos.server.replica import AddReplica, ReplicaStatus, SystemReplica
from tests.unit.server.fakes import FakePeers, server_settings

if TYPE_CHECKING:
    from pathlib import Path

    from daos.control.system.effects import AnyEffect

FAR = 2**32 - 10
"""A generation of long after today."""


def test_storage_that_was_lost_in_the_same_second_comes_under_another_generation(tmp_path: Path) -> None:
    status = ReplicaStatus(there=True, leads=True, members=[(0, 5), (1, FAR)])
    peers = FakePeers()
    peers.answers["a:1"] = [msgspec.msgpack.encode(status)] * 2
    settings = server_settings(
        tmp_path, address="b:1", replicas=("a:1", "b:1"), raft_listen="127.0.0.1:0", control=tmp_path / "control_raft"
    )

    async def carry(rank: int, effect: AnyEffect, number: int, term: int) -> None:
        raise AssertionError((rank, effect, number, term))

    async def main() -> None:
        replica = SystemReplica(settings, peers, carry, Clock(), lambda _: None)
        replica.start()
        while not any(method == "replica_add" for _, method, _ in peers.asked):
            await asyncio.sleep(0.01)
        await replica.close()

    asyncio.run(asyncio.wait_for(main(), 20))
    asked = next(body for _, method, body in peers.asked if method == "replica_add")
    assert msgspec.msgpack.decode(asked, type=AddReplica) == AddReplica(number=1, generation=FAR + 1)
