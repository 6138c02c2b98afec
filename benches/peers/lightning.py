"""LMDB by py-lmdb."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from benches.peers.base import Durability, Get, Pairs, Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MAP_BYTES = 16 << 30
"""Address space only; the file grows as it is filled."""


# The library is absent where only the gates and tests run: these say what of it is used.
class _Cursor(Protocol):
    def putmulti(self, items: Pairs) -> tuple[int, int]: ...
    def iternext(self) -> Iterator[tuple[bytes, bytes]]: ...


class _Txn(Protocol):
    def put(self, key: bytes, value: bytes) -> bool: ...
    def get(self, key: bytes) -> bytes | None: ...
    def cursor(self) -> _Cursor: ...


class _Env(Protocol):
    def begin(self, *, write: bool = False) -> AbstractContextManager[_Txn]: ...
    def close(self) -> None: ...


class _Lmdb(Protocol):
    __version__: str

    def open(self, path: str, *, map_size: int, sync: bool, metasync: bool) -> _Env: ...
    def version(self) -> tuple[int, int, int]: ...


def _library() -> _Lmdb:
    return cast("_Lmdb", import_module("lmdb"))


def version() -> str:
    """Return the versions of the library and of the binding."""
    lmdb = _library()
    return f"{'.'.join(map(str, lmdb.version()))} (py-lmdb {lmdb.__version__})"


def open_store(directory: Path, durability: Durability) -> Store:
    """Open it; a put is a transaction of its own."""
    synced = durability is Durability.SYNCED
    env = _library().open(str(directory), map_size=MAP_BYTES, sync=synced, metasync=synced)

    def put(key: bytes, value: bytes) -> None:
        with env.begin(write=True) as txn:
            txn.put(key, value)

    def put_many(pairs: Pairs) -> None:
        with env.begin(write=True) as txn:
            txn.cursor().putmulti(pairs)

    def get(key: bytes) -> bytes | None:
        with env.begin() as txn:
            return txn.get(key)

    @contextmanager
    def view() -> Iterator[Get]:
        with env.begin() as txn:
            yield txn.get

    @contextmanager
    def scan() -> Iterator[Iterable[tuple[bytes, bytes]]]:
        with env.begin() as txn:
            yield txn.cursor().iternext()

    return Store(put=put, put_many=put_many, get=get, view=view, scan=scan, close=env.close)
