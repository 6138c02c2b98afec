"""The clients that are measured: what each calls for a point. Public interface of each library only."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager, closing, contextmanager
from importlib import import_module
from statistics import median
from typing import TYPE_CHECKING, Protocol, cast

from benches.data import SEED, VALUES, keys, values
from benches.net.meter import Meter, Sample, calls
from benches.net.plan import BULK, OURS
from daos.client._load import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    import daos
    from benches.net.job import Job
    from benches.net.plan import Point

STORED = 4096
"""Keys that are there before gets."""
BLOCKS = 64
"""Of the array that is written and read, again and again."""
CHECK_EVERY = 97
"""Of the calls that read, each so many is compared, and of the values that were put."""


KEYS = keys(0, STORED)


class Client(Protocol):
    """Does the calls of points; made for one group."""

    def put(self, size: int, depth: int) -> Callable[[int], object]:
        """Return what puts `depth` values."""

    def get(self, size: int, depth: int) -> Callable[[int], list[bytes | None]]:
        """Return what gets `depth` values that are there."""


def pairs(number: int, size: int, depth: int) -> list[tuple[bytes, bytes]]:
    """Return keys and values of the put of a number; keys come again when all were put once."""
    made = _made(size)
    first = number * depth % len(made)
    return made[first : first + depth]


def wanted(number: int, depth: int) -> list[bytes]:
    """Return the keys of the get of a number."""
    first = number * depth % STORED
    return KEYS[first : first + depth]


_cache: dict[int, list[tuple[bytes, bytes]]] = {}


def _made(size: int) -> list[tuple[bytes, bytes]]:
    if size not in _cache:
        some = values(size)
        _cache[size] = [(key, some[nth % VALUES]) for nth, key in enumerate(KEYS)]
    return _cache[size]


# The library is absent where only the gates and tests run: these say what of it is used.
class _Pipeline(Protocol):
    def set(self, key: bytes, value: bytes) -> object: ...
    def get(self, key: bytes) -> object: ...
    def execute(self) -> list[bytes | None]: ...


class RedisClient(Protocol):
    """What of `redis.Redis` is used."""

    def set(self, key: bytes, value: bytes) -> object:
        """Store a value."""

    def get(self, key: bytes) -> bytes | None:
        """Return a value."""

    def pipeline(self, *, transaction: bool) -> _Pipeline:
        """Return what gathers requests and sends them together."""

    def close(self) -> None:
        """Close the connection."""


class _MakeRedis(Protocol):
    def __call__(self, *, host: str, port: int, ssl: bool = False, ssl_ca_certs: str | None = None) -> RedisClient: ...


def redis_client(port: int, ca: str) -> RedisClient:
    """Connect to a Redis on this host; over TLS if there is a file of a CA."""
    make = cast("_MakeRedis", import_module("redis").Redis)
    if ca:
        return make(host="127.0.0.1", port=port, ssl=True, ssl_ca_certs=ca)
    return make(host="127.0.0.1", port=port)


def block_of_bytes() -> bytes:
    """Return what a block holds: bytes that do not compress."""
    return random.Random(SEED).randbytes(BULK)


class Daos:
    """Our client, over one pool.

    Args:
        pool: The pool, opened with the durability that is measured.
    """

    def __init__(self, pool: daos.Pool) -> None:
        self.container = pool.container("bench", create=True)

    def kv(self, size: int) -> daos.KV[bytes]:
        """Return the store of values of a size."""
        return self.container.kv(f"values of {size}", create=True, keys="bytes")

    def put(self, size: int, depth: int) -> Callable[[int], object]:
        """Return what puts `depth` values: by one call."""
        kv = self.kv(size)
        if depth > 1:
            return lambda number: kv.put_many(pairs(number, size, depth))
        return lambda number: kv.put(*pairs(number, size, 1)[0])

    def get(self, size: int, depth: int) -> Callable[[int], list[bytes | None]]:
        """Return what gets `depth` values: by one call."""
        kv = self.kv(size)
        if depth > 1:
            return lambda number: list(kv.get_many(wanted(number, depth)).values())
        return lambda number: [kv.get(wanted(number, 1)[0])]

    def native(self, point: Point, seconds: float, server: int | None) -> Sample:
        """Do a point in a loop without Python; what is got is there, and is looked at outside of it."""
        kv, made = self.kv(point.size), _made(point.size)
        kv.put_many(made)
        put = made[0][1] if point.workload == "native_put" else None
        with Meter(server) as meter:
            done, _, times = load(kv, KEYS, put, depth=point.depth, seconds=seconds)
        wanted = dict.fromkeys(KEYS, put) if put else dict(made)
        if any(kv.get(key) != wanted[key] for key in KEYS[: done if put else STORED : CHECK_EVERY]):
            raise ValueError(f"a value of {point.size} bytes is not what was put")
        return meter.sample(point.row, done, call_p50_us=median(times) * 1e6)

    def bulk(self, *, write: bool) -> Callable[[int], object]:
        """Return what writes or reads a block of an array."""
        import numpy as np

        array = self.container.array("bulk", "u1", create=True)
        block = np.frombuffer(block_of_bytes(), "u1").copy()
        if write:
            return lambda number: array.write(number % BLOCKS * BULK, block)
        for number in range(BLOCKS):
            array.write(number * BULK, block)
        return lambda number: array.read_into(block, start=number % BLOCKS * BULK)


class Redis:
    """redis-py, one connection.

    Args:
        client: It.
    """

    def __init__(self, client: RedisClient) -> None:
        self.client = client

    def put(self, size: int, depth: int) -> Callable[[int], object]:
        """Return what puts `depth` values: by a pipeline."""
        client = self.client

        def many(number: int) -> object:
            pipe = client.pipeline(transaction=False)
            for key, value in pairs(number, size, depth):
                pipe.set(key, value)
            return pipe.execute()

        return many if depth > 1 else lambda number: client.set(*pairs(number, size, 1)[0])

    def get(self, size: int, depth: int) -> Callable[[int], list[bytes | None]]:  # noqa: ARG002 -- one space of keys
        """Return what gets `depth` values: by a pipeline."""
        client = self.client

        def many(number: int) -> list[bytes | None]:
            pipe = client.pipeline(transaction=False)
            for key in wanted(number, depth):
                pipe.get(key)
            return list(pipe.execute())

        return many if depth > 1 else lambda number: [client.get(wanted(number, 1)[0])]


def work(client: Client, point: Point, seconds: float, server: int | None) -> Sample:
    """Do a point and see that what was stored is what is found.

    Raises:
        ValueError: It is not: a fast answer of nothing would win every race.
    """
    size, depth = point.size, point.depth
    # Before the clock runs: what is put, and the connection, which some open with the first call.
    _made(size)
    client.get(size, 1)(0)
    if point.workload.endswith("put"):
        sample = calls(point.row, client.put(size, depth), depth, seconds, server)
        _compare(client, size, min(STORED, sample.operations))
        return sample
    store = client.put(size, min(64, STORED))
    for number in range(STORED // 64):
        store(number)
    sample = calls(point.row, client.get(size, depth), depth, seconds, server)
    _compare(client, size, STORED)
    return sample


def _compare(client: Client, size: int, count: int) -> None:
    get, expected = client.get(size, 1), _made(size)
    for number in range(0, count, CHECK_EVERY):
        if get(number) != [expected[number][1]]:
            raise ValueError(f"value {number} of {size} bytes is not what was put")


class Awaited(Protocol):
    """What is called and awaited, of either."""

    async def put(self, key: bytes, value: bytes) -> object:
        """Store a value."""

    async def get(self, key: bytes) -> bytes | None:
        """Return a value."""


class _AwaitedClient(Protocol):
    async def set(self, key: bytes, value: bytes) -> object: ...
    async def get(self, key: bytes) -> bytes | None: ...
    async def aclose(self) -> None: ...


class AwaitedRedis:
    """redis-py's client for event loops; it takes a connection for each call that is under way.

    Args:
        client: It.
    """

    def __init__(self, client: _AwaitedClient) -> None:
        self._client = client

    async def put(self, key: bytes, value: bytes) -> object:
        """Store a value."""
        return await self._client.set(key, value)

    async def get(self, key: bytes) -> bytes | None:
        """Return a value."""
        return await self._client.get(key)


@asynccontextmanager
async def awaited_redis(port: int) -> AsyncIterator[AwaitedRedis]:
    """Open one for a Redis on this host."""
    client = cast("_AwaitedClient", import_module("redis.asyncio").Redis(host="127.0.0.1", port=port))
    try:
        yield AwaitedRedis(client)
    finally:
        await client.aclose()


async def work_awaited(kv: Awaited, point: Point, seconds: float, server: int | None) -> Sample:
    """Do a point from an event loop: `depth` calls are under way at once."""
    puts, made = point.workload == "aio_put", _made(point.size)
    if not puts:
        for key, value in made:
            await kv.put(key, value)
    numbers, done, end = iter(range(1 << 62)), 0, 0.0

    async def one_after_the_other() -> None:
        nonlocal done
        while time.perf_counter() < end:
            key, value = made[next(numbers) % STORED]
            if puts:
                await kv.put(key, value)
            elif await kv.get(key) != value:
                raise ValueError("a value is not what was put")
            done += 1

    # Connections are opened before the clock runs.
    await asyncio.gather(*(kv.get(key) for key, _ in made[: point.depth]))
    with Meter(server) as meter:
        end = time.perf_counter() + seconds
        await asyncio.gather(*(one_after_the_other() for _ in range(point.depth)))
    return meter.sample(point.row, done)


@contextmanager
def opened(job: Job) -> Iterator[Client]:
    """Open the client of a job; it is closed at the end."""
    if job.system == OURS:
        import daos

        with daos.connect("daos://tank", durability=job.promise, agent=job.agent) as pool:
            yield Daos(pool)
        return
    with closing(redis_client(job.port, job.ca)) as client:
        yield Redis(client)
