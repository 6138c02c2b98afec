"""What the commands of key-value stores share: keys as words of a command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from daos.errors import InvalidError

if TYPE_CHECKING:
    from daos import KV

NAME = click.Argument(["name"], metavar="NAME")
KEY = click.Argument(["key"], metavar="KEY")


def key_of(kv: KV[str] | KV[bytes] | KV[int], word: str) -> str | bytes | int:
    """Return the key that a word means in a store.

    Raises:
        InvalidError: `DER.INVAL`: the store's keys are integers, and the word is none.
    """
    if kv.keys_are == "bytes":
        # The bytes that were typed, also those that are no UTF-8.
        return word.encode(errors="surrogateescape")
    if kv.keys_are == "int":
        if not (word.isascii() and word.isdecimal()):
            raise InvalidError(f'"{word}" is no integer', hint=f"keys of {kv.name!r} are integers from 0 on")
        return int(word)
    return word


def word_of(key: str | bytes | int) -> str:
    """Return the word that means a key."""
    return key.decode(errors="surrogateescape") if isinstance(key, bytes) else str(key)
