"""The superblock: what is written is read, and what is damaged, foreign or newer is refused and left."""

from __future__ import annotations

from pathlib import Path

import pytest

from daos import errors
from daos.server import superblock
from daos.server.superblock import Superblock

UUID = "6b0ac2f5-7a4f-4e3c-8a76-1a3d5b9c0001"
BLOCK = Superblock(uuid=UUID, system="daos_server", rank=3, domain=("rack", "host"))


def test_it_is_yaml_and_comes_back(tmp_path: Path) -> None:
    assert superblock.read(tmp_path) is None
    assert superblock.read(tmp_path / "absent") is None
    superblock.write(tmp_path, BLOCK)
    assert superblock.read(tmp_path) == BLOCK
    assert (tmp_path / "superblock").read_text().splitlines()[:4] == [
        "version: 1",
        f"uuid: {UUID}",
        "system: daos_server",
        "rank: 3",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["superblock"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "version: [",
        "- a\n- b",
        f"version: 1\nuuid: {UUID}",
        f"version: 1\nuuid: {UUID}\nsystem: s\nmore: 1",
        "version: 1\nuuid: none\nsystem: s",
        f"version: 1\nuuid: {UUID}\nsystem: s\nrank: three",
        "\x00\x01\x02",
        "version: !!python/object:os.system {}",
    ],
)
def test_a_damaged_one_is_told_and_left(tmp_path: Path, text: str) -> None:
    (tmp_path / "superblock").write_text(text)
    with pytest.raises(errors.CorruptionError, match="superblock"):
        superblock.read(tmp_path)
    assert (tmp_path / "superblock").read_text() == text


def test_a_newer_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "superblock").write_text("version: 2\nunknown: true")
    with pytest.raises(errors.InvalidError) as newer:
        superblock.read(tmp_path)
    assert newer.value.code is errors.DER.DF_INCOMPT


def test_a_place_that_takes_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(errors.UnavailableError, match="cannot write"):
        superblock.write(tmp_path / "absent", BLOCK)
