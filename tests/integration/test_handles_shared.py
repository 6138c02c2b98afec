"""Handles of a running system in other processes: by their bytes, in pickles, in forked children."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import pickle
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest

import daos
import daos.aio
import daos.client
from daos.agent.client import AgentClient
from daos.client._global import ContainerGlobal, PoolGlobal
from daos.errors import BusyError, ClosedError, ForkedError, InvalidError, NotFoundError
from tests.dev_pool import TANK, WAIT_S, is_open, tank, until
from tests.forking import in_child


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the socket of the agent of a system with one server and a pool `tank`."""
    with tank(tmp_path_factory.mktemp("dev") / "s") as socket:
        yield socket


@pytest.fixture
def pool(agent: Path) -> Iterator[daos.Pool]:
    """Return the pool, opened."""
    with daos.connect(TANK, agent=agent) as opened:
        yield opened


def elsewhere(agent: Path, program: str, *given: bytes) -> str:
    """Run a program in a process of its own, which finds `agent` and `given`; return what it printed."""
    head = "import pickle, sys, daos\nagent, given = sys.argv[1], [bytes.fromhex(one) for one in sys.argv[2:]]\n"
    command = [sys.executable, "-c", head + textwrap.dedent(program), str(agent), *(one.hex() for one in given)]
    return subprocess.run(command, check=True, timeout=WAIT_S, capture_output=True, text=True).stdout.strip()


def is_refused(kv: daos.KV[str]) -> bool:
    """Tell whether the handle of a store is of no use any more."""
    try:
        kv.get("a")
    except ClosedError:
        return True
    return False


# Bytes


def test_another_process_has_the_same_handle_and_opens_none(agent: Path, pool: daos.Pool) -> None:
    cont = pool.container("bytes", create=True)
    kv = cont.kv("k", create=True)
    kv["a"] = b"1"
    cont.snapshot("before")
    before = cont.at("before")
    kv["a"] = b"2"
    opens = cont.info().handles
    told = elsewhere(
        agent,
        """
        pool = daos.global2local(given[0], agent=agent)
        cont, before = pool.global2local(given[1]), pool.global2local(given[2])
        cont.kv("k")["b"] = b"3"
        print(pool.label, cont.label, before.kv("k")["a"], before.as_of.name, cont.info().handles, pool.system.targets)
        """,
        pool.local2global(),
        cont.local2global(),
        before.local2global(),
    )
    assert told == f"tank bytes b'1' before {opens} 2"
    # That process has ended, and has closed nothing of this one's.
    assert (kv["a"], kv["b"]) == (b"2", b"3")


