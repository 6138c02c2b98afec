"""What a server and its engines say to each other: the bodies of the methods in docs/internals/daemons.md."""

from __future__ import annotations

from typing import Literal

import msgspec

from daos.control.outbox import Rank
from daos.control.outcomes import RequestId
from daos.model.members import MemberState
from daos.model.targets import TargetState


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body of the local channel."""


class Ready(Message, frozen=True, kw_only=True):
    """Method `ready`, of an engine: it serves.

    Attributes:
        pid: Its process.
        incarnation: Stamp of the start of the process.
        uuid: Of its storage, from the superblock.
        rank: That it had; None for one that never joined.
        uri: Its control address, `ip:port`.
        targets: The addresses of its targets, in their order.
        capacity: Bytes of tier 0 and tier 1 that pools may have.
        domain: Its fault domain, from the top down.
    """

    pid: int
    incarnation: int
    uuid: str
    rank: Rank | None = None
    uri: str
    targets: tuple[str, ...]
    capacity: tuple[int, int]
    domain: tuple[str, ...]


class Placed(Message, frozen=True, kw_only=True):
    """The answer to `ready`: the engine is in the system.

    Attributes:
        rank: Its rank.
        system: The system's name.
    """

    rank: Rank
    system: str


class MemberEntry(Message, frozen=True, kw_only=True):
    """A rank of the system, as engines know it.

    Attributes:
        rank: Its number.
        uri: Its control address, `ip:port`.
        targets: The addresses of its targets.
        state: Where it is in its life.
        incarnation: Stamp of the start of its process.
        domain: Its fault domain, from the top down.
    """

    rank: Rank
    uri: str
    targets: tuple[str, ...]
    state: MemberState
    incarnation: int
    domain: tuple[str, ...]


class Members(Message, frozen=True, kw_only=True):
    """Method `members`, of the server: the system map. An engine keeps the highest version.

    Attributes:
        version: Of the map.
        members: All ranks, by number.
    """

    version: int
    members: tuple[MemberEntry, ...]


class Carry(Message, frozen=True, kw_only=True):
    """Method `carry`, of the server: an effect of the system service, for this rank.

    Attributes:
        number: The effect's.
        floor: What the rank's fence is told with it.
        effect: Msgpack of `daos.control.system.effects.AnyEffect`.
        incarnation: Of the process that it is for; another refuses it. 0 for any.
    """

    number: int
    floor: int
    effect: bytes
    incarnation: int = 0


class PoolRequest(Message, frozen=True, kw_only=True):
    """Method `pool_request`, of the server: what an administrator asks of a pool's service. The answer is `bytes`.

    Attributes:
        pool: The pool's uuid.
        request: Whose it is, for a command; None for a query.
        kind: `command`: the answer is the result's msgpack, empty for none; `query`: the answer's msgpack.
        name: The command's tag, or the query's name.
        arguments: Msgpack of the command with its tag, or of the query's arguments by name.
    """

    pool: str
    request: RequestId | None = None
    kind: Literal["command", "query"]
    name: str
    arguments: bytes


class DeviceSpace(Message, frozen=True, kw_only=True):
    """The bytes of a device.

    Attributes:
        total: That files can have there.
        free: That can be stored there yet.
        used: That files have.
    """

    total: int
    free: int
    used: int


class Space(Message, frozen=True, kw_only=True):
    """The answer to `space`: per tier, bytes of each target.

    Attributes:
        total: Tier to the bytes of each target.
        free: Of these, what is free.
        devices: Of each device, in the order of the configuration.
    """

    total: tuple[tuple[int, ...], ...]
    free: tuple[tuple[int, ...], ...]
    devices: tuple[DeviceSpace, ...] = ()


class EnginePool(Message, frozen=True, kw_only=True):
    """A pool of which an engine has shards; the answer to `pools` is a list of these.

    Attributes:
        uuid: The pool's.
        targets: Indexes of the targets that have a shard.
        tiers: Bytes of it on each tier of the engine.
    """

    uuid: str
    targets: tuple[int, ...]
    tiers: tuple[int, ...]


class LogMasks(Message, frozen=True, kw_only=True):
    """Method `log_masks`, of the server: what an engine logs from now on. Empty for what its options say.

    Attributes:
        masks: Such as `ERR,mgmt=DEBUG`.
        streams: Debug streams.
        subsystems: Of which parts.
    """

    masks: str = ""
    streams: str = ""
    subsystems: str = ""


class TierSpace(Message, frozen=True, kw_only=True):
    """A tier of a pool, over some targets.

    Attributes:
        media: `scm` or `nvme`.
        total: Bytes.
        free: Of these, what is free.
        min: Free on the target that has the least.
        max: Free on the target that has the most.
        mean: Free on a target in the mean.
    """

    media: str
    total: int
    free: int
    min: int
    max: int
    mean: int


class PoolInfo(Message, frozen=True, kw_only=True):
    """The answer to the query `pool`, with arguments `{"space": bool}`.

    Attributes:
        uuid: The pool's.
        label: Its label; None for none.
        version: Of its map.
        leader: The rank that answers.
        services: The ranks of its service.
        targets: How many it has.
        active: Of these, those that serve.
        disabled: Of these, those that do not.
        enabled_ranks: Ranks with targets in use.
        disabled_ranks: Ranks without.
        dead_ranks: Dead though not disabled.
        degraded: Whether data of targets that are down is not restored.
        self_heal: The pool's property.
        tiers: Space on all targets; empty if it was not asked for.
    """

    uuid: str
    label: str | None
    version: int
    leader: Rank
    services: tuple[Rank, ...]
    targets: int
    active: int
    disabled: int
    enabled_ranks: tuple[Rank, ...]
    disabled_ranks: tuple[Rank, ...]
    dead_ranks: tuple[Rank, ...]
    degraded: bool
    self_heal: str
    tiers: tuple[TierSpace, ...] = ()


class PoolTarget(Message, frozen=True, kw_only=True):
    """The answer to the query `targets`, with arguments `{"rank": int, "targets": [int]}`, is a list of these.

    Attributes:
        index: Of the target on its rank.
        state: In the pool map.
        tiers: Its space.
    """

    index: int
    state: TargetState
    tiers: tuple[TierSpace, ...] = ()


class PoolAcl(Message, frozen=True, kw_only=True):
    """The answer to the query `acl`, without arguments; that to `properties` is a map from name to word or number.

    Attributes:
        entries: An entry a line.
        owner: `user@`.
        group: `group@`.
    """

    entries: tuple[str, ...]
    owner: str
    group: str


class Event(Message, frozen=True, kw_only=True):
    """Method `event`, of an engine: something that an administrator should know.

    Attributes:
        id: Its name, such as `pool_rebuild_started`.
        message: For people.
        rank: Where; None for the sender's.
        pool: Of which pool.
        container: Of which container.
        object: Of which object.
        incarnation: Of the rank that `swim_rank_dead` and `swim_rank_alive` are about.
        time: Nanoseconds since 1970; 0 for now.
    """

    id: str
    message: str
    rank: Rank | None = None
    pool: str = ""
    container: str = ""
    object: str = ""
    incarnation: int = 0
    time: int = 0


class Replicas(Message, frozen=True, kw_only=True):
    """Method `pool_replicas`, of an engine that leads a pool's service: where that runs now.

    Attributes:
        pool: The pool's uuid.
        services: The ranks of its service.
    """

    pool: str
    services: tuple[Rank, ...]
