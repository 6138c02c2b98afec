"""Runs the work on each system in turns, writes a line of JSON a rate, and prints the table."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import daos
from benches.served import running
from benches.turns import RUN_S_MAX, in_turns
from daos.cli._il import environment_with, library
from tools.build import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

EXAMPLES = Path("/usr/share/doc/libfuse3-dev/examples")
"""Where the package libfuse3-dev has the source of the passthrough."""
SIZES, SIZES_QUICK = ("256", "10000", "20000"), ("64", "1000", "2000")
MOUNT_S_MAX = 30.0
DFUSE, NATIVE, PASSTHROUGH = "dfuse", "native", "passthrough"
SHM, TCP = "dfuse_shm", "dfuse_tcp"
"""Mounts of a running system on this machine, by shared memory, as it chooses, and without."""
DIRECT, LIBRARY = "direct", "library"
"""Mounts of which the kernel keeps nothing, used by its way and past it."""


def _unmount(path: Path) -> None:
    subprocess.run(["umount", str(path)], check=False, timeout=RUN_S_MAX)


def _make_store(path: Path) -> None:
    with daos.open_system(path) as system:
        system.pool("bench", create=True).container("bench", create=True, type="POSIX")


@contextmanager
def _mounted(path: Path, options: Sequence[str], told: dict[str, str]) -> Iterator[Path]:
    """Mount the container by a process with these options and this environment."""
    path.mkdir()
    subprocess.run(
        [sys.executable, "-m", "daos.dfuse", *options, str(path), "bench", "bench"],
        env={**os.environ, **told},
        check=True,
        timeout=MOUNT_S_MAX,
    )
    try:
        yield path
    finally:
        _unmount(path)


@contextmanager
def mounted(root: Path, options: Sequence[str] = ()) -> Iterator[Path]:
    """Mount a fresh container of an embedded system."""
    store = root / "store"
    _make_store(store)
    with _mounted(root / "mnt", ["-S", str(store), *options], {}) as path:
        yield path


@contextmanager
def served(root: Path, *, shm: bool) -> Iterator[Path]:
    """Mount a fresh container of a running system, by its agent."""
    with running(root) as told, _mounted(root / "mnt", [], {**told, "D_SHM": f"{shm:d}"}) as path:
        yield path


@contextmanager
def native(root: Path) -> Iterator[Path]:
    """Use the file system below."""
    path = root / "native"
    path.mkdir()
    yield path


@contextmanager
def passed_through(root: Path) -> Iterator[Path]:
    """Mount libfuse's passthrough over a directory of the file system below."""
    source, path = root / "source", root / "through"
    for directory in (source, path):
        directory.mkdir()
    subprocess.run([str(_program()), "-o", f"source={source}", str(path)], check=True, timeout=MOUNT_S_MAX)
    try:
        yield path
    finally:
        _unmount(path)


def _program() -> Path:
    return ROOT / "target" / "bench-passthrough" / "passthrough_ll"


def build_passthrough() -> str:
    """Build it; return why it cannot be, or nothing."""
    program = _program()
    if program.exists():
        return ""
    if not (EXAMPLES / "passthrough_ll.c").exists() or shutil.which("pkg-config") is None:
        return "the package libfuse3-dev is not installed"
    program.parent.mkdir(parents=True, exist_ok=True)
    flags = subprocess.run(
        ["pkg-config", "fuse3", "--cflags", "--libs"], check=True, capture_output=True, text=True, timeout=MOUNT_S_MAX
    ).stdout.split()
    gcc = ["gcc", "-O2", str(EXAMPLES / "passthrough_ll.c"), "-o", str(program), *flags]
    done = subprocess.run(gcc, check=False, capture_output=True, text=True, timeout=RUN_S_MAX)
    return "" if done.returncode == 0 else f"gcc: {done.stderr.strip().splitlines()[-1]}"


def run(write: Callable[[dict[str, object]], None], scratch: Path, *, repetitions: int, quick: bool) -> None:
    """Measure, and write what was measured.

    Args:
        write: Appends a line to the results.
        scratch: A directory on the file system that is measured.
        repetitions: How often.
        quick: With less of everything.
    """
    direct = partial(mounted, options=["--disable-caching"])
    systems: dict[str, Callable[[Path], AbstractContextManager[Path]]] = {
        DFUSE: mounted,
        SHM: partial(served, shm=True),
        TCP: partial(served, shm=False),
        NATIVE: native,
        PASSTHROUGH: passed_through,
        DIRECT: direct,
        LIBRARY: direct,
    }
    reason = build_passthrough()
    if reason:
        print(f"without {PASSTHROUGH}: {reason}", flush=True)
        del systems[PASSTHROUGH]

    def work(name: str, path: Path) -> bytes:
        return subprocess.run(
            [sys.executable, "-m", "benches.dfuse.work", str(path), *(SIZES_QUICK if quick else SIZES)],
            cwd=ROOT,
            env=environment_with(os.environ, library()) if name == LIBRARY else None,
            check=True,
            capture_output=True,
            timeout=RUN_S_MAX,
        ).stdout

    in_turns("dfuse", systems, work, write, scratch, repetitions=repetitions)


def table(medians: dict[str, dict[str, float]]) -> str:
    """Return rates, and ours over those of the others; what was not measured is a dash."""
    ours, peers = (DFUSE, SHM, TCP), (NATIVE, PASSTHROUGH)
    wide = [(f"{name}/{peer}", name, peer) for peer in peers for name in ours]
    lines = [" ".join([f"{'':18}", *(f"{name:>12}" for name in (*ours, *peers))])]
    lines += [" ".join([f"{row:18}", *(_rate(of, name) for name in (*ours, *peers))]) for row, of in medians.items()]
    lines.append(" ".join([f"{'':18}", *(f"{head:>22}" for head, _, _ in wide)]))
    lines += [
        " ".join([f"{row:18}", *(_times(of, name, peer, 22) for _, name, peer in wide)]) for row, of in medians.items()
    ]
    lines.append(f"{'':18} {LIBRARY:>12} {DIRECT:>12} {'ours/it':>12}")
    lines += [
        f"{row:18} {_rate(of, LIBRARY)} {_rate(of, DIRECT)} {_times(of, LIBRARY, DIRECT, 12)}"
        for row, of in medians.items()
    ]
    return "\n".join(lines)


def _rate(of: dict[str, float], name: str) -> str:
    return f"{of[name]:12.0f}" if name in of else f"{'-':>12}"


def _times(of: dict[str, float], ours: str, peer: str, width: int) -> str:
    return f"{of[ours] / of[peer]:{width}.2f}" if ours in of and peer in of else f"{'-':>{width}}"
