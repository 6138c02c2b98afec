"""What a system for development knows of its processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from daos.dev import DevSystem
from daos.dev import system as module


def test_a_process_that_just_begins_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid_file = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", "input()", "mark"], stdin=subprocess.PIPE) as process:
        pid_file.write_text(f"{process.pid}\n")
        assert module._alive(pid_file, "mark") == process.pid
        assert module._alive(pid_file, "another") is None
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", lambda _: b"")
            assert module._alive(pid_file, "mark") == process.pid, "it has not yet begun its program"
        process.kill()
        process.wait()
        assert module._alive(pid_file, "mark") is None


def test_up_waits_for_ranks_that_join_anew(system: DevSystem) -> None:
    """The end of a server that is killed with its engine is noticed by nobody: its rank is still told as joined."""

    def incarnations() -> dict[str, int]:
        return {member.address: member.incarnation for member in system.members()}

    before, engine = incarnations(), system.engine_pid(1)
    assert engine is not None
    system.stop("server1", kill=True)
    system.up()
    after = incarnations()
    changed = [address for address, number in after.items() if number > before[address]]
    assert [int(address.rpartition(":")[2]) for address in changed] == [system.layout.load().ports[1]]
    assert system.engine_pid(1) not in {None, engine}
