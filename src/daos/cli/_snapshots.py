"""What the commands that deal with snapshots share: their words on a command line, their times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from daos.errors import InvalidError
from daos.model.snapshots import Snapshot, parse_epoch

if TYPE_CHECKING:
    from daos import Container

SNAP = click.Option(["--snap"], metavar="SNAPSHOT", help="Read as of a snapshot: its name or its epoch.")


def epoch_of(word: str) -> int:
    """Return the epoch that a word writes.

    Raises:
        InvalidError: `DER.INVAL`.
    """
    epoch = parse_epoch(word.strip())
    if epoch is None:
        raise InvalidError(f'"{word}" is no epoch', hint="a number, such as container list-snaps prints")
    return epoch


def as_of(container: Container, snapshot: str | None) -> Container:
    """Return a container as of a snapshot, now without one.

    Raises:
        DaosError: As `Container.at`.
    """
    if snapshot is None:
        return container
    # A name is never a number.
    epoch = parse_epoch(snapshot)
    return container.at(snapshot if epoch is None else epoch)


def time_of(snapshot: Snapshot) -> str:
    """Return when a snapshot was taken, as the tools print it."""
    return snapshot.created.isoformat(timespec="milliseconds")


def snapshot_info(snapshot: Snapshot) -> dict[str, object]:
    """Return the JSON object of a snapshot."""
    name = {} if snapshot.name is None else {"name": snapshot.name}
    return {"epoch": snapshot.epoch, "timestamp": time_of(snapshot), **name}
