"""Our systems, started on loopback by the benchmark: the same daemons as on many hosts."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from daos.dev import DevSystem, Plan
from daos.errors import UnavailableError
from daos.mgmt import methods
from daos.mgmt.client import ManagementClient
from daos.mgmt.identity import IdentityFiles
from daos.mgmt.proto import daos_mgmt_pb2 as pb

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

POOL = "tank"
POOL_BYTES = 512 << 20
TARGETS = 2
ENGINE_BYTES = 2 << 30
DEADLINE_S = 60.0
ENGINE_S_MAX = 15.0
HOST = "127.0.0.1"


class Running:
    """A system with a pool, while it is entered.

    Args:
        root: A new directory.
        servers: How many, each with an engine.
        secure: Whether with certificates, and all over TLS.
    """

    def __init__(self, root: Path, *, servers: int = 1, secure: bool) -> None:
        self.system = DevSystem(root)
        self._plan = Plan(servers=servers, targets=TARGETS, size=ENGINE_BYTES, insecure=not secure)
        self._secure = secure

    def __enter__(self) -> Self:
        try:
            self._plan = self._up()
            self.create_pool(POOL, POOL_BYTES)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.system.layout.state.exists():
            self.system.down(destroy=True)

    def _up(self) -> Plan:
        try:
            return self.system.up(self._plan)
        except UnavailableError:
            # A process that has only just been started may have no command line yet, and counts as one that has ended.
            return self.system.up(self._plan)

    @property
    def agent(self) -> Path:
        """The socket of its agent."""
        return self.system.layout.sockets / "daos_agent.sock"

    @property
    def certificates(self) -> Path:
        """The folder of its certificates."""
        return self.system.layout.certificates

    @property
    def engine(self) -> int:
        """The process of its first engine; one that has ended is started again by its server, and waited for."""
        end = time.monotonic() + ENGINE_S_MAX
        while (pid := self.system.engine_pid(0)) is None:
            if time.monotonic() > end:
                told = [line for path in self.system.logs("server0") for line in path.read_text().splitlines()[-3:]]
                raise RuntimeError(f"the engine does not run: {' | '.join(told)}")
            time.sleep(0.05)
        return pid

    def connections(self) -> int:
        """Return how many connections of clients and engines its first engine has."""
        first = self._plan.ports[0]
        ports = range(first, first + 16)
        opened = [path.readlink().name for path in Path(f"/proc/{self.engine}/fd").iterdir() if path.is_symlink()]
        sockets = {name.removeprefix("socket:[").rstrip("]") for name in opened if name.startswith("socket:[")}
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(line[3] == "01" and line[9] in sockets and int(line[1].split(":")[1], 16) in ports for line in lines)

    def create_pool(self, label: str, size: int) -> str:
        """Create a pool on all ranks, as `dmg` does; return its uuid."""
        request = pb.PoolCreateRequest(
            uuid=str(uuid.uuid4()), label=label, tiers=[size, 0], owner=_owner(), group=_group()
        )

        async def ask() -> str:
            async with self._client() as client:
                await client.ask(methods.POOL_CREATE, request)
                return request.uuid

        return asyncio.run(ask())

    def timed_pools(self, count: int, size: int) -> list[float]:
        """Create so many pools, one after the other, and destroy them; return what each took to create."""

        async def ask() -> list[float]:
            took = []
            loop = asyncio.get_running_loop()
            async with self._client() as client:
                await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
                for number in range(count):
                    name = str(uuid.uuid4())
                    request = pb.PoolCreateRequest(
                        uuid=name, label=f"pool{number}", tiers=[size, 0], owner=_owner(), group=_group()
                    )
                    before = loop.time()
                    await client.ask(methods.POOL_CREATE, request)
                    took.append(loop.time() - before)
                    await client.ask(methods.POOL_DESTROY, pb.PoolDestroyRequest(pool=name))
            return took

        return asyncio.run(ask())

    def _client(self) -> ManagementClient:
        folder, identity = self.certificates, None
        if self._secure:
            identity = IdentityFiles(folder / "daosCA.crt", folder / "admin.crt", folder / "admin.key")
        hosts = [f"{HOST}:{port}" for port in self._plan.ports]
        return ManagementClient(hosts, identity, deadline_s=DEADLINE_S, system=self._plan.system)


def _owner() -> str:
    return f"{pwd.getpwuid(os.geteuid()).pw_name}@"


def _group() -> str:
    return f"{grp.getgrgid(os.getegid()).gr_name}@"
