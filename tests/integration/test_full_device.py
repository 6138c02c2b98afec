"""A file system that is really full: a tmpfs of its own, which `tests/full_device.py` fills, by us and by others."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def namespace(tmp_path: Path) -> list[str]:
    """Return the words that run a command where it may mount; skip where nobody may."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare: nothing can be mounted for a test")
    words = [unshare, "-Urm"]
    probe = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    done = subprocess.run([*words, *probe], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    return words


def test_nothing_acknowledged_is_lost_on_it_and_room_comes_back(namespace: list[str], tmp_path: Path) -> None:
    words = [*namespace, sys.executable, "-m", "tests.full_device", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.splitlines()[-1].startswith("refused on a device to be read only: ")
    # It was mounted for that command alone.
    assert list(tmp_path.iterdir()) == []
