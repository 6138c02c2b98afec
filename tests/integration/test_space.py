"""A system with a size: full, deletes go on, and what they free can be used again."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import daos

SIZE = 80 << 20
VALUE = bytes(100_000)


def fill(kv: daos.KV[int]) -> int:
    """Put values until there is no room; return how many there are."""
    numbers = iter(range(SIZE // len(VALUE)))

    def put_all() -> None:
        for number in numbers:
            kv[number] = VALUE

    with pytest.raises(daos.NoSpaceError) as caught:
        put_all()
    assert caught.value.code is daos.DER.NOSPACE
    assert "delete what is not needed" in (caught.value.hint or "")
    return next(numbers) - 1


def test_a_full_system_takes_deletes_and_then_as_much_as_before(tmp_path: Path) -> None:
    path = tmp_path / "x.daos"
    with daos.open(path, size="80MiB") as pool:
        assert pool.system.space().total == SIZE
        assert 0 < pool.system.space().free < SIZE
        kv = pool.container("c", create=True).kv("k", create=True, keys="int")
        counts = [fill(kv)]
        assert counts[0] * len(VALUE) > SIZE // 3
    # The size is kept, and so is what was acknowledged.
    with daos.open(path) as pool:
        assert pool.system.space().total == SIZE
        kv = pool.container("c").kv("k", keys="int")
        for _ in range(3):
            assert len(kv) == counts[-1]
            assert all(value == VALUE for value in kv.values())
            kv.clear()
            counts.append(fill(kv))
    assert min(counts) > 0.8 * max(counts), counts
    assert sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) <= SIZE + 4096
    with daos.open(path, size=2 * SIZE) as pool:
        pool.container("c").kv("k", keys="int")[10_000] = VALUE
        assert pool.system.space().total == 2 * SIZE


def test_what_is_written_over_comes_back_long_before_it_is_full(tmp_path: Path) -> None:
    size, blocks, times = 2 << 30, 4, 640
    with daos.open(tmp_path / "x.daos", size=size, durability="buffered") as pool:
        array = pool.container("c", create=True).array("a", "u1", create=True)
        for number in range(times):
            array.write((number % blocks) << 20, bytes([number % 256]) * (1 << 20))
        deadline = time.monotonic() + 30
        while size - pool.system.space().free > (times << 20) // 2:
            assert time.monotonic() < deadline, pool.system.space()
            time.sleep(0.05)
        for block in range(blocks):
            number = times - blocks + block
            assert bytes(array[block << 20 : (block + 1) << 20]) == bytes([number % 256]) * (1 << 20)


@pytest.mark.parametrize(
    ("size", "error", "message", "hint"),
    [
        (1 << 20, daos.InvalidError, "too small", "at least 64 MiB"),
        (-1, daos.InvalidError, "out of range", "from 0"),
        ("lots", daos.InvalidError, "invalid size 'lots'", "10GiB"),
        (1.5, daos.InvalidError, "not float", "10GiB"),
    ],
)
def test_sizes_that_cannot_be(
    tmp_path: Path, size: object, error: type[daos.DaosError], message: str, hint: str
) -> None:
    path = tmp_path / "x.daos"
    with pytest.raises(error) as caught:
        daos.open(path, size=size)  # type: ignore[arg-type]
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_size_below_what_is_used_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.daos"
    with daos.open(path, size=2 * SIZE) as pool:
        kv = pool.container("c", create=True).kv("k", create=True, keys="int")
        for number in range(900):
            kv[number] = VALUE
    with pytest.raises(daos.NoSpaceError):
        daos.open(path, size=SIZE)
    with daos.open(path) as pool:
        assert pool.system.space().total == 2 * SIZE
        assert len(pool.container("c").kv("k", keys="int")) == 900


def test_in_memory_a_size_holds_as_well() -> None:
    with daos.open(":memory:", size=SIZE) as pool:
        kv = pool.container("c", create=True).kv("k", create=True, keys="int")
        assert fill(kv) * len(VALUE) < SIZE
        kv.clear()
        assert fill(kv) > 0


def held(system: Path) -> int:
    """Return the bytes that the device holds for a system's files."""
    return sum(file.stat().st_blocks * 512 for file in system.rglob("*") if file.is_file())


def test_a_system_that_is_closed_gives_the_device_what_was_deleted(tmp_path: Path) -> None:
    where = tmp_path / "x.daos"
    values = {f"key{at}": os.urandom(2 << 20) for at in range(24)}
    kept = {key: value for key, value in values.items() if int(key[3:]) % 3 == 0}
    with daos.open(where) as pool:
        cont = pool.container("c", create=True)
        kv = cont.kv("big", create=True)
        for key, value in values.items():
            kv[key] = value
        full = held(where)
        for key in values.keys() - kept.keys():
            del kv[key]
        cont.aggregate()
    assert full > 48 << 20
    assert held(where) < 24 << 20
    for _ in range(2):
        with daos.open(where, size="256MiB") as pool:
            kv = pool.container("c").kv("big")
            assert dict(kv.items()) == kept
            # What was given back is found again, in the gaps and behind them.
            more = {f"more{at}": os.urandom(3 << 20) for at in range(12)}
            kv.put_many(more)
            assert dict(kv.items()) == kept | more
            assert not pool.container("c").check().damaged
            for key in more:
                del kv[key]
            pool.container("c").aggregate()
        assert held(where) < 24 << 20
