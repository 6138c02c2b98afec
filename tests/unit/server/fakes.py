"""Fakes that the tests of servers share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from daos import errors
from daos.errors import DER
from daos.server.settings import EngineSettings, ServerSettings, TierSettings

if TYPE_CHECKING:
    from pathlib import Path


def engine_settings(mount: Path, **changes: object) -> EngineSettings:
    """Return the settings of an engine with one target on a memory tier."""
    plain = EngineSettings(
        index=0,
        targets=1,
        address="127.0.0.1",
        port=1,
        metadata=mount,
        tiers=(TierSettings("ram", mount=mount, size=1 << 30),),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def server_settings(path: Path, *engines: EngineSettings, **changes: object) -> ServerSettings:
    """Return the settings of a server with some engines, whose sockets are in a directory."""
    plain = ServerSettings(
        system="s",
        address="h:1",
        listen="127.0.0.1:1",
        replicas=("h:1",),
        raft_listen="127.0.0.1:2",
        raft_offset=1,
        control=None,
        engines=engines,
        domain=("h",),
        socket_dir=path,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


class FakePeers:
    """Other servers, each with the answers that it gives, in order; one that has none left is not there."""

    def __init__(self) -> None:
        self.answers: dict[str, list[bytes | errors.DaosError]] = {}
        self.asked: list[tuple[str, str, bytes]] = []

    async def server_call(self, address: str, method: str, body: bytes, *, timeout_s: float) -> bytes:
        self.asked.append((address, method, body))
        answers = self.answers.get(address) or [errors.UnavailableError("not there", code=DER.UNREACH)]
        answer = answers.pop(0)
        if isinstance(answer, errors.DaosError):
            raise answer
        return answer

    async def engine_call(self, address: str, rank: int, method: str, body: bytes, *, timeout_s: float) -> bytes:
        return await self.server_call(address, f"{rank} {method}", body, timeout_s=timeout_s)

    async def close(self) -> None:
        self.answers.clear()
