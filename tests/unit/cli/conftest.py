"""The tool over the fake core."""

from __future__ import annotations

from pathlib import Path

import pytest

from daos.cli import _main
from tests.cli_tool import Result, Tool
from tests.fake_core import FakeDisk


@pytest.fixture(autouse=True)
def no_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no test find an agent of this machine."""
    monkeypatch.setenv("DAOS_AGENT_DRPC_DIR", str(tmp_path / "nowhere"))


@pytest.fixture
def tool(disk: FakeDisk, capfd: pytest.CaptureFixture[str]) -> Tool:
    """Run a command line on the system `sys`, with all commands there."""

    def run(*words: str, system: str | None = "sys") -> Result:
        status = _main.run(list(words), system)
        captured = capfd.readouterr()
        for held in disk.systems.values():
            assert not held.held, "left open"
        return Result(status, captured.out, captured.err)

    return run


@pytest.fixture
def made(tool: Tool) -> Tool:
    """As `tool`, with a pool `tank`, a container `run7`, and a store `params` in it."""
    tool("pool", "create", "tank")
    tool("container", "create", "tank", "run7", "--properties", "cksum:crc64")
    tool("kv", "put", "tank", "run7", "params", "lr", "0.1", "--create")
    return tool
