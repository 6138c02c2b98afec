"""The tool `dmg` against a system in memory, over real gRPC on loopback."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest
import structlog

from daos.cli.dmg import _main
from daos.cli.dmg._base import Admin
from daos.cli.dmg._settings import Flags, Settings
from daos.mgmt.identity import Identities
from daos.mgmt.server import Running, serve
from daos.model.acl import DEFAULT_POOL_ACL
from daos.model.pool_properties import pool_properties
from tests.cli_tool import Result
from tests.unit.mgmt.fake_management import GIB, FakeManagement, FakePool, FakeServer

NOISE = re.compile(r"^(?:[IWE]\d{4} .*|WARNING: All log messages .*)\n", re.MULTILINE)
"""Lines of gRPC's library, which the tool's own start turns off."""
T = TypeVar("T")
UUIDS = ("11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002")


class _Switch:
    """Handlers that are those of another object, which may be changed."""

    def __init__(self) -> None:
        self.current: object = None

    def __getattr__(self, name: str) -> Callable[..., Any]:  # type: ignore[explicit-any]  # any handler
        def call(request: object, caller: object) -> object:
            return getattr(self.current, name)(request, caller)

        return call


class Host:
    """A server in a thread of its own, as the tool has its own loop."""

    def __init__(self, identity: Identities | None = None) -> None:
        self.management, self.server = _Switch(), _Switch()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._running: Running = self._run(self._serve(identity))
        self.address = self._running.address

    async def _serve(self, identity: Identities | None) -> Running:
        return await serve("127.0.0.1:0", self.management, self.server, identity, system="daos_server")

    def _run(self, coroutine: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def close(self) -> None:
        self._run(self._running.stop(0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()


class Dmg:
    """Runs command lines of `dmg` on a fresh system."""

    def __init__(self, host: Host, capfd: pytest.CaptureFixture[str]) -> None:
        self.management, self.server = FakeManagement(), FakeServer()
        host.management.current, host.server.current = self.management, self.server
        self.address = self.management.address = host.address
        self.hosts: tuple[str, ...] = (host.address,)
        self.identity: Identities | None = None
        self.flags = Flags()
        self.host, self.capfd = host, capfd

    def load(self, flags: Flags) -> Settings:
        self.flags = replace(flags)
        return Settings(self.hosts, self.identity, "daos_server", 10001)

    def __call__(self, *words: str) -> Result:
        status = _main.run(list(words), Admin(load=self.load))
        captured = self.capfd.readouterr()
        port = self.address.rpartition(":")[2]
        out, err = (text.replace(port, "PORT") for text in (captured.out, NOISE.sub("", captured.err)))
        return Result(status, out, err)

    def with_pools(self) -> None:
        """Make two pools: one on all ranks, one on one rank, without a second tier."""
        for uuid, label, ranks, tiers in zip(
            UUIDS, ("tank", "small"), ([0, 1, 2], [1]), ([6 * GIB, 94 * GIB], [GIB, 0]), strict=True
        ):
            self.management.pools[uuid] = FakePool(
                uuid=uuid,
                label=label,
                ranks=ranks,
                tiers=tiers,
                properties=pool_properties({}, domains=len(ranks)),
                acl=DEFAULT_POOL_ACL,
                owner="root@",
                group="root@",
            )


@pytest.fixture(scope="session")
def plain_host() -> Iterator[Host]:
    host = Host()
    yield host
    host.close()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
def dmg(plain_host: Host, capfd: pytest.CaptureFixture[str]) -> Dmg:
    return Dmg(plain_host, capfd)
