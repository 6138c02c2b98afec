"""What clients ask the service of a pool: a struct for each request, its name that of `rust/wire/src/control.rs`."""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request."""


class PoolConnect(Ask, frozen=True, tag="pool_connect"):
    """Open the pool."""

    pool: str


class Other(Ask, frozen=True, tag="other"):
    """A request that the native client knows nothing of."""

    body: bytes


class PoolDisconnect(Ask, frozen=True, tag="pool_disconnect"):
    """Close the pool's handle and all that was opened through it."""


class PoolChange(Ask, frozen=True, tag="pool_change"):
    """Change what an administrator changes."""

    label: str | None
    scrub_mode: int | None
    scrub_freq: int | None
    scrub_thresh: int | None


class PoolScrubStatus(Ask, frozen=True, tag="pool_scrub_status"):
    """How the pool is scrubbed."""


class ContainerList(Ask, frozen=True, tag="container_list"):
    """The containers that the caller may know of."""


class Summed(Ask, frozen=True):
    """How data is summed."""

    kind: int
    piece_size: int
    server_verifies: bool


class ContainerCreate(Ask, frozen=True, tag="container_create"):
    """Make a container and open it."""

    label: str
    props: bytes
    checksums: Summed
    scrub_disabled: bool


class ContainerOpen(Ask, frozen=True, tag="container_open"):
    """Open a container."""

    container: str


class ContainerClose(Ask, frozen=True, tag="container_close"):
    """Close the container's handle."""


class ContainerDestroy(Ask, frozen=True, tag="container_destroy"):
    """Destroy a container."""

    container: str


class ContainerSetLabel(Ask, frozen=True, tag="container_set_label"):
    """Give the container another label."""

    label: str


class ContainerAllocOids(Ask, frozen=True, tag="container_alloc_oids"):
    """Numbers for new objects."""

    count: int


class ContainerAggregate(Ask, frozen=True, tag="container_aggregate"):
    """Remove what nobody can see."""


class SnapshotCreate(Ask, frozen=True, tag="snapshot_create"):
    """Take a snapshot."""

    name: str | None


class SnapshotList(Ask, frozen=True, tag="snapshot_list"):
    """The snapshots."""


class SnapshotCheck(Ask, frozen=True, tag="snapshot_check"):
    """Refuse an epoch that is no snapshot."""

    epoch: int


class SnapshotDestroy(Ask, frozen=True, tag="snapshot_destroy"):
    """Destroy the snapshots from one epoch to another."""

    first: int
    last: int


class SnapshotRollback(Ask, frozen=True, tag="snapshot_rollback"):
    """Go back to a snapshot."""

    epoch: int


class AttributeSet(Ask, frozen=True, tag="attribute_set"):
    """Set attributes."""

    items: list[tuple[str, bytes]]


class AttributeGet(Ask, frozen=True, tag="attribute_get"):
    """Values of attributes."""

    names: list[str]


class AttributeList(Ask, frozen=True, tag="attribute_list"):
    """The names of all attributes."""


class AttributeRemove(Ask, frozen=True, tag="attribute_remove"):
    """Remove attributes."""

    names: list[str]


class HandlePresent(Ask, frozen=True, tag="handle_present"):
    """Have this engine learn of a handle from the service."""

    replicas: list[int]


AnyAsk: TypeAlias = (
    PoolConnect
    | PoolDisconnect
    | PoolChange
    | PoolScrubStatus
    | ContainerList
    | ContainerCreate
    | ContainerOpen
    | ContainerClose
    | ContainerDestroy
    | ContainerSetLabel
    | ContainerAllocOids
    | ContainerAggregate
    | SnapshotCreate
    | SnapshotList
    | SnapshotCheck
    | SnapshotDestroy
    | SnapshotRollback
    | AttributeSet
    | AttributeGet
    | AttributeList
    | AttributeRemove
    | HandlePresent
    | Other
)
