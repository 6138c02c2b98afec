"""What an engine is started with: one JSON document on its standard input, which ends with it."""

from __future__ import annotations

import msgspec

from daos.control.outbox import Rank
from daos.local.messages import Message


class EngineTier(Message, frozen=True, kw_only=True):
    """A storage tier.

    Attributes:
        storage_class: `ram`, `dcpm`; `nvme`, `file`, `kdev`.
        directory: Of a memory tier; empty for others.
        devices: Paths of files or block devices.
        size: Bytes of the directory, 0 for what its file system has, or of each file.
        roles: Some of `data`, `meta`, `wal`.
    """

    storage_class: str
    directory: str = ""
    devices: tuple[str, ...] = ()
    size: int = 0
    roles: tuple[str, ...] = ()


class EngineOptions(Message, frozen=True, kw_only=True):
    """What an engine is told by its server.

    Attributes:
        system: The system's name.
        index: Of the engine on its host.
        uuid: Of its storage.
        rank: That it had; None for one that never joined.
        socket: Of its server.
        metadata: The directory of its superblock, and of what is to survive.
        tiers: Its storage.
        capacity: Bytes of tier 0 and of the tiers for data that pools may have.
        targets: How many it has.
        address: IP address of its ports.
        port: Of its control address; its targets have those that follow.
        domain: Its fault domain, from the top down.
        insecure: Without TLS.
        certificates: Paths of CA, certificate and key; empty without TLS.
        log_file: Where it logs to; empty for standard error.
        log_mask: What it logs.
        helpers: Threads that help its targets.
        first_core: Of its first thread.
        release: Of its server; empty where that does not tell.
    """

    system: str
    index: int
    uuid: str
    rank: Rank | None = None
    socket: str
    metadata: str
    tiers: tuple[EngineTier, ...]
    capacity: tuple[int, int]
    targets: int
    address: str
    port: int
    domain: tuple[str, ...]
    insecure: bool = False
    certificates: tuple[str, ...] = ()
    log_file: str = ""
    log_mask: str = "ERR"
    helpers: int = 0
    first_core: int = 0
    release: str = ""

    @classmethod
    def parse(cls, document: bytes) -> EngineOptions:
        """Return the options of a document.

        Raises:
            msgspec.ValidationError: They are none.
        """
        return msgspec.json.decode(document, type=cls)
