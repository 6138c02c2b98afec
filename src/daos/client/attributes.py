"""User attributes of pools and containers."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, MutableMapping, ValuesView
from typing import TYPE_CHECKING

from daos.errors import KeyNotFoundError
from daos.model.attributes import check_attribute_name, check_attribute_value

if TYPE_CHECKING:
    from daos.client.container import Container
    from daos.client.pool import Pool

__all__ = ["Attributes"]

TOGETHER_MAX = 128
"""Values that are asked for at once: no more than one reply has room for."""


class Attributes(MutableMapping[str, bytes]):
    """A user's names and values that a pool or container carries; the system gives them no meaning.

    Names are text of at most 511 bytes of UTF-8, values are bytes, at most 64 KiB. Every change is durable when its
    call returns, whatever the system was opened for. They have no history: snapshots do not keep them. Made by
    `Pool.attributes` and `Container.attributes`; threads may share it.

    All methods raise `ClosedError` (`DER.NO_HDL`) when the system is closed, `NotFoundError` when the pool or container
    was destroyed, and `InvalidError` (`DER.INVAL`, of a value that is too long `DER.REC2BIG`) for what is no name or
    value.
    """

    __slots__ = ("_core", "_of", "_owner")

    def __init__(self, owner: Pool | Container, of: str) -> None:
        self._core = owner._core.attributes()  # noqa: SLF001 -- what its owner reaches, it does
        self._of = of
        # Held, so that a system that only these attributes still use is not closed by collection.
        self._owner = owner

    def __reduce__(self) -> tuple[object, ...]:
        return Attributes, (self._owner, self._of)

    def __getitem__(self, name: str) -> bytes:
        return self.get_many([name])[name]

    def __setitem__(self, name: str, value: bytes) -> None:
        self.update({name: value})

    def __delitem__(self, name: str) -> None:
        if not self._core.remove([check_attribute_name(name)]):
            raise self._absent(name)

    def __contains__(self, name: object) -> bool:
        return self._core.get([check_attribute_name(name)])[0] is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._core.names())

    def __len__(self) -> int:
        return len(self._core.names())

    def items(self) -> ItemsView[str, bytes]:
        """Return names and values: asked for once each time that they are gone through, not name by name."""
        return _Items(self)

    def values(self) -> ValuesView[bytes]:
        """Return the values, as `items`."""
        return _Values(self)

    def _pairs(self) -> Iterator[tuple[str, bytes]]:
        names = self._core.names()
        for first in range(0, len(names), TOGETHER_MAX):
            some = names[first : first + TOGETHER_MAX]
            for name, value in zip(some, self._core.get(some), strict=True):
                # What somebody removed in between is not there.
                if value is not None:
                    yield name, value

    def get_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return the values of several names, in one call of the core.

        Raises:
            KeyNotFoundError: `DER.NONEXIST`: one of them is not there.
        """
        wanted = [check_attribute_name(name) for name in names]
        found: dict[str, bytes] = {}
        for name, value in zip(wanted, self._core.get(wanted), strict=True):
            if value is None:
                raise self._absent(name)
            found[name] = value
        return found

    def update(self, other: Mapping[str, bytes] | Iterable[tuple[str, bytes]] = (), /) -> None:  # type: ignore[override]
        """Set several, all or none.

        Raises:
            InvalidError: `DER.REC2BIG`: names and values have more than 4 MiB together.
        """
        items = dict(other)
        self._core.set([(check_attribute_name(name), check_attribute_value(value)) for name, value in items.items()])

    def remove(self, names: Iterable[str]) -> None:
        """Remove several in one step; those that are absent are no error."""
        self._core.remove([check_attribute_name(name) for name in names])

    def clear(self) -> None:
        """Remove all that are there, in one step."""
        self._core.remove(self._core.names())

    def __repr__(self) -> str:
        return f"<daos.Attributes of {self._of}>"

    def _absent(self, name: str) -> KeyNotFoundError:
        """Return the error of a name that is not there."""
        return KeyNotFoundError(f"no attribute {name!r} of {self._of}", hint="list them", context={"name": name})


class _Items(ItemsView[str, bytes]):
    _mapping: Attributes

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return self._mapping._pairs()  # noqa: SLF001 -- one class in two


class _Values(ValuesView[bytes]):
    _mapping: Attributes

    def __iter__(self) -> Iterator[bytes]:
        return (value for _, value in self._mapping._pairs())  # noqa: SLF001 -- one class in two
