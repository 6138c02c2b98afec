from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BEHIND = """
import signal, subprocess, sys
import tests.conftest
child = subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdin=-1, stdout=-1)
child.stdout.readline()
child.send_signal(signal.SIGINT)
print(child.wait(20))
"""


def _ignore() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def test_what_tests_in_the_background_start_ends_by_sigint() -> None:
    """`pytest &` of a script begins with SIGINT ignored, which children inherit."""
    command = [sys.executable, "-c", BEHIND]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False, preexec_fn=_ignore
    )
    assert (done.returncode, done.stdout.strip()) == (0, str(-signal.SIGINT)), done.stderr
