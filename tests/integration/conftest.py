"""Ways to open the system of a test at the seam; file systems, and engines, that the tests of a module share."""

from __future__ import annotations

import itertools
import uuid
from typing import TYPE_CHECKING, Protocol

import pytest

import daos
from daos import _core
from daos.client import system
from daos.dfs import mount
from tests.dev_pool import tank
from tests.dfs_systems import KINDS, forget_file_systems, pool_of
from tests.engines import Engines, connect
from tests.fake_core import FakeDisk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from daos.client import _seam
    from daos.dfs import DFS

_numbers = itertools.count()


class Open(Protocol):
    """Opens the system of a test."""

    def __call__(self, *, create: bool = True, targets: int = 1) -> _seam.EmbeddedCore: ...


@pytest.fixture(params=["fake", "native", "guest", "served"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Return a function that opens the system of this test, made on first use."""
    if request.param == "served":
        yield from serving(tmp_path)
        return
    open_core = FakeDisk().open if request.param == "fake" else system._open_core
    shares = request.param == "guest"
    holders: list[_seam.EmbeddedCore] = []

    def open_it(*, create: bool = True, targets: int = 1) -> _seam.EmbeddedCore:
        def one() -> _seam.EmbeddedCore:
            path = str(tmp_path / "x.daos")
            return open_core(path, create=create, targets=targets, durability=0, share=shares)

        if shares and not holders:
            holders.append(one())
        return one()

    yield open_it
    for holder in holders:
        holder.close()


def serving(tmp_path: Path) -> Iterator[Open]:
    """Return a function that connects to an engine of this process, which is started by its first call."""
    engines: list[_core.Engine] = []

    def open_it(*, create: bool = True, targets: int = 1) -> _seam.EmbeddedCore:
        if not engines:
            engine = _core.Engine.start(
                str(tmp_path / "x.daos"),
                create=create,
                targets=targets,
                durability=0,
                listen="127.0.0.1:0",
                system="test",
                rank=0,
                incarnation=1,
            )
            engines.append(engine)
        return _core.Embedded.connect(engines[0].address, system="test", durability=0, timeout_s=30)

    yield open_it
    for engine in engines:
        engine.close()


@pytest.fixture(scope="module")
def embedded_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of a file system on an embedded system."""
    directory = tmp_path_factory.mktemp("embedded")
    with pool_of("embedded", directory) as pool:
        pool.container("home", create=True, type="POSIX")
        yield f"daos://{directory}/s.daos//tank/home"
        forget_file_systems()


@pytest.fixture(scope="module")
def served_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of a file system on a running system, whose agent the environment names."""
    with tank(tmp_path_factory.mktemp("dev") / "s") as agent, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAOS_AGENT_DRPC_DIR", str(agent.parent))
        with daos.connect("daos://tank") as pool:
            pool.container("home", create=True, type="POSIX")
        forget_file_systems()
        yield "daos://tank/home"
        forget_file_systems()


@pytest.fixture(params=KINDS)
def top(request: pytest.FixtureRequest) -> str:
    """Give the URL of a file system of each kind."""
    return str(request.getfixturevalue(f"{request.param}_home"))


@pytest.fixture
def fs(top: str) -> Iterator[DFS]:
    """Mount the file system that a test is given."""
    with mount(top) as dfs:
        yield dfs


@pytest.fixture
def url(top: str) -> str:
    """Give a place of its own to a test."""
    return f"{top}/place-{next(_numbers)}"


@pytest.fixture
def place(url: str, fs: DFS) -> str:
    """Make the directory of `url`, and give its path."""
    path = f"/{url.rpartition('/')[2]}"
    fs.makedirs(path)
    return path


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """Start three engines for the tests of a file."""
    with Engines(tmp_path_factory.mktemp("engines"), 3) as made:
        yield made


@pytest.fixture
def engines(started: Engines) -> Engines:
    """Return engines that all run, whatever the test before has left."""
    started.whole()
    return started


@pytest.fixture
def pool(engines: Engines) -> Iterator[daos.Pool]:
    """Open a pool that lies on all of them, a new one."""
    made = engines.pool_create(f"p{uuid.uuid4().hex[:8]}")
    with connect(engines, made) as opened:
        yield opened.pool(made)
