"""msgpack of known forms, read by any thread.

msgspec makes ready for a type when it is used first. Where two threads use a type that has others in it for the first
time at once, one may read with what the other has not finished, and the process dies. So all make ready here, one after
the other. Unions of messages, which one thread reads, have decoders of their own beside them.
"""

from __future__ import annotations

import os
import threading
from typing import TypeVar, cast

import msgspec

_T = TypeVar("_T")
_decoders: dict[object, msgspec.msgpack.Decoder[object]] = {}
_lock = threading.Lock()


def _at_fork() -> None:
    """In a child, forget a lock that another thread may have held."""
    global _lock  # noqa: PLW0603 -- a child begins anew
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_at_fork)


def decoder(form: type[_T]) -> msgspec.msgpack.Decoder[_T]:
    """Return what reads a form; the same for all who ask.

    Args:
        form: A type that msgspec knows.
    """
    found = _decoders.get(form)
    if found is None:
        with _lock:
            found = _decoders.get(form)
            if found is None:
                found = _decoders[form] = msgspec.msgpack.Decoder[object](form)
    return cast("msgspec.msgpack.Decoder[_T]", found)


def decode(raw: bytes | memoryview, form: type[_T]) -> _T:
    """Return what bytes say.

    Raises:
        msgspec.MsgspecError: They are not of the form.
        UnicodeDecodeError: A text of theirs is none.
    """
    return decoder(form).decode(raw)
