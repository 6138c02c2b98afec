"""What systemd is told."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from daos.server.notify import READY, notify


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(10)
        systemd.bind(str(tmp_path / "s"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "s"))
        assert notify(READY)
        assert systemd.recv(100) == b"READY=1"


@pytest.mark.parametrize("place", ["", "relative", "/absent/s"])
def test_where_nobody_listens_nothing_happens(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", place)
    assert not notify(READY)


def test_a_name_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(10)
        systemd.bind("\0daos-test-notify")
        monkeypatch.setenv("NOTIFY_SOCKET", "@daos-test-notify")
        assert notify(READY)
        assert systemd.recv(100) == b"READY=1"
