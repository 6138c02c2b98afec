"""What the commands of `daos dev` share."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from daos.errors import DER, InvalidError
from daos.model.sizes import parse_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daos.dev import DevSystem

DIRECTORY = click.Option(
    ["-d", "--directory"],
    default="./daos-dev",
    show_default=True,
    envvar="DAOS_DEV",
    metavar="DIR",
    help="Directory of the system  [env: DAOS_DEV].",
)


@contextmanager
def needing_extra() -> Iterator[None]:
    """Say what to install where the packages of servers are not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise InvalidError(
            f"the package {error.name} is not installed", code=DER.NOSYS, hint="pip install 'daos[server]'"
        ) from error


def dev_system(directory: str) -> DevSystem:
    """Return the system of a directory."""
    with needing_extra():
        from daos.dev import DevSystem

        return DevSystem(directory)


def parse_bytes(text: str) -> int:
    """Return a size in bytes."""
    return parse_size(text, "size")
