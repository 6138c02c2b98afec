"""Requests that come again, as their answer was lost: they tell what they did, and do it once."""

from __future__ import annotations

import asyncio
import uuid as uuids
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec
import pytest

from daos.control.outcomes import Outcome, RequestId
from daos.control.pool import queries
from daos.control.pool.container_settings import ContainerSetAttributes
from daos.control.pool.service import AnyCommand
from daos.control.pool.settings import SetAttributes
from daos.control.pool.snapshots import SnapshotCreate
from daos.control.pool.state import PoolState
from daos.engine.body import ServedReply, encode, payload
from daos.engine.clients import Clients
from daos.errors import NotFoundError
from tests.unit.control.pool_service import PoolService
from tests.unit.control.pool_service import T as NOW

if TYPE_CHECKING:
    from daos.engine.clients import Verifier
    from daos.engine.peers import Ranks
    from daos.engine.pool_service import PoolServices
    from daos.engine.system_map import SystemMap

R = TypeVar("R")
CLIENT = uuids.uuid4()
STAMP = NOW + 1_000


class Replica:
    """The one that leads; `lost` is how many changes it agrees on before its process dies."""

    def __init__(self, pool: PoolService) -> None:
        self._pool = pool
        self.pool = str(uuids.UUID(int=1))
        self.host = self
        self.lost: int | None = None

    @property
    def state(self) -> PoolState:
        return self._pool.state

    async def query(self, query: Callable[[PoolState], R], *, timeout_s: float) -> R:
        return query(self._pool.state)

    async def submit(self, command: AnyCommand, request: RequestId | None = None, *, timeout_s: float) -> Outcome:
        if request is None:
            stamp = self._pool.ask(command)
        else:
            stamp = request.stamp
            self._pool.apply(command, request)
        if self.lost is not None:
            self.lost -= 1
            if self.lost == 0:
                raise ConnectionError("the process died")
        return self._pool.outcomes[stamp]


def begun() -> tuple[Replica, str]:
    pool = PoolService()
    handle = pool.connect()
    opened = pool.open(handle, pool.container(handle))
    for epoch in (5, 7, 9):
        pool.ok(SnapshotCreate(handle=opened, epoch=epoch))
    return Replica(pool), opened


def ask(replica: Replica, handle: str, stamp: int, request: dict[str, object]) -> int:
    made = Clients(
        cast("PoolServices", SimpleNamespace(find=lambda _: replica)),
        cast("Ranks", SimpleNamespace(rank=3)),
        cast("SystemMap", None),
        cast("Verifier", None),
    )
    served = {
        "pool": uuids.UUID(replica.pool).bytes,
        "handle": uuids.UUID(handle).bytes,
        "client": CLIENT.bytes,
        "stamp": stamp,
        "opens": None,
        "makes": None,
        "credential": None,
        "access": 1,
        "request": request,
    }
    answer = asyncio.run(made.answer(encode(served)))
    reply = msgspec.msgpack.decode(payload(answer), type=ServedReply)
    return msgspec.msgpack.decode(payload(reply.result or b""), type=int)


def destroy(replica: Replica, opened: str, first: int, last: int, stamp: int) -> int:
    return ask(replica, opened, stamp, {"type": "snapshot_destroy", "first": first, "last": last})


def left(replica: Replica, opened: str) -> list[int]:
    return [each.epoch for each in queries.snapshots(replica.state, opened)]


def test_one_whose_answer_was_lost_is_not_called_missing() -> None:
    replica, opened = begun()
    replica.lost = 1
    with pytest.raises(ConnectionError):
        destroy(replica, opened, 5, 5, STAMP)
    assert left(replica, opened) == [7, 9]
    replica.lost = None
    assert destroy(replica, opened, 5, 5, STAMP) == 1
    with pytest.raises(NotFoundError, match="no snapshot at epoch 0x5"):
        destroy(replica, opened, 5, 5, STAMP + 1)


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_several_are_gone_however_far_it_came(lost: int) -> None:
    replica, opened = begun()
    replica.lost = lost
    with pytest.raises(ConnectionError):
        destroy(replica, opened, 0, 9, STAMP)
    replica.lost = None
    # What was not told of before is told now: all of them, if all were gone by then.
    assert destroy(replica, opened, 0, 9, STAMP) == (3 if lost == 3 else 3 - lost)
    assert left(replica, opened) == []


@pytest.mark.parametrize("of_pool", [True, False])
def test_attributes_that_are_removed_are_counted_once(*, of_pool: bool) -> None:
    pool = PoolService()
    handle = pool.connect()
    opened = pool.open(handle, pool.container(handle))
    attributes = {"a": b"1", "b": b"2", "c": b"3"}
    replica, asker = Replica(pool), handle if of_pool else opened
    if of_pool:
        pool.ok(SetAttributes(handle=handle, attributes=attributes))
    else:
        pool.ok(ContainerSetAttributes(handle=opened, attributes=attributes))
    request: dict[str, object] = {"type": "attribute_remove", "names": ["a", "b", "b", "none"]}
    replica.lost = 1
    with pytest.raises(ConnectionError):
        ask(replica, asker, STAMP, request)
    replica.lost = None
    assert ask(replica, asker, STAMP, request) == 2
    assert ask(replica, asker, STAMP + 1, request) == 0
