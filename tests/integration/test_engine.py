"""Engines as processes: pools over several, clients that lose them, handles that come and go."""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

import daos
from daos import _core
from daos.control.pool.handles import Evict
from daos.control.pool.state import Evicted
from daos.control.system import effects
from daos.errors import DER, AccessError, ClosedError, DaosError, InvalidError, NotFoundError, UncertainError
from daos.local import PoolInfo, PoolRequest
from daos.model.acl import Acl
from tests.engines import Engines, connect, credential

pytestmark = pytest.mark.timeout(120)
CALL_S_MAX = 30.0


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + CALL_S_MAX
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def command(pool: str, tag: str, struct: msgspec.Struct) -> PoolRequest:
    return PoolRequest(pool=pool, kind="command", name=tag, arguments=msgspec.msgpack.encode(struct))


def leader_of(engines: Engines, pool: str) -> int:
    asked = PoolRequest(pool=pool, kind="query", name="pool", arguments=msgspec.msgpack.encode({"space": False}))
    for _ in range(200):
        for rank in range(engines.count):
            try:
                return msgspec.msgpack.decode(engines.pool_request(rank, asked), type=PoolInfo).leader
            except DaosError:
                continue
        time.sleep(0.05)
    raise AssertionError("nobody leads")


def test_everything_of_a_container_over_three_engines(pool: daos.Pool) -> None:
    container = pool.container("c", create=True)
    kv = container.kv("params", create=True)
    pairs = {f"k{number}": bytes([number]) * number for number in range(1, 200)}
    kv.put_many(pairs)
    assert dict(kv) == pairs
    array = container.array("a", dtype="f8", create=True)
    array[100_000:500_000] = np.arange(400_000.0)
    assert array.size == 500_000
    snapshot = container.snapshot("before")
    kv["k1"] = b"changed"
    del kv["k2"]
    array[100_000] = -1.0
    then = container.at("before")
    assert dict(then.kv("params")) == pairs
    assert then.array("a")[100_000] == 0.0
    assert kv["k1"] == b"changed"
    assert [each.epoch for each in container.snapshots()] == [snapshot.epoch]
    container.rollback("before")
    assert dict(kv) == pairs
    assert container.aggregate() >= 0
    container.destroy_snapshot("before")
    assert container.snapshots() == []
    container.attributes["x"] = b"y"
    assert dict(container.attributes) == {"x": b"y"}
    pool.attributes["p"] = b"q"
    assert dict(pool.attributes) == {"p": b"q"}
    container.set_properties({"label": "d"})
    assert [each.label for each in pool.containers()] == ["d"]
    assert not container.check().damaged
    pool.destroy_container("d")
    assert pool.containers() == []


def test_an_engine_is_killed_and_a_client_goes_on(engines: Engines, pool: daos.Pool) -> None:
    kv = pool.container("c", create=True).kv("k", create=True)
    kv.put_many({f"a{number}": b"1" for number in range(50)})
    told: list[str] = []
    failed: list[BaseException] = []

    def write() -> None:
        try:
            for number in range(600):
                kv[f"b{number}"] = str(number).encode()
                told.append(f"b{number}")
        except BaseException as error:  # noqa: BLE001 -- shown below
            failed.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    until(lambda: len(told) > 50, "writes")
    # Any of them, a leader of the pool's service or not.
    engines.kill(1)
    time.sleep(0.3)
    engines.start(1)
    writer.join(60)
    assert not failed, failed
    assert len(told) == 600
    assert all(kv[key] == key[1:].encode() for key in told)
    assert len(kv) == 650


def test_the_leader_of_a_service_is_killed_and_control_goes_on(engines: Engines, pool: daos.Pool) -> None:
    leader = leader_of(engines, pool.uuid)
    engines.kill(leader)
    made = pool  # its handle is in the log, which the others have
    with pytest.raises(NotFoundError):
        made.container("nope")
    engines.start(leader)
    engines.wait_ready()
    container = made.container("after", create=True)
    assert [each.label for each in made.containers()] == ["after"]
    assert container.kv("k", create=True).get("x") is None


def test_a_container_that_waits_for_a_rank_that_is_away(engines: Engines) -> None:
    """Who asks is told which rank that is, how long he has waited, and what to do; it is done when that is back."""
    made = engines.pool_create("waiting")
    with connect(engines, made) as before:
        away = next(rank for rank in range(engines.count) if rank != leader_of(engines, made))
        before.pool(made).container("there", create=True)
    with connect(engines, made, timeout_s=2.5) as system:
        pool = system.pool(made)
        engines.kill(away)
        began = time.monotonic()
        with pytest.raises(UncertainError) as caught:
            pool.container("late", create=True)
        took = time.monotonic() - began
        with pytest.raises(UncertainError) as destroyed:
            pool.destroy_container("there")
    for told in (caught.value, destroyed.value):
        said = re.fullmatch(
            r"the outcome is unknown: rank (\d) has not done what it takes; waited (\d\.\d) s", told.message
        )
        assert said is not None, told.message
        assert int(said[1]) == away
        assert 2.4 <= float(said[2]) < CALL_S_MAX
        assert told.hint == "dmg system query tells which ranks run; look whether it was done before you ask again"
    assert 2.4 <= took < CALL_S_MAX
    engines.start(away)
    engines.wait_ready()
    with connect(engines, made) as system:
        pool = system.pool(made)
        until(lambda: [each.label for each in pool.containers()] == ["late"], "what was begun is done")


