"""Containers of the type POSIX: how they are made, and what comes of it when that is cut short."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

import daos
from daos.client import _posix
from daos.dfs import Posix, mount
from daos.errors import DER, InvalidError, NotFoundError
from tests.dfs_systems import KINDS, fails, pool_of


@pytest.fixture(params=KINDS)
def pool(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[daos.Pool]:
    with pool_of(request.param, tmp_path) as opened:
        yield opened


def test_a_container_of_the_type_posix_holds_a_file_system(pool: daos.Pool) -> None:
    made = Posix(chunk_size="64KiB", oclass="S2", dir_oclass="S1", hints="file:max", mode="balanced", permissions=0o750)
    container = pool.container("p", create=True, type=made)
    assert container.layout == "POSIX"
    assert container.properties["root_oids"] == "281479271677952.0 281479271677953.0"
    with mount(container) as fs:
        found = fs.made_as()
        assert (found.chunk_size, found.oclass, found.dir_oclass, found.file_oclass) == (65536, "S2", "S1", None)
        assert (found.hints, found.mode) == ("file:max", "balanced")
        root = fs.stat("/")
        assert (stat.S_IMODE(root.st_mode), root.st_uid, root.st_gid) == (0o750, os.geteuid(), os.getegid())
        fs.write_bytes("a", b"x")
        assert fs.info("a").oclass == "S2"
    assert pool.container("p", create=True, type="POSIX").uuid == container.uuid


def test_a_sum_of_a_file_stands_for_less_unless_it_is_said(pool: daos.Pool) -> None:
    assert pool.container("files", create=True, type="POSIX").properties["cksum_size"] == 8 << 10
    assert pool.container("names", create=True).properties["cksum_size"] == 32 << 10
    given = pool.container("given", create=True, type=Posix(), properties={"cksum_size": "32KiB", "cksum": "crc64"})
    assert (given.properties["cksum_size"], given.properties["cksum"]) == (32 << 10, "crc64")


def test_types_that_do_not_fit_are_refused(pool: daos.Pool) -> None:
    python = pool.container("names", create=True)
    posix = pool.container("files", create=True, type="POSIX")
    with pytest.raises(InvalidError, match="of type PYTHON, not POSIX"):
        pool.container("names", create=True, type="POSIX")
    with pytest.raises(InvalidError, match="of type POSIX, not PYTHON"):
        pool.container("files", type="PYTHON")
    with pytest.raises(InvalidError, match="holds no file system"):
        mount(python)
    with pytest.raises(InvalidError, match="nothing else has a name"):
        posix.kv("k", create=True)
    for wrong, code in (("HDF5", DER.NOTSUPPORTED), (7, DER.INVAL)):
        with pytest.raises(InvalidError) as refused:
            pool.container("x", create=True, type=wrong)  # type: ignore[arg-type]
        assert refused.value.code is code
    for bad in (
        Posix(oclass="S0"),
        Posix(file_oclass="RP_2G1"),
        Posix(hints="file"),
        Posix(chunk_size=0),
        Posix(mode="strict"),  # type: ignore[arg-type]
        Posix(uid=-1),
        Posix(permissions=0o10000),
    ):
        with pytest.raises(InvalidError):
            pool.container("x", create=True, type=bad)
    with pytest.raises(InvalidError, match="not a settable property"):
        pool.container("x", create=True, properties={"root_oids": "1.2"})
    with pytest.raises(NotFoundError):
        pool.container("x")


def test_where_the_file_system_cannot_be_made_there_is_no_container(
    pool: daos.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("daos.client.pool.make_file_system", fail)
    with pytest.raises(OSError, match="full"):
        pool.container("p", create=True, type="POSIX")
    assert pool.containers() == []


def test_where_its_maker_died_the_first_mount_makes_it_as_it_was_to_be(
    pool: daos.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daos.client.pool.make_file_system", lambda *_: None)
    container = pool.container("p", create=True, type=Posix(chunk_size=4096, uid=7, gid=8))
    monkeypatch.undo()
    refused = fails(lambda: mount(container, read_only=True), errno.EINVAL, None)
    assert "mount it for writing" in "".join(refused.__notes__)
    with mount(container) as fs:
        assert fs.made_as().chunk_size == 4096
        assert (fs.stat("/").st_uid, fs.stat("/").st_gid) == (7, 8)
    fails(lambda: _posix.make_file_system(container._core, Posix()), errno.EEXIST, None, FileExistsError)
