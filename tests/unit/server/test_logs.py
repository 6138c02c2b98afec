"""Logs for a collection: which files, and which of their lines."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from daos import errors
from daos.mgmt.logs import PIECE_BYTES_MAX, Span
from daos.server import logs
from daos.server.settings import ServerSettings
from tests.unit.server.fakes import engine_settings, server_settings


def settings(path: Path) -> ServerSettings:
    engine = engine_settings(path, tiers=(), log_file=path / "engine.log")
    return server_settings(path, engine, log_file=path / "server.log")


def read(path: Path, start: int | None = None, end: int | None = None) -> bytes:
    async def all_of() -> bytes:
        return b"".join([piece async for piece in logs.pieces(path, Span(start, end))])

    return asyncio.run(all_of())


def test_kinds_choose_files(tmp_path: Path) -> None:
    def names(*kinds: str, extra: Path | None = None) -> list[str]:
        return [name for name, _ in logs.files(settings(tmp_path), kinds=frozenset(kinds), extra=extra)]

    assert names() == ["control/server.log", "engine0/engine.log"]
    assert names("control") == ["control/server.log"]
    assert names("server") == ["engine0/engine.log"]
    more = tmp_path / "more"
    (more / "deep").mkdir(parents=True)
    (more / "deep" / "a.log").touch()
    (more / "link").symlink_to("/etc/passwd")
    assert names("server", extra=more) == ["engine0/engine.log", "extra/deep/a.log"]
    with pytest.raises(errors.InvalidError, match="no kind of log"):
        names("what")
    for place in (Path("relative"), tmp_path / "absent"):
        with pytest.raises(errors.InvalidError, match="no folder"):
            names(extra=place)


def test_lines_between_two_times(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(
        b"a line before all times\n"
        b"2026-01-01T00:00:00Z one\n"
        b"  more of one\n"
        b"2026-01-01T00:00:10.5+00:00 two\n"
        b"\xff\xfe no text\n"
        b"2026-01-01T00:00:20Z three\n"
    )
    start = 1_767_225_600
    assert read(path) == path.read_bytes()
    assert read(path, start + 5).startswith(b"2026-01-01T00:00:10.5+00:00 two\n\xff\xfe")
    assert read(path, start + 5, start + 15) == b"2026-01-01T00:00:10.5+00:00 two\n\xff\xfe no text\n"
    assert read(path, start + 30) == b""
    assert read(path, None, start) == b"a line before all times\n2026-01-01T00:00:00Z one\n  more of one\n"


def test_pieces_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"x" * (5 << 20))

    async def sizes() -> list[int]:
        return [len(piece) async for piece in logs.pieces(path, Span())]

    assert sum(asyncio.run(sizes())) == 5 << 20
    assert max(asyncio.run(sizes())) <= PIECE_BYTES_MAX
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent")
