"""Which work is measured over the network: points, and the groups that one client does."""

from __future__ import annotations

from dataclasses import dataclass, replace

DEPTHS = (1, 16, 64)
SMALL, BIG, BULK = 64, 4096, 1 << 20
SYNCED, INTERVAL, BUFFERED = "synced", "interval", "buffered"
POLICIES = {SYNCED: "always", INTERVAL: "everysec"}
"""What Redis calls the same promise: its `appendfsync`."""
WITHOUT_DURABILITY = frozenset({"get", "aio_get", "native_get", "bulk_read"})
"""Work that changes nothing."""
OURS, REDIS, NATIVE, BARE = "daos", "redis", "redis_benchmark", "raw"


@dataclass(frozen=True)
class Point:
    """One kind of work at one depth.

    Attributes:
        workload: What is done: `put`, `get`; `aio_put`, `aio_get` from an event loop; `native_put`, `native_get`
            without Python; `bulk_write`, `bulk_read`.
        size: Bytes of a value.
        depth: Operations that one connection has under way: one call each, one call of so many, or so many awaited.
        durability: What a returned call has promised.
        secure: Whether over TLS, on both sides.
    """

    workload: str
    size: int
    depth: int
    durability: str
    secure: bool = False

    @property
    def row(self) -> str:
        """Its name in tables and targets."""
        size = "1MiB" if self.size == BULK else f"{self.size}B"
        promised = () if self.workload in WITHOUT_DURABILITY else (self.durability,)
        depth = () if self.size == BULK else (f"d{self.depth}",)
        return " ".join(["net", self.workload, size, *promised, "tls" if self.secure else "plain", *depth])


@dataclass(frozen=True)
class Group:
    """What one client does over its connections, point after point.

    Attributes:
        durability: Of all points.
        secure: Of all points.
        points: In this order.
        systems: Who does it.
    """

    durability: str
    secure: bool
    points: tuple[Point, ...]
    systems: tuple[str, ...]


def groups() -> tuple[Group, ...]:
    """Return all of them."""
    values = [
        Group(durability, secure=secure, points=_values(durability, secure=secure), systems=(OURS, REDIS))
        for durability in POLICIES
        for secure in (False, True)
    ]
    natives = [
        Group(durability, secure=secure, points=_natives(durability, secure=secure), systems=(OURS, NATIVE))
        for durability in POLICIES
        for secure in (False, True)
    ]
    write, read = Point("bulk_write", BULK, 1, BUFFERED), Point("bulk_read", BULK, 1, BUFFERED)
    bulk = [
        Group(SYNCED, secure=False, points=(replace(write, durability=SYNCED),), systems=(OURS, BARE)),
        Group(BUFFERED, secure=False, points=(write, read), systems=(OURS, BARE)),
        Group(BUFFERED, secure=True, points=(replace(write, secure=True), replace(read, secure=True)), systems=(OURS,)),
    ]
    return (*values, *natives, *bulk)


def _natives(durability: str, *, secure: bool) -> tuple[Point, ...]:
    verbs = ("native_put", "native_get") if durability == INTERVAL else ("native_put",)
    return tuple(
        Point(verb, size, depth, durability, secure) for verb in verbs for size in (SMALL, BIG) for depth in DEPTHS
    )


def _values(durability: str, *, secure: bool) -> tuple[Point, ...]:
    points = [Point("put", size, depth, durability, secure) for size in (SMALL, BIG) for depth in DEPTHS]
    if durability == INTERVAL:
        points += [Point("get", size, depth, durability, secure) for size in (SMALL, BIG) for depth in DEPTHS]
    if not secure:
        points += [Point("aio_put", SMALL, depth, durability) for depth in DEPTHS]
    if not secure and durability == INTERVAL:
        points += [Point("aio_get", SMALL, depth, durability) for depth in DEPTHS]
    return tuple(points)
