"""Several requests that are one call: together they take the time of one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from daos import _core

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Have what this thread asks of running systems in the block end by then. Not to be nested."""
    _core.calls_within(seconds)
    try:
        yield
    finally:
        _core.calls_within(None)
