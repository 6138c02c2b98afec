"""Processes that are killed, fork or end while operations are under way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import daos
import daos.aio
from tests.forking import in_child

if TYPE_CHECKING:
    from pathlib import Path

WRITER = """
import asyncio, sys, daos.aio

async def main():
    async with daos.aio.open(sys.argv[1], durability=sys.argv[2]) as pool:
        kv = await (await pool.container("c", create=True)).kv("k", create=True, keys="int")
        numbers = iter(range(int(sys.argv[3]), 10**9))
        async def put():
            for number in numbers:
                await kv.put(number, b"%d" % number * 20)
                print(number, flush=True)
        await asyncio.gather(*(put() for _ in range(16)))

asyncio.run(main())
"""
ACKNOWLEDGED_MIN = 200


@pytest.mark.parametrize("durability", ["synced", "interval", "buffered"])
def test_what_was_awaited_is_there_after_kill_9(tmp_path: Path, durability: str) -> None:
    path = tmp_path / "x.daos"
    acknowledged: set[int] = set()
    # Twice, so that the second run writes on what the first left.
    for first in (0, 1_000_000):
        acknowledged.clear()
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), durability, str(first)], stdout=subprocess.PIPE, text=True
        ) as writer:
            for line in writer.stdout or ():
                acknowledged.add(int(line))
                if len(acknowledged) == ACKNOWLEDGED_MIN:
                    writer.kill()
        with daos.open(path, create=False) as pool:
            kv = pool.container("c").kv("k", keys="int")
            found = kv.get_many(acknowledged)
            assert len(found) >= ACKNOWLEDGED_MIN
            assert all(value == b"%d" % number * 20 for number, value in found.items())


def test_a_child_is_refused_while_operations_are_under_way_and_the_parent_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with daos.aio.open(tmp_path / "s") as pool:
            cont = await pool.container("c", create=True)
            kv = await cont.kv("k", create=True, keys="int")
            sent = cont._sync.batch().__enter__()
            changes = sent.kv("k", keys="int")
            puts = [asyncio.create_task(kv.put(key, b"v")) for key in range(2000)]
            await asyncio.sleep(0)

            def child() -> None:
                # In the midst of the parent's loop, and in a loop of its own.
                with pytest.raises(daos.ForkedError) as caught:
                    kv.get(1).send(None)
                assert "pid" in caught.value.context
                with pytest.raises(daos.ForkedError):
                    asyncio.run(get())
                with pytest.raises(daos.ForkedError):
                    changes[1] = b"child"
                asyncio.run(own())

            async def get() -> None:
                await kv.get(1)

            async def own() -> None:
                async with daos.aio.open(tmp_path / "own") as mine:
                    its = await (await mine.container("c", create=True)).kv("k", create=True)
                    await asyncio.gather(*(its.put(str(key), b"1") for key in range(100)))
                    assert await its.get("99") == b"1"

            assert in_child(child) == 0
            assert await asyncio.gather(*puts) == [None] * 2000
            changes[5000] = b"parent"
            sent.__exit__(None, None, None)
            assert await kv.get(5000) == b"parent"

    asyncio.run(main())


ENDING = """
import asyncio, sys, daos.aio

async def main(path):
    pool = await daos.aio.open(path)
    kv = await (await pool.container("c", create=True)).kv("k", create=True, keys="int")
    await kv.put(0, b"awaited")
    global tasks
    tasks = [asyncio.ensure_future(kv.put(key, bytes(1000))) for key in range(1, 20_000)]
    await asyncio.sleep(0)
    tasks.append(asyncio.ensure_future(pool.close()))
    await asyncio.sleep(0)
    {ending}

loop = asyncio.new_event_loop()
loop.set_exception_handler(lambda loop, context: None)
loop.run_until_complete(main(sys.argv[1]))
"""


@pytest.mark.parametrize("ending", ["sys.exit()", "return"])
def test_an_interpreter_ends_with_operations_under_way(tmp_path: Path, ending: str) -> None:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", ENDING.format(ending=ending), str(tmp_path / "s")],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 5
    with daos.open(tmp_path / "s", create=False) as pool:
        assert pool.container("c").kv("k", keys="int")[0] == b"awaited"
