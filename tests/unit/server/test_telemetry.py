"""Metrics over HTTP: names, labels, an engine that does not answer, a port that is taken."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path

import msgspec
import pytest

from daos import errors
from daos.errors import DER
from daos.local import Event, Space
from daos.server.engines import Engine, EngineState
from daos.server.node import Server
from daos.server.superblock import Superblock
from daos.server.telemetry import Telemetry
from tests.unit.server.fakes import FakePeers, engine_settings, server_settings


def make(path: Path, engines: int) -> Server:
    each = [engine_settings(path / str(index), index=index, targets=2) for index in range(engines)]
    settings = server_settings(path, *each, address="z:1", replicas=("a:1",))
    return Server(settings, FakePeers(), syslog=False)


def read(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines) if name[0] != "#"}


def test_what_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = make(tmp_path, 2)
    space = msgspec.msgpack.encode(Space(total=((100, 200), (7, 8)), free=((10, 20), (1, 2))))

    async def call(self: Engine, method: str, body: bytes, *, timeout_s: float) -> bytes:
        if self.rank is None:
            raise errors.UnavailableError("not there", code=DER.UNREACH)
        return space

    monkeypatch.setattr(Engine, "call", call)
    first = server.engines[0]
    first.block, first.state, first.starts = Superblock(uuid="u", system="s", rank=4), EngineState.JOINED, 3
    server.tell(Event(id="engine_died", message="m"))
    telemetry = Telemetry(server, "1.2")
    port = telemetry.start("127.0.0.1", 0)
    try:
        assert read(port) == {}
        asyncio.run(telemetry.gather())
        found = read(port)
        with pytest.raises(errors.UnavailableError, match=f"port {port}"):
            Telemetry(server, "1.2").start("127.0.0.1", port)
    finally:
        telemetry.stop()
    assert found.pop("server_metrics_gathered_at") > 1e9
    assert found == {
        'server_info{system="s",version="1.2"}': 1.0,
        "server_leads": 0.0,
        'server_ras_events_total{id="engine_died"}': 1.0,
        'engine_up{rank="4"}': 1.0,
        'engine_up{rank=""}': 0.0,
        'engine_started_at{rank="4"}': 0.0,
        'engine_started_at{rank=""}': 0.0,
        'engine_starts_total{rank="4"}': 3.0,
        'engine_starts_total{rank=""}': 0.0,
        **{
            f'engine_storage_{kind}_bytes{{rank="4",target="{target}",tier="{tier}"}}': float(size)
            for kind, tiers in (("total", ((100, 200), (7, 8))), ("free", ((10, 20), (1, 2))))
            for tier, sizes in zip(("scm", "nvme"), tiers, strict=True)
            for target, size in enumerate(sizes)
        },
    }
