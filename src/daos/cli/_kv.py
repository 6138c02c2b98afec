"""What the commands of key-value stores share: keys as words of a command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from daos.cli._base import hinting
from daos.errors import InvalidError

if TYPE_CHECKING:
    from daos import KV, Container

NAME = click.Argument(["name"], metavar="NAME")
KEY = click.Argument(["key"], metavar="KEY")


def store_of(container: Container, name: str, *, create: bool = False) -> KV[str]:
    """Return the store of a name, its keys being of whatever kind.

    Raises:
        DaosError: As `Container.kv`.
    """
    with hinting("daos kv list lists the stores, daos kv put --create makes one", unless=container.as_of is not None):
        return container.kv(name, create=create)


def key_of(kv: KV[str] | KV[bytes] | KV[int], word: str) -> str | bytes | int:
    """Return the key that a word means in a store.

    Raises:
        InvalidError: `DER.INVAL`: the store's keys are integers, and the word is none; or text, and it is no UTF-8.
    """
    if kv.keys_are == "bytes":
        # The bytes that were typed, also those that are no UTF-8.
        return word.encode(errors="surrogateescape")
    if kv.keys_are == "int":
        if not (word.isascii() and word.isdecimal()):
            raise InvalidError(f'"{word}" is no integer', hint=f"keys of {kv.name!r} are integers from 0 on")
        return int(word)
    try:
        word.encode()
    except UnicodeEncodeError:
        raise InvalidError(f"{word!r} is no UTF-8", hint=f"keys of {kv.name!r} are text") from None
    return word


def word_of(key: str | bytes | int) -> str:
    """Return the word that means a key."""
    return key.decode(errors="surrogateescape") if isinstance(key, bytes) else str(key)
