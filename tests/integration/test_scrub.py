"""Scrubbing: what rots is found by the background of an open system, and told."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import daos
import daos.aio
from daos.cli import _main
from tests.forking import in_child

VALUE = bytes(range(250)) * 40
NOW = {"scrub": "timed", "scrub_freq": 0}


def filled(path: Path, targets: int = 1) -> None:
    """Make a system with values in the index and in data files, in a container that is scrubbed and one that is not."""
    with daos.open_system(path, targets=targets) as system:
        pool = system.pool("default", create=True)
        for label, disabled in (("c", False), ("untouched", True)):
            cont = pool.container(label, create=True, properties={"scrub_disabled": disabled})
            cont.kv("kv", create=True).put_many({f"{number}": b"%d" % number for number in range(2000)})
            cont.kv("kv")["long"] = label.encode() + VALUE
        pool.container("c").array("cells", "u1", create=True)[:300_000] = np.arange(300_000, dtype="u1")


def flip(path: Path, suffix: str, part: bytes) -> None:
    """Change a bit of a pool shard's file, where `part` stands."""
    (file,) = (path for path in (path / "store").glob(f"shard-*{suffix}") if path.stem != "shard-00000000")
    content = bytearray(file.read_bytes())
    content[content.index(part)] ^= 0x20
    file.write_bytes(content)


def complete(pool: daos.Pool, passes: int = 1) -> daos.ScrubStatus:
    """Wait for passes more, all begun after the call."""
    wanted = pool.scrub_status().passes + passes + 1
    deadline = time.monotonic() + 20
    while (status := pool.scrub_status()).passes < wanted:
        assert time.monotonic() < deadline, status
        time.sleep(0.01)
    return status


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("mode", ["timed", "lazy"])
def test_what_is_whole_is_read_and_nothing_is_told(tmp_path: Path, targets: int, mode: str) -> None:
    path = tmp_path / "x.daos"
    filled(path, targets)
    with daos.open(path) as pool:
        assert pool.scrub_status() == daos.ScrubStatus("off", 604_800, 0, False, 0, 0, 0, (), None, None)
        pool.set_properties({"scrub": mode, "scrub_freq": 0})
        status = complete(pool)
        assert (status.corruptions, status.found) == (0, ())
        pool.set_properties({"scrub_freq": 600})
        while pool.scrub_status().running:
            time.sleep(0.01)
        status = pool.scrub_status()
        # The values in the data files but for the container that is passed over, and pages of all indexes.
        assert 310_000 < status.bytes < 2_000_000
        assert status.last_pass is not None
        assert abs(datetime.now(UTC) - status.last_pass) < timedelta(seconds=20)
        assert status.next_pass is not None
        assert status.next_pass - status.last_pass > timedelta(seconds=500)


def test_damage_is_told_with_its_place_and_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.daos"
    filled(path)
    flip(path, ".dat", b"c" + VALUE)
    flip(path, ".dat", b"untouched" + VALUE)
    with daos.open(path) as pool:
        pool.set_properties({**NOW, "scrub_thresh": 2})
        status = complete(pool)
        (found,) = status.found
        oid = pool.container("c").kv("kv").oid
        assert found.startswith(f'container c, object {oid}: dkey "long", epoch')
        assert (status.corruptions, status.over_threshold) == (1, False)
        # Reading tells it, scrubbed or not; all else is there.
        for label in ("c", "untouched"):
            with pytest.raises(daos.CorruptionError):
                pool.container(label).kv("kv")["long"]
            assert pool.container(label).kv("kv")["7"] == b"7"
        pool.set_properties({"scrub_thresh": 1})
        assert pool.scrub_status().over_threshold
        pool.set_properties({"scrub": "off"})
    # Another process asks.
    assert _main.run(["pool", "query", "default"], str(path)) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[4].startswith("- Scrub off, idle, ")
    assert "- Corruptions: 1, threshold of 1 reached" in lines
    assert f"  {found}" in lines
    assert _main.run(["pool", "query", "default", "-j"], str(path)) == 0
    scrub = json.loads(capfd.readouterr().out)["response"]["scrub"]
    assert (scrub["corruptions"], scrub["found"], scrub["over_threshold"]) == (1, [found], True)
    # What was destroyed is not found by the next pass.
    with daos.open(path) as pool:
        pool.destroy_container("c")
        pool.set_properties(NOW)
        assert complete(pool).corruptions == 0


