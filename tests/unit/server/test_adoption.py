"""The mark of an adoption, and how storage is shared out."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from daos import _core  # noqa: TID251 -- numbers of objects are the core's
from daos.client.system import open_system
from daos.control.adopted import Ownership
from daos.errors import DER, BusyError, CorruptionError, DaosError, InvalidError, NoSpaceError, UnavailableError
from daos.server import adopt as module
from daos.server import adoption, storage, superblock
from daos.server.adopt import adopt, shares
from daos.server.adoption import NAME, STORE, Mark, Stage
from daos.server.node import Server
from daos.server.settings import ServerSettings, TierSettings
from tests.unit.server.fakes import FakePeers, engine_settings, server_settings

MARK = Mark(source="/home/ann/my.daos", uuid="00000000-0000-4000-8000-000000000001")


def test_the_move_divides_an_adoption(tmp_path: Path) -> None:
    assert adoption.stage(tmp_path / "nothing") is Stage.NONE
    (tmp_path / STORE).mkdir(parents=True)
    assert adoption.stage(tmp_path) is Stage.NONE
    (tmp_path / STORE).rmdir()
    adoption.write(tmp_path, MARK)
    assert (adoption.stage(tmp_path), adoption.read(tmp_path)) == (Stage.BEFORE, MARK)
    (tmp_path / STORE).mkdir()
    assert adoption.stage(tmp_path) is Stage.MOVED
    adoption.remove(tmp_path)
    adoption.remove(tmp_path)
    assert adoption.stage(tmp_path) is Stage.NONE


def test_a_server_ends_one_that_was_moved_and_does_not_start_before(tmp_path: Path) -> None:
    adoption.settle(tmp_path)
    adoption.write(tmp_path, MARK)
    with pytest.raises(BusyError, match=r"/home/ann/my\.daos into .* was cut short") as refused:
        adoption.settle(tmp_path)
    assert "daos_server adopt /home/ann/my.daos" in (refused.value.hint or "")
    (tmp_path / STORE).mkdir(parents=True)
    adoption.settle(tmp_path)
    assert not (tmp_path / NAME).exists()
    assert (tmp_path / STORE).is_dir()


@pytest.mark.parametrize("data", [b"", b"{", b'{"version": 1}', b'{"source": "\xff", "uuid": ""}', b"[1]"])
def test_a_damaged_mark_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / NAME).write_bytes(data)
    with pytest.raises(CorruptionError) as refused:
        adoption.settle(tmp_path)
    assert refused.value.code is DER.DF_INVAL
    assert (tmp_path / NAME).read_bytes() == data


def test_storage_is_shared_out() -> None:
    assert shares((1000, 0), 3, None) == (333, 0)
    assert shares((1000, 3000), 2, None) == (500, 1500)
    assert shares((1000, 3000), 2, 1000) == (250, 750)
    assert shares((1000, 0), 0, None) == (1000, 0)
    assert shares((0, 0), 2, None) == (0, 0)
    with pytest.raises(NoSpaceError, match="2 pools of"):
        shares((1000, 0), 2, 501)


# Adoptions that fail on the way

OWNER = Ownership(owner="ann@", group="staff@")


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    mount = tmp_path / "scm"
    return server_settings(tmp_path, engine_settings(mount), control=mount / "control_raft", insecure=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "my.daos"
    with open_system(path) as system:
        pool = system.pool("tank", create=True)
        pool.attributes["who"] = b"me"
        pool.container("run", create=True).kv("kv", create=True)["a"] = b"1"
    return path


def refused(settings: ServerSettings, source: Path, kind: type[DaosError]) -> DaosError:
    """Adopt, which is refused: the system is as it was, and nothing is left of the attempt."""
    with pytest.raises(kind) as error:
        adopt(settings, source, OWNER)
    mount = settings.engines[0].metadata
    assert not mount.exists() or not list(mount.iterdir())
    with open_system(source, create=False) as system:
        assert system.pool("tank").container("run").kv("kv")["a"] == b"1"
    return error.value


def test_a_write_that_fails_is_undone(settings: ServerSettings, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(directory: Path, block: object) -> None:
        raise UnavailableError("no room", code=DER.IO)

    with monkeypatch.context() as patch:
        patch.setattr(superblock, "write", full)
        assert refused(settings, source, UnavailableError).message == "no room"

    def torn(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_durably", torn)
        assert "No space left" in refused(settings, source, UnavailableError).message
    adopt(settings, source, OWNER)
    assert not source.exists()


@pytest.mark.parametrize(
    ("number", "kind", "word"),
    [(errno.EXDEV, InvalidError, "different file systems"), (errno.EBUSY, UnavailableError, "cannot move")],
)
def test_a_move_that_fails_is_undone(
    settings: ServerSettings,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[DaosError],
    word: str,
) -> None:
    rename = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if self == source.resolve():
            raise OSError(number, os.strerror(number))
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fails)
        assert word in refused(settings, source, kind).message
    adopt(settings, source, OWNER)
    block = superblock.read(settings.engines[0].metadata)
    assert block is not None
    assert (block.rank, block.system) == (0, "s")


def test_what_is_too_much_is_refused(settings: ServerSettings, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tier = TierSettings("ram", mount=settings.engines[0].metadata, size=1 << 20)
    small = replace(settings, engines=(replace(settings.engines[0], tiers=(tier,)),))
    assert "larger scm_size" in (refused(small, source, NoSpaceError).hint or "")
    monkeypatch.setattr(module, "STATE_BYTES_MAX", 100)
    assert refused(settings, source, InvalidError).code is DER.REC2BIG


def test_an_engine_with_devices_takes_no_directory_over(settings: ServerSettings, source: Path, tmp_path: Path) -> None:
    engine = settings.engines[0]
    tier = TierSettings("file", devices=(str(tmp_path / "bdev"),), size=1 << 30)
    other = replace(settings, engines=(replace(engine, tiers=(*engine.tiers, tier)),))
    assert "scm_mount" in (refused(other, source, InvalidError).hint or "")
    assert not (tmp_path / "bdev").exists()
    assert adopt(settings, source, OWNER).pools == (("tank", 1),)


def test_one_adoption_at_a_time(settings: ServerSettings, source: Path) -> None:
    mount = settings.engines[0].metadata
    mount.mkdir()
    held = os.open(mount, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "an adoption into" in refused(settings, source, BusyError).message
    finally:
        os.close(held)
    assert adopt(settings, source, OWNER).pools == (("tank", 1),)


def test_a_server_that_starts_at_the_same_instant(
    settings: ServerSettings, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It listens behind the first look for one."""
    make = storage.make_directory
    with socket.socket(socket.AF_UNIX) as server:

        def begin(path: Path) -> None:
            make(path)
            server.bind(str(settings.socket))
            server.listen()

        monkeypatch.setattr(storage, "make_directory", begin)
        assert "a server listens at" in refused(settings, source, BusyError).message


