"""The native half of the package: conversions only, over the Rust crates. Not public; `daos` is.

Errors are the classes of `daos.errors`. What the classes promise is told by the protocols of `daos.client._seam`.
"""

from collections.abc import Callable
from typing import Protocol, TypeAlias, final

from typing_extensions import Buffer

__all__ = [
    "KV",
    "Array",
    "AsyncArray",
    "AsyncKV",
    "AsyncObject",
    "AsyncTransaction",
    "Attributes",
    "Branch",
    "Container",
    "Dfs",
    "DfsFile",
    "DfsListing",
    "Embedded",
    "Engine",
    "EventQueue",
    "Fuse",
    "Messenger",
    "Object",
    "Pool",
    "Rdb",
    "Transaction",
    "build_info",
    "calls_within",
    "crc32c",
    "der_table",
    "device_format",
    "device_inspect",
    "load_kv",
]

def build_info() -> list[tuple[str, str]]:
    """Return facts of this build as pairs: `version`, `target` and `debug` (`true` or `false`)."""

def calls_within(seconds: float | None) -> None:
    """Have what this thread asks of running systems end after so many seconds; None: each in its own time."""

def crc32c(data: bytes, crc: int = 0) -> int:
    """Return the CRC-32C of bytes, continued from `crc`; the GIL is released."""

def load_kv(
    kv: KV, keys: list[bytes], value: bytes | None, *, depth: int, seconds: float
) -> tuple[int, float, list[float]]:
    """As `daos.client._load.load`, which tells of it."""

def device_format(path: str, *, uuid: str, system: str, index: int, count: int, roles: list[str]) -> None:
    """Make a file of fixed size or a block device one of an engine's, whatever is on it; durable at return.

    Args:
        path: Of it; at least 64 MiB.
        uuid: Of the engine's storage.
        system: The system's name.
        index: Which of the engine's devices it is, from 0.
        count: How many the engine has.
        roles: What it is for: some of `data`, `meta`, `wal`.

    Raises:
        DaosError: `DER.NONEXIST`; `DER.BUSY` while anybody has it; `DER.INVAL` if it is too small; `DER.IO`.
    """

def device_inspect(path: str) -> tuple[str, str, int, int, list[str], int] | None:
    """Return what a device says: uuid, system, index, count and roles as it was formatted, and its bytes.

    It may be in use. None for one that has no superblock.

    Raises:
        DaosError: `DER.NONEXIST`; `DER.DF_INVAL`: it is damaged; `DER.DF_INCOMPT`: of a later release; `DER.IO`.
    """

def der_table() -> list[tuple[int, str, str]]:
    """Return every error code as (number, name, text), in the order of the numbers."""

# Mode, object id, names, owner, group, bytes, blocks, times of access, of content and of the record in nanoseconds
# since 1970, bytes of a chunk, class.
_Told: TypeAlias = tuple[int, tuple[int, int], int, int, int, int, int, int, int, int, int, str | None]

