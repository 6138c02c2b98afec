from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.unit.cli.dmg.conftest import Dmg

METRICS = b"""# HELP engine_started_at When the engine started
# TYPE engine_started_at gauge
engine_started_at{rank="0"} 1.5
engine_started_at{rank="1"} 2
# HELP engine_events_total Events
# TYPE engine_events_total counter
engine_events_total 7
# HELP odd Not a number
# TYPE odd gauge
odd NaN
"""


class _Metrics(BaseHTTPRequestHandler):
    body = METRICS

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/metrics" else 404)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name is given
        """Say nothing."""


class _Garbage(_Metrics):
    body = b"\xff{{{ no metrics"


@pytest.fixture(params=[_Metrics])
def exporter(request: pytest.FixtureRequest) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), request.param) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join(20)


def test_the_list(dmg: Dmg, exporter: int) -> None:
    dmg.address = f"127.0.0.1:{exporter}"
    told = dmg("telemetry", "metrics", "list", "-l", "127.0.0.1", "-p", str(exporter))
    assert told.status == 0
    assert told.text.splitlines()[0] == "connecting to 127.0.0.1:PORT..."
    rows = [line.split(maxsplit=2) for line in told.text.splitlines()[3:6]]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["engine_started_at", "Gauge", "When the engine started"],
        ["engine_events", "Counter", "Events"],
        ["odd", "Gauge", "Not a number"],
    ]
    listed = dmg("telem", "metrics", "ls", "-l", f"127.0.0.1:{exporter}", "-j").json["response"]
    assert listed == {
        "hosts": {
            "127.0.0.1:PORT": {
                "available_metric_sets": [
                    {"name": "engine_started_at", "description": "When the engine started", "type": "gauge"},
                    {"name": "engine_events", "description": "Events", "type": "counter"},
                    {"name": "odd", "description": "Not a number", "type": "gauge"},
                ]
            }
        }
    }


def test_a_query(dmg: Dmg, exporter: int) -> None:
    where = ("-l", f"127.0.0.1:{exporter}")
    dmg.address = f"127.0.0.1:{exporter}"
    text = dmg("telemetry", "metrics", "query", *where, "-m", "engine_events_total,engine_started_at").text
    assert "- Metric Set: engine_events (Type: Counter)\n  Events\n" in text
    assert "engine_started_at (rank=0) 1.5" in text
    assert "odd" not in text
    told = dmg("telemetry", "metrics", "query", *where, "-j").json["response"]
    assert isinstance(told, dict)
    sets = told["hosts"]["127.0.0.1:PORT"]["metric_sets"]
    assert sets[0]["metrics"] == [
        {"name": "engine_started_at", "labels": {"rank": "0"}, "value": 1.5},
        {"name": "engine_started_at", "labels": {"rank": "1"}, "value": 2},
    ]
    assert sets[2]["metrics"][0]["value"] == "nan"
    unknown = dmg("telemetry", "metrics", "query", *where, "-m", "foo")
    assert 'there is no metric "foo": DER_METRIC_NOT_FOUND(-1043)' in unknown.errors


def test_the_hosts_are_those_of_the_configuration(dmg: Dmg, exporter: int) -> None:
    dmg.hosts = ("127.0.0.1:10001", "127.0.0.1:10002")
    dmg.address = f"127.0.0.1:{exporter}"
    assert dmg("telemetry", "metrics", "list", "-p", str(exporter)).text.count("connecting to") == 1


def test_nobody_there(dmg: Dmg) -> None:
    told = dmg("telemetry", "metrics", "list", "-l", "127.0.0.1:1")
    assert "unable to collect metrics from 127.0.0.1:1: Connection refused: DER_UNREACH(-1006)" in told.errors
    assert told.status == 1


@pytest.mark.parametrize("exporter", [_Garbage], indirect=True)
def test_no_metrics(dmg: Dmg, exporter: int) -> None:
    told = dmg("telemetry", "metrics", "list", "-l", f"127.0.0.1:{exporter}")
    assert "gives are no metrics" in told.errors
    assert told.status == 1
