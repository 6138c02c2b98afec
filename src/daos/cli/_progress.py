"""How far a command has come: a line on a terminal, once it takes longer than a second."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from daos.model.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self, TextIO

QUIET_S = 1.0
"""What is done sooner is not worth a line."""
AGAIN_S = 0.1
"""The line is written anew no more often."""
ERASE = "\r\x1b[K"


class Progress:
    """Bytes that a command has moved, told on standard error while it is a terminal; the line is gone at the end.

    Args:
        what: What it does, such as `reading`.
        total: How many there are; None where that is not known.
        stream: Where to, in the place of standard error.
        clock: Seconds, in the place of the system's.
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._total = total
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        # None where nobody looks.
        self._next = clock() + QUIET_S if self._stream is not None and self._stream.isatty() else None
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._write(ERASE)

    def at(self, done: int) -> None:
        """Tell that so many bytes are done, if it is time to."""
        if self._next is None or self._clock() < self._next:
            return
        self._next = self._clock() + AGAIN_S
        text = format_size(done)
        if self._total:
            text = f"{text} of {format_size(self._total)}, {min(100, done * 100 // self._total)} %"
        self._write(f"{ERASE}{self._what}: {text}")
        self._shown = True

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            # A terminal that is gone is no reason to fail.
            self._next = None
