"""Containers that are mounted by the command `dfuse`, each mount a process; no mount outlives its test."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

import daos
from daos.model.properties import container_properties

WAIT_S = 30.0
PROGRAM = (sys.executable, "-m", "daos.dfuse")


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition.

    Raises:
        AssertionError: It does not come true in time.
    """
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_S} s: {what}"
        time.sleep(0.01)


def is_mounted(path: Path) -> bool:
    lines = Path("/proc/self/mountinfo").read_text("latin-1").splitlines()
    return any(line.split()[4] == str(path) for line in lines)


def make_container(pool: daos.Pool, label: str, layout: str = "POSIX") -> None:
    """Make a container with a file system that belongs to this user, or one of another type."""
    if layout == "POSIX":
        pool.container(label, create=True, type=layout)
        return
    props = msgspec.structs.replace(container_properties(None), layout=layout)
    pool._core.container_create(label, props.encode(), props.checksums, props.scrub_disabled)


def make_store(path: Path) -> None:
    """Make an embedded system with a pool `tank` and a container `home`."""
    with daos.open_system(path) as system:
        make_container(system.pool("tank", create=True), "home")


@dataclass
class Done:
    """What a process did."""

    status: int
    text: str
    errors: str

    @property
    def hint(self) -> str:
        return next((line for line in self.errors.splitlines() if line.startswith("hint: ")), "")


def run(*words: str, env: dict[str, str] | None = None, user: int | None = None) -> Done:
    """Run `dfuse` until it returns."""
    done = subprocess.run(
        (*PROGRAM, *words), env=env, user=user, capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


@dataclass
class Mounts:
    """Makes mounts of one test."""

    root: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    points: list[Path] = field(default_factory=list)

    def point(self) -> Path:
        path = self.root / f"mnt{len(self.points)}"
        path.mkdir()
        self.points.append(path)
        return path

    def start(
        self, *words: str, at: Path | None = None, env: dict[str, str] | None = None
    ) -> tuple[subprocess.Popen[bytes], Path]:
        """Mount in the foreground of a process, which is returned with the mount point when that works."""
        path = at or self.point()
        process = subprocess.Popen((*PROGRAM, "-f", str(path), *words), env=env, stderr=subprocess.PIPE)
        self.processes.append(process)
        until(lambda: is_mounted(path) or process.poll() is not None, "a mount")
        if process.poll() is not None:
            pytest.fail(process.communicate()[1].decode())
        return process, path

    @staticmethod
    def end(process: subprocess.Popen[bytes], path: Path) -> None:
        """Unmount, as a person does."""
        subprocess.run(["umount", str(path)], check=True, timeout=WAIT_S)
        assert process.wait(WAIT_S) == 0
        assert process.stderr is not None
        process.stderr.close()

    @staticmethod
    def kill(process: subprocess.Popen[bytes], path: Path) -> None:
        """Have the process of a mount die, and take away what it leaves."""
        process.kill()
        process.wait(WAIT_S)
        assert process.stderr is not None
        process.stderr.close()
        subprocess.run(["umount", "-l", str(path)], check=True, timeout=WAIT_S)

    def clean(self) -> None:
        for path in self.points:
            while is_mounted(path):
                subprocess.run(["umount", "-l", str(path)], check=False, timeout=WAIT_S)
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait(WAIT_S)
            if process.stderr is not None:
                process.stderr.close()


def _reason() -> str:
    """Return why this machine cannot mount; nothing if it can."""
    if os.geteuid() != 0:
        return "only root mounts without fusermount3"
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return f"/dev/fuse: {error.strerror}"
    return ""


@pytest.fixture
def mounts(tmp_path: Path) -> Iterator[Mounts]:
    reason = _reason()
    if reason:
        pytest.skip(reason)
    made = Mounts(tmp_path)
    yield made
    made.clean()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    make_store(path)
    return path
