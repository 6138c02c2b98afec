"""Replicas of a service's group, from Python: agreement, leaders, reads, members, damage, an event loop that waits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import time
from typing import TYPE_CHECKING, cast

import pytest

from daos import _core, errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GROUP = bytes(range(16))
SYSTEM = "test"
LISTEN = "127.0.0.1:0"
DEADLINE_S = 30.0


class Service:
    """An application: a list of commands, and the outcomes of its requests."""

    def __init__(self, rdb: _core.Rdb) -> None:
        self.rdb = rdb
        self.commands: list[bytes] = []
        self.applied = 0
        self.outcomes: dict[int, tuple[str, tuple[object, ...]]] = {}
        self.told: list[str] = []

    def take(self) -> None:
        for what, facts in self.rdb.drain():
            self.told.append(what)
            if what in {"committed", "read", "refused"}:
                self.outcomes[cast("int", facts[0])] = (what, facts)
            elif what == "install":
                self.applied = cast("int", facts[0])
                self.commands = cast("bytes", facts[2]).split()
            elif what == "command":
                self.applied = cast("int", facts[0])
                self.commands.append(cast("bytes", facts[2]))
            elif what == "members":
                self.applied = cast("int", facts[0])
            elif what == "snapshot_wanted":
                self.rdb.snapshot(self.applied, b" ".join(self.commands))

    def wait(self, number: int) -> tuple[str, tuple[object, ...]]:
        until("an outcome", lambda: number in self.outcomes, self)
        return self.outcomes[number]


def until(what: str, done: Callable[[], bool], *services: Service) -> None:
    """Take what is told, woken by the descriptors, until something holds."""
    end = time.monotonic() + DEADLINE_S
    while True:
        for service in services:
            service.take()
        if done():
            return
        assert time.monotonic() < end, f"not in time: {what}"
        select.select([service.rdb.fileno() for service in services], [], [], 0.05)


def create(path: Path, rank: int, replicas: list[int]) -> Service:
    return Service(
        _core.Rdb.create(
            str(path),
            group=GROUP,
            rank=rank,
            replicas=replicas,
            state=b"first",
            listen=LISTEN,
            system=SYSTEM,
            tick_ms=20,
        )
    )


def reopen(path: Path) -> Service:
    return Service(_core.Rdb.open(str(path), group=GROUP, listen=LISTEN, system=SYSTEM))


def meet(*services: Service) -> None:
    for one in services:
        for other in services:
            one.rdb.set_peer(cast("int", other.rdb.status()["rank"]), other.rdb.address)


@pytest.fixture
def closing() -> Iterator[list[Service]]:
    services: list[Service] = []
    yield services
    for service in services:
        service.rdb.close()


def leader_of(services: list[Service]) -> Service:
    until("a leader", lambda: any(one.rdb.status()["leads"] for one in services), *services)
    return next(one for one in services if one.rdb.status()["leads"])


def commit(services: list[Service], command: bytes) -> None:
    while True:
        leader = leader_of(services)
        what, facts = leader.wait(leader.rdb.propose(command, timeout_s=5))
        if what == "committed":
            return
        assert isinstance(facts[1], errors.UnavailableError | errors.RetryableError), facts


def test_three_replicas_agree_and_one_comes_back(tmp_path: Path, closing: list[Service]) -> None:
    services = closing
    services += [create(tmp_path / str(rank), rank, [0, 1, 2]) for rank in range(3)]
    meet(*services)
    commit(services, b"one")
    leader = leader_of(services)
    rank = cast("int", leader.rdb.status()["rank"])

    follower = next(one for one in services if one is not leader)
    what, facts = follower.wait(follower.rdb.propose(b"lost", timeout_s=5))
    assert what == "refused"
    error = cast("errors.DaosError", facts[1])
    assert error.code is errors.DER.NOTLEADER
    assert error.hint == f"ask rank {rank}"

    what, facts = leader.wait(leader.rdb.read_barrier(timeout_s=5))
    assert what == "read"
    assert leader.applied >= cast("int", facts[1]) - 1
    assert leader.commands == [b"first", b"one"]

    leader.rdb.close()
    services.remove(leader)
    commit(services, b"two")
    services.append(reopen(tmp_path / str(rank)))
    meet(*services)
    commit(services, b"three")
    whole = [b"first", b"one", b"two", b"three"]
    until("all agree", lambda: all(one.commands == whole for one in services), *services)

    joining = _core.Rdb.join(
        str(tmp_path / "3"), group=GROUP, rank=3, generation=1, listen=LISTEN, system=SYSTEM, tick_ms=20
    )
    services.append(Service(joining))
    meet(*services)
    leader = leader_of(services)
    assert leader.wait(leader.rdb.add_replica(3, 1, timeout_s=10))[0] == "committed"
    until("it votes", lambda: (3, 1) in cast("list[object]", joining.status()["voters"]), *services)
    assert services[-1].commands == whole
    leader = leader_of(services)
    gone = next(one for one in services[:3] if one is not leader)
    away = cast("int", gone.rdb.status()["rank"])
    assert leader.wait(leader.rdb.remove_replica(away, 1, timeout_s=10))[0] == "committed"
    assert (away, 1) not in cast("list[object]", leader.rdb.status()["voters"])


def test_an_event_loop_waits_for_the_descriptor(tmp_path: Path, closing: list[Service]) -> None:
    service = create(tmp_path / "0", 0, [0])
    closing.append(service)
    leader_of([service])

    async def proposals() -> list[int]:
        loop = asyncio.get_running_loop()
        waiting: dict[int, asyncio.Future[int]] = {}

        def readable() -> None:
            service.take()
            for number in [number for number in waiting if number in service.outcomes]:
                what, facts = service.outcomes[number]
                assert what == "committed"
                waiting.pop(number).set_result(cast("int", facts[1]))

        loop.add_reader(service.rdb.fileno(), readable)
        futures = []
        for nth in range(50):
            number = service.rdb.propose(b"%d" % nth, timeout_s=10)
            waiting[number] = loop.create_future()
            futures.append(waiting[number])
        try:
            return await asyncio.wait_for(asyncio.gather(*futures), 20)
        finally:
            loop.remove_reader(service.rdb.fileno())

    places = asyncio.run(proposals())
    assert places == sorted(places)
    assert service.commands == [b"first", *(b"%d" % nth for nth in range(50))]


def test_without_a_majority_the_outcome_is_unknown_in_time(tmp_path: Path, closing: list[Service]) -> None:
    services = [create(tmp_path / str(rank), rank, [0, 1]) for rank in range(2)]
    closing += services
    meet(*services)
    commit(services, b"one")
    leader = leader_of(services)
    next(one for one in services if one is not leader).rdb.close()
    number = leader.rdb.propose(b"two", timeout_s=0.2)
    until("an outcome", lambda: number in leader.outcomes, leader)
    what, facts = leader.outcomes[number]
    assert what == "refused"
    assert isinstance(facts[1], errors.UncertainError)


def test_what_is_refused_says_why(tmp_path: Path, closing: list[Service]) -> None:
    with pytest.raises(errors.NotFoundError):
        reopen(tmp_path)
    with pytest.raises(errors.InvalidError, match="not among"):
        create(tmp_path / "0", 7, [0])
    with pytest.raises(errors.InvalidError, match="16 bytes"):
        _core.Rdb.open(str(tmp_path), group=b"short", listen=LISTEN, system=SYSTEM)
    with pytest.raises(errors.InvalidError, match="generation"):
        _core.Rdb.join(str(tmp_path / "1"), group=GROUP, rank=1, generation=0, listen=LISTEN, system=SYSTEM)
    service = create(tmp_path / "0", 0, [0])
    closing.append(service)
    with pytest.raises(errors.BusyError):
        reopen(tmp_path / "0")
    leader_of([service])
    for command in (b"", bytes((1 << 20) + 1)):
        what, facts = service.wait(service.rdb.propose(command, timeout_s=5))
        assert what == "refused"
        assert isinstance(facts[1], errors.InvalidError)
    what, facts = service.wait(service.rdb.remove_replica(0, 1, timeout_s=5))
    assert isinstance(facts[1], errors.InvalidError)
    with pytest.raises(errors.InvalidError):
        service.rdb.propose(b"x", timeout_s=float("nan"))
    service.rdb.close()
    service.rdb.close()
    with pytest.raises(errors.ClosedError):
        service.rdb.propose(b"x", timeout_s=1)
    with pytest.raises(errors.ExistsError):
        create(tmp_path / "0", 0, [0])


def test_a_replica_with_damaged_files_is_not_opened(tmp_path: Path) -> None:
    service = create(tmp_path / "0", 0, [0])
    leader_of([service])
    for nth in range(20):
        commit([service], b"%d" % nth)
    service.rdb.close()
    files = sorted(path for path in (tmp_path / "0").rglob("*") if path.is_file() and path.name != "lock")
    seen = 0
    for path in files:
        whole = path.read_bytes()
        at = next((at for at in range(len(whole) // 2, len(whole)) if whole[at]), None)
        at = at if at is not None else max((at for at in range(len(whole)) if whole[at]), default=0)
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        with contextlib.suppress(errors.DaosError):
            opened = reopen(tmp_path / "0")
            opened.take()
            leader_of([opened])
            # What is not needed, or there twice, may be damaged; what is told is right all the same.
            assert opened.commands == [b"first", *(b"%d" % nth for nth in range(20))]
            opened.rdb.close()
            seen -= 1
        seen += 1
        path.write_bytes(whole)
    assert seen > 0


def test_a_forked_child_is_refused(tmp_path: Path, closing: list[Service]) -> None:
    service = create(tmp_path / "0", 0, [0])
    closing.append(service)
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            try:
                service.rdb.propose(b"x", timeout_s=1)
            except errors.ForkedError:
                code = 0
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    commit([service], b"parent")
