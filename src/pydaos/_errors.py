"""What `pydaos` raises."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from daos.errors import DER, DaosError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DObjNotFound", "InvalidModeError", "PyDError", "told"]


class PyDError(Exception):
    """Something that the system could not or would not do.

    Args:
        message: What failed.
        rc: The code, below 0; `error.rc` tells it.
    """

    def __init__(self, message: str, rc: int) -> None:
        super().__init__(message, rc)
        self.message = message
        self.rc = rc

    def __str__(self) -> str:
        try:
            code = DER(abs(self.rc))
        except ValueError:
            return f'{self.message}: DAOS error code {self.rc} (DER_UNKNOWN): "Unknown error code {self.rc}"'
        return f'{self.message}: DAOS error code {self.rc} (DER_{code.name}): "{code.text}"'


class DObjNotFound(Exception):  # noqa: N818 -- DAOS's name
    """A container has nothing of a name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"Failed to open '{self.name}'"


class InvalidModeError(ValueError):
    """A container is opened `RO` or `RW`, not otherwise."""


@contextmanager
def told(message: str) -> Iterator[None]:
    """Have what `daos` raises as `PyDError`; what it said, and what can be done, is its cause."""
    try:
        yield
    except DaosError as error:
        raise PyDError(message, -error.code) from error
