"""An embedded system becomes the storage of an engine, by a move: `docs/internals/adopt.md`."""

from __future__ import annotations

import errno
import shutil
import socket
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from daos import _core
from daos.control import adopted
from daos.control.adopted import FoundContainer, FoundPool, Ownership
from daos.control.pool.service import POOL
from daos.control.replicated import AnyState, Form, Replica
from daos.control.system.effects import PoolRank
from daos.control.system.members import Join
from daos.control.system.selection import TARGET_BYTES_MIN
from daos.control.system.service import SYSTEM
from daos.engine.parts import PoolPart
from daos.engine.pool_service import PREFIX
from daos.errors import (
    DER,
    BusyError,
    DaosError,
    ExistsError,
    InvalidError,
    NoSpaceError,
    NotFoundError,
    UnavailableError,
)
from daos.model.properties import ContainerProperties
from daos.model.scrub import MODES
from daos.model.sizes import format_size
from daos.rsvc import Clock
from daos.rsvc.files import sync_directory, write_durably
from daos.server import adoption, storage, superblock
from daos.server.adoption import Mark, Stage
from daos.server.settings import EngineSettings, ServerSettings
from daos.server.superblock import Superblock

S = TypeVar("S", bound=AnyState)

STATE_BYTES_MAX = 16 << 20
"""Of what a service begins with: half of what its log takes, so that there is room to grow."""
LOOPBACK = "127.0.0.1:0"
"""Where a log listens while it is being made: nobody asks it yet."""


@dataclass(frozen=True)
class Adopted:
    """What an adoption did.

    Attributes:
        directory: Where the system is now.
        pools: Label and number of containers of each pool; empty where an earlier run had moved it.
    """

    directory: Path
    pools: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class _Plan:
    """All that is written beside the store."""

    mark: Mark
    block: Superblock
    system: bytes
    pools: dict[str, bytes]
    tiers: tuple[int, int]


def adopt(
    settings: ServerSettings,
    source: Path,
    owner: Ownership,
    *,
    size: int | None = None,
    before: Callable[[str], None] = lambda _: None,
) -> Adopted:
    """Make the embedded system in a directory the storage of this host's first engine, and the beginning of a system.

    It may be cut short anywhere, and run again.

    Args:
        settings: Of the server that is to serve it.
        source: Its directory.
        owner: Whose pools and containers are to be.
        size: Bytes of each pool; None for equal shares of the storage.
        before: Is told the name of each step that changes something, before it.

    Raises:
        BusyError: A process uses it, or a server runs here.
        ExistsError: There is a system here already.
        InvalidError: The configuration does not fit, or it is no system.
        NotFoundError: There is none.
        DaosError: It is damaged, or something cannot be written.
    """
    engine = _engine(settings)
    source = source.absolute()
    _check_no_server(settings)
    if adoption.stage(engine.metadata) is Stage.MOVED:
        return _end(engine, source, before)
    if superblock.read(engine.metadata) is not None and adoption.stage(engine.metadata) is Stage.NONE:
        raise ExistsError(
            f"engine {engine.index} has storage already, in {engine.metadata}",
            code=DER.ALREADY,
            hint="adopt into another scm_mount, or format it away first",
        )
    if not source.is_dir():
        raise NotFoundError(f"there is no system at {source}", hint="the directory that daos.open was given")
    source = source.resolve()
    _check_places(engine, source)
    core = _core.Embedded.open(str(source), create=False, targets=1, durability=2)
    try:
        # As long as it is open, nobody else can change what is read here, nor after that.
        if core.targets != engine.targets:
            raise InvalidError(
                f"{source} has {core.targets} targets, engines[{engine.index}] of the configuration {engine.targets}",
                hint=f"write targets: {core.targets}",
            )
        found = _pools(core)

        def plan(pools: list[FoundPool]) -> _Plan:
            return _plan(settings, engine, source, pools, core.space()[2], owner, size)

        plan(found)  # what cannot be taken over is told before anything is changed
        storage.make_directory(engine.metadata)
        with adoption.alone(engine.metadata):
            _check_no_server(settings)
            _check_free(settings, engine, before)
            before("numbers")
            found = _numbered(core, found)
            _stage(settings, engine, source, plan(found), before)
            before("move")
            _move(settings, engine, source)
    finally:
        core.close()
    before("end")
    adoption.end(engine.metadata)
    return Adopted(engine.metadata / adoption.STORE, tuple((pool.label, len(pool.containers)) for pool in found))


