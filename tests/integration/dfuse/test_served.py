"""A mount of a container on a running system, whose engine dies while it is used."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import daos
from daos.dev import DevSystem
from tests.dev_pool import tank
from tests.integration.dfuse.conftest import WAIT_S, Mounts, make_container, until

# Daemons outlive the object that started them: that is what they are for.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    with tank(tmp_path / "dev") as socket:
        yield socket


@pytest.mark.timeout(150)
def test_an_engine_that_dies_is_survived(mounts: Mounts, agent: Path, tmp_path: Path) -> None:
    with daos.connect("daos://tank", agent=agent) as pool:
        make_container(pool, "home")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DAOS_")}
    environment["DAOS_AGENT_DRPC_DIR"] = str(agent.parent)
    process, path = mounts.start("tank", "home", env=environment)
    assert os.statvfs(path).f_blocks > 0
    failures: list[Exception] = []
    stop = threading.Event()
    written: list[int] = []

    def write() -> None:
        try:
            while not stop.is_set():
                number = len(written)
                with (path / f"f{number}").open("wb") as file:
                    file.write(b"%06d" % number * 1000)
                    file.flush()
                    os.fsync(file.fileno())
                (path / f"f{number}").rename(path / f"g{number}")
                written.append(number)
        except (OSError, AssertionError) as error:
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        until(lambda: len(written) > 20 or bool(failures), "files before")
        DevSystem(tmp_path / "dev").kill_rank(0)
        before = len(written)
        until(lambda: len(written) > before + 20 or bool(failures), "files afterwards")
    finally:
        stop.set()
        writer.join(WAIT_S)
    assert not failures
    for number in written:
        assert (path / f"g{number}").read_bytes() == b"%06d" % number * 1000
    mounts.end(process, path)