@final
class Dfs:
    """A file system that is mounted, as a user uses it. Failures are those of `daos.dfs.errors`.

    Paths and names are as `os.fsdecode` makes them. In a forked child all calls are refused.
    """

    @staticmethod
    def root_oids(
        targets: int,
        *,
        chunk_size: int | None,
        oclass: str | None,
        dir_oclass: str | None,
        file_oclass: str | None,
        hints: str,
    ) -> list[tuple[int, int]]:
        """Return the object ids of superblock and root of a file system that is made so; `EINVAL` if none can be."""
    @staticmethod
    def format(
        container: Container,
        *,
        chunk_size: int | None,
        oclass: str | None,
        dir_oclass: str | None,
        file_oclass: str | None,
        balanced: bool,
        hints: str,
        uid: int,
        gid: int,
        mode: int | None,
    ) -> None:
        """Make a file system in a container that has none, else `EEXIST`; all or nothing, durable at return."""
    @staticmethod
    def fix_superblock(
        container: Container,
        *,
        chunk_size: int | None,
        oclass: str | None,
        dir_oclass: str | None,
        file_oclass: str | None,
        balanced: bool,
        hints: str,
    ) -> None:
        """Write the superblock of a file system that has none that can be read, else `EEXIST`; durable at return."""
    @staticmethod
    def fix_root(container: Container, *, root: tuple[int, int], uid: int, gid: int, mode: int) -> bool:
        """Have the superblock lead to a root directory, by its object id; tell whether it did not."""
    @staticmethod
    def mount(
        container: Container,
        *,
        system: Embedded,
        read_only: bool,
        durability: int,
        uid: int,
        gid: int,
        groups: list[int],
    ) -> Dfs:
        """Mount the file system of a container for a user; `system` tells the room there is.

        `EINVAL` if there is none, `EOPNOTSUPP` for a layout that is not known, or a balanced one where none can be.
        """
    def umount(self) -> None:
        """End the mount; all that was done is durable at return."""
    def sync(self) -> None:
        """Make durable all that was done."""
    def sync_dir(self, path: str) -> None:
        """Make durable the entries of a directory."""
    @property
    def read_only(self) -> bool:
        """Whether nothing can be changed."""
    @property
    def layout_version(self) -> int:
        """The version of the layout, as far as it is known."""
    def made_as(self) -> tuple[int, str | None, str | None, str | None, bool, str]:
        """Return bytes of a chunk; class, that of directories, that of files; whether it is balanced; hints."""
    def statfs(self) -> tuple[int, int, int, int]:
        """Return bytes of a block, blocks, free blocks, bytes of a name."""
    def stat(self, path: str, follow: bool) -> _Told:
        """Return what is known of something."""
    def access(self, path: str, asked: int) -> None:
        """Refuse what is not there, or may not be used so: 4 read, 2 written, 1 run or walked through."""
    def open(
        self, path: str, flags: int, mode: int, chunk_size: int | None = None, oclass: str | None = None
    ) -> DfsFile:
        """Open a file by the flags of `open(2)`, or make it."""
    def read_file(self, path: str) -> bytes:
        """Return all of a file."""
    def write_file(self, path: str, data: Buffer, flags: int, mode: int) -> int:
        """Write a file from its beginning on, opened by flags of `open(2)`; return how many bytes, which are all."""
    def mkdir(self, path: str, mode: int) -> None:
        """Make a directory."""
    def mkdir_all(self, path: str, mode: int) -> None:
        """Make a directory and those above it; all may be there."""
    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
    def unlink(self, path: str) -> None:
        """Remove the name of a file or symbolic link."""
    def remove_all(self, path: str) -> None:
        """Remove something with all below it; not one step."""
    def rename(self, from_: str, to: str, how: int, /) -> None:
        """Give something another name in one step: 0 whatever has that, 1 only if it is free, 2 in exchange."""
    def link(self, from_: str, to: str, follow: bool, /) -> None:
        """Give a file a further name."""
    def symlink(self, value: str, path: str) -> None:
        """Make a symbolic link."""
    def readlink(self, path: str) -> str:
        """Return where a symbolic link leads."""
    def names(self, path: str) -> list[str]:
        """Return all names in a directory."""
    def listing(self, path: str) -> DfsListing:
        """Begin a listing of a directory."""
    def chmod(self, path: str, mode: int) -> None:
        """Set permissions."""
    def chown(self, path: str, uid: int | None, gid: int | None, follow: bool) -> None:
        """Give it to another owner or group."""
    def set_mtime(self, path: str, mtime: int | None, follow: bool) -> None:
        """Set when it changed, in nanoseconds since 1970; None is now."""
    def truncate(self, path: str, size: int) -> None:
        """Make a file so long."""
    def set_defaults(self, path: str, chunk_size: int | None, oclass: str | None) -> None:
        """Set what is given to what is made in a directory; None: what the file system has."""
    def get_xattr(self, path: str, name: str, follow: bool) -> bytes:
        """Return an extended attribute, else `ENODATA`."""
    def list_xattrs(self, path: str, follow: bool) -> list[str]:
        """Return the names of extended attributes."""
    def set_xattr(self, path: str, name: str, value: bytes, how: int, follow: bool) -> None:
        """Set an extended attribute: 0 in any case, 1 only if it is not there, 2 only if it is."""
    def remove_xattr(self, path: str, name: str, follow: bool) -> None:
        """Remove an extended attribute, else `ENODATA`."""
    def fix_entry(self, path: str, chunk_size: int | None, kind: bool) -> int:
        """Repair a record: the size of its chunks if one is given, its kind if that is wanted; return that."""
    def check(
        self, how: int, name: str | None
    ) -> tuple[
        int, int, int, int, list[tuple[str, tuple[int, int] | None, list[str], tuple[int, int] | None, str | None]]
    ]:
        """Look for what is wrong: 0 tells, 1 removes, 2 gives names, in a directory of that name.

        Returns directories, files, symbolic links, how much was repaired, and of each finding: what it is, the object,
        the paths, how many names are stored and were counted, and why.
        """

@final
class DfsListing:
    """A directory that is being listed."""

    def page(self, count: int, with_attr: bool) -> list[tuple[str, _Told | None]]:
        """Return the next entries, at most so many, with what is known of each if that is wanted; none at the end."""

