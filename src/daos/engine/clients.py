"""What clients ask the service of a pool, done: a command or a query of it, or a round of the ranks.

An engine is asked itself, too, in the place of a pool: by the uuid of no pool, and a handle that only it knows. By that
clients measure the way to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from daos import _packed
from daos.control.outcomes import Outcome, RequestId
from daos.control.pool import (
    container_open,
    container_settings,
    handles,
    queries,
    settings,
    snapshots,
)
from daos.control.pool.container_create import ContainerCreate, ContainerDestroy
from daos.control.pool.state import Container, ContainerCreated, Evicted, PoolState, SnapshotEntry
from daos.engine import asks, peers, scrubbing
from daos.engine.body import (
    ContainerReply,
    Named,
    PoolReply,
    ScrubReply,
    Served,
    ServedReply,
    Summing,
    TargetPlace,
    encode,
    handle_number,
    payload,
)
from daos.engine.changes import container_change
from daos.engine.closing import close_handle
from daos.engine.queries import Administrators
from daos.engine.waiting import done_by_all
from daos.errors import (
    DER,
    AccessError,
    ClosedError,
    DaosError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from daos.local import PoolRequest, PoolTarget
from daos.model.acl import Access, Credential, Permission
from daos.model.properties import ContainerProperties
from daos.model.targets import TargetState
from daos.rsvc import NotLeaderError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from daos.control.replicated import AnyCommand
    from daos.engine.peers import AnyPeer, Ranks
    from daos.engine.pool_service import PoolService, PoolServices
    from daos.engine.system_map import SystemMap

CLIENT_S_MAX = 30.0
"""So long a request is worked at; a client that waits longer sends it again."""
AGGREGATE_S_MAX = 3600.0
VERIFIED_MAX = 1024
"""Requests to connect that are known for their repetitions."""
STATES: dict[TargetState, str] = {
    TargetState.UNKNOWN: "unknown",
    TargetState.UP: "up",
    TargetState.UPIN: "up_in",
    TargetState.DOWN: "down",
    TargetState.DOWNOUT: "down_out",
    TargetState.NEW: "new",
    TargetState.DRAIN: "drain",
}
"""As clients are told them."""
NO_POOL = bytes(16)
"""In the place of a pool's uuid: the engine itself is asked."""
PROBES_MAX = 1024
"""Handles of clients that ask the engine itself; the oldest goes first."""
PING_BYTES_MAX = 1 << 20
_REQUESTS: msgspec.msgpack.Decoder[Served] = msgspec.msgpack.Decoder(Served)
_ASKS: msgspec.msgpack.Decoder[asks.AnyAsk] = msgspec.msgpack.Decoder(asks.AnyAsk)

T = TypeVar("T")


class Verifier(Protocol):
    """Tells whom a credential is of."""

    def verify(self, credential: bytes, *, pool: str) -> Credential:
        """Return who asks.

        Raises:
            AccessError: The credential is none that holds here and now.
        """


