"""A rank's fence in files: durable before the effect, damaged ones refused, one effect on a subject at a time."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec
import pytest

from daos import errors
from daos.rsvc import Asked, RankFence
from daos.rsvc import fence as module
from daos.rsvc.journal import MARK, Journal

POOL = "6b0ac2f5-7a4f-4e3c-8a76-1a3d5b9c0001"
T = TypeVar("T")
Write: TypeAlias = Callable[[Journal, bytes], None]


def run(work: Coroutine[object, object, T]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(20):
            return await work

    return asyncio.run(limited())


def test_it_survives_the_process(tmp_path: Path) -> None:
    assert run(RankFence(tmp_path / "f").admit("system", [POOL], 7, 3))
    again = RankFence(tmp_path / "f")
    assert not run(again.admit("system", [POOL], 6, 3))
    assert not run(again.admit("system", ["other"], 2, 0))
    assert run(again.admit("system", [POOL], 7, 3))
    assert run(again.admit(POOL, [POOL], 1, 0))
    run(again.forget(POOL))
    assert [path.name for path in (tmp_path / "f").iterdir()] == ["fence.system"]


def test_what_cannot_be_written_is_not_admitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fence = RankFence(tmp_path)
    assert run(fence.admit("system", [POOL], 1, 0))

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fail)
        with pytest.raises(errors.UnavailableError, match="Input/output"):
            run(fence.admit("system", [POOL], 9, 5))
        assert run(fence.admit("system", [POOL], 1, 0))  # it is known, and needs no writing
    # What the write that failed has left is not built upon: it begins anew.
    assert run(fence.admit("system", [POOL], 2, 0))
    again = RankFence(tmp_path)
    assert run(again.admit("system", [POOL], 2, 0))
    assert not run(again.admit("system", [POOL], 1, 0))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", errors.CorruptionError),
        (b"\xc1", errors.CorruptionError),
        (msgspec.msgpack.encode([1, "other", {"floor": 0, "last": {}}]), errors.CorruptionError),
        (msgspec.msgpack.encode([3, "system", {"floor": 0, "last": {}}]), errors.InvalidError),
        (MARK, errors.CorruptionError),
    ],
)
def test_a_damaged_file_is_refused_and_kept(tmp_path: Path, data: bytes, error: type[errors.DaosError]) -> None:
    path = tmp_path / "fence.system"
    path.write_bytes(data)
    with pytest.raises(error):
        run(RankFence(tmp_path).admit("system", [POOL], 1, 0))
    assert path.read_bytes() == data


@pytest.mark.parametrize("name", ["", "../system", "a/b", "A", "x" * 65])
def test_no_name_leaves_the_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.InvalidError):
        run(RankFence(tmp_path).admit(name, [POOL], 1, 0))


def test_effects_on_a_subject_wait_for_each_other(tmp_path: Path) -> None:
    fence, order = RankFence(tmp_path), list[str]()

    async def effect(name: str, subjects: list[str], number: int, gate: asyncio.Event) -> None:
        async with fence.entered("system", subjects, number, 0):
            order.append(f"{name} begins")
            await gate.wait()
            order.append(f"{name} ends")

    async def main() -> None:
        gates = [asyncio.Event() for _ in range(3)]
        slow = asyncio.create_task(effect("slow", ["a", "b"], 1, gates[0]))
        while "slow begins" not in order:
            await asyncio.sleep(0)
        later = asyncio.create_task(effect("later", ["b", "a"], 2, gates[1]))
        gates[2].set()
        await effect("other", ["c"], 3, gates[2])
        assert order == ["slow begins", "other begins", "other ends"]
        gates[0].set()
        gates[1].set()
        await slow
        await later
        assert order[3:] == ["slow ends", "later begins", "later ends"]
        with pytest.raises(errors.StaleError):
            await effect("slow", ["a", "b"], 1, gates[0])
        assert fence._entered == {}

    run(main())


def test_what_is_asked_together_is_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = list[str]()
    for name in ("begin", "append"):
        write = getattr(Journal, name)

        def counted(journal: Journal, data: bytes, name: str = name, write: Write = write) -> None:
            written.append(name)
            write(journal, data)

        monkeypatch.setattr(Journal, name, counted)
    fence = RankFence(tmp_path)

    async def main() -> list[bool]:
        asks = [fence.admit("system", [f"s{number % 50}"], number, 0) for number in range(1, 101)]
        return await asyncio.gather(*asks, fence.admit("system", ["s7"], 1, 0))

    assert run(main()) == [True] * 100 + [False]
    assert len(written) <= 2
    again = RankFence(tmp_path)
    assert not run(again.admit("system", ["s7"], 56, 0))
    assert run(again.admit("system", ["s7"], 57, 0))


def test_who_gives_up_leaves_the_others_their_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    begin = Journal.begin

    def held(journal: Journal, data: bytes) -> None:
        assert go.wait(20)
        begin(journal, data)

    monkeypatch.setattr(Journal, "begin", held)
    fence = RankFence(tmp_path)

    async def main() -> None:
        first = asyncio.create_task(fence.admit("system", ["a"], 5, 0))
        while "system" in fence._asked or "system" not in fence._writers:
            await asyncio.sleep(0)
        second = asyncio.create_task(fence.admit("system", ["a"], 4, 0))
        await asyncio.sleep(0)
        first.cancel()
        go.set()
        # What the first one asked for is being written, and counts.
        assert not await second
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await fence.admit("system", ["a"], 6, 0)
        assert (fence._asked, fence._writers) == ({}, {})

    run(main())
    assert not run(RankFence(tmp_path).admit("system", ["a"], 5, 0))


def test_a_file_of_an_earlier_release_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "fence.system").write_bytes(msgspec.msgpack.encode([1, "system", {"floor": 3, "last": {"a": 7}}]))
    fence = RankFence(tmp_path)
    assert not run(fence.admit("system", ["a"], 6, 0))
    assert not run(fence.admit("system", ["b"], 2, 0))
    assert run(fence.admit("system", ["a"], 8, 0))
    again = RankFence(tmp_path)
    assert not run(again.admit("system", ["a"], 7, 0))
    assert not run(again.admit("system", ["b"], 2, 0))


def test_a_long_file_begins_anew_and_forgets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "JOURNAL_BYTES_MAX", 1000)
    fence = RankFence(tmp_path)

    async def main() -> None:
        for number in range(1, 300):
            assert await fence.admit("system", [f"s{number % 7}"], number, 0)
            assert (tmp_path / "fence.system").stat().st_size < 1200

    run(main())
    again = RankFence(tmp_path)
    for number in range(293, 300):
        assert not run(again.admit("system", [f"s{number % 7}"], number - 1, 0))
        assert run(again.admit("system", [f"s{number % 7}"], number, 0))


def test_work_is_done_when_its_effects_are_durable_and_alone_on_its_subjects(tmp_path: Path) -> None:
    fence, seen = RankFence(tmp_path), list[tuple[list[bool], bool]]()

    def look(admitted: list[bool]) -> str:
        # Another process would find what was admitted, by now.
        seen.append((admitted, asyncio.run(RankFence(tmp_path).admit("system", ["a"], 4, 0))))
        return "done"

    def fail(admitted: list[bool]) -> None:
        raise errors.NoSpaceError(f"full {admitted}")

    async def main() -> None:
        work = [Asked(("a",), 5, 0), Asked(("b", "c"), 6, 0)]
        assert await fence.carry("system", work, look) == "done"
        assert seen == [([True, True], False)]
        with pytest.raises(errors.NoSpaceError, match="full"):
            await fence.carry("system", [Asked(("a",), 3, 0), Asked(("a",), 7, 0)], fail)
        # One that failed is not another's affair.
        good, bad = await asyncio.gather(
            fence.carry("system", [Asked(("d",), 8, 0)], look),
            fence.carry("system", [Asked(("e",), 9, 0)], fail),
            return_exceptions=True,
        )
        assert good == "done"
        assert isinstance(bad, errors.NoSpaceError)
        assert fence._entered == {}

    run(main())