@final
class DfsFile:
    """A file that is open. Collected, it is closed, but not by a forked child."""

    @property
    def oid(self) -> tuple[int, int]:
        """Its object id."""
    @property
    def pid(self) -> int:
        """The process that opened it."""
    @property
    def chunk_size(self) -> int:
        """Bytes of a chunk."""
    def stat(self) -> _Told:
        """Return what is known of it."""
    def size(self) -> int:
        """Return how long it is."""
    def read_into(self, at: int, data: Buffer) -> int:
        """Read from a place on straight into a buffer, until it is full or the file ends; return how many bytes."""
    def read(self, at: int, count: int) -> bytes:
        """Return at most so many bytes from a place on, less at the end."""
    def write(self, at: int, data: Buffer) -> int:
        """Write at a place, or at the end of a file that is open to append; return how many bytes."""
    def append(self, data: Buffer) -> tuple[int, int]:
        """Write at the end; return where that was, and how many bytes."""
    def truncate(self, size: int) -> None:
        """Make it so long."""
    def allocate(self, how: int, at: int, length: int) -> None:
        """Make it: 0 at least so long; 1 as it is; 2 with a hole; 3 with zeros; 4 the same without a new length."""
    def seek_data(self, at: int) -> int:
        """Return where the first data from a place on begins, else `ENXIO`."""
    def seek_hole(self, at: int) -> int:
        """Return where the first hole from a place on begins; the end is one."""
    def flush(self) -> None:
        """Store when it was written to."""
    def sync(self) -> None:
        """Make it durable."""
    def close(self) -> None:
        """Close it, else `EBADF`."""

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
        size: int | None = None,
        cache_bytes: int | None = None,
        memtable_bytes: int | None = None,
        share: bool = False,
    ) -> Embedded:
        """Open a system, or make it.

        Args:
            path: The directory.
            create: Make it if it is not there; else `DER.NONEXIST`.
            targets: The number of targets of a new system; an existing one keeps its own.
            durability: 0 buffered, 1 interval, 2 synced.
            share: Let other processes use it, or use it through the one that holds it; not of `:memory:`.
            size: Bytes that its files may have; None keeps what it was told before.
            cache_bytes: Memory for pages of its indexes; None for the default.
            memtable_bytes: When changes are merged into the base index; None for the default.

        Raises:
            BusyError: Another process holds it; `context["pid"]` tells which.
            InvalidError: It is no system (`DER.INVAL`), or a newer one (`DER.DF_INCOMPT`).
            CorruptionError: It is damaged.
            AccessError: No permission.
        """
    @staticmethod
    def connect(address: str, *, system: str, durability: int, timeout_s: float) -> Embedded:
        """Reach the system that an engine serves over TCP. Nothing protects what is said: for tests on one machine.

        Args:
            address: `ip:port` of the engine's control endpoint.
            system: The system's name.
            durability: As `open`, of changes by this client.
            timeout_s: How long a call may take.

        Raises:
            UnavailableError: Nobody answers there.
            InvalidError: The address is none, or another system answers (`DER.PROTO`, `DER.INVAL`).
        """
    @staticmethod
    def connect_service(
        pool: str,
        *,
        system: str,
        engines: dict[int, str],
        replicas: list[int],
        credential: bytes,
        handle: str,
        access: int,
        durability: int,
        timeout_s: float,
        ca: str | None = None,
        near: bool = False,
        shared: tuple[bytes, dict[int, list[str]]] | None = None,
    ) -> Embedded:
        """Reach a pool of a served system by its service; nothing is asked yet. Then `pool_open` opens it, by its UUID.

        Args:
            pool: The pool's UUID.
            system: The system's name.
            engines: Ranks to `ip:port` of their control endpoints.
            replicas: The ranks of the pool's service.
            credential: Who asks, as the agent has signed it.
            handle: The UUID of the pool's handle, drawn by the caller.
            access: How pool and containers are asked for: 1 to read, 2 to read and write, 4 for oneself.
            durability: As `open`, of changes by this client.
            timeout_s: How long a call may take; until then it is tried again where nobody answers.
            ca: Path of the CA's certificate, by which engines are known; None for no protection at all.
            near: Reach targets by shared memory where they are on this machine and of this user.
            shared: Another process has opened it under that handle: what `local2global` of its pool told, and ranks to
                the addresses of their targets. It closes the handle, and `credential` is not looked at.

        Raises:
            NotFoundError: No replica is known.
        """
    def again(self) -> Embedded:
        """Return the same for somebody else in this process, who closes his, by the same connections.

        Raises:
            InvalidError: `DER.NOTSUPPORTED`: it is not of a pool that another process has opened.
        """
    def ways(self) -> tuple[int, int]:
        """Return its connections to targets by shared memory, and all others that are open."""
    def space(self) -> tuple[int, int, int, int]: ...
    def close(self) -> None: ...
    def pool_create(self, label: str, props: bytes) -> Pool: ...
    def pool_open(self, label_or_uuid: str) -> Pool: ...
    def pool_destroy(self, label_or_uuid: str) -> None: ...
    def pools(self) -> list[tuple[str, str]]: ...

