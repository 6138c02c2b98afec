"""Leaders die while rights are changed: each change is done or undone, and what it forbids is refused everywhere."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

import daos
from daos.dev import DevSystem
from daos.errors import AccessError, ClosedError, DaosError, InternalError, InvalidError, NotFoundError, UncertainError
from daos.mgmt import methods
from daos.mgmt.methods import Method, Request, Response
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from tests.system.running import ask, leading_rank, leading_server, poll, server_of_rank
from tools.system_rounds import engine_of, stopped

KINDS = ("overwrite", "update", "delete")
STEPS = ("not begun", "agreed", "told", "on its way")
ENFORCED_S_MAX = 5.0
TOLD_S_MAX = 40.0
KEYS = 48
"""Of a store, on all targets of all ranks."""
OF_POOL = ("A::OWNER@:rw", "A::alice@:rw")
OF_CONTAINER = ("A::OWNER@:rwdtTaAo", "A::alice@:rw")
REFUSALS = (AccessError, ClosedError, NotFoundError)
DEFECTS = (InternalError, InvalidError)


@dataclass
class Change:
    """A change of rights, and what it forbids.

    Attributes:
        run: Makes it.
        store: Opened before it; writes to it are refused from then on, on all targets. None where it stays open.
        opens: Opens what it forbids to open; raises if that is refused.
        told: How it ended.
    """

    run: Callable[[], object]
    store: daos.KV[int] | None
    opens: Callable[[], object]
    told: Future[object] = field(default_factory=Future)

    def done(self) -> bool:
        """Return whether it was told that it is done; who is not told must not be told a lie either."""
        error = self.told.exception(TOLD_S_MAX)
        assert error is None or (isinstance(error, DaosError) and not isinstance(error, DEFECTS)), error
        return error is None

    def refused(self) -> int:
        """Return how many of the keys cannot be written, or the store as a whole cannot be opened: all of them."""
        if self.store is None:
            return KEYS if _refused(self.opens) else 0
        return sum(_refused(partial(self.store.put, key, b"later")) for key in range(KEYS))


def _refused(act: Callable[[], object]) -> bool:
    try:
        with contextlib.suppress(UncertainError):
            act()
            return False
        # It was sent to an engine that is not there any more, which nobody could know: the next one is answered.
        act()
    except REFUSALS:
        return True
    return False


class Scene:
    """Pools and containers whose rights are changed, all at once.

    Args:
        system: The system.
        names: What their names begin with.
        acl: A file with the access list that the pools have.
        stack: Closes what is opened.
    """

    def __init__(self, system: DevSystem, names: str, acl: Path, stack: ExitStack) -> None:
        self.system = system
        self._threads = stack.enter_context(ThreadPoolExecutor(16))
        self._stack = stack
        self._connected: list[daos.Pool] = []
        self.pools = [f"{names}-{kind}" for kind in (*KINDS, "boxes")]
        make = ("-z", "120MB", "-P", "svc_rf:1", "-a", str(acl))
        list(self._threads.map(lambda pool: ask(system, "pool", "create", pool, *make), self.pools))
        self.changes = {f"pool {kind}": self._of_pool(kind, f"{names}-{kind}") for kind in KINDS}
        boxes = self._connect(f"{names}-boxes")
        for kind in (*KINDS, "owner"):
            self.changes[f"container {kind}"] = self._of_container(boxes, f"{names}-boxes", kind)

    def _connect(self, pool: str) -> daos.Pool:
        self._connected.append(self._stack.enter_context(daos.connect(f"daos://{pool}", timeout=TOLD_S_MAX)))
        return self._connected[-1]

    def _store(self, container: daos.Container) -> daos.KV[int]:
        store = container.kv("k", create=True, keys="int")
        for key in range(KEYS):
            store.put(key, b"before")
        return store

    def _of_pool(self, kind: str, pool: str) -> Change:
        run: dict[str, Callable[[], object]] = {
            "overwrite": partial(
                self.manage, methods.POOL_OVERWRITE_ACL, pb.PoolOverwriteAclRequest(pool=pool, entries=OF_POOL[1:])
            ),
            "update": partial(
                self.manage, methods.POOL_UPDATE_ACL, pb.PoolUpdateAclRequest(pool=pool, entries=["A::OWNER@:r"])
            ),
            "delete": partial(
                self.manage, methods.POOL_DELETE_ACL, pb.PoolDeleteAclRequest(pool=pool, principal="OWNER@")
            ),
        }
        store = self._store(self._connect(pool).container("c", create="exclusive"))
        return Change(run[kind], store, lambda: daos.connect(f"daos://{pool}").close())

    def _of_container(self, boxes: daos.Pool, pool: str, kind: str) -> Change:
        container = boxes.container(kind, create="exclusive")
        container.acl.overwrite(OF_CONTAINER)
        store = self._store(container)
        owner = pb.ContainerSetOwnerRequest(pool=pool, container=kind, owner="alice@", group="alice@")
        run: dict[str, Callable[[], object]] = {
            "overwrite": lambda: container.acl.overwrite(OF_CONTAINER[1:]),
            "update": lambda: container.acl.update(["A::OWNER@:r"]),
            "delete": lambda: container.acl.delete("OWNER@"),
            "owner": partial(self.manage, methods.CONTAINER_SET_OWNER, owner),
        }
        # Who is no owner any more keeps what he has open; who is may always open it, and see and set its list.
        anew = lambda: boxes.container(kind).kv("k", keys="int").put(0, b"anew")  # noqa: E731
        return Change(run[kind], None if kind == "owner" else store, anew)

    def manage(self, method: Method[Request, Response], request: Request) -> Response:
        """Ask the management service."""

        async def ask_it() -> Response:
            async with self.system._client(self.system.layout.load()) as client:
                return await client.ask(method, request)  # type: ignore[no-any-return]

        return asyncio.run(asyncio.wait_for(ask_it(), TOLD_S_MAX))

    def begin(self) -> None:
        """Begin all changes."""
        for change in self.changes.values():
            change.told = self._threads.submit(change.run)

    def destroy(self) -> None:
        """Destroy the pools; who has them open would ask for a while who leads them."""
        for pool in self._connected:
            pool.close()
        words = ("--recursive", "--force")
        list(self._threads.map(lambda pool: ask(self.system, "pool", "destroy", pool, *words), self.pools))

    def answers(self) -> bool:
        """Tell whether all services answer."""
        try:
            return bool(self.leaders())
        except AssertionError:
            return False

    def leaders(self) -> set[int]:
        """Return the ranks that lead the services of the pools."""
        return set(self._threads.map(lambda pool: leading_rank(self.system, pool), self.pools))


@pytest.fixture
def acl(tmp_path: Path) -> Path:
    path = tmp_path / "acl"
    path.write_text("".join(f"{entry}\n" for entry in OF_POOL))
    return path


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def asked(port: int) -> bool:
    """Tell whether something was sent to a port that its process has not read."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, queues, *_ = line.split()
        if int(local.rpartition(":")[2], 16) == port and state == "01" and int(queues.rpartition(":")[2], 16):
            return True
    return False


