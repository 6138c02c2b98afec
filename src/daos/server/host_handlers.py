"""The requests of the management API about one host: messages in, calls of the server, messages out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from daos._packed import decode
from daos.errors import DaosError, InternalError
from daos.local import DeviceSpace, EnginePool, LogMasks, Space
from daos.mgmt.handlers import Caller
from daos.mgmt.logs import Span
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.server import host, logs, storage
from daos.server.engines import Engine
from daos.server.node import Server

ENGINE_S_MAX = 10.0
T = TypeVar("T")


class ServerApi:
    """What concerns this host, as `daos.mgmt.handlers.ServerHandlers`.

    Args:
        server: This server.
        version: Of the software.
    """

    def __init__(self, server: Server, version: str) -> None:
        self._server, self._version = server, version

    async def storage_scan(self, _request: pb.StorageScanRequest, _caller: Caller) -> pb.StorageScanResponse:
        """Answer `StorageScan`."""
        found = await asyncio.to_thread(storage.scan, self._server.settings.engines)
        return pb.StorageScanResponse(devices=[_device(device) for device in found])

    async def storage_format(self, request: pb.StorageFormatRequest, _caller: Caller) -> pb.StorageFormatResponse:
        """Answer `StorageFormat`."""
        results = await self._server.format(force=request.force, replace=request.replace)
        return pb.StorageFormatResponse(
            results=[
                pb.FormatResult(
                    engine=result.engine,
                    media=result.media,
                    address=result.address,
                    code=0 if result.error is None else result.error.code.value,
                    message="" if result.error is None else result.error.message,
                )
                for result in results
            ]
        )

    async def storage_query_usage(
        self, _request: pb.StorageQueryUsageRequest, _caller: Caller
    ) -> pb.StorageQueryUsageResponse:
        """Answer `StorageQueryUsage`."""
        spaces = await self._each(lambda engine: self._ask(engine, "space", None, Space))
        ranks = []
        for engine, space in spaces:
            tiers = [
                pb.TierUsage(media=media, total=sum(total), free=sum(free), usable=sum(free))
                for media, total, free in zip(("scm", "nvme"), space.total, space.free, strict=False)
            ]
            ranks.append(pb.RankUsage(rank=engine.rank or 0, tiers=tiers))
        return pb.StorageQueryUsageResponse(ranks=ranks)

    async def storage_query_devices(
        self, request: pb.StorageQueryDevicesRequest, _caller: Caller
    ) -> pb.StorageQueryDevicesResponse:
        """Answer `StorageQueryDevices`."""
        devices = []
        for engine in self._server.engines:
            block = engine.block
            if block is None or (request.HasField("rank") and request.rank != engine.rank) or request.evicted:
                continue
            spaces: tuple[DeviceSpace, ...] = ()
            with contextlib.suppress(DaosError):  # one that does not run tells nothing of its space
                spaces = (await self._ask(engine, "space", None, Space)).devices
            for slot in storage.slots(engine.settings):
                # A device has no uuid of its own: this one is the same as long as the storage is.
                name = str(uuid.uuid5(uuid.UUID(block.uuid), slot.address))
                if request.uuid not in ("", name):
                    continue
                state, size = await asyncio.to_thread(storage.state_of, slot, block.uuid)
                space = spaces[slot.index] if slot.index < len(spaces) else None
                devices.append(
                    pb.EngineDevice(
                        uuid=name,
                        address=slot.address,
                        targets=slot.targets,
                        rank=engine.rank or 0,
                        state=state,
                        led="NA",
                        roles=slot.roles,
                        size=size,
                        free=0 if space is None else space.free,
                    )
                )
        return pb.StorageQueryDevicesResponse(devices=devices)

    async def storage_query_pools(
        self, request: pb.StorageQueryPoolsRequest, _caller: Caller
    ) -> pb.StorageQueryPoolsResponse:
        """Answer `StorageQueryPools`."""
        wanted = request.rank if request.HasField("rank") else None
        found = await self._each(lambda engine: self._ask(engine, "pools", None, list[EnginePool]), rank=wanted)
        return pb.StorageQueryPoolsResponse(
            ranks=[
                pb.RankPools(
                    rank=engine.rank or 0,
                    pools=[
                        pb.DevicePool(uuid=pool.uuid, targets=pool.targets, tiers=pool.tiers)
                        for pool in pools
                        if request.uuid in ("", pool.uuid)
                    ],
                )
                for engine, pools in found
            ]
        )

    async def network_scan(self, request: pb.NetworkScanRequest, _caller: Caller) -> pb.NetworkScanResponse:
        """Answer `NetworkScan`."""
        interfaces = [_interface(one) for one in host.interfaces() if host.serves(one, request.provider)]
        nodes = host.numa_nodes()
        return pb.NetworkScanResponse(
            interfaces=interfaces, numa_nodes=len(nodes), cores_per_numa_node=nodes[0].cores if nodes else 0
        )

    async def generate_config_facts(
        self, _request: pb.GenerateConfigFactsRequest, _caller: Caller
    ) -> pb.GenerateConfigFactsResponse:
        """Answer `GenerateConfigFacts`."""
        devices = await asyncio.to_thread(storage.scan, self._server.settings.engines)
        nodes = host.numa_nodes()
        return pb.GenerateConfigFactsResponse(
            hostname=socket.gethostname(),
            numa_nodes=[pb.NumaNode(index=node.index, cores=node.cores, memory=node.memory) for node in nodes],
            interfaces=[_interface(one) for one in host.interfaces()],
            devices=[_device(device) for device in devices],
            memory=sum(node.memory for node in nodes),
        )

    async def set_log_masks(self, request: pb.SetLogMasksRequest, _caller: Caller) -> pb.SetLogMasksResponse:
        """Answer `SetLogMasks`."""
        body = LogMasks(masks=request.masks, streams=request.streams, subsystems=request.subsystems)
        results = []
        for engine in self._server.engines:
            code, message = 0, ""
            try:
                await self._ask(engine, "log_masks", body, type(None))
            except DaosError as error:
                code, message = error.code.value, error.message
            results.append(pb.EngineResult(engine=engine.settings.index, code=code, message=message))
        return pb.SetLogMasksResponse(results=results)

    async def collect_log(self, request: pb.CollectLogRequest, _caller: Caller) -> AsyncIterator[pb.CollectLogPiece]:
        """Answer `CollectLog`."""
        settings = self._server.settings
        files = logs.files(
            settings,
            kinds=frozenset(request.log_types),
            extra=Path(request.extra_logs_dir) if request.extra_logs_dir else None,
        )
        start = request.start if request.HasField("start") else None
        span = Span(start, request.end if request.HasField("end") else None)
        for name, path in files:
            try:
                async for data in logs.pieces(path, span):
                    yield pb.CollectLogPiece(name=name, data=data)
            except OSError as error:
                yield pb.CollectLogPiece(name=name, error=error.strerror or "it cannot be read")
                if request.stop_on_error:
                    return

    async def version(self, _request: pb.VersionRequest, _caller: Caller) -> pb.VersionResponse:
        """Answer `Version`."""
        return pb.VersionResponse(name="daos_server", version=self._version)

    async def engine_call(self, request: pb.EngineCallRequest, _caller: Caller) -> pb.EngineCallResponse:
        """Answer `EngineCall`."""
        answer = await self._server.engine_call(request.rank, request.method, request.body)
        return pb.EngineCallResponse(body=answer)

    async def server_call(self, request: pb.ServerCallRequest, _caller: Caller) -> pb.ServerCallResponse:
        """Answer `ServerCall`."""
        return pb.ServerCallResponse(body=await self._server.server_call(request.method, request.body))

    async def _each(self, ask: Callable[[Engine], Awaitable[T]], *, rank: int | None = None) -> list[tuple[Engine, T]]:
        """Ask the engines of the host that serve, one of them or all."""
        chosen = [
            engine
            for engine in self._server.engines
            if engine.channel is not None and (rank is None or engine.rank == rank)
        ]
        return [(engine, await ask(engine)) for engine in chosen]

    @staticmethod
    async def _ask(engine: Engine, method: str, body: msgspec.Struct | None, answer: type[T]) -> T:
        raw = await engine.call(method, msgspec.msgpack.encode(body), timeout_s=ENGINE_S_MAX)
        try:
            return decode(raw, answer)
        except msgspec.DecodeError as error:
            raise InternalError(f"engine {engine.settings.index}: {method}: {error}") from None


def _device(device: storage.Device) -> pb.StorageDevice:
    return pb.StorageDevice(
        media=device.media,
        storage_class=device.storage_class,
        address=device.address,
        model=device.model,
        serial=device.serial,
        size=device.size,
        numa_node=device.numa_node,
        engine=device.engine,
        formatted=device.formatted,
        mount=device.address if device.media == "scm" and os.path.ismount(device.address) else "",
    )


def _interface(one: host.Interface) -> pb.NetworkInterface:
    return pb.NetworkInterface(
        name=one.name,
        provider=host.PROVIDER,
        numa_node=one.numa_node,
        net_class=one.net_class,
        speed=one.speed,
        addresses=one.addresses,
    )