def _end(engine: EngineSettings, source: Path, before: Callable[[str], None]) -> Adopted:
    """The last step of an adoption that had moved its system."""
    mark = adoption.read(engine.metadata)
    if source.exists():
        raise ExistsError(
            f"engine {engine.index} has adopted {mark.source}",
            code=DER.ALREADY,
            hint="daos_server start serves that; a second system needs a server and an scm_mount of its own",
        )
    before("end")
    adoption.end(engine.metadata)
    return Adopted(engine.metadata / adoption.STORE)


# What refuses it


def _engine(settings: ServerSettings) -> EngineSettings:
    """Return the engine that is to have it.

    Raises:
        InvalidError: `DER.INVAL`: the configuration is not that of a first server.
    """
    if not settings.engines:
        raise InvalidError("the configuration has no engine", hint="daos_server config generate prints one that has")
    if settings.replicas != (settings.address,):
        raise InvalidError(
            f"adopt begins a system on {settings.address} alone,"
            f" mgmt_svc_replicas names {', '.join(settings.replicas)}",
            hint=f"write mgmt_svc_replicas: ['{settings.address}']",
        )
    return settings.engines[0]


def _check_no_server(settings: ServerSettings) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(settings.socket))
        except OSError:
            return
    raise BusyError(f"a server listens at {settings.socket}", code=DER.BUSY, hint="stop it first")


def _check_places(engine: EngineSettings, source: Path) -> None:
    """Return if the source can be moved to where the engine looks for it."""
    target = engine.metadata.resolve()
    if source == target or source in target.parents or target in source.parents:
        raise InvalidError(
            f"{source} and {target} lie in one another",
            hint="give the engine an scm_mount beside the system, on the same file system",
        )
    there = next(parent for parent in (target, *target.parents) if parent.exists())
    if there.stat().st_dev != source.stat().st_dev:
        raise _elsewhere(source, target)


def _elsewhere(source: Path, target: Path) -> InvalidError:
    return InvalidError(
        f"{source} and {target} are on different file systems",
        code=DER.NOTSUPPORTED,
        hint="it is moved, not copied: choose an scm_mount on that file system, or copy the system yourself first",
    )


# What is there


def _pools(core: _core.Embedded) -> list[FoundPool]:
    return [_pool(core.pool_open(name)) for name, _ in core.pools()]


def _pool(core: _core.Pool) -> FoundPool:
    mode, frequency, threshold = core.scrub_status()[0]
    return FoundPool(
        uuid=core.uuid,
        label=core.label,
        properties={"scrub": MODES[mode], "scrub_freq": frequency, "scrub_thresh": threshold},
        attributes=_attributes(core.attributes()),
        containers=tuple(_container(core.container_open(name)) for name, _ in core.containers()),
    )


def _container(core: _core.Container) -> FoundContainer:
    return FoundContainer(
        uuid=core.uuid,
        label=core.label,
        properties=ContainerProperties.decode(core.props),
        attributes=_attributes(core.attributes()),
        snapshots=tuple(core.snapshots()),
        next_oid=0,
    )


def _numbered(core: _core.Embedded, found: list[FoundPool]) -> list[FoundPool]:
    """Return pools whose containers say which object number is next.

    The core tells numbers by giving them out: those are nobody's. So they are asked for when all checks are over.
    """
    numbered = []
    for pool in found:
        opened = core.pool_open(pool.uuid)
        containers = tuple(
            msgspec.structs.replace(each, next_oid=opened.container_open(each.uuid).alloc_oids(1))
            for each in pool.containers
        )
        numbered.append(msgspec.structs.replace(pool, containers=containers))
    return numbered


def _attributes(core: _core.Attributes) -> dict[str, bytes]:
    names = core.names()
    return {name: value for name, value in zip(names, core.get(names), strict=True) if value is not None}


