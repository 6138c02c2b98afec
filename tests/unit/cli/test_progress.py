"""The line that tells how far a command has come."""

from __future__ import annotations

import io

from daos.cli._progress import AGAIN_S, ERASE, QUIET_S, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(Terminal):
    def write(self, *_: object) -> int:
        raise OSError(5, "gone")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_tells_after_a_second_now_and_then_and_leaves_nothing() -> None:
    terminal, clock = Terminal(), Clock()
    with Progress("reading", 4000, stream=terminal, clock=clock) as progress:
        progress.at(1000)
        assert terminal.getvalue() == ""
        clock.now += QUIET_S
        progress.at(2000)
        progress.at(2001)
        assert terminal.getvalue() == f"{ERASE}reading: 2.0 kB of 4.0 kB, 50 %"
        clock.now += AGAIN_S
        progress.at(5000)
        assert terminal.getvalue().endswith(f"{ERASE}reading: 5.0 kB of 4.0 kB, 100 %")
    assert terminal.getvalue().endswith(f"100 %{ERASE}")


def test_without_a_total_it_tells_what_is_done() -> None:
    terminal, clock = Terminal(), Clock()
    with Progress("checking", stream=terminal, clock=clock) as progress:
        clock.now += QUIET_S
        progress.at(3_000_000)
    assert terminal.getvalue() == f"{ERASE}checking: 3.0 MB{ERASE}"


def test_it_is_silent_where_nobody_looks_and_bears_a_terminal_that_goes() -> None:
    clock = Clock()
    for stream in (io.StringIO(), Gone()):
        with Progress("reading", stream=stream, clock=clock) as progress:
            clock.now += 2
            progress.at(1)
            clock.now += 2
            progress.at(2)
        assert stream.getvalue() == ""
