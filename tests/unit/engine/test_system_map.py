"""The system map: who is told what of a change."""

from __future__ import annotations

from daos.engine.system_map import SystemMap
from daos.local import MemberEntry, Members
from daos.model.members import MemberState


def members(version: int, **incarnations: int) -> Members:
    entries = [
        MemberEntry(
            rank=int(name[1:]),
            uri="127.0.0.1:1",
            targets=(),
            state=MemberState.JOINED,
            incarnation=incarnation,
            domain=("host",),
        )
        for name, incarnation in incarnations.items()
    ]
    return Members(version=version, members=tuple(entries))


def test_ranks_that_were_started_again_are_told() -> None:
    known, back, changes = SystemMap(), list[int](), list[int]()
    known.when_back(back.append)
    known.when_changed(lambda: changes.append(len(known.ranks)))
    known.put(members(1, r0=5, r1=5))
    assert back == [], "who is heard of first was not there before"
    known.put(members(2, r0=5, r1=6, r2=1))
    assert back == [1]
    known.put(members(1, r0=9, r1=9))
    assert back == [1], "an older map says nothing"
    known.put(members(3, r0=6, r1=7))
    assert back == [1, 0, 1]
    assert changes == [2, 3, 2]
