"""RAS events: what an administrator should know, a line each in the log and in syslog.

Source: DAOS's public administration guide, on RAS events.
"""

from __future__ import annotations

import logging
import logging.handlers
import socket
import threading
from collections import Counter
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from daos.local.messages import Event

_log = logging.getLogger(__name__)
_SYSLOG = Path("/dev/log")
TEXT_MAX = 1024
"""Of a message in a line."""


class EventType(StrEnum):
    """Whether an event tells of a state that has changed."""

    STATE_CHANGE = "STATE_CHANGE"
    INFO_ONLY = "INFO_ONLY"


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "ERROR"
    WARNING = "WARNING"
    NOTICE = "NOTICE"


_STATE, _INFO = EventType.STATE_CHANGE, EventType.INFO_ONLY
_ERROR, _WARNING, _NOTICE = Severity.ERROR, Severity.WARNING, Severity.NOTICE
UNKNOWN = "unknown_ras_event"
EVENTS = MappingProxyType(
    {
        UNKNOWN: (_INFO, _NOTICE),
        "engine_format_required": (_INFO, _NOTICE),
        "engine_self_terminated": (_INFO, _NOTICE),
        "engine_died": (_STATE, _ERROR),
        "engine_asserted": (_STATE, _ERROR),
        "engine_clock_drift": (_INFO, _ERROR),
        "engine_join_failed": (_INFO, _ERROR),
        "pool_corruption_detected": (_INFO, _ERROR),
        "pool_rebuild_started": (_INFO, _NOTICE),
        "pool_rebuild_finished": (_INFO, _NOTICE),
        "pool_rebuild_failed": (_INFO, _ERROR),
        "pool_replicas_updated": (_STATE, _NOTICE),
        "pool_durable_format_incompatible": (_INFO, _ERROR),
        "container_durable_format_incompatible": (_INFO, _ERROR),
        "rdb_durable_format_incompatible": (_INFO, _ERROR),
        "pool_destroy_deferred": (_INFO, _WARNING),
        "pool_start_failed": (_INFO, _ERROR),
        "swim_rank_alive": (_STATE, _NOTICE),
        "swim_rank_dead": (_STATE, _NOTICE),
        "system_start_failed": (_INFO, _ERROR),
        "system_stop_failed": (_INFO, _ERROR),
        "device_set_faulty": (_INFO, _NOTICE),
        "device_replace": (_INFO, _NOTICE),
        "device_media_error": (_INFO, _ERROR),
        "device_unplugged": (_INFO, _NOTICE),
        "device_plugged": (_INFO, _NOTICE),
        "device_led_set": (_INFO, _NOTICE),
        "device_link_speed_changed": (_INFO, _NOTICE),
        "device_link_width_changed": (_INFO, _NOTICE),
        "system_fabric_provider_changed": (_INFO, _NOTICE),
        "obj_csum_error": (_INFO, _ERROR),
    }
)
"""What there is to tell, with type and severity."""

_LEVELS = {_ERROR: logging.ERROR, _WARNING: logging.WARNING, _NOTICE: logging.INFO}


def line_of(event: Event, *, host: str, pid: int, incarnation: int = 0, now: datetime | None = None) -> str:
    """Return the line of an event, in DAOS's form. What is not known of it is left out."""
    kind, severity = EVENTS.get(event.id, EVENTS[UNKNOWN])
    at = datetime.fromtimestamp(event.time / 1e9, UTC) if event.time else (now or datetime.now(UTC))
    facts = [
        ("id", event.id),
        ("ts", at.isoformat(timespec="milliseconds")),
        ("host", host),
        ("type", kind),
        ("sev", severity),
        ("msg", event.message[:TEXT_MAX]),
        ("pid", str(pid) if pid else ""),
        ("tid", str(threading.get_native_id()) if pid else ""),
        ("rank", "" if event.rank is None else str(event.rank)),
        ("inc", str(incarnation) if incarnation else ""),
        ("pool", event.pool),
        ("container", event.container),
        ("objid", event.object),
    ]
    told = " ".join(f"{name}: [{_plain(fact)}]" for name, fact in facts if fact)
    return f"&&& RAS EVENT {told}"


def _plain(fact: str) -> str:
    """Return a fact that makes no line or field of its own."""
    return "".join(letter if letter.isprintable() and letter not in "[]" else " " for letter in fact)


class Events:
    """Tells events: to the log, to syslog where there is one, and counts them.

    Args:
        syslog: Whether to tell syslog.
    """

    def __init__(self, *, syslog: bool = True) -> None:
        self.counts: Counter[str] = Counter()
        self._host = socket.gethostname()
        self._syslog = open_syslog() if syslog else None

    def tell(self, event: Event, *, pid: int = 0, incarnation: int = 0) -> str:
        """Tell an event, and return its line."""
        line = line_of(event, host=self._host, pid=pid, incarnation=incarnation)
        _, severity = EVENTS.get(event.id, EVENTS[UNKNOWN])
        self.counts[event.id if event.id in EVENTS else UNKNOWN] += 1
        _log.log(_LEVELS[severity], "%s", line)
        if self._syslog is not None:
            self._syslog.emit(logging.LogRecord("daos_server", _LEVELS[severity], "", 0, line, None, None))
        return line

    def close(self) -> None:
        """Let go of syslog."""
        if self._syslog is not None:
            self._syslog.close()


def open_syslog() -> logging.handlers.SysLogHandler | None:
    """Return what logs to syslog; None where there is none."""
    if not _SYSLOG.is_socket():
        return None
    try:
        handler = logging.handlers.SysLogHandler(str(_SYSLOG), facility=logging.handlers.SysLogHandler.LOG_DAEMON)
    except OSError as error:
        _log.warning("no syslog: %s", error)
        return None
    handler.setFormatter(logging.Formatter("daos_server: %(message)s"))
    return handler
