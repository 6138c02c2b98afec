"""Fakes that the tests of servers share."""

from __future__ import annotations

from daos import errors
from daos.errors import DER


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
