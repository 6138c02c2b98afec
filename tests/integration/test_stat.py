"""`Container.stat`: exact counts of what was written."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

import daos
import daos.aio
from daos.cli import _main


@pytest.mark.parametrize("targets", [1, 3])
def test_counts_are_those_of_what_was_written(tmp_path: Path, targets: int) -> None:
    with daos.open(tmp_path / "x.daos", targets=targets) as pool:
        cont = pool.container("c", create=True)
        assert cont.stat() == daos.ContainerStat(0, 0, 0, 0, 0, 0, 0, None, None)
        # More keys than are counted under one hold; long ones, and with zeros.
        kv = cont.object("kv", create=True, oclass="S1")
        named = cont.stat()
        for number in range(1500):
            kv.update(f"{number}", a=b"1234", b=b"x")
        kv.update("k" * 3000 + "\0", a=b"long")
        kv.update("7", a=b"newer")
        kv.update("big", a=b"v" * 5000, c=daos.Extent(10, np.ones(1000, "u1")))
        stat = cont.stat()
        assert stat.objects == named.objects + 1
        assert stat.dkeys == named.dkeys + 1502
        assert stat.values == named.values + 3000 + 3
        assert stat.extents == named.extents + 1
        assert stat.bytes == named.bytes + 1500 * 5 + 4 + 5 + 5000 + 1000
        assert stat.removals == 0
        snapshot = cont.snapshot("s")
        assert stat.last_epoch is not None
        assert stat.first_epoch is not None
        assert stat.first_epoch < stat.last_epoch < snapshot.epoch
        kv.punch("8")
        after = cont.stat()
        assert (after.removals, after.dkeys, after.bytes) == (1, stat.dkeys, stat.bytes)
        assert after.last_epoch is not None
        assert after.last_epoch > snapshot.epoch
        assert cont.at("s").stat() == after
        # Nothing else is counted, and nothing of it goes with another container.
        pool.container("other", create=True).kv("x", create=True)["a"] = b"1"
        assert cont.stat() == after
    with daos.open(tmp_path / "x.daos") as pool:
        cont = pool.container("c")
        merged = cont.stat()
        # A value of 4 KiB or more is in whole blocks of the data file now.
        assert merged.stored_bytes == merged.bytes - 5000 + 8192
        assert merged.bytes == after.bytes
        cont.destroy_snapshot("s")
        cont.aggregate()
        assert cont.stat().values < merged.values
        pool.destroy_container("c")
        with pytest.raises(daos.NotFoundError):
            cont.stat()


def test_the_command_and_the_awaitable_tell_the_same(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.daos"
    with daos.open(path) as pool:
        pool.container("c", create=True).kv("kv", create=True)["a"] = b"1234"

    async def awaited() -> daos.ContainerStat:
        async with await daos.aio.open(path) as pool:
            return await (await pool.container("c")).stat()

    stat = asyncio.run(awaited())
    assert _main.run(["cont", "stat", "default", "c", "-j"], str(path)) == 0
    response = json.loads(capfd.readouterr().out)["response"]
    assert response == vars(stat)
