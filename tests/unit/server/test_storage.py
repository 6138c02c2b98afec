"""Storage: what a format makes, refuses and leaves; what an erasure deletes; what a scan finds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from daos import errors
from daos.errors import DER
from daos.server import storage, superblock
from daos.server.settings import EngineSettings, TierSettings
from tests.unit.server.fakes import engine_settings

MIB = 1 << 20
FILE_BYTES = 64 * MIB


@pytest.fixture
def engine(tmp_path: Path) -> EngineSettings:
    mount = tmp_path / "scm"
    return engine_settings(
        mount,
        targets=2,
        port=20000,
        tiers=(
            TierSettings("ram", mount=mount, size=1 << 30),
            TierSettings("file", devices=(str(tmp_path / "disks" / "one"),), size=FILE_BYTES, roles=("data",)),
        ),
    )


def make(engine: EngineSettings, *, force: bool = False, again: bool = False) -> list[errors.DaosError | None]:
    results = storage.format_engine(engine, system="s", domain=("h",), force=force, replace=again)
    return [result.error for result in results]


def test_a_format_makes_directory_file_and_superblock(engine: EngineSettings) -> None:
    assert make(engine) == [None, None]
    block = superblock.read(engine.metadata)
    assert block is not None
    assert (block.system, block.rank, block.domain, block.replace) == ("s", None, ("h",), False)
    disk = Path(engine.tiers[1].devices[0])
    assert (disk.stat().st_size, disk.stat().st_mode & 0o777) == (FILE_BYTES, 0o600)
    assert storage.capacity(engine) == (1 << 30, FILE_BYTES)
    log = replace(engine.tiers[1], roles=("wal", "meta"))
    assert storage.capacity(replace(engine, tiers=(engine.tiers[0], log))) == (1 << 30, 0)


def test_formatted_storage_is_formatted_again_by_force_only(engine: EngineSettings) -> None:
    make(engine)
    (engine.metadata / "shards").mkdir()
    (engine.metadata / "shards" / "vos-0").write_text("data")
    (engine.metadata / "control_raft").mkdir()
    first = superblock.read(engine.metadata)
    again = make(engine)
    assert [type(error) for error in again] == [errors.ExistsError, errors.ExistsError]
    assert again[0] is not None
    assert again[0].code is DER.ALREADY
    assert (engine.metadata / "shards" / "vos-0").read_text() == "data"
    assert make(engine, force=True, again=True) == [None, None]
    second = superblock.read(engine.metadata)
    assert first is not None
    assert second is not None
    assert second.uuid != first.uuid
    assert second.replace
    assert sorted(path.name for path in engine.metadata.iterdir()) == ["control_raft", "superblock"]


@pytest.mark.parametrize("place", ["directory", "file"])
def test_what_is_not_ours_is_not_touched(engine: EngineSettings, place: str) -> None:
    foreign = engine.metadata / "thesis.tex" if place == "directory" else Path(engine.tiers[1].devices[0])
    foreign.parent.mkdir()
    foreign.write_text("dear")
    errors_told = [error for error in make(engine) if error is not None]
    assert [type(error) for error in errors_told] == [errors.BusyError]
    assert "not empty" in errors_told[0].message
    assert foreign.read_text() == "dear"
    assert superblock.read(engine.metadata) is None
    assert not Path(engine.tiers[1].devices[0]).exists() or place == "file"


def test_force_does_not_follow_links_out_of_the_directory(engine: EngineSettings, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    engine.metadata.mkdir()
    (engine.metadata / "link").symlink_to(outside)
    assert make(engine, force=True) == [None, None]
    assert (outside / "kept").exists()
    assert not (engine.metadata / "link").is_symlink()


def test_a_format_that_fails_leaves_no_superblock(engine: EngineSettings, tmp_path: Path) -> None:
    make(engine)
    (tmp_path / "blocked").write_text("a file")
    tiers = (engine.tiers[0], replace(engine.tiers[1], devices=(str(tmp_path / "blocked" / "one"),)))
    told = make(replace(engine, tiers=tiers), force=True)
    assert told[0] is None
    assert isinstance(told[1], errors.UnavailableError)
    assert superblock.read(engine.metadata) is None


def test_devices_that_are_not_there_are_told(engine: EngineSettings, tmp_path: Path) -> None:
    for tier in (
        TierSettings("kdev", devices=(str(tmp_path / "none"),)),
        TierSettings("nvme", devices=("0000:81:00.0",)),
    ):
        told = make(replace(engine, tiers=(engine.tiers[0], tier)))
        assert [type(error) for error in told] == [errors.NotFoundError]
    small = replace(engine.tiers[1], size=1)
    assert isinstance(make(replace(engine, tiers=(engine.tiers[0], small)))[1], errors.InvalidError)


def test_an_erasure_leaves_the_servers_own(engine: EngineSettings) -> None:
    make(engine)
    for name in ("control_raft", "server_fence", "shards"):
        (engine.metadata / name).mkdir()
    disk = Path(engine.tiers[1].devices[0])
    disk.write_bytes(b"x" * 2 * MIB)
    storage.erase(engine)
    assert [path.name for path in engine.metadata.iterdir()] == ["control_raft"]
    assert disk.read_bytes() == bytes(MIB) + b"x" * MIB
    storage.erase(engine)
    disk.unlink()
    storage.erase(engine)


def test_a_pci_address_is_a_device_of_the_kernel(tmp_path: Path) -> None:
    entry = tmp_path / "bus/pci/devices/0000:81:00.0/nvme/nvme3/nvme3n1"
    entry.mkdir(parents=True)
    assert storage.path_of("nvme", "0000:81:00.0", sys=tmp_path) == Path("/dev/nvme3n1")
    assert storage.path_of("nvme", "0000:82:00.0", sys=tmp_path) is None
    assert storage.path_of("nvme", "/dev/nvme0n1", sys=tmp_path) == Path("/dev/nvme0n1")
    assert storage.path_of("kdev", "/dev/sda", sys=tmp_path) == Path("/dev/sda")


def block_device(
    sys: Path, name: str, size: int, *, parts: tuple[str, ...] = (), holders: tuple[str, ...] = ()
) -> None:
    entry = sys / "class/block" / name
    entry.mkdir(parents=True)
    (entry / "size").write_text(f"{size // 512}\n")
    for part in parts:
        (entry / part).mkdir()
        (entry / part / "partition").write_text("1")
    for holder in holders:
        (entry / "holders" / holder).mkdir(parents=True)


def test_a_scan_lists_devices_that_nobody_uses(engine: EngineSettings, tmp_path: Path) -> None:
    sys = tmp_path / "sys"
    block_device(sys, "nvme0n1", 1 << 40)
    block_device(sys, "sda", 1 << 40, parts=("sda1",))
    block_device(sys, "sdb", 1 << 40, holders=("dm-0",))
    block_device(sys, "sdc", 1 << 40)
    block_device(sys, "loop0", 1 << 30)
    block_device(sys, "pmem0", 1 << 38)
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/sdc /data ext4 rw 0 0\n")
    found = storage.block_devices(sys, mounts)
    assert [(device.address, device.media, device.storage_class) for device in found] == [
        ("/dev/nvme0n1", "nvme", "nvme"),
        ("/dev/pmem0", "scm", "dcpm"),
    ]
    make(engine)
    scanned = storage.scan((engine,), sys=sys)
    assert [(device.address, device.formatted) for device in scanned if device.engine == 0] == [
        (str(engine.metadata), True),
        (engine.tiers[1].devices[0], True),
    ]
