"""What is told of a pool that several ranks scrub."""

from __future__ import annotations

from daos.engine.peers import PartScrubReply
from daos.engine.scrubbing import together

PROPERTIES: dict[str, str | int] = {"scrub": "timed", "scrub_freq": 60, "scrub_thresh": 3, "rd_fac": 0}


def part(passes: int, found: list[str], ended: int | None = None, following: int | None = None) -> PartScrubReply:
    return PartScrubReply(ended is None, passes, 100, len(found), found, ended, following)


def test_what_all_found_is_told_together() -> None:
    told = together(PROPERTIES, {0: part(2, [], 20, 80), 3: part(1, ["container a: b"], 50, 70)})
    assert (told.mode, told.freq_s, told.thresh) == (2, 60, 3)
    assert (told.passes, told.bytes, told.corruptions) == (1, 200, 1)
    assert told.found == ["rank 3: container a: b"]
    assert (told.is_running, told.ended_s, told.next_s) == (False, 50, 70)


def test_a_pass_has_ended_when_the_last_rank_has() -> None:
    told = together(PROPERTIES, {0: part(4, [], 20), 1: part(0, [])})
    assert (told.passes, told.ended_s, told.next_s, told.is_running) == (0, None, None, True)


def test_what_is_told_one_by_one_has_a_bound() -> None:
    told = together(PROPERTIES, {rank: part(1, ["x"] * 60, 1, 1) for rank in range(2)})
    assert (told.corruptions, len(told.found)) == (120, 64)


def test_where_no_rank_answers_the_settings_are_told() -> None:
    told = together(PROPERTIES, {})
    assert (told.mode, told.passes, told.found, told.ended_s, told.next_s) == (2, 0, [], None, None)
