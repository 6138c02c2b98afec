"""The asynchronous face over a running system: the daemons of one server, and a pool."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

import daos
import daos.aio
from daos.client import served
from daos.errors import ClosedError, InvalidError, NotFoundError, UnavailableError
from tests.dev_pool import TANK, WAIT_S, is_open, tank, until


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the socket of the agent of a system with one server and a pool `tank`."""
    with tank(tmp_path_factory.mktemp("dev") / "s") as socket:
        yield socket


def test_it_is_the_synchronous_face_awaited(agent: Path) -> None:
    async def main() -> None:
        async with daos.aio.connect(TANK, agent=agent) as pool:
            assert (pool.label, pool.system.served) == ("tank", True)
            cont = await pool.container("c", create=True)
            kv = await cont.kv("k", create=True)
            await kv.put_many({"a": b"1", "b": b"2"})
            await asyncio.gather(*(kv.put(f"n{i}", b"%d" % i) for i in range(64)))
            assert await asyncio.gather(*(kv.get(f"n{i}") for i in range(64))) == [b"%d" % i for i in range(64)]
            assert await kv.get_many(["a", "x"]) == {"a": b"1", "x": None}
            array = await cont.array("z", "u4", create=True)
            await array.write(0, np.arange(1000, dtype="u4"))
            assert (await array.read(10, 13)).tolist() == [10, 11, 12]
        with pytest.raises(ClosedError):
            await kv.get("a")

    asyncio.run(main())
    with daos.connect(TANK, agent=agent, mode="r") as pool:
        assert pool.container("c").kv("k")["n63"] == b"63"


def test_closing_gives_the_handle_back(agent: Path) -> None:
    async def main() -> None:
        pool = await daos.aio.connect(TANK, agent=agent)
        assert is_open(agent)
        await pool.close()
        await pool.close()

    asyncio.run(main())
    until(lambda: not is_open(agent), "no handle is open")


def test_what_is_refused_is_raised_where_it_is_awaited(agent: Path, tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(NotFoundError, match="no pool"):
            await daos.aio.connect("daos://nope", agent=agent)
        with pytest.raises(InvalidError, match="more than a pool"):
            await daos.aio.connect("daos://tank/c", agent=agent)
        with pytest.raises(InvalidError, match="mode"):
            await daos.aio.connect(TANK, agent=agent, mode="w")  # type: ignore[arg-type]
        with pytest.raises(UnavailableError):
            await daos.aio.connect(TANK, agent=tmp_path / "none.sock", timeout=0.2)

    asyncio.run(main())


@pytest.mark.parametrize("opened_before", [False, True])
def test_a_cancelled_await_leaves_no_handle(
    agent: Path, monkeypatch: pytest.MonkeyPatch, *, opened_before: bool
) -> None:
    real, begun, go, ended = served.connect, threading.Event(), threading.Event(), threading.Event()

    def slow(url: str, **options: object) -> daos.Pool:
        pool = real(url, **options) if opened_before else None  # type: ignore[arg-type]
        begun.set()
        assert go.wait(WAIT_S)
        try:
            return pool or real(url, **options)  # type: ignore[arg-type]
        finally:
            ended.set()

    monkeypatch.setattr(served, "connect", slow)

    async def main() -> None:
        task = asyncio.create_task(_awaited(daos.aio.connect(TANK, agent=agent)))
        await asyncio.to_thread(begun.wait, WAIT_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go.set()
        await asyncio.to_thread(ended.wait, WAIT_S)

    asyncio.run(main())
    monkeypatch.undo()
    until(lambda: not is_open(agent), "the handle of the cancelled await is closed")


def test_a_pool_that_is_there_when_the_await_is_cancelled_is_closed(
    agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, done = served.connect, threading.Event()

    def told(url: str, **options: object) -> daos.Pool:
        try:
            return real(url, **options)  # type: ignore[arg-type]
        finally:
            done.set()

    monkeypatch.setattr(served, "connect", told)

    async def main() -> None:
        task = asyncio.create_task(_awaited(daos.aio.connect(TANK, agent=agent)))
        await asyncio.sleep(0)
        # The loop is held up: what has come is not taken before the cancellation is.
        assert done.wait(WAIT_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        monkeypatch.undo()
        await asyncio.to_thread(until, lambda: not is_open(agent), "the pool is closed")

    asyncio.run(main())


async def _awaited(opening: object) -> object:
    return await opening  # type: ignore[misc]


def test_an_embedded_system_is_named_by_its_directory(tmp_path: Path) -> None:
    with daos.open(tmp_path / "e.daos", pool="tank"):
        pass

    async def main() -> None:
        async with daos.aio.connect(f"{TANK}?system={quote(str(tmp_path / 'e.daos'), safe='')}") as pool:
            assert not pool.system.served
            await (await pool.container("c", create=True)).kv("k", create=True)

    asyncio.run(main())
