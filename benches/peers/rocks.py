"""RocksDB by rocksdict, with its log on."""

from __future__ import annotations

from contextlib import nullcontext
from importlib import import_module
from importlib.metadata import version as installed
from typing import TYPE_CHECKING, Protocol, cast

from benches.peers.base import Durability, Pairs, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CACHE_BYTES = 512 << 20
BLOOM_BITS = 10.0


# The library is absent where only the gates and tests run: these say what of it is used.
class _WriteOptions(Protocol):
    sync: bool


class _Table(Protocol):
    def set_block_cache(self, cache: object) -> None: ...
    def set_bloom_filter(self, bits_per_key: float, block_based: bool) -> None: ...  # noqa: FBT001 -- the library's


class _Options(Protocol):
    def create_if_missing(self, value: bool) -> None: ...  # noqa: FBT001 -- the library's
    def set_block_based_table_factory(self, table: _Table) -> None: ...


class _Batch(Protocol):
    def put(self, key: bytes, value: bytes) -> None: ...


class _Db(Protocol):
    def put(self, key: bytes, value: bytes) -> None: ...
    def get(self, key: bytes) -> bytes | None: ...
    def write(self, batch: _Batch) -> None: ...
    def items(self) -> Iterator[tuple[bytes, bytes]]: ...
    def set_write_options(self, options: _WriteOptions) -> None: ...
    def close(self) -> None: ...


class _Cache(Protocol):
    def __call__(self, capacity: int) -> object: ...


class _Rocksdict(Protocol):
    Cache: _Cache

    def Options(self, *, raw_mode: bool) -> _Options: ...  # noqa: N802 -- a class there
    def WriteOptions(self) -> _WriteOptions: ...  # noqa: N802
    def WriteBatch(self, *, raw_mode: bool) -> _Batch: ...  # noqa: N802
    def BlockBasedOptions(self) -> _Table: ...  # noqa: N802
    def Rdict(self, path: str, options: _Options) -> _Db: ...  # noqa: N802


def version() -> str:
    """Return the version of the binding, which brings its library."""
    return f"rocksdict {installed('rocksdict')}"


def open_store(directory: Path, durability: Durability) -> Store:
    """Open it; without sync the log is still written at each put."""
    lib = cast("_Rocksdict", import_module("rocksdict"))
    options = lib.Options(raw_mode=True)
    options.create_if_missing(True)  # noqa: FBT003
    table = lib.BlockBasedOptions()
    # Its defaults would read from the file what the others keep in memory.
    table.set_block_cache(lib.Cache(CACHE_BYTES))
    table.set_bloom_filter(BLOOM_BITS, False)  # noqa: FBT003
    options.set_block_based_table_factory(table)
    db = lib.Rdict(str(directory), options)
    write = lib.WriteOptions()
    write.sync = durability is Durability.SYNCED
    db.set_write_options(write)

    def put_many(pairs: Pairs) -> None:
        batch = lib.WriteBatch(raw_mode=True)
        for key, value in pairs:
            batch.put(key, value)
        db.write(batch)

    return Store(
        put=db.put,
        put_many=put_many,
        get=db.get,
        view=lambda: nullcontext(db.get),
        scan=lambda: nullcontext(db.items()),
        close=db.close,
    )
