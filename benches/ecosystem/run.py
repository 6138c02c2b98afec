"""Runs the work on each system in turns, writes a line of JSON a rate, and prints the table."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

import daos
from benches.ecosystem.work import Side
from benches.served import running
from benches.turns import RUN_S_MAX, in_turns
from tools.build import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SIZES, SIZES_QUICK = ("128", "10000"), ("32", "1000")
START_S_MAX = 30.0
EMBEDDED, SERVED, S3 = "daos", "daos_served", "s3fs"
GATEWAY = "versitygw"
MODULE = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
USER = "bench"


@contextmanager
def embedded(root: Path) -> Iterator[tuple[Side, dict[str, str]]]:
    """Use a fresh embedded system."""
    path = root / "store"
    with daos.open_system(path) as system:
        system.pool("bench", create=True).container("bench", create=True, type="POSIX")
    options: dict[str, object] = {"pool": "bench", "container": "bench", "system": str(path)}
    yield Side("daos", options, "", f"daos://{path}//bench/bench"), {}


@contextmanager
def served(root: Path) -> Iterator[tuple[Side, dict[str, str]]]:
    """Use a fresh running system on this machine."""
    side = Side("daos", {"pool": "bench", "container": "bench"}, "", "daos://bench/bench")
    with running(root) as told:
        yield side, told


def gateway() -> str | None:
    """Return the object server's program, None where it is not installed."""
    return shutil.which(os.environ.get("VERSITYGW", GATEWAY))


@contextmanager
def object_server(root: Path) -> Iterator[tuple[Side, dict[str, str]]]:
    """Use an object server on this machine, over a directory of the file system below."""
    program = gateway()
    if program is None:
        raise FileNotFoundError(GATEWAY)
    directory = root / "objects"
    directory.mkdir()
    (directory / "bench").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [program, "--port", f"127.0.0.1:{port}", "--access", USER, "--secret", USER, "posix", str(directory)]
    with (root / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait(port, process)
            options: dict[str, object] = {
                "key": USER,
                "secret": USER,
                "client_kwargs": {"endpoint_url": f"http://127.0.0.1:{port}", "region_name": "us-east-1"},
                "use_listings_cache": False,
            }
            yield Side("s3", options, "bench"), {}
        finally:
            process.terminate()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until it answers.

    Raises:
        TimeoutError: It does not.
    """
    deadline = time.monotonic() + START_S_MAX
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            if time.monotonic() > deadline or process.poll() is not None:
                raise TimeoutError(f"{GATEWAY} does not answer") from None
            time.sleep(0.05)


def missing() -> str:
    """Return why the object server's side cannot be measured, or nothing."""
    if gateway() is None:
        return f"{GATEWAY} is not on PATH (go install {MODULE})"
    try:
        import s3fs  # noqa: F401 -- whether it is there
    except ImportError:
        return "s3fs is not installed"
    return ""


def run(write: Callable[[dict[str, object]], None], scratch: Path, *, repetitions: int, quick: bool) -> None:
    """Measure, and write what was measured.

    Args:
        write: Appends a line to the results.
        scratch: A directory on the file system that all of them use.
        repetitions: How often.
        quick: With less of everything.
    """
    systems = {EMBEDDED: embedded, SERVED: served, S3: object_server}
    reason = missing()
    if reason:
        print(f"without {S3}: {reason}", flush=True)
        del systems[S3]

    def work(_: str, given: tuple[Side, dict[str, str]]) -> bytes:
        side, told = given
        # What the environment says of other object servers is not for this one.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return subprocess.run(
            [sys.executable, "-m", "benches.ecosystem.work", *(SIZES_QUICK if quick else SIZES)],
            cwd=ROOT,
            env={**kept, **told},
            input=msgspec.json.encode(side),
            check=True,
            stdout=subprocess.PIPE,
            timeout=RUN_S_MAX,
        ).stdout

    in_turns("ecosystem", systems, work, write, scratch, repetitions=repetitions)


def table(medians: dict[str, dict[str, float]]) -> str:
    """Return rates, and ours over those of s3fs."""
    ours = (EMBEDDED, SERVED)
    lines = [f"{'':24}" + "".join(f" {name:>12} {'ours/it':>8}" for name in ours) + f" {S3:>12}"]
    for row, of in medians.items():
        peer = of.get(S3)
        cells = "".join(f" {of[name]:12.0f} {'-' if peer is None else f'{of[name] / peer:.2f}':>8}" for name in ours)
        lines.append(f"{row:24}{cells} {'-' if peer is None else f'{peer:.0f}':>12}")
    return "\n".join(lines)