def test_transactions_are_of_one_engine(engines: Engines, pool: daos.Pool) -> None:
    container = pool.container("c", create=True)
    kv = container.kv("k", create=True)
    kv["x"] = b"1"

    def over_all(tx: daos.Transaction) -> None:
        inside = tx.kv("k")
        for number in range(64):
            inside[f"t{number}"] = b"2"

    with pytest.raises(InvalidError) as caught:
        container.run(over_all)
    assert caught.value.code is DER.NOSYS
    assert "several engines" in caught.value.message
    assert dict(kv) == {"x": b"1"}


def test_who_is_evicted_is_refused_at_once_and_by_all(engines: Engines) -> None:
    made = engines.pool_create("evicted")
    system = connect(engines, made)
    opened = system.pool(made)
    kv = opened.container("c", create=True).kv("k", create=True)
    kv.put_many({f"k{number}": b"1" for number in range(100)})
    asked = command(made, "evict", Evict())
    answered = time.monotonic()
    raw = engines.pool_request(leader_of(engines, made), asked)
    assert msgspec.msgpack.decode(raw, type=Evicted).count >= 2
    for number in range(100):
        with pytest.raises(ClosedError):
            kv[f"k{number}"] = b"2"
    assert time.monotonic() - answered < CALL_S_MAX, "none of them waited for its time"
    with pytest.raises(ClosedError):
        opened.containers()
    system.close()
    with connect(engines, made) as again:
        assert len(again.pool(made).container("c").kv("k")) == 100


def test_rights_are_those_of_the_access_list_and_nobody_learns_more(engines: Engines) -> None:
    made = engines.pool_create("mine", acl=Acl.parse(["A::OWNER@:rw", "A::guest@:r"]))
    with connect(engines, made) as system:
        system.pool(made).container("c", create=True).kv("k", create=True)["a"] = b"1"
    stranger, nowhere = connect(engines, made, "stranger@"), connect(engines, str(uuid.uuid4()), "stranger@")
    with pytest.raises(NotFoundError) as refused:
        stranger.pool(made)
    assert refused.value.code is DER.NONEXIST
    nowhere.close()
    with connect(engines, made, "guest@") as guest, pytest.raises(AccessError):
        guest.pool(made)
    with connect(engines, made, "guest@", access=1) as guest:
        reading = guest.pool(made)
        assert reading.containers() == []  # the container's own list has nothing for him
        with pytest.raises(AccessError):
            reading.container("new", create=True)


def test_a_credential_is_good_once_and_for_its_pool(engines: Engines) -> None:
    made = engines.pool_create("once")
    shown = credential(made)
    with connect(engines, made, shown=shown) as first:
        first.pool(made)
        with connect(engines, made, shown=shown) as second, pytest.raises(AccessError):
            second.pool(made)
    for wrong in (credential(str(uuid.uuid4())), credential(made, system="other"), b"", shown[:-1]):
        with connect(engines, made, shown=wrong) as system, pytest.raises(DaosError) as caught:
            system.pool(made)
        assert caught.value.code in (DER.NO_PERM, DER.INVAL, DER.NO_CERT, DER.BAD_CERT), caught.value


def test_containers_that_nobody_has_any_more_are_closed(engines: Engines, pool: daos.Pool) -> None:
    pool.container("c", create=True)
    for _ in range(50):
        pool.container("c")
    # All but the last few are closed by now; evicting tells how many were open.
    raw = engines.pool_request(leader_of(engines, pool.uuid), command(pool.uuid, "evict", Evict()))
    assert 2 <= msgspec.msgpack.decode(raw, type=Evicted).count <= 4


def test_shards_go_with_their_pool(engines: Engines) -> None:
    made = engines.pool_create("gone")
    with connect(engines, made) as system:
        system.pool(made).container("c", create=True)
    for rank in range(engines.count):
        engines.carry(rank, effects.DestroyShards(subject=made, tiers=(1, 0)))
        home = engines.directory / f"engine{rank}" / "engine"
        assert not list(home.glob(f"*{made}*"))
        assert not list((home / "pools").glob(made))
    core = _core.Embedded.connect_service(
        made,
        system="test",
        engines=engines.addresses,
        replicas=[0, 1, 2],
        credential=credential(made),
        handle=str(uuid.uuid4()),
        access=2,
        durability=2,
        timeout_s=1.0,
    )
    with pytest.raises(DaosError):
        core.pool_open(made)


def test_ports_that_are_taken_are_told(tmp_path: Path) -> None:
    from daos.engine.process import check_ports
    from daos.local import EngineOptions

    def options(port: int, targets: int = 1) -> EngineOptions:
        return EngineOptions(
            system="test",
            index=0,
            uuid=str(uuid.uuid4()),
            socket=str(tmp_path / "s"),
            metadata=str(tmp_path),
            tiers=(),
            capacity=(0, 0),
            targets=targets,
            address="127.0.0.1",
            port=port,
            domain=("h",),
        )

    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(DaosError) as caught:
            check_ports(options(port))
        assert str(port) in caught.value.message
    with pytest.raises(InvalidError):
        check_ports(options(65_535))
