"""Copies of a handle over three engines: engines and leaders that go, children, evictions."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec
import pytest

import daos
from daos import build_info
from daos.agent.messages import AttachInfo, AttachRank
from daos.client import sharing
from daos.client._global import PoolGlobal
from daos.client.served import reach
from daos.client.system import System
from daos.control.pool.handles import Evict
from daos.control.pool.state import Evicted
from daos.errors import ClosedError, DaosError, UnavailableError
from daos.local import PoolInfo, PoolRequest
from tests.engines import Engines, credential
from tests.forking import in_child

if TYPE_CHECKING:
    from types import TracebackType

pytestmark = pytest.mark.timeout(120)
CALL_S_MAX = 30.0


class FakeAgent:
    """The agent of a host: it tells where the engines are, first what it remembers, then anew."""

    told: list[AttachInfo]
    asked: list[bool]

    def __init__(self, path: object, *, timeout_s: float) -> None:
        del path, timeout_s

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        assert seconds > 0
        yield

    def attach(self, system: str, *, refresh: bool = False, release: str = "") -> AttachInfo:
        assert release == build_info().version
        assert system == "test"
        self.asked.append(refresh)
        return self.told[-1] if refresh else self.told[0]


@pytest.fixture
def agent(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> type[FakeAgent]:
    ranks = tuple(
        AttachRank(rank=rank, addresses=(engines.addresses[rank], *engines._ready[rank].targets))
        for rank in range(engines.count)
    )
    FakeAgent.told, FakeAgent.asked = [AttachInfo(system="test", ranks=ranks, insecure=True)], []
    monkeypatch.setattr(sharing, "AgentClient", FakeAgent)
    return FakeAgent


class Opener:
    """Who opened a pool, and its handle for others."""

    def __init__(self, engines: Engines, agent: type[FakeAgent], pool: str) -> None:
        self.handle = PoolGlobal(
            system="test",
            pool=uuid.UUID(pool).bytes,
            handle=uuid.uuid4().bytes,
            services=tuple(range(engines.count)),
            access=2,
            durability=2,
            timeout_s=CALL_S_MAX,
            targets=engines.count * engines.targets,
            core=b"",
        )
        core = reach(self.handle, agent.told[0], credential=credential(pool), ca=None)
        self.system = System(core, "test")
        self.pool = self.system.pool(pool)
        self.container = self.pool.container("c", create=True)
        # Nobody tells it of its own what a pool of `daos.connect` knows.
        self.shared = msgspec.structs.replace(self.handle, core=self.pool._core.local2global()).encode()
        self.shared_container = self.container._core.local2global()

    def copy(self) -> tuple[daos.Pool, daos.Container]:
        """Return what another process would have."""
        pool = daos.global2local(self.shared)
        return pool, daos.client.Container(pool._core.container_global2local(self.shared_container, None), pool)


@pytest.fixture
def opener(engines: Engines, agent: type[FakeAgent]) -> Iterator[Opener]:
    made = Opener(engines, agent, engines.pool_create(f"p{uuid.uuid4().hex[:8]}"))
    with made.system:
        yield made


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + CALL_S_MAX
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def asked_of_leader(engines: Engines, request: PoolRequest) -> bytes:
    for _ in range(200):
        for rank in range(engines.count):
            try:
                return engines.pool_request(rank, request)
            except DaosError:
                continue
        time.sleep(0.05)
    raise AssertionError("nobody leads")


def evict(engines: Engines, pool: str) -> int:
    """Evict all handles of a pool; return how many there were."""
    asked = PoolRequest(pool=pool, kind="command", name="evict", arguments=msgspec.msgpack.encode(Evict()))
    return msgspec.msgpack.decode(asked_of_leader(engines, asked), type=Evicted).count


def test_many_copies_are_one_handle_and_an_eviction_ends_them_all(engines: Engines, opener: Opener) -> None:
    kv = opener.container.kv("k", create=True)
    kv.put_many({f"k{number}": b"1" for number in range(100)})
    copies = [opener.copy()[1].kv("k") for _ in range(20)]
    assert all(len(copy) == 100 for copy in copies)
    for number, copy in enumerate(copies):
        copy[f"of{number}"] = b"2"
    assert len(kv) == 120
    assert evict(engines, opener.pool.uuid) == 2, "that of the pool and that of the container"
    for copy in copies:
        with pytest.raises(ClosedError):
            copy["k1"] = b"3"
    child = copies[0]
    assert in_child(lambda: refused(child)) == 0


def refused(kv: daos.KV[str]) -> None:
    for number in range(20):
        with pytest.raises(ClosedError):
            kv[f"k{number}"] = b"3"


def test_an_engine_that_is_started_again_is_shown_the_handle_by_a_copy(engines: Engines, opener: Opener) -> None:
    opener.container.kv("k", create=True).put_many({f"k{number}": b"1" for number in range(100)})
    copy = opener.copy()[1].kv("k")
    engines.kill(1)
    engines.start(1)
    engines.wait_ready()
    for number in range(100):
        copy[f"k{number}"] = b"2"

    def child() -> None:
        for number in range(100):
            copy[f"k{number}"] = b"3"

    engines.kill(2)
    engines.start(2)
    engines.wait_ready()
    assert in_child(child) == 0
    assert set(opener.container.kv("k").values()) == {b"3"}


def test_a_copy_finds_the_next_leader(engines: Engines, opener: Opener) -> None:
    copy, _ = opener.copy()
    asked = PoolRequest(
        pool=opener.pool.uuid, kind="query", name="pool", arguments=msgspec.msgpack.encode({"space": False})
    )
    leader = msgspec.msgpack.decode(asked_of_leader(engines, asked), type=PoolInfo).leader
    assert [each.label for each in copy.containers()] == ["c"]
    engines.kill(leader)

    def child() -> None:
        assert [each.label for each in copy.containers()] == ["c"]
        copy.attributes["of-child"] = b"1"

    try:
        assert in_child(child) == 0
        assert copy.attributes["of-child"] == b"1"
    finally:
        engines.start(leader)
        engines.wait_ready()


def test_where_the_agent_has_not_heard_of_an_engine_it_is_asked_anew(opener: Opener, agent: type[FakeAgent]) -> None:
    complete = agent.told[0]
    agent.told = [msgspec.structs.replace(complete, ranks=complete.ranks[:2]), complete]
    pool, container = opener.copy()
    assert (agent.asked, pool.system.targets) == ([False, True], 6)
    assert list(container.names()) == []
    pool.close()
    del pool, container
    agent.told = agent.told[:1]
    other = msgspec.structs.replace(PoolGlobal.decode(opener.shared), timeout_s=7.0).encode()
    with pytest.raises(UnavailableError, match="nobody has told where target 0 of rank 2 is"):
        daos.global2local(other)


def test_a_time_out_of_its_own(opener: Opener) -> None:
    pool = daos.global2local(opener.shared, timeout=3)
    assert PoolGlobal.decode(pool.local2global()).timeout_s == 3.0
    for timeout in (0, -1, True, "1", float("nan"), float("inf")):
        with pytest.raises(daos.InvalidError, match="timeout"):
            daos.global2local(opener.shared, timeout=timeout)  # type: ignore[arg-type]


def test_what_is_of_another_pool_is_refused(engines: Engines, opener: Opener, tmp_path: Path) -> None:
    del tmp_path
    decoded = PoolGlobal.decode(opener.shared)
    for core in (b"", b"\x00", decoded.core[:-1], decoded.core + b"\x00"):
        with pytest.raises(daos.InvalidError):
            daos.global2local(msgspec.structs.replace(decoded, core=core).encode())
    other = engines.pool_create(f"q{uuid.uuid4().hex[:8]}")
    with pytest.raises(daos.InvalidError, match="another pool"):
        daos.global2local(msgspec.structs.replace(decoded, pool=uuid.UUID(other).bytes).encode())
