"""Servers for an agent that runs as a process of its own: they answer from files, and write down what they are asked.

Of the folder `DAOS_TEST_UPSTREAM`: `calls` gets a line of JSON a call; where `away` is, they are out of reach.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from daos.config import AgentConfig
from daos.errors import DaosError, NotFoundError, UnavailableError
from tests.unit.agent.fakes import AccessList, Entry, Info, Pool

POOL = "00000000-0000-0000-0000-00000000000a"


class FileUpstream:
    """Those servers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _called(self, *call: object) -> None:
        with (self.folder / "calls").open("a") as file:
            file.write(json.dumps(call) + "\n")
        if (self.folder / "away").exists():
            raise UnavailableError("the servers are away")

    async def attach_info(self) -> Info:
        self._called("attach_info")
        return Info(version=int((self.folder / "version").read_text()))

    async def find_pool(self, reference: str) -> Pool:
        self._called("find_pool", reference)
        if reference != "tank":
            raise NotFoundError(f"there is no pool {reference}")
        return Pool(POOL)

    async def list_pools(self) -> list[Entry]:
        self._called("list_pools")
        return [Entry(POOL, "tank")]

    async def pool_acl(self, pool: str) -> AccessList:
        self._called("pool_acl", pool)
        return AccessList(("A::EVERYONE@:r",))

    async def evict(self, pool: str, handles: Sequence[str]) -> int:
        self._called("evict", pool, *handles)
        return len(handles)

    async def cleanup(self, machine: str) -> int:
        self._called("cleanup", machine)
        return 0

    async def versions(self) -> dict[str, str | DaosError]:
        self._called("versions")
        return {}

    async def close(self) -> None:
        self._called("close")


def connect(config: AgentConfig, *, allow_proxy: bool) -> FileUpstream:
    assert config.name == "daos_server"
    assert not allow_proxy
    return FileUpstream(Path(os.environ["DAOS_TEST_UPSTREAM"]))
