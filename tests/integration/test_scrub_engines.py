"""Scrubbing of a served pool: each engine reads its part, and what it finds is told by the service."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import daos
from daos.control.pool.settings import SetProperties
from daos.errors import DaosError
from daos.local import PoolRequest
from tests.engines import Engines

VALUE = bytes(range(250)) * 400
WAIT_S = 60.0


def set_properties(engines: Engines, pool: daos.Pool, **properties: str | int) -> None:
    """Do as `dmg pool set-prop`: whoever leads takes it."""
    arguments = msgspec.msgpack.encode(SetProperties(properties=dict(properties)))
    request = PoolRequest(pool=pool.uuid, kind="command", name="set_properties", arguments=arguments)
    end = time.monotonic() + WAIT_S
    while True:
        for rank in range(engines.count):
            try:
                engines.pool_request(rank, request)
            except DaosError:
                continue
            return
        assert time.monotonic() < end, "nobody leads"
        time.sleep(0.05)


def scrubbed(pool: daos.Pool, until: Callable[[daos.ScrubStatus], bool]) -> daos.ScrubStatus:
    """Wait until the status is as wanted."""
    end = time.monotonic() + WAIT_S
    while not until(status := pool.scrub_status()):
        assert time.monotonic() < end, status
        time.sleep(0.02)
    return status


def damage(engines: Engines, part: bytes) -> int:
    """Change a bit of a value in the data files of an engine; return its rank."""
    for rank in range(engines.count):
        for path in Path(engines.directory / f"engine{rank}").rglob("shard-*"):
            content = path.read_bytes()
            if (at := content.find(part)) >= 0:
                with path.open("r+b") as file:
                    file.seek(at)
                    file.write(bytes([content[at] ^ 0x20]))
                return rank
    raise AssertionError("it is in no file")


def test_all_ranks_read_their_parts_and_tell_what_is_damaged(engines: Engines, pool: daos.Pool) -> None:
    container = pool.container("c", create=True)
    kv = container.kv("kv", create=True)
    for number in range(30):
        kv[f"long {number}"] = b"%03d" % number + VALUE
    assert pool.scrub_status().mode == "off"
    set_properties(engines, pool, scrub="timed", scrub_freq=0, scrub_thresh=1)
    status = scrubbed(pool, lambda status: status.passes >= 1)
    assert (status.mode, status.corruptions, status.found, status.over_threshold) == ("timed", 0, (), False)
    assert status.last_pass is not None
    rank = damage(engines, b"007" + VALUE[:1000])
    status = scrubbed(pool, lambda status: status.corruptions > 0)
    assert status.over_threshold
    assert status.found[0].startswith(f'rank {rank}: container {container.uuid}, object {kv.oid}: dkey "long 7"')
    with pytest.raises(daos.CorruptionError):
        kv["long 7"]
    set_properties(engines, pool, scrub="off")
    scrubbed(pool, lambda status: status.mode == "off" and not status.running)


def test_a_rank_goes_on_after_a_restart_and_hears_later_what_was_changed_meanwhile(
    engines: Engines, pool: daos.Pool
) -> None:
    pool.container("c", create=True).kv("kv", create=True).put_many({f"{n}": VALUE[:1000] for n in range(20)})
    set_properties(engines, pool, scrub="timed", scrub_freq=0)
    seen = scrubbed(pool, lambda status: status.passes >= 1).passes
    engines.kill(2)
    engines.start(2)
    engines.wait_ready()
    scrubbed(pool, lambda status: status.passes >= seen + 2)
    engines.kill(2)
    set_properties(engines, pool, scrub="off")
    # What the others tell is told without it.
    scrubbed(pool, lambda status: status.mode == "off" and not status.running)
    engines.start(2)
    engines.wait_ready()
    end, before = time.monotonic() + WAIT_S, -1
    while (passes := pool.scrub_status().passes) != before:
        assert time.monotonic() < end, "it goes on"
        before = passes
        time.sleep(1)
    assert not pool.scrub_status().running
