"""A client in a process of its own: a job as JSON in the first argument, its samples as lines of JSON."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, cast

import msgspec

from benches.net import bare, clients
from benches.net.meter import Sample, calls
from benches.net.plan import BARE, BULK, REDIS, Point

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Job:
    """What a client is told.

    Attributes:
        system: Who it is a client of.
        durability: What a returned call promises.
        points: What it does, in this order.
        seconds: Of each point.
        server: The process that answers; None for none.
        agent: The socket of our agent.
        port: Of Redis.
        ca: File of the certificate of the CA; empty without TLS. Ours has it from the agent.
        directory: Where a bare file may be.
    """

    system: str
    durability: str
    points: tuple[Point, ...]
    seconds: float
    server: int | None = None
    agent: str = ""
    port: int = 0
    ca: str = ""
    directory: str = ""

    @property
    def promise(self) -> Literal["synced", "interval", "buffered"]:
        """The durability, as `daos.connect` takes it."""
        return cast("Literal['synced', 'interval', 'buffered']", self.durability)


def samples(job: Job) -> Iterator[Sample]:
    """Do a job; yield what was measured of each point."""
    if job.system == BARE:
        for point in job.points:
            with bare.opened(point, job.directory) as act:
                yield calls(point.row, act, 1, job.seconds, None)
        return
    with clients.opened(job) as client:
        for point in job.points:
            if point.size == BULK and isinstance(client, clients.Daos):
                act = client.bulk(write=point.workload == "bulk_write")
                yield calls(point.row, act, 1, job.seconds, job.server)
            elif point.workload.startswith("native_") and isinstance(client, clients.Daos):
                yield client.native(point, job.seconds, job.server)
            elif point.workload.startswith("aio_"):
                yield asyncio.run(_awaited(job, point))
            else:
                yield clients.work(client, point, job.seconds, job.server)


async def _awaited(job: Job, point: Point) -> Sample:
    if job.system == REDIS:
        async with clients.awaited_redis(job.port) as redis:
            return await clients.work_awaited(redis, point, job.seconds, job.server)
    import daos.aio

    async with daos.aio.connect("daos://tank", durability=job.promise, agent=job.agent) as pool:
        container = await pool.container("bench")
        kv = await container.kv(f"values of {point.size}", create=True, keys="bytes")
        return await clients.work_awaited(kv, point, job.seconds, job.server)


def main(argument: str) -> int:
    """Do the job of the argument."""
    for sample in samples(msgspec.json.decode(argument, type=Job)):
        print(msgspec.json.encode(asdict(sample)).decode(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
