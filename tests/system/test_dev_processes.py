"""What a system for development knows of its processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from daos.dev import DevSystem, Plan, system


def test_a_process_that_just_begins_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid_file = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", "input()", "mark"], stdin=subprocess.PIPE) as process:
        pid_file.write_text(f"{process.pid}\n")
        assert system._alive(pid_file, "mark") == process.pid
        assert system._alive(pid_file, "another") is None
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", lambda _: b"")
            assert system._alive(pid_file, "mark") == process.pid, "it has not yet begun its program"
        process.kill()
        process.wait()
        assert system._alive(pid_file, "mark") is None


def test_up_waits_for_ranks_that_join_anew(tmp_path: Path) -> None:
    """The end of a server that is killed with its engine is noticed by nobody: its rank is still told as joined."""
    made = DevSystem(tmp_path / "s")
    try:
        made.up(Plan(servers=1))
        (before,) = made.members()
        engine = made.engine_pid(0)
        assert engine is not None
        made.stop("server0", kill=True)
        made.up()
        (after,) = made.members()
        assert after.state == before.state
        assert after.incarnation > before.incarnation
        assert made.engine_pid(0) not in {None, engine}
    finally:
        made.down(destroy=True)
