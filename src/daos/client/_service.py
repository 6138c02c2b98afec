"""What only the service of a pool answers, and how it is asked: pools and containers of running systems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import msgspec

from daos._packed import decode
from daos.errors import InternalError

if TYPE_CHECKING:
    from typing import TypeAlias

    Fact: TypeAlias = str | int | bytes | list[str] | list[int] | None

T = TypeVar("T")

__all__ = ["AccessList", "ContainerInfo", "PoolInfo", "TargetInfo", "TierSpace"]


class Core(Protocol):
    """A pool or container of the native module."""

    def service_request(self, body: bytes, *, changes: bool) -> bytes:
        """Return the result of a request."""


@dataclass(frozen=True)
class TierSpace:
    """A storage tier, over some targets of a pool.

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


@dataclass(frozen=True)
class PoolInfo:
    """What the service of a pool tells. Returned by `Pool.info`.

    Attributes:
        uuid: The pool's.
        label: Its label; None for none.
        version: Of its map.
        leader: The rank that leads its service.
        services: The ranks of its service.
        targets: How many it has.
        active: Of these, those that serve.
        disabled: Of these, those that do not.
        enabled_ranks: Ranks with targets in use.
        disabled_ranks: Ranks without.
        dead_ranks: Dead though not disabled.
        degraded: Whether data of targets that are down is not restored.
        tiers: Space on all targets; empty if it was not asked for.
    """

    uuid: str
    label: str | None
    version: int
    leader: int
    services: tuple[int, ...]
    targets: int
    active: int
    disabled: int
    enabled_ranks: tuple[int, ...]
    disabled_ranks: tuple[int, ...]
    dead_ranks: tuple[int, ...]
    degraded: bool
    tiers: tuple[TierSpace, ...] = ()

    @property
    def state(self) -> Literal["Ready", "TargetsExcluded"]:
        """DAOS's word for how it is."""
        return "TargetsExcluded" if self.disabled else "Ready"


@dataclass(frozen=True)
class TargetInfo:
    """A target of a pool. Returned by `Pool.targets_of`.

    Attributes:
        index: On its rank.
        state: In the pool map, such as `up_in`.
        tiers: Its space.
    """

    index: int
    state: str
    tiers: tuple[TierSpace, ...] = ()


@dataclass(frozen=True)
class ContainerInfo:
    """What the service of a pool tells of a container. Returned by `Container.info`.

    Attributes:
        handles: How often it is open, this handle too.
        created: Epoch of its making.
        opened: Epoch of its last opening.
        healthy: Whether no more was lost than its redundancy bears.
        owner: `user@`.
        group: `group@`.
    """

    handles: int
    created: int
    opened: int
    healthy: bool
    owner: str
    group: str


@dataclass(frozen=True)
class AccessList:
    """Who may do what.

    Attributes:
        entries: An entry each, such as `A::alice@:rw`.
        owner: Whom `OWNER@` stands for, `user@`.
        group: Whom `GROUP@` stands for, `group@`.
    """

    entries: tuple[str, ...]
    owner: str
    group: str


def ask(core: Core, kind: str, answer: type[T], **facts: Fact) -> T:
    """Return the answer to a question.

    Raises:
        InvalidError: `DER.NOTSUPPORTED`: the system is embedded, nobody serves it.
        DaosError: What it is refused with.
    """
    return _sent(core, kind, answer, facts, changes=False)


def change(core: Core, kind: str, answer: type[T], **facts: Fact) -> T:
    """Have something changed; it happens once, however often its request is sent. Return the result.

    Raises:
        UncertainError: Nobody knows whether it happened.
        DaosError: As `ask`.
    """
    return _sent(core, kind, answer, facts, changes=True)


def _sent(core: Core, kind: str, answer: type[T], facts: dict[str, Fact], *, changes: bool) -> T:
    result = core.service_request(msgspec.msgpack.encode({"type": kind, **facts}), changes=changes)
    try:
        return decode(result, answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InternalError(f"{kind} was answered with what is no answer: {error}") from None