def test_no_credential_and_no_service_is_needed(agent: Path, pool: daos.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    cont = pool.container("quiet", create=True)
    cont.kv("k", create=True)["a"] = b"1"
    oid = cont.kv("k").oid
    handles = pool.local2global(), cont.local2global()

    def none(*_: object, **__: object) -> bytes:
        raise AssertionError("a credential was asked for")

    monkeypatch.setattr(AgentClient, "credential", none)
    monkeypatch.setattr(AgentClient, "find_pool", none)
    # Nor is anybody there who could be asked for the handle.
    decoded = PoolGlobal.decode(handles[0])
    alone = msgspec.structs.replace(decoded, services=(4_000_000,), timeout_s=2.0).encode()
    copy = daos.global2local(alone, agent=agent)
    assert copy.global2local(handles[1])._core.kv(oid.hi, oid.lo).get(b"a") == b"1"
    with pytest.raises(daos.UnavailableError):
        copy.containers()
    copy.close()


def test_what_it_allows_is_what_it_allowed_there(agent: Path) -> None:
    with daos.connect(TANK, agent=agent) as writer:
        writer.container("modes", create=True).kv("k", create=True)["a"] = b"1"
    with daos.connect(TANK, agent=agent, mode="r") as reader:
        cont = reader.container("modes")
        program = """
        pool = daos.global2local(given[0], agent=agent)
        kv = pool.global2local(given[1]).kv("k")
        try:
            kv["a"] = b"2"
        except daos.AccessError as error:
            print(error.code.name, kv["a"])
        """
        assert elsewhere(agent, program, reader.local2global(), cont.local2global()) == "NO_PERM b'1'"
    with daos.connect(TANK, agent=agent, mode="exclusive") as alone:
        copy = daos.global2local(alone.local2global(), agent=agent)
        copy.container("modes").kv("k")["a"] = b"3"
        copy.close()
        with pytest.raises(BusyError):
            daos.connect(TANK, agent=agent)


def test_the_opener_ends_all_copies_and_a_copy_ends_none(agent: Path) -> None:
    pool = daos.connect(TANK, agent=agent)
    cont = pool.container("ends", create=True)
    cont.kv("k", create=True)["a"] = b"1"
    first, second = (daos.global2local(pool.local2global(), agent=agent) for _ in range(2))
    kvs = [one.global2local(cont.local2global()).kv("k") for one in (first, second)]
    first.close()
    first.close()
    with pytest.raises(ClosedError):
        kvs[0].get("a")
    assert (kvs[1]["a"], cont.kv("k")["a"]) == (b"1", b"1")
    handles = pool.local2global(), cont.local2global()
    pool.close()
    until(lambda: is_refused(kvs[1]), "the copy is of no use")
    late = daos.global2local(handles[0], agent=agent)
    with pytest.raises(ClosedError):
        late.containers()
    with pytest.raises(ClosedError):
        late.global2local(handles[1]).kv("k")
    assert not is_open(agent)


def test_the_end_of_its_opener_ends_it(agent: Path) -> None:
    program = """
    pool = daos.connect("daos://tank", agent=agent)
    cont = pool.container("gone", create=True)
    cont.kv("k", create=True)["a"] = b"1"
    print(pool.local2global().hex(), cont.local2global().hex(), flush=True)
    sys.stdin.read()
    """
    head = "import sys, daos\nagent = sys.argv[1]\n"
    command = [sys.executable, "-c", head + textwrap.dedent(program), str(agent)]
    opener = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert opener.stdin is not None
    assert opener.stdout is not None
    try:
        handles = [bytes.fromhex(one) for one in opener.stdout.readline().split()]
        copy = daos.global2local(handles[0], agent=agent)
        kv = copy.global2local(handles[1]).kv("k")
        assert kv["a"] == b"1"
    finally:
        opener.kill()
        opener.wait(WAIT_S)
        opener.stdin.close()
        opener.stdout.close()
    until(lambda: is_refused(kv), "the handle of a process that was killed is evicted")
    copy.close()


def test_containers_that_a_copy_opens_are_its_own(agent: Path, pool: daos.Pool) -> None:
    cont = pool.container("own", create=True)
    copy = daos.global2local(pool.local2global(), agent=agent)
    shared = copy.global2local(cont.local2global())
    before = cont.info().handles
    opened = copy.container("own")
    assert cont.info().handles == before + 1
    del opened, shared
    gc.collect()
    # Closed beside another request: what it opened, and nothing else.
    until(lambda: bool(copy.containers()) and cont.info().handles == before, "closed again")
    assert list(cont.names()) == []
    copy.close()


@pytest.mark.parametrize("what", ["cut", "altered", "kind", "version", "text", "other pool"])
def test_bytes_that_are_none_are_told(agent: Path, pool: daos.Pool, what: str) -> None:
    handle, cont = pool.local2global(), pool.container("bad", create=True)
    middle = len(handle) // 2
    with daos.connect(TANK, agent=agent) as other:
        given: dict[str, tuple[Callable[[], object], str]] = {
            "cut": (lambda: daos.global2local(handle[:-1], agent=agent), "1 bytes are missing"),
            "altered": (
                lambda: daos.global2local(handle[:middle] + bytes([handle[middle] ^ 1]) + handle[middle + 1 :]),
                "altered",
            ),
            "kind": (lambda: daos.global2local(cont.local2global(), agent=agent), "of a container, not of a pool"),
            "version": (lambda: daos.global2local(handle[:8] + b"\x02" + handle[9:], agent=agent), "version 2"),
            "text": (lambda: daos.global2local("handle", agent=agent), "not str"),  # type: ignore[arg-type]
            "other pool": (lambda: other.global2local(cont.local2global()), "another handle of a pool"),
        }
        act, match = given[what]
        with pytest.raises(InvalidError, match=match):
            act()


def test_another_system_is_told(agent: Path, pool: daos.Pool) -> None:
    other = msgspec.structs.replace(PoolGlobal.decode(pool.local2global()), system="elsewhere").encode()
    with pytest.raises(NotFoundError, match="not elsewhere"):
        daos.global2local(other, agent=agent)
    strange = msgspec.structs.replace(PoolGlobal.decode(pool.local2global()), pool=bytes(16)).encode()
    with pytest.raises(InvalidError, match="another pool"):
        daos.global2local(strange, agent=agent)


def test_a_handle_that_was_guessed_is_none(agent: Path, pool: daos.Pool) -> None:
    cont = pool.container("guess", create=True)
    guessed = msgspec.structs.replace(PoolGlobal.decode(pool.local2global()), handle=bytes(range(16))).encode()
    stranger = daos.global2local(guessed, agent=agent)
    with pytest.raises(ClosedError):
        stranger.containers()
    handle = ContainerGlobal.decode(cont.local2global())
    core = handle.core.replace(b"handle", b"handlf")
    broken = msgspec.structs.replace(handle, pool_handle=bytes(range(16)), core=core).encode()
    with pytest.raises(InvalidError, match="no handle of another process"):
        stranger.global2local(broken)


# Pickles


def test_attributes_and_access_lists_that_are_pickled_are_of_the_same_handle(agent: Path, pool: daos.Pool) -> None:
    cont = pool.container("parts", create=True)
    opens = cont.info().handles
    pool.attributes["of pool"], cont.attributes["of container"] = b"1", b"2"
    program = """
    pool, cont, acl = pickle.loads(given[0])
    cont["more"] = b"3"
    acl.update(["A::bob@:r"])
    print(pool["of pool"], cont["of container"], "A::bob@:r" in acl.get().entries)
    """
    told = elsewhere(agent, program, pickle.dumps((pool.attributes, cont.attributes, cont.acl)))
    assert told == "b'1' b'2' True"
    assert cont.attributes["more"] == b"3"
    assert "A::bob@:r" in cont.acl.get().entries
    assert cont.info().handles == opens
    pool.attributes.clear()


def test_awaitable_ones_too(agent: Path) -> None:
    async def main() -> None:
        async with daos.aio.connect(TANK, agent=agent) as pool:
            cont = await pool.container("parts", create=True)
            await cont.attributes.update({"a": b"1"})
            attributes, acl = pickle.loads(pickle.dumps((cont.attributes, cont.acl)))
            assert await attributes.get("a") == b"1"
            assert (await acl.get()).owner == (await cont.acl.get()).owner

    asyncio.run(main())


def test_what_is_pickled_is_open_in_another_process(agent: Path, pool: daos.Pool) -> None:
    cont = pool.container("pickles", create=True)
    kv, ints = cont.kv("k", create=True), cont.kv("i", create=True, keys="int")
    array = cont.array("a", "f4", create=True, fill=7)
    obj = cont.object("o", create=True, type="dkey_uint64")
    kv["a"], ints[5] = b"1", b"5"
    array[:3] = np.array([1, 2, 3], "f4")
    obj.update(9, x=b"9")
    cont.snapshot("then")
    then = cont.at("then").kv("k")
    kv["a"] = b"2"
    told = elsewhere(
        agent,
        """
        pool, cont, kv, ints, array, obj, then, plain = pickle.loads(given[0])
        assert cont.pool is pool
        kv["b"] = b"3"
        array[3] = 4
        print(pool.label, cont.label, kv["a"], ints[5], array[:6].tolist(), obj.fetch(9, "x"), then["a"], then.name)
        print(array.name, kv.keys_are, ints.keys_are, obj.type, plain.oid == obj.oid)
        """,
        pickle.dumps((pool, cont, kv, ints, array, obj, then, cont.object(obj.oid))),
    )
    assert told.splitlines() == [
        "tank pickles b'2' b'5' [1.0, 2.0, 3.0, 4.0] {'x': b'9'} b'1' k",
        "a str int dkey_uint64 True",
    ]
    assert (kv["b"], float(array[3])) == (b"3", 4.0)


def test_copies_in_one_process_have_their_connections_in_common(agent: Path, pool: daos.Pool) -> None:
    cont = pool.container("common", create=True)
    kv = cont.kv("k", create=True)
    kv["a"] = b"1"
    kv.put_many({str(index): b"x" for index in range(64)})
    raw = pickle.dumps(kv)
    copies = [pickle.loads(raw) for _ in range(8)]
    assert [one["a"] for one in copies] == [b"1"] * 8
    systems = [one._container.pool.system for one in copies]
    copies[0].get_many([str(index) for index in range(64)])
    assert [system.connections for system in systems] == [systems[0].connections] * 8
    assert sum(systems[0].connections.values()) >= 1
    systems[0].close()
    with pytest.raises(ClosedError):
        copies[0].get("a")
    assert copies[1]["a"] == b"1"


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_workers_of_multiprocessing_use_it(pool: daos.Pool, method: str) -> None:
    cont = pool.container(f"workers-{method}", create=True)
    kv = cont.kv("k", create=True)
    context = multiprocessing.get_context(method)
    with context.Pool(2) as workers:
        assert sorted(workers.starmap(put_one, [(kv, index) for index in range(16)])) == list(range(16))
    assert sorted(kv) == sorted(str(index) for index in range(16))


def put_one(kv: daos.KV[str], index: int) -> int:
    kv[str(index)] = b"x"
    return index


def test_transactions_and_batches_do_not_pickle(pool: daos.Pool) -> None:
    cont = pool.container("no", create=True)
    cont.kv("k", create=True)
    with pytest.raises(InvalidError, match="transaction"), cont.transaction() as tx:
        pickle.dumps(tx.kv("k"))
    with cont.batch() as batch, pytest.raises(InvalidError, match="batch"):
        pickle.dumps(batch.kv("k"))
    with pytest.raises(InvalidError, match="pickle its pool"):
        pickle.dumps(pool.system)


# The asynchronous face


def test_the_asynchronous_face_shares_too(agent: Path, pool: daos.Pool) -> None:
    cont = pool.container("aio", create=True)
    kv, array = cont.kv("k", create=True), cont.array("a", "u1", create=True)
    kv["a"] = b"1"
    array[:3] = np.arange(3, dtype="u1")
    cont.object("o", create=True).update("d", x=b"2")

    async def first() -> None:
        async with daos.aio.connect(TANK, agent=agent) as mine:
            own = await mine.container("aio")
            opened = (mine, own, await own.kv("k"), await own.array("a"), await own.object("o"))
            raw = pickle.dumps(opened)
            assert await use(raw) == (b"1", [0, 1, 2], {"x": b"2"})
            copy = await daos.aio.global2local(mine.local2global(), agent=agent)
            assert await (await copy.global2local(own.local2global()).kv("k")).get("a") == b"1"
            await copy.close()
            with pytest.raises(InvalidError, match="transaction"):
                pickle.dumps(own.transaction())
            # A child has a loop of its own, and goes on with what it inherited.
            assert in_child(lambda: forked(opened[2])) == 0
            assert await opened[2].get("child") == b"2"

    def forked(store: daos.aio.KV[str]) -> None:
        def run() -> None:
            assert asyncio.run(store.get("a")) == b"1"
            asyncio.run(store.put("child", b"2"))

        # The thread that forks is in its parent's loop.
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        assert kv["child"] == b"2"

    async def use(raw: bytes) -> tuple[bytes | None, list[int], dict[daos.client.object.Key, object]]:
        copy, own, store, cells, obj = pickle.loads(raw)
        assert own.pool is copy
        told = (await store.get("a"), (await cells.read()).tolist(), await obj.fetch("d", "x"))
        await copy.close()
        return told

    asyncio.run(first())


# Forks


def test_a_child_goes_on_with_what_it_inherited_and_closes_nothing_of_it(agent: Path, pool: daos.Pool) -> None:
    cont = pool.container("forks", create=True)
    kv, array = cont.kv("k", create=True), cont.array("a", "i4", create=True)
    kv["a"] = b"1"

    def child() -> None:
        assert pool.system.connections == {"shm": 0, "tcp": 0}
        assert kv["a"] == b"1"
        kv["child"] = b"2"
        array[:2] = np.array([1, 2], "i4")
        assert pool.container("forks").kv("k")["child"] == b"2"
        with cont.transaction() as tx:
            tx.kv("k")["tx"] = b"3"
        with cont.batch() as batch:
            batch.kv("k")["batch"] = b"4"
        assert in_child(lambda: kv.put("grandchild", b"5")) == 0
        pool.close()
        with pytest.raises(ClosedError):
            kv.get("a")

    for _ in range(3):
        assert in_child(child) == 0
        assert dict(kv) == {"a": b"1", "child": b"2", "tx": b"3", "batch": b"4", "grandchild": b"5"}
    assert array[:].tolist() == [1, 2]
    assert is_open(agent)


def test_a_transaction_is_that_of_the_process_that_began_it(pool: daos.Pool) -> None:
    cont = pool.container("fork-tx", create=True)
    cont.kv("k", create=True)
    tx = cont.transaction()
    kv = tx.kv("k")
    kv["a"] = b"1"
    inherited = [tx, kv]

    def child() -> None:
        for use in (lambda: kv["a"], tx.commit, tx.abort):
            with pytest.raises(ForkedError):
                use()
        inherited.clear()
        gc.collect()

    assert in_child(child) == 0
    tx.commit()
    assert cont.kv("k")["a"] == b"1"


def test_a_batch_is_that_of_the_process_that_began_it(pool: daos.Pool) -> None:
    cont = pool.container("fork-batch", create=True)
    kv = cont.kv("k", create=True)
    with cont.batch() as batch:
        store = batch.kv("k")
        store["a"] = b"1"

        def child() -> None:
            with pytest.raises(ForkedError):
                store["b"] = b"2"
            kv["c"] = b"3"

        assert in_child(child) == 0
        store["d"] = b"4"
    assert dict(kv) == {"a": b"1", "c": b"3", "d": b"4"}


def test_a_parent_under_load_forks(pool: daos.Pool) -> None:
    cont = pool.container("load", create=True)
    kv = cont.kv("k", create=True)
    stop = threading.Event()
    wrong: list[BaseException] = []

    def work(name: str) -> int:
        done = 0
        try:
            while not stop.is_set():
                kv[f"{name}-{done % 50}"] = b"%d" % done
                assert kv[f"{name}-{done % 50}"] == b"%d" % done
                done += 1
        except BaseException as error:
            wrong.append(error)
            raise
        return done

    def child(number: int) -> None:
        for index in range(20):
            kv[f"child-{number}-{index}"] = b"%d" % index
        assert kv[f"child-{number}-19"] == b"19"

    with ThreadPoolExecutor(4) as threads:
        parents = [threads.submit(work, f"parent-{index}") for index in range(4)]
        try:
            statuses = [in_child(partial(child, number)) for number in range(20)]
        finally:
            stop.set()
        rounds = [each.result(WAIT_S) for each in parents]
    assert (statuses, wrong) == ([0] * 20, [])
    assert min(rounds) > 0
    assert len([key for key in kv if key.startswith("child-")]) == 400


def test_a_child_lives_on_when_its_parent_is_killed(agent: Path, pool: daos.Pool) -> None:
    kv = pool.container("orphan", create=True).kv("k", create=True)
    program = """
    import os, time
    pool = daos.connect("daos://tank", agent=agent)
    kv = pool.container("orphan").kv("k")
    parent = os.getpid()
    if os.fork():
        os._exit(0)
    while os.getppid() == parent:
        time.sleep(0.01)
    # Its parent has ended for good, and the agent has had time to see it.
    time.sleep(0.3)
    for number in range(5):
        kv[str(number)] = b"x"
    kv["done"] = b"x"
    """
    elsewhere(agent, program)
    until(lambda: "done" in kv, "the child has written all")
    assert len(kv) == 6
