"""The native half of the package: conversions only, over the Rust crates. Not public; `daos` is.

Errors are the classes of `daos.errors`. What the classes promise is told by the protocols of `daos.client._seam`.
"""

from typing import final

from typing_extensions import Buffer

__all__ = ["KV", "Container", "Embedded", "Pool", "build_info", "crc32c", "der_table"]

def build_info() -> list[tuple[str, str]]:
    """Return facts of this build as pairs: `version`, `target` and `debug` (`true` or `false`)."""

def crc32c(data: bytes, crc: int = 0) -> int:
    """Return the CRC-32C of bytes, continued from `crc`; the GIL is released."""

def der_table() -> list[tuple[int, str, str]]:
    """Return every error code as (number, name, text), in the order of the numbers."""

@final
class Embedded:
    """One system directory, opened by this process alone; `:memory:` keeps everything in memory."""

    @property
    def targets(self) -> int:
        """The number of its targets."""
    @staticmethod
    def open(
        path: str,
        *,
        create: bool,
        targets: int,
        durability: int,
        memtable_bytes: int | None = None,
    ) -> Embedded:
        """Open a system, or make it.

        Args:
            path: The directory.
            create: Make it if it is not there; else `DER.NONEXIST`.
            targets: The number of targets of a new system; an existing one keeps its own.
            durability: 0 buffered, 1 interval, 2 synced.
            memtable_bytes: When changes are merged into the base index; None for the default.

        Raises:
            BusyError: Another process holds it; `context["pid"]` tells which.
            InvalidError: It is no system (`DER.INVAL`), or a newer one (`DER.DF_INCOMPT`).
            CorruptionError: It is damaged.
            AccessError: No permission.
        """
    def close(self) -> None: ...
    def pool_create(self, label: str, props: bytes) -> Pool: ...
    def pool_open(self, label_or_uuid: str) -> Pool: ...
    def pool_destroy(self, label_or_uuid: str) -> None: ...
    def pools(self) -> list[tuple[str, str]]: ...

@final
class Pool:
    """An open pool."""

    @property
    def uuid(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def props(self) -> bytes: ...
    def container_create(self, label: str, props: bytes) -> Container: ...
    def container_open(self, label_or_uuid: str) -> Container: ...
    def container_destroy(self, label_or_uuid: str) -> None: ...
    def containers(self) -> list[tuple[str, str]]: ...

@final
class Container:
    """An open container."""

    @property
    def uuid(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def props(self) -> bytes: ...
    def kv(self, hi: int, lo: int) -> KV: ...
    def alloc_oids(self, count: int) -> int: ...
    def snapshot_create(self, name: str | None) -> int: ...
    def snapshots(self) -> list[tuple[int, str | None]]: ...
    def snapshot_destroy(self, first: int, last: int) -> int: ...
    def at(self, epoch: int) -> Container: ...

@final
class KV:
    """A flat key-value object."""

    def put(self, key: bytes, value: Buffer, flags: int = 0) -> None: ...
    def get(self, key: bytes, flags: int = 0) -> bytes | None: ...
    def put_many(self, items: list[tuple[bytes, Buffer]], flags: int = 0) -> None: ...
    def get_many(self, keys: list[bytes]) -> list[bytes | None]: ...
    def remove(self, key: bytes, flags: int = 0) -> None: ...
    def list_keys(self, anchor: bytes | None, count: int, reverse: bool) -> tuple[list[bytes], bytes | None]: ...
    def destroy(self) -> None: ...
