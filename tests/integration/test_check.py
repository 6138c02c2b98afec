"""`Container.check`: silent where nothing is wrong, and telling each flipped byte."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import daos
from daos.cli import _main

LARGE = 300_000
OLD = b"old!" * 2560


def filled(path: Path, targets: int) -> None:
    """Make a system whose container `c` has values in the index and in the data files, old versions too."""
    with daos.open_system(path, targets=targets) as system:
        pool = system.pool("default", create=True)
        cont = pool.container("c", create=True)
        kv = cont.kv("kv", create=True)
        kv.put_many({f"{number}": b"%d" % number for number in range(3000)})
        kv["deferred"] = OLD
        cont.snapshot("s")
        kv["deferred"] = b"new!" * 2560
        cont.array("cells", "u1", create=True)[100 : 100 + LARGE] = np.arange(LARGE, dtype="u1")
        cont.object("obj", create=True).update("d", a=b"x", b=daos.Extent(0, np.ones(5)))
        pool.container("other", create=True).kv("kv", create=True)["a"] = b"1"


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x10
    path.write_bytes(content)


def shard_files(path: Path, suffix: str) -> list[Path]:
    """Return the pool shards' files of a kind; the first shard is the system's own."""
    return sorted(path for path in (path / "store").glob(f"shard-*{suffix}") if path.stem != "shard-00000000")


@pytest.mark.parametrize("targets", [1, 3])
def test_nothing_is_wrong_with_what_was_stored(tmp_path: Path, targets: int) -> None:
    path = tmp_path / "x.daos"
    filled(path, targets)
    with daos.open(path) as pool:
        cont = pool.container("c")
        report = cont.check()
        assert report.damaged == ()
        # 3000 keys, one of two versions, names, what an array and an object are made of.
        assert 3010 < report.entries < 3100
        assert report.index_pages > 10
        assert LARGE + 2 * 10240 <= report.data_bytes < LARGE + 30_000
        assert report.seconds < 10
        assert cont.at("s").check().entries == report.entries
        # What is in the log alone is looked at as well.
        cont.kv("kv")["new"] = b"1"
        assert cont.check().entries == report.entries + 1
        assert pool.container("other").check().damaged == ()


def test_a_flipped_byte_of_a_value_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "x.daos"
    filled(path, 1)
    (data,) = shard_files(path, ".dat")
    old = data.read_bytes().index(OLD)
    flip(data, old + 5000)
    with daos.open(path) as pool:
        cont = pool.container("c")
        report = cont.check()
        (damage,) = report.damaged
        assert damage.oid == cont.kv("kv").oid
        assert 'dkey "deferred"' in damage.what
        assert "epoch" in damage.what
        # The newer version is whole, the one of the snapshot is not.
        assert len(cont.kv("kv")["deferred"]) == 10240
        with pytest.raises(daos.CorruptionError):
            cont.at("s").kv("kv")["deferred"]
        assert pool.container("other").check().damaged == ()


def test_a_flipped_byte_of_an_extent_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.daos"
    filled(path, 1)
    (data,) = shard_files(path, ".dat")
    cells = data.read_bytes().index(np.arange(LARGE, dtype="u1").tobytes())
    flip(data, cells + LARGE - 1)
    with daos.open(path) as pool:
        cont = pool.container("c")
        (damage,) = cont.check().damaged
        assert damage.oid == cont.array("cells").oid
        assert 'dkey 1, akey "0"' in damage.what


def test_every_flipped_byte_of_an_index_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.daos"
    filled(path, 1)
    with daos.open(path) as pool:
        pages = pool.container("c").check().index_pages
    (index,) = shard_files(path, ".idx")
    whole = index.read_bytes()
    told = 0
    offsets = range(3 * 4096 + 100, len(whole), 4096)
    for offset in offsets:
        flip(index, offset)
        try:
            with daos.open(path) as pool:
                told += bool(pool.container("c").check().damaged)
        except daos.CorruptionError:
            told += 1
        index.write_bytes(whole)
    # The other pages are free, or of the state before.
    assert pages - 1 <= told <= len(offsets)


def test_the_command_tells_what_is_damaged(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.daos"
    filled(path, 1)
    words = ["container", "check", "default", "c"]
    assert _main.run(words, str(path)) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("check container c started at: ")
    assert lines[2:5] == ["checked: 4", "skipped: 0", "inconsistent: 0"]
    (data,) = shard_files(path, ".dat")
    flip(data, data.read_bytes().index(OLD))
    assert _main.run(words, str(path)) == 1
    captured = capfd.readouterr()
    assert "inconsistent: 1" in captured.out
    assert 'dkey "deferred"' in captured.out
    assert "1 damaged in container c: DER_CSUM" in captured.err
    assert _main.run([*words, "-j"], str(path)) == 1
    response = json.loads(capfd.readouterr().out)["response"]
    assert (response["objects"], len(response["damaged"])) == (4, 1)
