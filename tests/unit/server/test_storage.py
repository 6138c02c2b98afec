"""Storage: what a format makes, refuses and leaves; what an erasure deletes; what a scan finds."""

from __future__ import annotations

import fcntl
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from daos import _core, errors
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
    found = _core.device_inspect(str(disk))
    assert found == (block.uuid, "s", 0, 1, ["data"], FILE_BYTES)


def test_capacity_is_that_of_what_each_tier_is_for(engine: EngineSettings) -> None:
    def of(*roles: tuple[str, ...]) -> tuple[int, int]:
        devices = (replace(engine.tiers[1], size=FILE_BYTES * (index + 1), roles=of) for index, of in enumerate(roles))
        return storage.capacity(replace(engine, tiers=(engine.tiers[0], *devices)))

    assert of(("wal",), ("meta",), ("data",)) == (2 * FILE_BYTES, 3 * FILE_BYTES)
    assert of(("wal", "meta"), ("data",)) == (FILE_BYTES, 2 * FILE_BYTES)
    assert of(("wal", "meta", "data")) == (1 << 30, FILE_BYTES)
    assert of((), ()) == (1 << 30, 3 * FILE_BYTES)


def test_devices_are_counted_over_all_tiers_and_data_lies_by_target(engine: EngineSettings, tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in "abc"]
    tiers = (
        engine.tiers[0],
        TierSettings("file", devices=(names[0],), size=FILE_BYTES, roles=("wal", "meta")),
        TierSettings("file", devices=tuple(names[1:]), size=FILE_BYTES, roles=("data",)),
    )
    engine = replace(engine, targets=5, tiers=tiers)
    assert [(slot.index, slot.roles, slot.targets) for slot in storage.slots(engine)] == [
        (0, ("wal", "meta"), (0, 1, 2, 3, 4)),
        (1, ("data",), (0, 2, 4)),
        (2, ("data",), (1, 3)),
    ]
    assert make(engine) == [None] * 4
    told = [_core.device_inspect(name) for name in names]
    assert [None if one is None else one[1:5] for one in told] == [
        ("s", 0, 3, ["meta", "wal"]),
        ("s", 1, 3, ["data"]),
        ("s", 2, 3, ["data"]),
    ]


def test_a_device_of_another_engine_is_refused_and_told_of(engine: EngineSettings, tmp_path: Path) -> None:
    make(engine)
    block = superblock.read(engine.metadata)
    assert block is not None
    other = replace(engine, metadata=tmp_path / "other", tiers=(replace(engine.tiers[0], mount=tmp_path / "other"),))
    other = replace(other, tiers=(*other.tiers, engine.tiers[1]))
    (refused,) = [error for error in make(other) if error is not None]
    assert f"device 0 of 1 of the storage {block.uuid} of system s" in refused.message
    (slot,) = storage.slots(engine)
    assert storage.state_of(slot, block.uuid) == ("NORMAL", FILE_BYTES)
    assert make(other, force=True) == [None, None]
    assert storage.state_of(slot, block.uuid) == ("NEW", FILE_BYTES)
    storage.erase(other)
    assert _core.device_inspect(engine.tiers[1].devices[0]) is None
    damaged = Path(engine.tiers[1].devices[0])
    damaged.write_bytes(b"DAOSDEV\0" + bytes(FILE_BYTES - 8))
    assert storage.state_of(slot, block.uuid) == ("EVICTED", FILE_BYTES)
    assert "damaged" in next(error for error in make(other) if error is not None).message
    damaged.unlink()
    assert storage.state_of(slot, block.uuid) == ("UNPLUGGED", 0)


def test_a_format_that_fails_at_a_device_leaves_none_with_a_superblock(engine: EngineSettings, tmp_path: Path) -> None:
    names = (str(tmp_path / "a"), str(tmp_path / "b"))
    devices = TierSettings("file", devices=names, size=FILE_BYTES, roles=("data",))
    engine = replace(engine, tiers=(engine.tiers[0], devices))
    assert storage.prepare(engine, force=False)[-1].error is None
    with Path(names[1]).open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (wrong,) = storage.label(engine, system="s", name=str(uuid.uuid4()))
    assert isinstance(wrong.error, errors.BusyError)
    assert wrong.address == names[1]
    assert [_core.device_inspect(name) for name in names] == [None, None]


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
        assert told[0] is not None
        assert told[0].hint is not None
        assert ("modprobe nvme" in told[0].hint) == (tier.storage_class == "nvme")
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