def _plan(  # noqa: PLR0917 -- made in one place
    settings: ServerSettings,
    engine: EngineSettings,
    source: Path,
    found: list[FoundPool],
    used: int,
    owner: Ownership,
    size: int | None,
) -> _Plan:
    """Decide what is to be written.

    Raises:
        DaosError: Something cannot be taken over.
    """
    if storage.slots(engine):
        raise InvalidError(
            f"engine {engine.index} has devices, and {source} lies in a directory",
            hint="adopt into an engine whose only storage is an scm_mount",
        )
    capacity = storage.capacity(engine)
    if used > sum(capacity):
        raise NoSpaceError(
            f"{source} uses {format_size(used)}, engine {engine.index} has {format_size(sum(capacity))}",
            hint="give it a larger scm_size",
        )
    tiers = shares(capacity, len(found), size)
    _check_size(engine, tiers, size)
    now = Clock().now()
    rank = engine.rank or 0
    block = Superblock(uuid=str(uuid.uuid4()), system=settings.system, rank=rank, domain=settings.domain)
    member = Join(
        uuid=block.uuid,
        rank=rank,
        address=settings.address,
        uri="",
        domain=settings.domain,
        incarnation=adopted.INCARNATION,
        targets=engine.targets,
        capacity=capacity,
    )
    place = PoolRank(rank=rank, domain=settings.domain, targets=engine.targets)
    return _Plan(
        mark=Mark(source=str(source), uuid=block.uuid),
        block=block,
        system=_snapshot(SYSTEM, adopted.system_state(found, member, tiers, now), "the system"),
        pools={
            pool.uuid: _snapshot(POOL, adopted.pool_state(pool, place, owner, now), f"pool {pool.label}")
            for pool in found
        },
        tiers=tiers,
    )


