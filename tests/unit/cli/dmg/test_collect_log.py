from __future__ import annotations

import asyncio
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from daos.cli.dmg._collect import folder_of, safe_path, write_pieces
from daos.cli.dmg.support_collect_log import _folders
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from tests.unit.cli.dmg.conftest import Dmg


def test_logs_are_in_a_folder_for_each_host(dmg: Dmg, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    told = dmg("support", "collect-log", "-t", str(folder))
    assert told.status == 0
    assert told.text.splitlines()[2].split() == ["127.0.0.1:PORT", "2", "23", "B"]
    assert told.text.splitlines()[-1] == f"Logs are in {folder}"
    assert (folder / "127.0.0.1/control/daos_server.log").read_text() == "started\nstopped\n"
    assert (folder / "127.0.0.1/server/daos_engine.0.log").read_text() == "engine\n"
    response = dmg("support", "collect-log", "-t", str(folder), "-j").json["response"]
    assert response == {"folder": str(folder), "hosts": {"127.0.0.1:PORT": {"files": 2, "bytes": 23, "missing": []}}}


def test_an_archive(dmg: Dmg, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    assert dmg("support", "collect-log", "-t", str(folder), "--archive").text.endswith(f"in {folder}.tar.gz\n")
    with tarfile.open(tmp_path / "logs.tar.gz") as tar:
        assert "logs/127.0.0.1/server/daos_engine.0.log" in tar.getnames()


def test_what_is_missing_is_told(dmg: Dmg, tmp_path: Path) -> None:
    dmg.server.broken = True
    told = dmg("support", "collect-log", "-t", str(tmp_path), "-l", f"{dmg.address},127.0.0.1:1")
    assert told.status == 1
    assert "server/daos_engine.1.log: Permission denied" in told.errors
    assert "127.0.0.1:1: the server at 127.0.0.1:1 refused the connection" in told.errors
    assert (tmp_path / f"127.0.0.1_{dmg.address.rpartition(':')[2]}/control/daos_server.log").exists()


def test_the_first_failure_may_end_it(dmg: Dmg, tmp_path: Path) -> None:
    hosts = ",".join([f"127.0.0.1:{port}" for port in range(1, 20)])
    told = dmg("support", "collect-log", "--stop-on-error", "-t", str(tmp_path), "-l", hosts)
    assert told.status == 1
    assert told.errors.count("refused the connection") < 19


@pytest.mark.parametrize("name", ["", "/", "..", "a/../b", "./a", "a/..", "a\0b", "x" * 256, "\u00e9" * 128])
def test_no_host_writes_outside_its_folder(name: str, tmp_path: Path) -> None:
    assert safe_path(tmp_path, name) is None


def test_names_of_files_and_folders(tmp_path: Path) -> None:
    assert safe_path(tmp_path, "/etc/passwd") == tmp_path / "etc/passwd"
    assert folder_of("node1.x:10001") == "node1.x"
    assert folder_of("[::1]:10001") == "___1_"
    assert _folders(["a:1", "a:2", "b:1"]) == {"a:1": "a_1", "a:2": "a_2", "b:1": "b"}


def test_a_host_that_lies_about_names(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[pb.CollectLogPiece]:
        yield pb.CollectLogPiece(name="../../evil", data=b"x")
        yield pb.CollectLogPiece(name="good", data=b"y")
        yield pb.CollectLogPiece(name="empty")

    count, size, problems = asyncio.run(write_pieces(tmp_path / "host", pieces()))
    assert (count, size) == (1, 1)
    assert problems == ["'../../evil': no name of a file"]
    assert [path.name for path in (tmp_path / "host").iterdir()] == ["good"]