def test_a_damaged_page_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.daos"
    filled(path)
    flip(path, ".idx", b"1234")
    pool = daos.open(path)
    try:
        pool.set_properties(NOW)
        found = complete(pool).found
        assert any(what.startswith("shard-00000001.idx") and "is corrupt" in what for what in found), found
    finally:
        # Changes cannot be merged into a damaged index.
        with pytest.raises(daos.DaosError, match="is corrupt"):
            pool.close()


def test_work_meanwhile_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "x.daos"
    with daos.open(path, durability="buffered") as pool:
        pool.set_properties(NOW)
        stop = threading.Event()

        def work(label: str) -> None:
            while not stop.is_set():
                cont = pool.container(label, create=True)
                kv = cont.kv("kv", create=True)
                for round_number in range(3):
                    kv.put_many({f"{key}": bytes([key]) * (key * 300) for key in range(40)})
                    kv["round"] = b"%d" % round_number
                    cont.aggregate()
                pool.destroy_container(label)

        workers = [threading.Thread(target=work, args=(label,)) for label in ("a", "b")]
        for worker in workers:
            worker.start()
        try:
            status = complete(pool, 3)
        finally:
            stop.set()
            for worker in workers:
                worker.join()
        assert (status.corruptions, status.found) == (0, ())


def test_modes_take_effect_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.daos"
    filled(path)
    with daos.open(path) as pool:
        # A pass of an hour: it begins, and is far from its end.
        pool.set_properties({"scrub": "timed", "scrub_freq": 3600})
        while not pool.scrub_status().running:
            time.sleep(0.01)
        time.sleep(0.3)
        assert pool.scrub_status().bytes < 200_000
        pool.set_properties({"scrub": "off"})
        assert not pool.scrub_status().running
        time.sleep(0.3)
        assert (pool.scrub_status().running, pool.scrub_status().passes) == (False, 0)
        # While somebody works, a lazy scrubber waits.
        pool.set_properties({"scrub": "lazy", "scrub_freq": 0})
        kv = pool.container("c").kv("kv")
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            kv["a"] = b"1"
        assert pool.scrub_status().passes == 0
        complete(pool)
        assert pool.properties == {"label": "default", "scrub": "lazy", "scrub_freq": 0, "scrub_thresh": 0}
    with daos.open(path) as pool:
        assert pool.properties["scrub"] == "lazy"
        pool.system.destroy_pool("default")
        assert pool.system.pool("default", create=True).properties["scrub"] == "off"


def test_closing_and_forking_leave_it_behind(tmp_path: Path) -> None:
    path = tmp_path / "x.daos"
    filled(path)
    for _ in range(5):
        with daos.open(path) as pool:
            pool.set_properties(NOW)
            time.sleep(0.02)
    with daos.open(path) as pool:

        def refused() -> None:
            with pytest.raises(daos.ForkedError):
                pool.scrub_status()

        assert in_child(refused) == 0
        assert complete(pool).corruptions == 0
    with pytest.raises(daos.ClosedError):
        pool.scrub_status()


async def _by_aio(path: Path) -> None:
    async with await daos.aio.open(path) as pool:
        await pool.set_properties({"scrub_freq": "60"})
        assert pool.properties["scrub_freq"] == 60
        assert (await pool.scrub_status()).mode == "off"


def test_awaitable(tmp_path: Path) -> None:
    import asyncio

    asyncio.run(_by_aio(tmp_path / "x.daos"))


@pytest.mark.parametrize(
    ("properties", "hint"),
    [
        ({"scrub": "on"}, "one of: off, lazy, timed"),
        ({"scrub": 1}, "one of: off, lazy, timed"),
        ({"scrub_freq": -1}, "from 0 to 4294967295"),
        ({"scrub_freq": "week"}, "a whole number"),
        ({"scrub_thresh": 2**32}, "from 0 to 4294967295"),
        ({"scrub_thresh": None}, "a whole number"),
    ],
)
def test_bad_values_change_nothing(properties: dict[str, object], hint: str) -> None:
    with daos.open(":memory:") as pool:
        with pytest.raises(daos.InvalidError) as raised:
            pool.set_properties({"label": "next", "scrub_freq": 5, **properties})
        assert hint in str(raised.value.hint)
        assert (pool.label, pool.properties["scrub_freq"]) == ("default", 604_800)
        with pytest.raises(daos.AccessError):
            pool.container("c", create=True).set_properties({"scrub_disabled": True})
