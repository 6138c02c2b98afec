"""The library on a mount of a running system, whose engine dies while it is used."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import daos
from daos.dev import DevSystem
from tests.dev_pool import tank
from tests.integration.dfuse.conftest import make_container, until
from tests.integration.il.conftest import LIBRARY, WAIT_S, Mounts

# Daemons outlive the object that started them: that is what they are for.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
WRITES = """
import os, sys
file = os.open("f", os.O_RDWR | os.O_CREAT)
for turn in range(100_000):
    place = turn % 300 * 100
    assert os.pwrite(file, b"%010d" % turn * 10, place) == 100
    assert os.pread(file, 100, place) == b"%010d" % turn * 10
    if turn % 50 == 0:
        print(turn, flush=True)
    if os.path.exists("stop"):
        break
print("last", turn, flush=True)
"""


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
    process, path = mounts.start("tank", "home", "--disable-wb-cache", env=environment)
    log = tmp_path / "log"
    with (
        log.open("wb") as out,
        subprocess.Popen(
            [sys.executable, "-c", WRITES],
            cwd=path,
            env={**os.environ, "LD_PRELOAD": str(LIBRARY), "D_IL_REPORT": "1"},
            stdout=out,
            stderr=subprocess.STDOUT,
        ) as program,
    ):

        def turns() -> int:
            assert program.poll() is None, log.read_text()
            return len(log.read_text().split())

        until(lambda: turns() > 3, "writes before")
        DevSystem(tmp_path / "dev").kill_rank(0)
        before = turns()
        until(lambda: turns() > before + 3, "writes afterwards")
        (path / "stop").touch()
        assert program.wait(WAIT_S) == 0, log.read_text()
    told = log.read_text()
    assert "libdaos_il: [write       ] 0" not in told
    last = int(told.split("last ")[1].split()[0])
    assert (path / "f").read_bytes()[last % 300 * 100 :][:10] == b"%010d" % last
    mounts.end(process, path)
