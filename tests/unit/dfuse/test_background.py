from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from daos.dfuse.background import Outcome, in_background
from daos.dfuse.command import outcome_of
from daos.errors import DER, InvalidError

Tell = Callable[[Outcome], None]


def test_what_the_other_process_tells_is_returned() -> None:
    told = Outcome(17, "a word", "a hint")
    assert in_background(lambda tell: tell(told)) == told


def test_it_goes_on_when_it_works() -> None:
    source, sink = os.pipe()

    def run(tell: Tell) -> None:
        tell(Outcome())
        os.write(sink, str(os.getsid(0) == os.getppid()).encode() + os.fsencode(Path.cwd()))
        os.close(sink)

    assert in_background(run).status == 0
    os.close(sink)
    # Its parent is gone, and it has no terminal.
    assert os.read(source, 100).endswith(b"/")
    os.close(source)


def test_one_that_dies_without_a_word_is_told() -> None:
    def run(_: Tell) -> None:
        os._exit(3)

    outcome = in_background(run)
    assert outcome.status == 1
    assert outcome.hint


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (InvalidError("a", hint="h"), Outcome(22, f"a: {DER.INVAL}", "h")),
        (InvalidError("a", code=DER.NOTSUPPORTED), Outcome(95, f"a: {DER.NOTSUPPORTED}", None)),
        (OSError(16, "busy"), Outcome(16, "busy", None)),
        (RuntimeError("x"), Outcome(5, "RuntimeError: x", None)),
    ],
)
def test_errors_have_a_status(error: Exception, outcome: Outcome) -> None:
    assert outcome_of(error) == outcome


def test_a_note_of_an_error_is_its_hint() -> None:
    error = OSError(2, "there is no fusermount3")
    error.add_note("install it")
    assert outcome_of(error) == Outcome(2, "there is no fusermount3", "install it")
