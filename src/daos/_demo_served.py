"""The same job on a running system: servers, engines, an agent, certificates; a server stops and comes back."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import islice
from typing import TYPE_CHECKING

from daos._demo import BEFORE, CHANGED, Demo, Row, thirds
from daos._demo_files import FactStore, FileStore, tree
from daos._demo_load import POOL, TREE
from daos.client import connect
from daos.dev import DevSystem
from daos.dev import Plan as SystemPlan
from daos.errors import ExistsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from daos._demo_load import Plan
    from daos.client import Pool

POOL_SIZE = "4GB"
SERVERS, TARGETS = 3, 2
SIZE = 2 << 30
DMG_S_MAX = 120.0


class ServedDemo(Demo):
    """The job on a system of three servers.

    Attributes:
        system: The system.
    """

    def __init__(self, path: Path, plan: Plan) -> None:
        super().__init__(path, plan)
        self.system = DevSystem(path)

    def steps(self) -> Iterator[Row]:
        """Do the job; yield a row when a step is done. The system is stopped and removed at the end, however it ends.

        Raises:
            CorruptionError: `DER.CSUM`: something read is not what was stored.
            DaosError: As the SDK's, and what of the system does not come up.
        """
        self.clear()
        try:
            started = time.perf_counter()
            self.system.up(SystemPlan(servers=SERVERS, targets=TARGETS, size=SIZE))
            seconds = time.perf_counter() - started
            yield Row(
                "system: start it", seconds=seconds, note=f"{SERVERS} servers and engines, an agent, certificates"
            )
            yield from self._dmg("system", "query")
            yield from self._dmg("pool", "create", POOL, "--size", POOL_SIZE)
            yield from self._job()
            yield from self._dmg("pool", "query", POOL)
            yield from self._stop_a_server()
        finally:
            self.system.down(destroy=True)

    def next_command(self) -> str:
        """Return what to try next."""
        return "daos dev up"

    @property
    def remains(self) -> str:
        """What is left when it has passed."""
        return "the system is stopped and removed"

    def clear(self) -> None:
        """Remove the system of a run that was killed; nothing else.

        Raises:
            ExistsError: `DER.EXIST`: something else is there.
        """
        if self.system.layout.state.exists():
            # Of a run that was killed.
            self.system.down(destroy=True)
        elif self.path.exists() and any(self.path.iterdir()):
            raise ExistsError(f"{self.path} is there already, and was not made by the demo", hint="name another place")

    def _connect(self) -> Pool:
        return connect(f"daos://{POOL}", agent=self.system.layout.sockets / "daos_agent.sock")

    def _job(self) -> Iterator[Row]:
        files = tree(self.plan.files_max)
        with self._connect() as pool:
            container = pool.container(TREE, create=True)
            store, facts = FileStore(container, create=True), FactStore(container, create=True)
            yield self._load(store, "KV: load every file, in batches", files)
            described = dict(islice(files.items(), self.plan.facts_max))
            yield self._describe(facts, "object: describe files, one by one", described)
            yield self._write_mask(container)
            yield self._snapshot(container)
            yield self._load(store, "KV: change a third of the files", thirds(files), mark=CHANGED)
            yield self._compare(container.at(BEFORE), "read all at the snapshot", self.before)
            yield self._compare(container, "read all as it is now", self.head)

    def _stop_a_server(self) -> Iterator[Row]:
        started = time.perf_counter()
        self.system.stop("server1")
        yield Row("server1: stop it", seconds=time.perf_counter() - started)
        started = time.perf_counter()
        self.system.start("server1")
        self.system.wait_joined(self.system.layout.load())
        yield Row("server1: start it again", seconds=time.perf_counter() - started, note="its rank has joined")
        with self._connect() as pool:
            container = pool.container(TREE)
            yield self._compare(container.at(BEFORE), "read all at the snapshot", self.before)
            yield self._compare(container, "read all as it is now", self.head)

    def _dmg(self, *arguments: str) -> Iterator[Row]:
        """Run `dmg`, and show what it prints."""
        yield Row(f"$ dmg {' '.join(arguments)}")
        command = [sys.executable, "-m", "daos.cli.dmg", "-o", str(self.system.layout.control_config), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DMG_S_MAX)
        if done.returncode:
            raise UnavailableError(f"dmg {' '.join(arguments)}: {done.stderr.strip()}")
        for line in done.stdout.splitlines():
            yield Row(f"  {line}" if line.strip() else "")