@final
class Engine:
    """A system of this process that others reach over TCP, a thread and port for each target."""

    @property
    def address(self) -> str:
        """`ip:port` of the control endpoint."""
    @property
    def far(self) -> str | None:
        """Why processes of this machine do not reach its targets by shared memory; None where they do."""
    @property
    def target_addresses(self) -> list[str]:
        """`ip:port` of each target's endpoint, in their order."""
    @staticmethod
    def start(
        path: str,
        *,
        create: bool,
        targets: int,
        durability: int,
        listen: str,
        system: str,
        rank: int,
        incarnation: int,
        served: bool = False,
        size: int | None = None,
        cache_bytes: int | None = None,
        memtable_bytes: int | None = None,
        tls: tuple[str, str, str] | None = None,
        near: bool = False,
        devices: tuple[str, list[tuple[str, list[str]]]] | None = None,
    ) -> Engine:
        """Open a system, or make it, and serve it at `listen`, `ip:port`; its targets follow, port by port, if not 0.

        Args:
            path: The directory; `:memory:` keeps everything in memory.
            create: Make it if it is not there; else `DER.NONEXIST`.
            targets: The number of targets of a new system.
            durability: Of changes by this process; clients say what theirs promise.
            listen: Where; port 0 is any.
            system: Its name, 1 to 15 letters, digits, `-`, `_`, `.`.
            rank: Its rank there.
            incarnation: Another number after each start, at least 1.
            served: Its pools are opened by their services: what clients and engines ask waits for `drain`. Otherwise
                it answers them from its own tables, to anyone: for tests on one machine.
            size: As `Embedded.open`, also what follows.
            cache_bytes: Bytes of memory for pages of its indexes.
            memtable_bytes: Bytes of a memtable.
            tls: Paths of the CA's certificate, of the server's own, and of its key; None for no protection at all.
            near: Serve targets by shared memory, too, to processes of this machine and user.
            devices: The UUID of the storage that devices belong to, and path and roles of each, in the order in which
                they were formatted; what none of them is for lies in the directory.

        Raises:
            DaosError: As `Embedded.open`; of devices `DER.NONEXIST`, `DER.UNINIT` (no superblock), `DER.INVAL`
                (another's), `DER.BUSY`, `DER.DF_INVAL` (damaged). `DER.ADDRNOTAVAIL` and its like where nothing can
                listen there.
        """
    def fileno(self) -> int:
        """Return a descriptor that is readable when there is something to `drain`; of a served engine."""
    def drain(self) -> list[tuple[int, bool, bytes]]:
        """Return the questions that came: a token to answer by, whether an engine asks, and what; waits for nothing."""
    def answer(self, token: int, body: bytes) -> None:
        """Answer a question; an answer to one that was answered before is dropped."""
    def answer_all(self, answers: list[tuple[int, bytes]]) -> None:
        """Answer several questions, each as `answer`."""
    def refuse(self, token: int, code: int, message: str, hint: str, *, nothing_happened: bool) -> None:
        """Refuse a question. With `nothing_happened` it may be asked again as if it had not been."""
    def pools(self) -> list[str]:
        """Return the UUIDs of the pools that have shards here."""
    def pool_create(self, pool: str) -> None:
        """Make a pool's shards under its UUID, one a target; durable at return. Again it changes nothing."""
    def pool_destroy(self, pool: str) -> None:
        """Delete a pool's shards; durable at return. Again it changes nothing."""
    def containers(self, pool: str) -> list[str]:
        """Return the UUIDs of the containers of a pool that have shards here."""
    def container_create(
        self,
        pool: str,
        container: str,
        *,
        props: bytes,
        checksums: tuple[int, int, bool],
        scrub_disabled: bool,
    ) -> None:
        """Make a container's shards, as `Pool.container_create`; durable at return. Again it changes nothing."""
    def containers_create(self, pool: str, parts: list[tuple[str, bytes, tuple[int, int, bool], bool]]) -> None:
        """Make the shards of several containers: of each uuid, properties, checksums, whether it is not scrubbed.

        Durable at return, with one wait. Those that are there stay as they are; where it fails some may have been made.
        """
    def container_destroy(self, pool: str, container: str) -> None:
        """Delete a container's shards; durable at return. Again it changes nothing."""
    def snapshots_set(self, pool: str, container: str, epochs: list[int]) -> None:
        """Keep these snapshots of a container and no others; durable at return. Later epochs are after all of them."""
    def epoch_pass(self, epoch: int) -> int:
        """Give later epochs than this one from now on; return one that was given just before.

        At return nothing at or below either is under way.
        """
    def rollback(self, pool: str, container: str, epoch: int) -> None:
        """Bring a container's part back to a snapshot, as a new version; durable at return."""
    def aggregate(self, pool: str, container: str) -> int:
        """Remove what nobody can see of a container's part; return how many entries went."""
    def admit(self, number: int, pool: str, container: str, *, read: bool, write: bool) -> None:
        """Admit requests for a container by the handle of this number, else `DER.NONEXIST`."""
    def admit_all(self, pool: str, handles: list[tuple[int, str, bool, bool]]) -> list[bool]:
        """Admit requests by several handles: number, container, whether it reads and writes.

        Returns:
            Of each whether its container is here; of one that is not, no handle is admitted.
        """
    def revoke(self, numbers: list[int]) -> None:
        """Refuse requests by the handles of these numbers, and those of transactions that they began."""
    def space(self) -> tuple[int, int, int, int]:
        """As `Embedded.space`."""
    def volumes(self) -> list[tuple[int, int, int, int, int]]:
        """Return the space of the directory and of each device: bytes in all, free, used, kept back, and what is there.

        The last is a sum of 1 (data), 2 (meta) and 4 (wal).
        """
    def pool_quota(self, pool: str, meta: int, data: int) -> None:
        """Bound the bytes of a pool here: of metadata and of data, or of both together where `data` is 0.

        Both 0: not at all. What there is stays. It lasts as long as the engine is open.
        """
    def pool_scrub(self, pool: str, mode: int, freq: int, thresh: int) -> None:
        """Set how a pool is scrubbed here; durable at return.

        Args:
            pool: Its uuid; `DER.NONEXIST` where it is not here.
            mode: A number of `daos.model.scrub.MODES`.
            freq: Seconds from the begin of a pass to the begin of the next.
            thresh: Corruptions from which on there are too many; 0 for none.
        """
    def pool_scrub_found(self, pool: str) -> tuple[bool, int, int, int, list[str], int | None, int | None]:
        """Return what the scrubber found of a pool here, as the second part of `Pool.scrub_status`."""
    def pool_room(self, pool: str) -> tuple[int, int] | None:
        """Return the bytes that a pool may store yet by its quota, of metadata and data; None without one."""
    def close(self) -> None:
        """End the endpoints and close the system; closing again is no error."""