def shares(capacity: tuple[int, int], pools: int, size: int | None) -> tuple[int, int]:
    """Return the bytes of tier 0 and tier 1 that each pool has.

    Args:
        capacity: Of the engine.
        pools: How many there are.
        size: Of each; None for equal shares of all.

    Raises:
        NoSpaceError: `DER.NOSPACE`: there is not so much.
    """
    total = sum(capacity)
    if size is not None and size * pools > total:
        raise NoSpaceError(
            f"{pools} pools of {format_size(size)} do not fit into {format_size(total)}",
            hint="a smaller --size, or none for equal shares",
        )
    each = total // max(pools, 1) if size is None else size
    first, second = (part * each // max(total, 1) for part in capacity)
    return first, second


def _check_size(engine: EngineSettings, tiers: tuple[int, int], size: int | None) -> None:
    """Return if a size that was given is one that a pool may be created with.

    Raises:
        InvalidError: `DER.INVAL`: it is too small.
    """
    least = TARGET_BYTES_MIN[0] * engine.targets
    if size is not None and tiers[0] < least:
        raise InvalidError(
            f"--size {format_size(size)} is too small for a pool: {format_size(tiers[0])} of tier 0,"
            f" at least {format_size(least)} for {engine.targets} targets",
            hint="a larger --size, or none for equal shares",
        )


def _snapshot(form: Form[S], state: S, what: str) -> bytes:
    replica = Replica(form)
    replica.state = state
    data = replica.snapshot()
    if len(data) > STATE_BYTES_MAX:
        raise InvalidError(
            f"labels, attributes and snapshots of {what} take {format_size(len(data))},"
            f" a service begins with {format_size(STATE_BYTES_MAX)} at most",
            code=DER.REC2BIG,
            hint="delete attributes or snapshots first",
        )
    return data


# What is written


def _check_free(settings: ServerSettings, engine: EngineSettings, before: Callable[[str], None]) -> None:
    """Return if nothing is where the engine and the system service are to be; what an earlier run began is undone.

    Raises:
        DaosError: Something is there.
    """
    directory, control = engine.metadata, _control(settings)
    if adoption.stage(directory) is Stage.BEFORE:
        before("undo")
        _undo(settings, engine)
    refused = [result.error for result in storage.check_format(engine, force=False) if result.error is not None]
    if refused:
        raise refused[0]
    home = directory / adoption.STORE.parent
    if home.exists():
        raise ExistsError(
            f"{home} is there, and belongs to no engine", code=DER.ALREADY, hint="look what it is, and delete it"
        )
    if control.exists():
        raise ExistsError(
            f"{control} is a replica of the system service",
            code=DER.ALREADY,
            hint="adopt begins a system: another scm_mount, or delete that replica if its system is gone",
        )


def _stage(
    settings: ServerSettings, engine: EngineSettings, source: Path, plan: _Plan, before: Callable[[str], None]
) -> None:
    """Write all that the engine needs beside its store, below a mark that it is not there yet."""
    directory, control = engine.metadata, _control(settings)
    home = directory / adoption.STORE.parent
    try:
        before("mark")
        adoption.write(directory, plan.mark)
        before("storage")
        failed = [result.error for result in storage.prepare(engine, force=False) if result.error is not None]
        if failed:
            raise failed[0]
        for path in (home, home / "pools", control.parent):
            storage.make_directory(path)
        before("system service")
        _log(settings, control, settings.group, settings.number or 0, plan.system, settings.tick_ms)
        for pool, state in plan.pools.items():
            before("pool service")
            _log(settings, home / f"{PREFIX}{pool}", uuid.UUID(pool).bytes, plan.block.rank or 0, state)
            write_durably(home / "pools" / pool, msgspec.msgpack.encode(PoolPart(1, plan.tiers)))
        sync_directory(home)
        sync_directory(control.parent)
        before("superblock")
        superblock.write(directory, plan.block)
    except OSError as error:
        with suppress(DaosError):
            _undo(settings, engine)
        raise UnavailableError(f"cannot prepare {directory} for {source}: {error.strerror}", code=DER.IO) from None
    except DaosError:
        with suppress(DaosError):
            _undo(settings, engine)
        raise


def _log(  # noqa: PLR0917 -- in the order of what it is
    settings: ServerSettings, path: Path, group: bytes, rank: int, state: bytes, tick_ms: int = 100
) -> None:
    """Make the log of a service with one replica, which begins with a state."""
    tls = None
    if settings.certificates is not None:
        ca, certificate, key = map(str, settings.certificates)
        tls = (ca, certificate, key)
    log = _core.Rdb.create(
        str(path),
        group=group,
        rank=rank,
        replicas=[rank],
        state=state,
        listen=LOOPBACK,
        system=settings.system,
        tick_ms=tick_ms,
        tls=tls,
    )
    log.close()


def _undo(settings: ServerSettings, engine: EngineSettings) -> None:
    """Delete what an adoption that did not move anything has written, its mark at the end.

    Raises:
        UnavailableError: `DER.IO`.
    """
    directory = engine.metadata
    if adoption.stage(directory) is Stage.MOVED:
        raise ExistsError(f"{directory} has a system", code=DER.ALREADY)
    try:
        (directory / superblock.NAME).unlink(missing_ok=True)
        for path in (directory / adoption.STORE.parent, _control(settings)):
            if path.exists():
                shutil.rmtree(path)
    except OSError as error:
        raise UnavailableError(
            f"cannot undo what an earlier adoption has begun in {directory}: {error.strerror}", code=DER.IO
        ) from None
    adoption.remove(directory)


def _move(settings: ServerSettings, engine: EngineSettings, source: Path) -> None:
    """The one step that counts: before it the system is embedded, after it it is served."""
    target = engine.metadata / adoption.STORE
    try:
        source.rename(target)
    except OSError as error:
        with suppress(DaosError):
            _undo(settings, engine)
        if error.errno == errno.EXDEV:
            raise _elsewhere(source, target) from None
        raise UnavailableError(f"cannot move {source} to {target}: {error.strerror}", code=DER.IO) from None
    try:
        sync_directory(target.parent)
        sync_directory(source.parent)
    except OSError as error:
        raise UnavailableError(
            f"{source} is moved, but that may not be durable: {error.strerror}", code=DER.IO, hint="run it again"
        ) from None


def _control(settings: ServerSettings) -> Path:
    if settings.control is None:
        raise InvalidError("a management replica needs a directory", hint="engines, or control_metadata")
    return settings.control
