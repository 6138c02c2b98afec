"""What is told of ranks that are late."""

from __future__ import annotations

import pytest

from daos.control.late import have_not, named, too_late
from daos.errors import DER


@pytest.mark.parametrize(
    ("ranks", "said"),
    [
        ((), "no rank"),
        ((3,), "rank 3"),
        ((5, 1), "ranks 1 and 5"),
        ((9, 2, 4), "ranks 2, 4 and 9"),
        (range(8), "ranks 0, 1, 2, 3, 4, 5, 6 and 7"),
        (range(1000), "ranks 0, 1, 2, 3, 4, 5, 6, 7 and 992 more"),
    ],
)
def test_ranks_are_named_but_not_a_thousand(ranks: tuple[int, ...], said: str) -> None:
    assert named(ranks) == said


def test_the_verb_is_theirs() -> None:
    assert (have_not([2]), have_not(iter((2, 1)))) == ("rank 2 has not", "ranks 1 and 2 have not")


def test_what_is_taken_back_says_why_and_what_to_do() -> None:
    error = too_late("the pool was not made", [4, 2], 60, "look")
    assert error.message == "the pool was not made: ranks 2 and 4 did not answer within 60 s"
    assert (error.code, error.hint) == (DER.TIMEDOUT, "look")
    assert error.context == {"rank": 2, "ranks": "2, 4", "waited_s": 60}
    assert "rank" not in too_late("x", [], 60, "look").context
