"""A proxy on this machine, which connects by HTTP's CONNECT."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class HttpProxy:
    """Connects to those whom it knows, by names of its own.

    Attributes:
        known: Name to address.
        asked: First lines of requests.
        authorized: What it was given as `Proxy-Authorization`.
        address: Where it listens.
        answer: Sent in the place of a connection; empty to make it.
        tasks: Of its connections.
    """

    known: Mapping[str, str]
    asked: list[str] = field(default_factory=list)
    authorized: list[str] = field(default_factory=list)
    address: str = ""
    answer: bytes = b""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection."""
        self.tasks.append(asyncio.get_running_loop().create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other: asyncio.StreamWriter | None = None
        try:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            self.asked.append(lines[0])
            self.authorized += [line for line in lines if line.startswith("Proxy-Authorization: ")]
            if self.answer:
                writer.write(self.answer)
                await writer.drain()
                return
            host, _, port = self.known[lines[0].split()[1]].rpartition(":")
            back, other = await asyncio.open_connection(host, int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(_pass(reader, other), _pass(back, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for one in (writer, other):
                if one is not None:
                    one.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.transport.abort()


@asynccontextmanager
async def proxy(known: Mapping[str, str]) -> AsyncIterator[HttpProxy]:
    """Run a proxy."""
    made = HttpProxy(known)
    server = await asyncio.start_server(made._serve, "127.0.0.1", 0)
    made.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        for task in made.tasks:
            task.cancel()
        await asyncio.gather(*made.tasks, return_exceptions=True)
        await server.wait_closed()
