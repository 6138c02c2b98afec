"""Redis, started on loopback by the benchmark; and its own load tool."""

from __future__ import annotations

import csv
import io
import resource
import shutil
import subprocess
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from benches.net.clients import STORED, redis_client
from benches.net.meter import Sample, cpu_seconds
from benches.net.plan import POLICIES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benches.net.plan import Point

START_S_MAX = 10.0
LOAD_S_MAX = 120.0
LOAD_MIN = 64
HOST = "127.0.0.1"
MISSING = "redis-server is not on PATH: rows without peers (Debian: apt-get install redis-server)"


def available() -> bool:
    """Tell whether Redis and its load tool are on this machine."""
    return shutil.which("redis-server") is not None and shutil.which("redis-benchmark") is not None


def version() -> str:
    """Return what Redis says its version is."""
    done = subprocess.run(["redis-server", "--version"], check=True, capture_output=True, text=True)
    return done.stdout.split("v=")[1].split()[0]


class Server:
    """A running Redis that appends each change to a file.

    Attributes:
        port: Where it listens in plain.
        tls_port: Where it listens with TLS.
        pid: Its process.
        ca: File of the certificate by which it is known.
    """

    def __init__(self, process: subprocess.Popen[bytes], ports: tuple[int, int], ca: Path) -> None:
        self.port, self.tls_port = ports
        self.pid = process.pid
        self.ca = ca


@contextmanager
def running(durability: str, directory: Path, ports: tuple[int, int], certificates: Path) -> Iterator[Server]:
    """Start a Redis of a durability; it is stopped at the end.

    Args:
        durability: A key of `POLICIES`.
        directory: Its files; on the disk that ours has.
        ports: Plain and TLS, free.
        certificates: Folder of `daosCA.crt`, `server.crt`, `server.key`.

    Raises:
        RuntimeError: It does not come up.
    """
    directory.mkdir(parents=True)
    options = {
        "bind": HOST,
        "port": str(ports[0]),
        "tls-port": str(ports[1]),
        "tls-cert-file": str(certificates / "server.crt"),
        "tls-key-file": str(certificates / "server.key"),
        "tls-ca-cert-file": str(certificates / "daosCA.crt"),
        "tls-auth-clients": "no",
        "tls-protocols": "TLSv1.3",
        "dir": str(directory),
        "save": "",
        "appendonly": "yes",
        "appendfsync": POLICIES[durability],
        "logfile": str(directory / "redis.log"),
    }
    command = ["redis-server", *(word for name, value in options.items() for word in (f"--{name}", value))]
    process = subprocess.Popen(command)
    try:
        _wait(ports[0], process, directory / "redis.log")
        yield Server(process, ports, certificates / "daosCA.crt")
    finally:
        process.terminate()
        process.wait(START_S_MAX)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_S_MAX
    while True:
        done = subprocess.run(
            ["redis-cli", "-h", HOST, "-p", str(port), "ping"], check=False, capture_output=True, text=True
        )
        if done.stdout.strip() == "PONG":
            return
        if process.poll() is not None or time.monotonic() > end:
            told = log.read_text().strip().splitlines()[-1:] if log.exists() else []
            raise RuntimeError(f"redis-server does not come up: {' '.join(told)}")
        time.sleep(0.02)


def load(server: Server, point: Point, operations: int) -> Sample:
    """Run `redis-benchmark` for a point: one connection, `depth` requests in its pipeline.

    Args:
        server: Whom it asks.
        point: A put or a get.
        operations: How many.
    """
    verb = point.workload.removeprefix("native_")
    count = max(LOAD_MIN, operations // point.depth) * point.depth
    common = ["redis-benchmark", "-h", HOST, "-c", "1", "-r", str(STORED), "-d", str(point.size), "--csv"]
    if point.secure:
        common += ["-p", str(server.tls_port), "--tls", "--cacert", str(server.ca)]
    else:
        common += ["-p", str(server.port)]
    before, served = resource.getrusage(resource.RUSAGE_CHILDREN), cpu_seconds(server.pid)
    words = ["-t", "set" if verb == "put" else "get", "-n", str(count), "-P", str(point.depth)]
    done = subprocess.run([*common, *words], check=True, capture_output=True, text=True, timeout=LOAD_S_MAX)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    facts = {"server_cpu_us": (cpu_seconds(server.pid) - served) / count * 1e6}
    return Sample(point.row, count, count / rate_in(done.stdout), used, facts)


def fill(server: Server, size: int) -> None:
    """Store the keys that `redis-benchmark` gets: an answer of nothing would be cheaper."""
    with closing(redis_client(server.port, "")) as client:
        pipe = client.pipeline(transaction=False)
        for number in range(STORED):
            pipe.set(f"key:{number:012d}".encode(), bytes(size))
        pipe.execute()


def rate_in(text: str) -> float:
    """Return the requests a second that `redis-benchmark --csv` tells.

    Raises:
        ValueError: It tells none.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    if len(rows) != 1 or not rows[0].get("rps"):
        raise ValueError(f"redis-benchmark told {text!r}")
    return float(rows[0]["rps"])
