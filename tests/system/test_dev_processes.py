"""What a system for development knows of its processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from daos.dev import system


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
