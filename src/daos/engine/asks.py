"""What clients ask the service of a pool: a struct for each request, its name that of `rust/wire/src/control.rs`."""

from __future__ import annotations

from typing import Annotated, TypeAlias

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


class ContainerCloseAll(Ask, frozen=True, tag="container_close_all"):
    """Close handles of containers of the pool, those that are open yet."""

    handles: list[Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]]


class ContainerDestroy(Ask, frozen=True, tag="container_destroy"):
    """Destroy a container."""

    container: str


class ContainerRemove(Ask, frozen=True, tag="container_remove"):
    """Destroy a container; with `force`, its open handles are revoked."""

    container: str
    force: bool = False


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


class PoolQuery(Ask, frozen=True, tag="pool_query"):
    """State of the pool; with its space, if asked for."""

    space: bool = True


class PoolQueryTargets(Ask, frozen=True, tag="pool_query_targets"):
    """Targets of a rank: those of these indexes, all where there are none."""

    rank: int
    targets: list[int] = []


class PoolPlaces(Ask, frozen=True, tag="pool_places"):
    """Rank and index of each target of the pool, in the order by which objects are laid out."""


class ContainerQuery(Ask, frozen=True, tag="container_query"):
    """What only the service knows of a container: how often it is open, its times, its health."""


class ContainerGetAcl(Ask, frozen=True, tag="container_get_acl"):
    """Access list, owner and group of a container."""


class ContainerOverwriteAcl(Ask, frozen=True, tag="container_overwrite_acl"):
    """Replace the access list of a container."""

    entries: list[str]


class ContainerUpdateAcl(Ask, frozen=True, tag="container_update_acl"):
    """Add or replace entries of the access list of a container."""

    entries: list[str]


class ContainerDeleteAcl(Ask, frozen=True, tag="container_delete_acl"):
    """Take the entry of a principal out of the access list of a container."""

    principal: str


class ContainerSetOwner(Ask, frozen=True, tag="container_set_owner"):
    """Give a container away."""

    owner: str | None
    group: str | None


class ContainerEvict(Ask, frozen=True, tag="container_evict"):
    """Close handles of a container: those of the caller's user, or all."""

    container: str
    everybody: bool = False


class Ping(Ask, frozen=True, tag="ping"):
    """Have this engine answer with so many bytes: the request's own are for their length."""

    data: bytes = b""
    reply_bytes: int = 0


AnyAsk: TypeAlias = (
    PoolConnect
    | PoolDisconnect
    | PoolChange
    | PoolScrubStatus
    | ContainerList
    | ContainerCreate
    | ContainerOpen
    | ContainerCloseAll
    | ContainerDestroy
    | ContainerRemove
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
    | PoolQuery
    | PoolQueryTargets
    | PoolPlaces
    | ContainerQuery
    | ContainerGetAcl
    | ContainerOverwriteAcl
    | ContainerUpdateAcl
    | ContainerDeleteAcl
    | ContainerSetOwner
    | ContainerEvict
    | Ping
)
