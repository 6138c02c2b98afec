"""Going into the background: not before it works, and with a word to whoever waits if it does not."""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Outcome", "in_background"]

WAIT_S = 900.0
"""So long one waits at the most. What is waited for has shorter times of its own."""


class Outcome(msgspec.Struct, frozen=True):
    """What the process in the background tells the one that was started.

    Attributes:
        status: The exit status; 0 if it works.
        message: What went wrong.
        hint: What can be done about it.
    """

    status: int = 0
    message: str = ""
    hint: str | None = None


_DIED = Outcome(1, "the process in the background ended without a word", "run it with --foreground to see why")


def _receive(source: int) -> Outcome:
    """Return what is told, up to the end of it."""
    told = b""
    while True:
        ready, _, _ = select.select([source], [], [], WAIT_S)
        if not ready:
            return Outcome(1, f"nothing is mounted after {WAIT_S:.0f} s", _DIED.hint)
        part = os.read(source, 1 << 16)
        if not part:
            break
        told += part
    try:
        return msgspec.json.decode(told, type=Outcome)
    except msgspec.DecodeError:
        return _DIED


def _detach(stderr: int | None) -> None:
    """Have nothing more to do with the terminal."""
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(null, number)
    os.dup2(null if stderr is None else stderr, 2)
    if null > 2:  # noqa: PLR2004 -- not one of the three themselves
        os.close(null)


def in_background(run: Callable[[Callable[[Outcome], None]], None], *, log: int | None = None) -> Outcome:
    """Run something in a process of its own; return what it told, when it works or has failed.

    It must be called before there are threads.

    Args:
        run: What is run; it calls what it is given, once, as soon as it is known how it goes, and goes on.
        log: A descriptor that gets what it prints from then on; None: nobody does.
    """
    source, sink = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork() > 0:
        os.close(sink)
        outcome = _receive(source)
        os.close(source)
        os.waitpid(-1, os.WNOHANG)
        return outcome
    status = 1
    try:
        os.close(source)
        os.setsid()
        # The second child is nobody's, and gets no terminal.
        if os.fork() > 0:
            os._exit(0)

        def tell(outcome: Outcome) -> None:
            os.write(sink, msgspec.json.encode(outcome))
            os.close(sink)
            if outcome.status == 0:
                _detach(log)

        run(tell)
        status = 0
    finally:
        # Nothing of what the first process had open is its own to close.
        os._exit(status)
