"""The metrics of a server and its engines, for Prometheus."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from wsgiref.simple_server import WSGIServer

import msgspec
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from daos._packed import decode
from daos.errors import DER, DaosError, UnavailableError
from daos.local import Space
from daos.server.node import Server

ASK_S = 5.0
"""How often the engines are asked."""
ASK_S_MAX = 3.0
TIERS = ("scm", "nvme")


class Telemetry:
    """Serves `/metrics`. What is served was gathered a few seconds ago: a slow engine holds up nobody.

    Args:
        server: Whose metrics.
        version: Of the software.
    """

    def __init__(self, server: Server, version: str) -> None:
        self._server, self._version = server, version
        self._metrics: tuple[Metric, ...] = ()
        self._http: WSGIServer | None = None
        self._thread: threading.Thread | None = None
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield what was gathered last; Prometheus' registry calls it."""
        yield from self._metrics

    def describe(self) -> list[Metric]:
        """Return nothing: metrics are known when they are gathered."""
        return []

    def start(self, address: str, port: int) -> int:
        """Serve, and return the port.

        Raises:
            UnavailableError: `DER.UNREACH`: the port is in use.
        """
        try:
            self._http, self._thread = start_http_server(port, addr=address, registry=self._registry)
        except OSError as error:
            raise UnavailableError(
                f"cannot serve metrics on port {port}: {error.strerror}", code=DER.UNREACH, hint="telemetry_port"
            ) from None
        return int(self._http.server_port)

    def stop(self) -> None:
        """Serve no more."""
        if self._http is not None and self._thread is not None:
            self._http.shutdown()
            self._http.server_close()
            self._thread.join(timeout=5)

    async def gather(self) -> None:
        """Look at the server, and ask its engines."""
        self._metrics = (*self._of_server(), *await self._of_engines())

    def _of_server(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("server_info", "The release of this server.", labels=["version", "system"])
        info.add_metric([self._version, self._server.settings.system], 1)
        yield info
        leads = GaugeMetricFamily("server_leads", "Whether this server leads the system.")
        host = None if self._server.replica is None else self._server.replica.host
        leads.add_metric([], float(host is not None and host.leads))
        yield leads
        events = CounterMetricFamily("server_ras_events", "RAS events told.", labels=["id"])
        for name, count in self._server.events.counts.items():
            events.add_metric([name], count)
        yield events
        if host is None or not host.leads:
            return
        states: dict[str, int] = {}
        for member in host.state.members.values():
            states[member.state.word] = states.get(member.state.word, 0) + 1
        ranks = GaugeMetricFamily("server_system_ranks", "Ranks of the system, by state.", labels=["state"])
        for word, count in states.items():
            ranks.add_metric([word], count)
        yield ranks
        pools = GaugeMetricFamily("server_system_pools", "Pools of the system.")
        pools.add_metric([], len(host.state.pools))
        yield pools

    async def _of_engines(self) -> list[Metric]:
        rank = ["rank"]
        up = GaugeMetricFamily("engine_up", "Whether the engine has joined.", labels=rank)
        started = GaugeMetricFamily(
            "engine_started_at", "When the engine was started, seconds since 1970.", labels=rank
        )
        starts = CounterMetricFamily("engine_starts", "How often its server has started the engine.", labels=rank)
        labels = ["rank", "tier", "target"]
        total = GaugeMetricFamily("engine_storage_total_bytes", "Bytes of a target's tier.", labels=labels)
        free = GaugeMetricFamily("engine_storage_free_bytes", "Bytes of it that are free.", labels=labels)
        for engine in self._server.engines:
            own = [str(engine.rank) if engine.rank is not None else ""]
            up.add_metric(own, float(engine.state == "Joined"))
            started.add_metric(own, engine.started_at)
            starts.add_metric(own, engine.starts)
            try:
                answer = await engine.call("space", b"\xc0", timeout_s=ASK_S_MAX)
                space = decode(answer, Space)
            except (DaosError, msgspec.DecodeError):
                continue
            for family, tiers in ((total, space.total), (free, space.free)):
                for tier, targets in zip(TIERS, tiers, strict=False):
                    for target, size in enumerate(targets):
                        family.add_metric([*own, tier, str(target)], size)
        gathered = GaugeMetricFamily("server_metrics_gathered_at", "When this was gathered, seconds since 1970.")
        gathered.add_metric([], time.time())
        return [up, started, starts, total, free, gathered]