def test_a_server_does_not_start_into_an_adoption(settings: ServerSettings) -> None:
    mount = settings.engines[0].metadata
    mount.mkdir()

    async def start() -> None:
        server = Server(settings, FakePeers(), command=(sys.executable, "-c", ""), syslog=False)
        try:
            await server.start()
        finally:
            await server.close()

    with adoption.alone(mount), pytest.raises(BusyError, match=r"an adoption into .* is under way"):
        asyncio.run(asyncio.wait_for(start(), 30))
    assert not settings.socket.exists()
    adoption.check_none(mount)
    adoption.check_none(mount / "absent")


def number(source: Path) -> int:
    """Take an object number of the container."""
    core = _core.Embedded.open(str(source), create=False, targets=1, durability=2)
    try:
        return core.pool_open("tank").container_open("run").alloc_oids(1)
    finally:
        core.close()


def test_what_is_refused_has_taken_no_number(settings: ServerSettings, source: Path) -> None:
    first = number(source)
    mount = settings.engines[0].metadata
    (mount / "engine").mkdir(parents=True)
    with pytest.raises(DaosError):
        adopt(settings, source, OWNER)
    (mount / "engine").rmdir()
    assert number(source) == first + 1
    adopt(settings, source, OWNER)
    assert number(mount / STORE) == first + 3, "the adoption has taken one"


@pytest.mark.parametrize("size", [1, (16 << 20) - 1])
def test_a_size_that_no_pool_may_have_is_refused(size: int, settings: ServerSettings, source: Path) -> None:
    with pytest.raises(InvalidError, match=r"--size .* is too small for a pool: .* at least 16.8 MB for 1 targets"):
        adopt(settings, source, OWNER, size=size)
    assert not settings.engines[0].metadata.exists()
    adopt(settings, source, OWNER, size=16 << 20)


def test_what_lies_there_without_a_mark_is_nobodys_to_delete(settings: ServerSettings, source: Path) -> None:
    home = settings.engines[0].metadata.parent / "meta"
    (home / "engine" / "store").mkdir(parents=True)
    apart = replace(settings, engines=(replace(settings.engines[0], metadata=home),))
    with pytest.raises(DaosError, match="belongs to no engine"):
        adopt(apart, source, OWNER)
    assert (home / "engine" / "store").is_dir()
    with pytest.raises(InvalidError, match="no engine"):
        adopt(replace(settings, engines=()), source, OWNER)
    assert source.is_dir()