@final
class Messenger:
    """What asks the hosts of other engines. Threads may share it."""

    def __new__(cls, *, system: str, tls: tuple[str, str, str] | None = None) -> Messenger:
        """Make one of an engine of a system, with its certificate, as `Engine.start`."""
    def ask(self, rank: int, address: str, body: bytes, *, timeout_s: float) -> bytes:
        """Return what the engine of a rank answers; the GIL is released meanwhile.

        Raises:
            UnavailableError: Nobody answers there; nothing happened.
            UncertainError: The reply was lost.
            DaosError: What the other end refused it with.
        """

@final
class Pool:
    """An open pool."""

    @property
    def uuid(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def props(self) -> bytes: ...
    @property
    def targets(self) -> int: ...
    def change(self, label: str | None, scrub: tuple[int | None, int | None, int | None]) -> None: ...
    def scrub_status(
        self,
    ) -> tuple[tuple[int, int, int], tuple[bool, int, int, int, list[str], int | None, int | None]]: ...
    def attributes(self) -> Attributes: ...
    def container_create(
        self,
        label: str,
        props: bytes,
        checksums: tuple[int, int, bool] | None = None,
        scrub_disabled: bool = False,
    ) -> Container: ...
    def container_open(self, label_or_uuid: str) -> Container: ...
    def container_destroy(self, label_or_uuid: str) -> None: ...
    def service_request(self, body: bytes, *, changes: bool) -> bytes:
        """Return the result of a request that only the service of a pool answers, both in MessagePack.

        Args:
            body: A map with its `type`, of those in `daos.engine.asks`.
            changes: Whether it changes anything: a lost reply is then an unknown outcome.

        Raises:
            InvalidError: `DER.NOTSUPPORTED`: the system is embedded.
        """
    def local2global(self) -> bytes:
        """Return what another process needs beside its handle to have it open too; `DER.NOTSUPPORTED` if embedded."""
    def container_global2local(self, shared: bytes, epoch: int | None) -> Container:
        """Return a container that another process has opened, as of a snapshot if an epoch is given. Nobody is asked.

        Args:
            shared: What its `local2global` told.
            epoch: The snapshot's.

        Raises:
            InvalidError: `DER.INVAL`: it told no such thing; `DER.NOTSUPPORTED`: the system is embedded.
        """
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
    def set_label(self, label: str) -> None: ...
    def attributes(self) -> Attributes: ...
    def kv(self, hi: int, lo: int) -> KV: ...
    def array_create(self, hi: int, lo: int, cell_size: int, chunk_size: int | None) -> Array: ...
    def array_open(self, hi: int, lo: int) -> Array: ...
    def object(self, hi: int, lo: int) -> Object: ...
    def generate_oid(self, object_type: int, oclass: str) -> tuple[int, int]: ...
    def alloc_oids(self, count: int) -> int: ...
    def transaction(self) -> Transaction: ...
    def snapshot_create(self, name: str | None) -> int: ...
    def snapshots(self) -> list[tuple[int, str | None]]: ...
    def local2global(self) -> bytes:
        """Return what another process needs to have it open too, its handle included; `DER.NOTSUPPORTED` if embedded.

        From then on it stays open until the pool is closed.
        """
    def aggregate(self) -> int: ...
    def service_request(self, body: bytes, *, changes: bool) -> bytes:
        """Return the result of a request that only the service of a pool answers, both in MessagePack.

        Args:
            body: A map with its `type`, of those in `daos.engine.asks`.
            changes: Whether it changes anything: a lost reply is then an unknown outcome.

        Raises:
            InvalidError: `DER.NOTSUPPORTED`: the system is embedded.
        """
    def snapshot_destroy(self, first: int, last: int) -> int: ...
    def objects(
        self, after: tuple[int, int] | None, count: int
    ) -> tuple[list[tuple[int, int]], tuple[int, int] | None]: ...
    def diff(
        self, before: int, anchor: bytes | None, count: int
    ) -> tuple[list[tuple[int, int, bytes, bytes, int, list[tuple[int, int]]]], bytes | None]: ...
    def check(
        self, target: int, anchor: bytes | None, budget: int
    ) -> tuple[tuple[int, int, int, int], list[tuple[tuple[int, int] | None, str]], bytes | None]: ...
    def count(
        self, target: int, anchor: bytes | None, budget: int
    ) -> tuple[tuple[int, int, int, int, int, int, int], tuple[int, int] | None, bytes | None]: ...
    def rollback(self, epoch: int) -> None: ...
    def at(self, epoch: int) -> Container: ...

@final
class Transaction:
    """A transaction of a container."""

    def container(self) -> Container: ...
    def commit(self) -> None: ...
    def abort(self) -> None: ...

@final
class Attributes:
    """The attributes of a pool or container."""

    def set(self, items: list[tuple[str, bytes]]) -> None: ...
    def get(self, names: list[str]) -> list[bytes | None]: ...
    def names(self) -> list[str]: ...
    def remove(self, names: list[str]) -> int: ...

@final
class KV:
    """A flat key-value object."""

    def put(self, key: bytes, value: Buffer, flags: int = 0) -> None: ...
    def get(self, key: bytes, flags: int = 0) -> bytes | None: ...
    def put_many(self, items: list[tuple[bytes, Buffer]], flags: int = 0) -> None: ...
    def get_many(self, keys: list[bytes]) -> list[bytes | None]: ...
    def remove(self, key: bytes, flags: int = 0) -> None: ...
    def list_keys(self, anchor: bytes | None, count: int, reverse: bool) -> tuple[list[bytes], bytes | None]: ...
    def list_pairs(
        self, anchor: bytes | None, count: int, reverse: bool
    ) -> tuple[list[bytes], list[bytes], bytes | None]: ...
    def destroy(self) -> None: ...

@final
class Array:
    """An array: cells of one size. Buffers are of bytes, and are read and written in place."""

    @property
    def cell_size(self) -> int: ...
    @property
    def chunk_size(self) -> int: ...
    def size(self) -> int: ...
    def set_size(self, size: int, fill: bytes) -> None: ...
    def write(self, start: int, step: int, data: Buffer) -> None: ...
    def read_into(self, start: int, step: int, data: Buffer, fill: bytes) -> None: ...
    def punch(self, start: int, count: int) -> None: ...

@final
class Object:
    """An object with its dkeys and akeys. Buffers are of bytes, and are read and written in place."""

    def layout(self) -> list[int]: ...
    def update(
        self, dkey: bytes, iods: list[tuple[bytes, Buffer | None, int, list[tuple[int, int]] | None]], flags: int = 0
    ) -> None: ...
    def fetch(
        self, dkey: bytes, iods: list[tuple[bytes, Buffer | None, int, list[tuple[int, int]] | None]]
    ) -> list[bytes | int | None]: ...
    def punch(self, dkey: bytes | None, akeys: list[bytes] | None, flags: int = 0) -> None: ...
    def list_keys(
        self, dkey: bytes | None, anchor: bytes | None, count: int, reverse: bool
    ) -> tuple[list[bytes], bytes | None]: ...
    def query(
        self, greatest: bool, dkey: bytes | None, akey: bytes | None, akey_extreme: bool, records: bool
    ) -> tuple[int | None, int | None, tuple[int, int] | None, int] | None: ...

@final
class Rdb:
    """A replica of a group that agrees on commands, in a directory of its own: `docs/internals/consensus.md`.

    Requests return a number at once; what became of them, and all that the group agreed on, comes by `drain`, in order.
    All calls are safe from several threads; a forked child is refused with `ForkedError`.
    """

    @staticmethod
    def create(
        path: str,
        *,
        group: bytes,
        rank: int,
        replicas: list[int],
        state: bytes,
        listen: str,
        system: str,
        tick_ms: int = 100,
        engine: Engine | None = None,
        tls: tuple[str, str, str] | None = None,
    ) -> Rdb:
        """Make a replica of a new group; durable at return.

        Args:
            path: Its directory, made where there is none.
            group: 16 bytes, the same at all replicas.
            rank: The replica's.
            replicas: The ranks of all of them, the same at each; each makes its own, of generation 1.
            state: What the application begins with, the same at all; at most 32 MiB.
            listen: `ip:port`, to be reached by the others.
            system: The system's name, 1 to 15 characters.
            engine: By whose control endpoint it is reached, in the place of `listen`; also what follows.
            tls: As `Engine.start`.
            tick_ms: Elections come after 10 to 20 of these, heartbeats after 2; the same at all replicas.

        Raises:
            ExistsError: There is a replica in the directory.
            BusyError: The directory is open.
            InvalidError: An argument is out of range, or `rank` is not among `replicas`.
        """
    @staticmethod
    def join(
        path: str,
        *,
        group: bytes,
        rank: int,
        generation: int,
        listen: str,
        system: str,
        tick_ms: int = 100,
        engine: Engine | None = None,
        tls: tuple[str, str, str] | None = None,
    ) -> Rdb:
        """Make a replica that is told everything once the leader has added it; durable at return.

        Args:
            path: Its directory.
            group: 16 bytes.
            rank: The replica's.
            generation: 1 for a rank without an earlier replica; one more each time that its storage was lost.
            listen: `ip:port`.
            system: The system's name.
            engine: As `create`.
            tls: As `create`.
            tick_ms: As at the others.

        Raises:
            ExistsError: There is a replica in the directory.
        """
    @staticmethod
    def open(
        path: str,
        *,
        group: bytes,
        listen: str,
        system: str,
        engine: Engine | None = None,
        tls: tuple[str, str, str] | None = None,
    ) -> Rdb:
        """Open the replica of a directory.

        Raises:
            NotFoundError: There is none.
            CorruptionError: Its storage is damaged: it must not take part; `join` anew with the next generation.
            BusyError: The directory is open.
        """
    @property
    def address(self) -> str:
        """Where it listens."""
    def set_peer(self, rank: int, address: str) -> None:
        """Say where another rank is to be found, from now on."""
    def fileno(self) -> int:
        """Return the descriptor that is readable when there is something to drain; it lives as long as this."""
    def drain(self) -> list[tuple[str, tuple[object, ...]]]:
        """Return what was told since the last call, in order; waits for nothing.

        What, with its facts:
            install: (index, term, state): the application's state is this one now.
            command: (index, term, command): agreed on.
            members: (index, voters, learners), each a list of (rank, generation).
            role: (term, leader or None, leads); it leads when all that was agreed on before has been told.
            snapshot_wanted: (index,): call `snapshot` with the state after this entry or a later one.
            stopped: (why,): it takes part no more.
            committed: (number, index, term): a request was agreed on, for ever.
            read: (number, index): what is read from the state now holds all that was acknowledged before the request.
            refused: (number, exception): `UncertainError`: it may still be agreed on; any other: nothing happened.
        """
    def propose(self, command: bytes, *, timeout_s: float) -> int:
        """Have a command of 1 byte to 1 MiB agreed on.

        Returns:
            The number of the request; `committed` or `refused` follow within the time.

        Raises:
            BusyError: Too much waits already.
            ClosedError: The replica is closed, or stopped.
        """
    def propose_all(self, commands: list[tuple[bytes, float]]) -> list[int]:
        """Have several commands agreed on, each with its time in seconds; all are taken, or none.

        Returns:
            The number of each, as `propose`.

        Raises:
            DaosError: As `propose`.
        """
    def read_barrier(self, *, timeout_s: float) -> int:
        """Ask from where on the state holds all that was acknowledged so far; `read` or `refused` follow."""
    def add_replica(self, rank: int, generation: int, *, timeout_s: float) -> int:
        """Have a replica join: a learner, and a voter once it has caught up; `committed` or `refused` follow."""
    def remove_replica(self, rank: int, generation: int, *, timeout_s: float) -> int:
        """Have a replica leave; `committed` or `refused` follow."""
    def snapshot(self, index: int, state: bytes) -> None:
        """Give the state after the entry `index`, at most 32 MiB, so that entries up to it need not be kept."""
    def status(self) -> dict[str, object]:
        """Return how it stands.

        `rank`, `generation`, `term`, `leader`, `leads`, `applied`, the `first` and `last` entry kept, `voters`,
        `learners`, and why it `stopped`.
        """
    def close(self) -> None:
        """End it; what waits is refused with `UncertainError`. Doing so twice changes nothing."""

@final
class EventQueue:
    """Operations under way and the futures that wait for them; `docs/internals/events.md` tells the whole."""

    def __new__(cls, *, operations_max: int, bytes_max: int, workers: int) -> EventQueue:
        """Return an empty queue; its threads start with the first operation.

        Args:
            operations_max: Operations submitted and not yet drained.
            bytes_max: Bytes of their buffers; a single operation may have more.
            workers: Threads.
        """
    def fileno(self) -> int:
        """Return the descriptor that is readable when operations are done."""
    @property
    def in_flight(self) -> int:
        """Operations submitted and not yet drained."""
    def call(self, future: object, function: Callable[[], object], last: bool = False) -> bool:
        """Have a worker call a function; `last`: when all that was submitted before is done.

        Returns:
            False where there is no room; then nothing was begun.

        Raises:
            ClosedError: The queue is closed.
            ForkedError: It belongs to the parent process.
        """
    def drain(self) -> list[tuple[object, bool, object]]:
        """Return what is done: each future, whether it went well, and its result or exception; waits for nothing."""
    def close(self, *, timeout_s: float, abandon: bool = False) -> bool:
        """Take no more operations; wait for those submitted, or with `abandon` for those begun.

        Returns:
            False where some were still at work after the time-out.
        """

@final
class AsyncKV:
    """A `KV` whose operations go through a queue: each method returns at once, False where there is no room."""

    def __new__(cls, kv: KV) -> AsyncKV: ...
    def put(self, queue: EventQueue, future: object, key: bytes, value: bytes, flags: int = 0) -> bool: ...
    def get(self, queue: EventQueue, future: object, key: bytes) -> bool: ...
    def put_many(self, queue: EventQueue, future: object, items: list[tuple[bytes, bytes]]) -> bool: ...
    def get_many(self, queue: EventQueue, future: object, keys: list[bytes]) -> bool: ...
    def remove(self, queue: EventQueue, future: object, key: bytes, flags: int = 0) -> bool: ...
    def list_keys(self, queue: EventQueue, future: object, anchor: bytes | None, count: int, reverse: bool) -> bool: ...
    def list_pairs(
        self, queue: EventQueue, future: object, anchor: bytes | None, count: int, reverse: bool
    ) -> bool: ...

@final
class AsyncArray:
    """An `Array` whose operations go through a queue, as `AsyncKV`; they hold the memory that is read into."""

    def __new__(cls, array: Array) -> AsyncArray: ...
    def size(self, queue: EventQueue, future: object) -> bool: ...
    def set_size(self, queue: EventQueue, future: object, size: int, fill: bytes) -> bool: ...
    def write(self, queue: EventQueue, future: object, start: int, step: int, data: bytes) -> bool: ...
    def read_into(
        self, queue: EventQueue, future: object, start: int, step: int, data: Buffer, fill: bytes
    ) -> bool: ...
    def punch(self, queue: EventQueue, future: object, start: int, count: int) -> bool: ...

@final
class AsyncObject:
    """An `Object` whose operations go through a queue, as `AsyncKV`; they hold the memory that is read into."""

    def __new__(cls, of: Object) -> AsyncObject: ...
    def update(
        self,
        queue: EventQueue,
        future: object,
        dkey: bytes,
        iods: list[tuple[bytes, bytes | None, int, list[tuple[int, int]] | None]],
        flags: int = 0,
    ) -> bool: ...
    def fetch(
        self,
        queue: EventQueue,
        future: object,
        dkey: bytes,
        iods: list[tuple[bytes, Buffer | None, int, list[tuple[int, int]] | None]],
    ) -> bool: ...
    def punch(
        self, queue: EventQueue, future: object, dkey: bytes | None, akeys: list[bytes] | None, flags: int = 0
    ) -> bool: ...
    def list_keys(
        self,
        queue: EventQueue,
        future: object,
        dkey: bytes | None,
        anchor: bytes | None,
        count: int,
        reverse: bool,
    ) -> bool: ...
    def query(
        self,
        queue: EventQueue,
        future: object,
        greatest: bool,
        dkey: bytes | None,
        akey: bytes | None,
        akey_extreme: bool,
        records: bool,
    ) -> bool: ...

@final
class AsyncTransaction:
    """A `Transaction` that ends through a queue, as `AsyncKV`."""

    def __new__(cls, transaction: Transaction) -> AsyncTransaction: ...
    def commit(self, queue: EventQueue, future: object) -> bool: ...
    def abort(self, queue: EventQueue, future: object) -> bool: ...

@final
class Branch:
    """What a name of a mount leads to. It can be used once."""

    @staticmethod
    def files(
        container: Container,
        *,
        read_only: bool,
        caching: list[bytes | None] | None,
        write_back: bool,
        identity: str | None,
        space: Callable[[], tuple[int, int]],
    ) -> Branch:
        """Return the file system of a container.

        Args:
            container: As of a snapshot, nothing can be changed.
            read_only: Nothing can be changed.
            caching: The values of the six attributes that tell what the kernel may keep; None: nothing.
            write_back: Whether it may keep what is written, if it keeps contents; what is at the mount point decides.
            identity: What the root tells as `user.daos`.
            space: Tells bytes in all and free ones; called by any thread.

        Raises:
            OSError: There is no file system: `EINVAL`.
            ValueError: An attribute that means nothing, in words.
        """
    @staticmethod
    def names(names: _Names) -> Branch:
        """Return a directory that nobody stores, of these names; they are asked by any thread."""

class _Names(Protocol):
    """Names that lead somewhere. What is raised is told with its `errno`, if it has one."""

    def names(self) -> list[str]: ...
    def open(self, name: str) -> Branch | None: ...

@final
class Fuse:
    """File systems of containers, mounted. The mount stays when this goes.

    Errors of mounting are `OSError`, with a hint as a note; those of the store are of `daos.errors`.
    """

    @staticmethod
    def mount(
        root: Branch,
        at: str,
        *,
        read_only: bool,
        multi_user: bool,
        threads: int,
        links: Callable[[bytes], Branch | None] | None,
        report: Callable[[str], None],
    ) -> Fuse:
        """Mount; it works at return, by threads of its own.

        Args:
            root: What is at the mount point.
            at: The directory.
            read_only: The kernel lets nothing be changed.
            multi_user: All users may use it.
            threads: The most that answer requests.
            links: Tells where a directory with that value of `user.daos` leads; called by any thread. None: nowhere.
            report: Is told, in a line, what goes wrong; called by any thread.

        Raises:
            OSError: It cannot be mounted there.
            ValueError: The root was used before.
        """
    def fileno(self) -> int:
        """Return a descriptor that becomes readable when the mount has ended."""
    def unmount(self, seconds: float) -> bool:
        """Take the mount away; return whether all have left it within the time."""
    def finish(self) -> None:
        """Make durable all that was acknowledged; nothing can be done with it any more."""
    def usage(self) -> tuple[int, int]:
        """Return how many nodes the kernel knows, and how many files are open."""