def decode(body: bytes) -> tuple[Served, asks.AnyAsk, bool]:
    """Return a client's request, what is asked in it, and whether the native client passes the answer on as it is.

    Raises:
        InvalidError: `DER.PROTO`: it is none.
    """
    try:
        served = _REQUESTS.decode(payload(body))
        ask = _ASKS.decode(served.request)
        opaque = isinstance(ask, asks.Other)
        if isinstance(ask, asks.Other):
            ask = _ASKS.decode(ask.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidError(f"this is no request to a pool's service: {error}", code=DER.PROTO) from None
    return served, ask, opaque


class DecidedError(Exception):
    """The service has decided to refuse a request: whoever asks again gets the same answer.

    Args:
        error: The refusal.
    """

    def __init__(self, error: DaosError) -> None:
        super().__init__(error.message)
        self.error = error


class Clients:
    """Answers clients.

    Args:
        services: The replicas of this engine.
        ranks: The way to the ranks.
        members: Where they are.
        verifier: Of credentials.
    """

    def __init__(self, services: PoolServices, ranks: Ranks, members: SystemMap, verifier: Verifier) -> None:
        self._services, self._ranks, self._members, self._verifier = services, ranks, members, verifier
        self._verified: dict[tuple[bytes, int, bytes], Credential] = {}
        self._probes: dict[bytes, None] = {}
        self.administrators = Administrators(services, ranks)

    async def answer(self, body: bytes) -> bytes:
        """Return the reply to a request.

        Raises:
            DecidedError: The service refuses it, for good.
            DaosError: What it is refused with.
        """
        served, ask, opaque = decode(body)
        pool = str(uuid.UUID(bytes=served.pool))
        if isinstance(ask, asks.HandlePresent):
            known = await self._services.learn(pool, str(_of(served.handle)), ask.replicas)
            return encode(ServedReply(result=encode(None) if known else None))
        if served.pool == NO_POOL:
            answer = self._of_engine(served, ask)
            return encode(ServedReply(result=encode(msgspec.msgpack.encode(answer) if opaque else answer)))
        try:
            service = self._services.find(pool)
        except NotFoundError:
            return encode(ServedReply())
        try:
            result = await _Request(self, service, served).run(ask)
            if opaque:
                result = msgspec.msgpack.encode(result)
        except NotLeaderError as error:
            return encode(ServedReply(leader=error.leader))
        return encode(ServedReply(result=encode(result)))

    def _of_engine(self, served: Served, ask: asks.AnyAsk) -> object:
        """Return what the engine itself answers.

        Raises:
            AccessError: The credential is none that holds here and now.
            ClosedError: The handle is not known.
            InvalidError: This is no request to an engine.
        """
        match ask:
            case asks.PoolConnect():
                self.verify(served, str(uuid.UUID(bytes=NO_POOL)))
                opened = _of(served.opens).bytes
                here = self._members.ranks.get(self._ranks.rank)
                if here is None:
                    raise UnavailableError("the engine does not know the system yet", code=DER.AGAIN)
                self._probes[opened] = None
                if len(self._probes) > PROBES_MAX:
                    del self._probes[next(iter(self._probes))]
                return PoolReply(
                    handle=handle_number(opened),
                    uuid=served.pool,
                    label="",
                    props=b"\x80",
                    map_version=0,
                    targets=[TargetPlace(here.rank, index, at) for index, at in enumerate(here.targets)],
                )
            case asks.PoolDisconnect():
                self._probes.pop(_of(served.handle).bytes, None)
                return None
            case asks.Ping():
                if _of(served.handle).bytes not in self._probes:
                    raise ClosedError("the handle is not known to this engine", hint="connect again")
                if not 0 <= ask.reply_bytes <= PING_BYTES_MAX:
                    raise InvalidError(f"a reply of {ask.reply_bytes} bytes", hint=f"0 to {PING_BYTES_MAX}")
                return bytes(ask.reply_bytes)
            case _:
                raise InvalidError(f"{type(ask).__name__} is for the service of a pool", code=DER.NOSYS)

    def verify(self, served: Served, pool: str) -> Credential:
        """Return who connects. A credential is good once; a request that comes again brings the same."""
        if served.credential is None:
            raise AccessError("a pool is opened with a credential", hint="the agent of the client's host signs it")
        key = (served.client, served.stamp, served.credential)
        known = self._verified.pop(key, None)
        if known is None:
            known = self._verifier.verify(served.credential, pool=pool)
        self._verified[key] = known
        if len(self._verified) > VERIFIED_MAX:
            del self._verified[next(iter(self._verified))]
        return known

    def places(self, state: PoolState) -> list[TargetPlace]:
        """Return where the targets of a pool are, in their order."""
        members = self._members.ranks
        places = []
        for rank in state.map.ranks.values():
            member = members.get(rank.rank)
            addresses = member.targets if member is not None else ()
            if len(addresses) < len(rank.targets):
                raise UnavailableError(f"it is not known where the targets of rank {rank.rank} are", code=DER.UNREACH)
            places += [TargetPlace(rank.rank, index, addresses[index]) for index in range(len(rank.targets))]
        return places

    async def scrubbed(self, state: PoolState, pool: str, properties: Mapping[str, str | int]) -> ScrubReply:
        """Return how a pool is scrubbed, and what its ranks found."""
        return scrubbing.together(properties, await scrubbing.ask_ranks(self._ranks, pool, state.map.in_use()))

    async def everywhere(
        self, state: PoolState, request: AnyPeer, answer: type[T], *, timeout_s: float = peers.ASK_S_MAX
    ) -> list[T]:
        """Return what all ranks of a pool answer.

        Raises:
            DaosError: What one of them refuses it with, or that it is not there.
        """
        asked = [self._ranks.on(rank, request, answer, timeout_s=timeout_s) for rank in state.map.in_use()]
        return list(await asyncio.gather(*asked))


def _of(uuid_bytes: bytes | None) -> uuid.UUID:
    if uuid_bytes is None:
        raise ClosedError("the request has no handle", hint="connect to the pool first")
    return uuid.UUID(bytes=uuid_bytes)


class _Request:
    """One request of a client, at a replica that may lead."""

    def __init__(self, clients: Clients, service: PoolService, served: Served) -> None:
        self._clients, self._service, self._served = clients, service, served
        self._client = str(uuid.UUID(bytes=served.client))

    @property
    def _handle(self) -> str:
        return str(_of(self._served.handle))

    @property
    def _access(self) -> Access:
        try:
            return Access(self._served.access)
        except ValueError:
            raise InvalidError(f"there is no access {self._served.access}", hint="1, 2 or 4") from None

    async def _do(self, command: AnyCommand) -> Outcome:
        """Have a command agreed on, and done by all that have to do something for it."""
        request = RequestId(self._client, self._served.stamp)
        return _checked(await done_by_all(self._service, command, request, timeout_s=CLIENT_S_MAX))

    async def _ask(self, query: Callable[[PoolState], T]) -> T:
        return await self._service.host.query(query, timeout_s=CLIENT_S_MAX)

    def _known(self) -> Outcome | None:
        """Return the outcome of this request, if it was done before."""
        kept = self._service.state.outcomes.kept.get(f"{self._client}/{self._served.stamp}")
        return None if kept is None else kept.outcome

    async def run(self, ask: asks.AnyAsk) -> object:  # noqa: C901, PLR0911, PLR0912 -- a line for each request
        """Do what is asked and return the reply."""
        match ask:
            case asks.PoolConnect():
                return await self._connect()
            case asks.PoolDisconnect():
                whose = RequestId(self._client, self._served.stamp)
                _checked(await close_handle(self._service, self._handle, whose, timeout_s=CLIENT_S_MAX))
                return None
            case asks.PoolChange() | asks.PoolScrubStatus():
                return await self._scrub(ask)
            case asks.ContainerList():
                found = await self._ask(lambda state: queries.containers(state, self._handle))
                return [Named(uuid.UUID(each.uuid).bytes, each.label or "") for each in found]
            case asks.ContainerCreate():
                return await self._create(ask)
            case asks.ContainerOpen():
                return await self._open(ask.container)
            case asks.ContainerCloseAll():
                closed = tuple(str(_of(handle)) for handle in ask.handles)
                await self._do(container_open.ContainerCloseAll(handles=closed))
                return None
            case asks.ContainerDestroy() | asks.ContainerRemove():
                force = isinstance(ask, asks.ContainerRemove) and ask.force
                await self._do(ContainerDestroy(handle=self._handle, container=ask.container, force=force))
                return None
            case asks.ContainerSetLabel():
                changed = {"label": ask.label}
                await self._do(container_settings.ContainerSetProperties(handle=self._handle, properties=changed))
                return None
            case asks.ContainerAllocOids():
                outcome = await self._do(snapshots.AllocateOids(handle=self._handle, count=ask.count))
                return outcome.value(snapshots.OidRange).first
            case asks.ContainerAggregate():
                container = await self._opened(Permission.w, "aggregate it")
                request = peers.Aggregate(pool=self._service.pool, container=container.uuid)
                counts = await self._clients.everywhere(self._service.state, request, int, timeout_s=AGGREGATE_S_MAX)
                return sum(counts)
            case asks.SnapshotCreate():
                return await self._snapshot(ask.name)
            case asks.SnapshotList():
                listed = await self._ask(lambda state: queries.snapshots(state, self._handle))
                return [(each.epoch, each.name) for each in listed]
            case asks.SnapshotCheck():
                listed = await self._ask(lambda state: queries.snapshots(state, self._handle))
                _find(listed, ask.epoch)
                return None
            case asks.SnapshotDestroy():
                return await self._destroy_snapshots(ask.first, ask.last)
            case asks.SnapshotRollback():
                await self._rollback(ask.epoch)
                return None
            case asks.AttributeSet() | asks.AttributeRemove() | asks.AttributeGet() | asks.AttributeList():
                return await self._attributes(ask)
            case asks.PoolQuery() | asks.PoolQueryTargets():
                return await self._query(ask)
            case asks.PoolPlaces():
                return await self._ask(lambda state: (state.handle_of(self._handle), _targets(state))[1])
            case asks.ContainerQuery() | asks.ContainerGetAcl():
                return await self._container_query(ask)
            case (
                asks.ContainerOverwriteAcl()
                | asks.ContainerUpdateAcl()
                | asks.ContainerDeleteAcl()
                | asks.ContainerSetOwner()
            ):
                await self._do(container_change(self._handle, ask))
                return None
            case asks.ContainerEvict():
                outcome = await self._do(
                    container_open.ContainerEvict(handle=self._handle, container=ask.container, everybody=ask.everybody)
                )
                return outcome.value(Evicted).count
            case asks.Ping():
                raise InvalidError("an engine is asked for this, not the service of a pool", code=DER.NOSYS)
            case asks.HandlePresent() | asks.Other():
                raise InvalidError("a handle is presented to the engine that refused it, and one request holds one")

    # Opening

    async def _connect(self) -> PoolReply:
        credential = self._clients.verify(self._served, self._service.pool)
        opened = _of(self._served.opens)
        await self._do(handles.Connect(handle=str(opened), credential=credential, access=self._access))
        state = self._service.state
        return PoolReply(
            handle=handle_number(opened.bytes),
            uuid=self._served.pool,
            label=state.label or "",
            props=b"\x80",
            map_version=state.map.version,
            targets=self._clients.places(state),
        )

    async def _create(self, ask: asks.ContainerCreate) -> ContainerReply:
        made = _of(self._served.makes)
        properties = ContainerProperties.decode(ask.props)
        if int(properties.values["rd_fac"]):
            raise InvalidError(
                f"rd_fac {properties.values['rd_fac']}: redundancy over several engines is not there yet",
                code=DER.NOTSUPPORTED,
                hint="rd_fac 0",
            )
        opened = _of(self._served.opens)
        outcome = await self._do(
            ContainerCreate(
                handle=self._handle,
                uuid=str(made),
                label=ask.label,
                layout=properties.layout,
                properties=properties.values,
                opens=str(opened),
                access=self._access,
            )
        )
        result = outcome.value(ContainerCreated)
        if not result.opened:
            raise DecidedError(ClosedError("the pool handle was evicted meanwhile", hint="connect again"))
        return self._opened_as(opened, result.uuid, result.properties)

    async def _open(self, reference: str) -> ContainerReply:
        opened = _of(self._served.opens)
        outcome = await self._do(
            container_open.ContainerOpen(
                handle=self._handle, container=reference, uuid=str(opened), access=self._access
            )
        )
        result = outcome.value(container_open.Opened)
        return self._opened_as(opened, result.uuid, result.properties)

    def _opened_as(self, handle: uuid.UUID, container: str, stored: bytes) -> ContainerReply:
        known = self._service.state.containers.get(container)
        return ContainerReply(
            handle=handle_number(handle.bytes),
            uuid=uuid.UUID(container).bytes,
            label="" if known is None else known.label or "",
            props=stored,
            checksums=Summing(*ContainerProperties.decode(stored).checksums),
        )

    async def _opened(self, need: Permission, what: str) -> Container:
        return await self._ask(lambda state: state.opened(self._handle, "", need, what))

    # Pools

    async def _scrub(self, ask: asks.PoolChange | asks.PoolScrubStatus) -> ScrubReply | None:
        if isinstance(ask, asks.PoolChange):
            raise AccessError("properties of a pool are its administrator's", hint="dmg pool set-prop changes them")
        values = await self._ask(lambda state: (state.handle_of(self._handle), dict(state.properties))[1])
        return await self._clients.scrubbed(self._service.state, self._service.pool, values)

    async def _query(self, ask: asks.PoolQuery | asks.PoolQueryTargets) -> object:
        """Return what an administrator is told as well: whoever has opened the pool may know."""
        await self._ask(lambda state: state.handle_of(self._handle))
        name, arguments = (
            ("pool", {"space": ask.space})
            if isinstance(ask, asks.PoolQuery)
            else ("targets", {"rank": ask.rank, "targets": ask.targets})
        )
        request = PoolRequest(
            pool=self._service.pool, kind="query", name=name, arguments=msgspec.msgpack.encode(arguments)
        )
        told = await self._clients.administrators.answer(request)
        if isinstance(ask, asks.PoolQuery):
            return msgspec.Raw(told)
        return [
            {"index": target.index, "state": STATES[target.state], "tiers": target.tiers}
            for target in _packed.decode(told, list[PoolTarget])
        ]

    # Containers

    async def _container_query(self, ask: asks.ContainerQuery | asks.ContainerGetAcl) -> dict[str, object]:
        if isinstance(ask, asks.ContainerGetAcl):
            acl, owner, group = await self._ask(lambda state: queries.container_acl(state, self._handle))
            return {"entries": acl.lines(), "owner": owner, "group": group}

        def told(state: PoolState) -> dict[str, object]:
            container = queries.container(state, self._handle)
            return {
                "handles": queries.open_handles(state, container),
                "created": container.created,
                "opened": container.opened,
                "healthy": not state.unclean(container),
                "owner": container.owner,
                "group": container.group,
            }

        return await self._ask(told)

    async def _attributes(
        self, ask: asks.AttributeSet | asks.AttributeRemove | asks.AttributeGet | asks.AttributeList
    ) -> object:
        """Change or read attributes: the handle tells whether of the pool or of a container."""
        of_pool = self._handle in self._service.state.handles

        def table(state: PoolState) -> dict[str, bytes]:
            if of_pool:
                state.handle_of(self._handle)
                return state.attributes
            return state.opened(self._handle, "", Permission.r | Permission.t, "read attributes").attributes

        match ask:
            case asks.AttributeSet():
                items = dict(ask.items)
                await self._do(
                    settings.SetAttributes(handle=self._handle, attributes=items)
                    if of_pool
                    else container_settings.ContainerSetAttributes(handle=self._handle, attributes=items)
                )
                return None
            case asks.AttributeRemove():
                names = tuple(ask.names)
                outcome = await self._do(
                    settings.DeleteAttributes(handle=self._handle, names=names)
                    if of_pool
                    else container_settings.ContainerDeleteAttributes(handle=self._handle, names=names)
                )
                # As it was when they were deleted, also for whoever lost the answer and sends it again.
                return outcome.value(settings.AttributesDeleted).count
            case asks.AttributeGet():
                return await self._ask(lambda state: [table(state).get(name) for name in ask.names])
            case asks.AttributeList():
                return await self._ask(lambda state: sorted(table(state)))

    # Snapshots

    async def _snapshot(self, name: str | None) -> int:
        """Take a snapshot: of all that was acknowledged before, on all ranks."""
        known = self._known()
        if known is not None:
            return _checked(known).value(SnapshotEntry).epoch
        container = await self._opened(Permission.w, "create snapshots")
        # What the ranks hold is the whole list: one at a time changes it.
        async with self._service.snapshots.setdefault(container.uuid, asyncio.Lock()):
            return await self._snapshot_of(container, name)

    async def _snapshot_of(self, container: Container, name: str | None) -> int:
        state, pool = self._service.state, self._service.pool
        # The ranks' clocks may differ: the epoch is one that none of them has passed and none will give again.
        seen = await self._clients.everywhere(state, peers.PassEpoch(pool=pool, epoch=0), int)
        epoch = max([*seen, *(each.epoch + 1 for each in container.snapshots)])
        epochs = (*(each.epoch for each in container.snapshots), epoch)
        hold = peers.HoldSnapshot(pool=pool, container=container.uuid, epochs=epochs)
        await self._clients.everywhere(state, hold, type(None))
        await self._clients.everywhere(state, peers.PassEpoch(pool=pool, epoch=epoch), int)
        try:
            outcome = await self._do(snapshots.SnapshotCreate(handle=self._handle, epoch=epoch, name=name))
        except DecidedError:
            # It is none: the ranks need not keep it.
            release = peers.HoldSnapshot(pool=pool, container=container.uuid, epochs=epochs[:-1])
            with contextlib.suppress(DaosError):
                await self._clients.everywhere(state, release, type(None))
            raise
        return outcome.value(SnapshotEntry).epoch

    async def _destroy_snapshots(self, first: int, last: int) -> int:
        listed = await self._ask(lambda state: queries.snapshots(state, self._handle))
        known = self._known()
        if known is not None:
            # It came before, and its answer was lost: they are gone by it.
            return _checked(known).value(snapshots.SnapshotsDestroyed).count
        chosen = [each.epoch for each in listed if first <= each.epoch <= last]
        if not chosen:
            what = f"at epoch {first:#x}" if first == last else f"from epoch {first:#x} to {last:#x}"
            raise NotFoundError(f"there is no snapshot {what}", hint="list the snapshots")
        # Each is a command of its own. The last one is the request's: it tells all of them to whoever sends it again.
        for epoch in chosen[:-1]:
            command = snapshots.SnapshotDestroy(handle=self._handle, epoch=epoch)
            _checked(await self._service.submit(command, timeout_s=CLIENT_S_MAX))
        command = snapshots.SnapshotDestroy(handle=self._handle, epoch=chosen[-1], told=len(chosen))
        request = RequestId(self._client, self._served.stamp)
        outcome = _checked(await self._service.submit(command, request, timeout_s=CLIENT_S_MAX))
        return outcome.value(snapshots.SnapshotsDestroyed).count

    async def _rollback(self, epoch: int) -> None:
        container = await self._opened(Permission.w, "roll it back")
        _find(container.snapshots, epoch)
        request = peers.Rollback(pool=self._service.pool, container=container.uuid, epoch=epoch)
        await self._clients.everywhere(self._service.state, request, type(None), timeout_s=AGGREGATE_S_MAX)


def _targets(state: PoolState) -> list[tuple[int, int]]:
    return [(rank.rank, index) for rank in state.map.ranks.values() for index in range(len(rank.targets))]


def _checked(outcome: Outcome) -> Outcome:
    try:
        outcome.check()
    except DaosError as error:
        raise DecidedError(error) from None
    return outcome


def _find(listed: list[SnapshotEntry], epoch: int) -> None:
    if all(each.epoch != epoch for each in listed):
        raise NotFoundError(f"epoch {epoch:#x} is no snapshot of the container", hint="list the snapshots")