@pytest.mark.parametrize("step", STEPS)
def test_leaders_killed_while_rights_are_changed(step: str, system: DevSystem, acl: Path, opened: ExitStack) -> None:
    scene = Scene(system, f"rights{STEPS.index(step)}", acl, opened)
    leaders = sorted(scene.leaders())
    servers = [server_of_rank(system, rank) for rank in leaders]
    pids = [engine_of(system, server) for server in servers]
    ports = system.layout.load().ports
    if step == "not begun":
        # Requests lie where nobody reads them.
        with stopped(*pids):
            scene.begin()
            poll(lambda: all(asked(ports[server] + 4) for server in servers), "requests that wait")
            kill(pids)
    elif step == "agreed":
        # A rank has not heard of it, and those that decide are gone.
        (held, *_) = [number for number in range(3) if number not in servers]
        with stopped(engine_of(system, held)):
            scene.begin()
            poll(lambda: all(change.told.done() for change in scene.changes.values()), "changes that are agreed on")
            kill(pids)
    elif step == "told":
        scene.begin()
        assert all(change.done() for change in scene.changes.values())
        kill(pids)
    else:
        # The server that brings them there is gone.
        leader = leading_server(system)
        with stopped(*pids):
            scene.begin()
            poll(lambda: any(asked(ports[server] + 4) for server in servers), "requests that wait")
            system.stop(f"server{leader}", kill=True)
        system.start(f"server{leader}")
    done = {name: change.done() for name, change in scene.changes.items()}
    assert all(done.values()) or step in {"not begun", "on its way"}, done
    poll(scene.answers, "services that answer")
    began = time.monotonic()
    left = dict.fromkeys(done, KEYS)
    while any(left[name] for name, was_done in done.items() if was_done):
        assert time.monotonic() - began < ENFORCED_S_MAX, f"so many of {KEYS} keys can be written: {left}"
        left = {name: KEYS - change.refused() for name, change in scene.changes.items()}
    for name, keys in left.items():
        assert keys in {0, KEYS}, f"{name}: {keys} of {KEYS} keys can be written"
        assert _refused(scene.changes[name].opens) == (keys == 0), name
    system.wait_joined(system.layout.load())
    scene.destroy()


def kill(pids: list[int]) -> None:
    """Kill engines; their servers start them again."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
