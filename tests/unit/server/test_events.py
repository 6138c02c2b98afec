"""RAS events: a line each, in DAOS's form, which no text of an event can break."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

from daos.local import Event
from daos.server.events import EVENTS, Events, line_of


def test_the_line_has_daoss_form() -> None:
    line = line_of(
        Event(id="engine_died", message="killed by SIGKILL", rank=3, pool="p", time=1_700_000_000_000_000_000),
        host="node1",
        pid=0,
        incarnation=7,
    )
    assert line == (
        "&&& RAS EVENT id: [engine_died] ts: [2023-11-14T22:13:20.000+00:00] host: [node1] type: [STATE_CHANGE] "
        "sev: [ERROR] msg: [killed by SIGKILL] rank: [3] inc: [7] pool: [p]"
    )


def test_what_is_not_known_is_left_out() -> None:
    line = line_of(Event(id="device_plugged", message="m"), host="h", pid=5, now=datetime(2026, 1, 1, tzinfo=UTC))
    assert line.startswith(
        "&&& RAS EVENT id: [device_plugged] ts: [2026-01-01T00:00:00.000+00:00] host: [h] type: [INFO_ONLY] "
        "sev: [NOTICE] msg: [m] pid: [5] tid: ["
    )
    assert "rank:" not in line


def test_a_text_makes_no_line_and_no_field() -> None:
    line = line_of(Event(id="engine_died", message="a]\n&&& RAS EVENT id: [x" + "y" * 5000), host="h", pid=0)
    assert "\n" not in line
    assert line.count("id: [") == 1
    assert len(line) < 1500


def test_events_are_logged_by_severity_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    events = Events(syslog=False)
    with caplog.at_level(logging.INFO):
        events.tell(Event(id="engine_died", message="m"))
        events.tell(Event(id="pool_destroy_deferred", message="m"))
        events.tell(Event(id="made_up", message="m"))
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING, logging.INFO]
    assert events.counts == {"engine_died": 1, "pool_destroy_deferred": 1, "unknown_ras_event": 1}
    events.close()
    assert len(EVENTS) == 31
