"""Object id tables: marks on the objects of a snapshot and of the present."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import daos
from daos import aio

MULTI_HASHED_S1 = 0x0001_0001_0000_0000
"""The high half of an object's id: its type and class."""
MANY = 3000
"""Objects: more than two pages."""


@pytest.fixture
def cont(tmp_path: Path) -> Iterator[daos.Container]:
    with daos.open_system(tmp_path / "x.daos", durability="buffered", targets=3) as system:
        yield system.create_pool("p").container("c", create=True)


def made(cont: daos.Container, count: int) -> list[daos.ObjectId]:
    """Make objects without a name, behind those that are there; return their ids in the order of a table."""
    last = max((oid.lo for oid in cont.objects()), default=0)
    oids = [daos.ObjectId(MULTI_HASHED_S1, last + 1 + nth) for nth in range(count)]
    for oid in oids:
        cont.object(oid).update("d", a=b"1")
    return oids


def test_marks_of_a_snapshot_are_on_what_it_shows(cont: daos.Container) -> None:
    oids = made(cont, 5)
    cont.snapshot("then")
    later = made(cont, 1)[0]
    cont.object(oids[1]).punch()
    table = cont.object_table("then")
    assert list(table.objects()) == oids
    assert list(table.unmarked()) == oids
    table.mark(oids[1], b"gone since")
    table.mark_many({oids[2]: b"", oids[3]: bytes(32)})
    assert dict(table.items()) == {
        oids[0]: None, oids[1]: b"gone since", oids[2]: b"", oids[3]: bytes(32), oids[4]: None,
    }  # fmt: skip
    assert list(table.unmarked()) == [oids[0], oids[4]]
    table.mark_many([(oids[1], b"other"), (oids[2], b"x"), (oids[2], None), (oids[3], None), (oids[3], b"back")])
    assert [table.get(oid) for oid in oids] == [None, b"other", None, b"back", None]
    # The present has marks of its own, on what is there now.
    now = cont.object_table()
    assert list(now.unmarked()) == [oids[0], *oids[2:], later]
    now.mark(later, b"l")
    assert table.get(later) is None
    table.clear()
    assert list(table.unmarked()) == oids
    assert now.get(later) == b"l"
    # Neither is an object that anybody sees.
    assert list(cont.objects()) == [oids[0], *oids[2:], later]
    assert {one.oid for one in cont.diff("then")} == {oids[1], later}


def test_many_are_marked_and_listed_by_pages(cont: daos.Container) -> None:
    oids = made(cont, MANY)
    taken = cont.snapshot()
    table = cont.object_table(taken)
    table.mark_many((oid, b"%d" % nth) for nth, oid in enumerate(oids) if nth % 7)
    assert list(table.unmarked()) == oids[::7]
    assert [marker for _, marker in table.items()] == [b"%d" % nth if nth % 7 else None for nth in range(MANY)]


def test_they_are_durable_and_go_with_their_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "y.daos"
    with daos.open(path) as pool:
        cont = pool.container("c", create=True)
        oid = made(cont, 1)[0]
        taken = [cont.snapshot(name) for name in ("a", "b", "c")]
        for snapshot in taken:
            cont.object_table(snapshot).mark(oid, b"m")
    with daos.open(path) as pool:
        cont = pool.container("c")
        assert [cont.object_table(name).get(oid) for name in "abc"] == [b"m"] * 3
        gone = cont.object_table("b")
        cont.destroy_snapshot("b")
        with pytest.raises(daos.NotFoundError):
            list(gone.items())
        assert _stores(cont) == {taken[0].epoch, taken[2].epoch}
        # A later snapshot holds the marks; going back to it brings none of a snapshot that is gone.
        cont.snapshot("d")
        cont.destroy_snapshots(taken[2].epoch, taken[2].epoch)
        assert _stores(cont) == {taken[0].epoch}
        cont.rollback("d")
        assert _stores(cont) == {taken[0].epoch}
        assert cont.object_table("a").get(oid) == b"m"


def _stores(cont: daos.Container) -> set[int]:
    """Return the epochs of all stores of marks, which only the core lists."""
    page, _ = cont._core.objects(None, 100)
    return {lo for hi, lo in page if hi & 0xFFFFFFFF == 1}


def test_bad_input_marks_nothing(cont: daos.Container) -> None:
    oids = made(cont, 3)
    cont.snapshot("then")
    table = cont.object_table("then")
    unknown = daos.ObjectId(oids[0].hi, oids[-1].lo + 1)
    for oid in (unknown, daos.ObjectId(0, 0), daos.ObjectId((1 << 64) - 1, (1 << 64) - 1)):
        with pytest.raises(daos.NotFoundError) as missing:
            table.mark(oid, b"m")
        assert missing.value.code is daos.DER.NONEXIST
        assert str(oid) in missing.value.message
        assert missing.value.hint
    with pytest.raises(daos.NotFoundError):
        table.mark_many([(oids[0], b"m"), (unknown, b"m")])
    table.mark(oids[2], b"m")
    # Nor the store that holds that mark.
    with pytest.raises(daos.NotFoundError):
        cont.object_table().mark(daos.ObjectId(0x0801_0001_0000_0001, cont.snapshots()[0].epoch), b"m")
    with pytest.raises(daos.InvalidError, match="33 bytes is too long") as long:
        table.mark(oids[0], bytes(33))
    assert long.value.code is daos.DER.REC2BIG
    with pytest.raises(daos.InvalidError, match="not str"):
        table.mark(oids[0], "text")  # type: ignore[arg-type]
    with pytest.raises(daos.InvalidError, match="an ObjectId, not str"):
        table.mark("1.2", b"m")  # type: ignore[arg-type]
    with pytest.raises(daos.InvalidError, match="64 bits"):
        table.mark(daos.ObjectId(1 << 64, 0), b"m")
    assert list(table.unmarked()) == oids[:2]
    with pytest.raises(daos.NotFoundError, match="no snapshot 'nope'"):
        cont.object_table("nope")
    with pytest.raises(daos.AccessError) as refused:
        cont.at("then").object_table()
    assert "container itself" in (refused.value.hint or "")


def test_awaited(tmp_path: Path) -> None:
    async def work() -> None:
        async with aio.open(tmp_path / "z.daos") as pool:
            cont = await pool.container("c", create=True)
            found, other = [daos.ObjectId(MULTI_HASHED_S1, lo) for lo in (1, 2)]
            for oid in (found, other):
                await (await cont.object(oid)).update("d", a=b"1")
            await cont.snapshot("then")
            table = await cont.object_table("then")
            await table.mark(found, b"m")
            assert await table.get(found) == b"m"
            assert [oid async for oid in table.objects()] == sorted([found, other])
            assert [oid async for oid in table.unmarked()] == [other]
            await table.mark_many({other: b"n"})
            assert {marker async for _, marker in table.items()} == {b"m", b"n"}
            await table.clear()
            assert [oid async for oid in table.unmarked()] == sorted([found, other])

    asyncio.run(work())
