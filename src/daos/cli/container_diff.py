"""`daos container diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.cli._snapshots import as_of
from daos.model.snapshots import parse_epoch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daos import Difference

SINCE = click.Option(["--from", "since"], metavar="SNAPSHOT", required=True, help="The earlier state: name or epoch.")
UNTIL = click.Option(["--to", "until"], metavar="SNAPSHOT", help="The later state: name or epoch; now without.")
_MARKS: Mapping[str, str] = {"added": "+", "removed": "-", "changed": "~"}


def _words(found: Difference) -> str:
    """Return the line of a difference."""
    keys = [str(key) if isinstance(key, int) else shown(key) for key in (found.dkey, found.akey) if key is not None]
    records = [f"{part.start}:{part.stop}" for part in found.records]
    return " ".join(
        [_MARKS[found.kind], found.name or str(found.oid), *keys, *([",".join(records)] if records else [])]
    )


def shown(key: str | bytes) -> str:
    """Return a key as one word: what is no printable text is escaped."""
    text = key if isinstance(key, str) else key.decode(errors="backslashreplace")
    return text if text.isprintable() and " " not in text else repr(text)


def _info(found: Difference) -> dict[str, object]:
    """Return the JSON object of a difference."""
    info: dict[str, object] = {"kind": found.kind, "oid": str(found.oid)}
    if found.name is not None:
        info["name"] = found.name
    for level, key in (("dkey", found.dkey), ("akey", found.akey)):
        if key is not None:
            info[level] = key.decode(errors="backslashreplace") if isinstance(key, bytes) else key
    if found.records:
        info["records"] = [[part.start, part.stop] for part in found.records]
    return info


@make("diff", POOL, CONTAINER, SINCE, UNTIL)
@click.pass_context
def command(context: click.Context, pool: str, container: str, since: str, until: str | None) -> Reply:
    """Tell what differs in CONTAINER from a snapshot: + added, - removed, ~ changed.

    Of a key-value store the keys are told, of an array the ranges of cells, of an object dkey, akey and records.
    """
    epoch = parse_epoch(since)
    found = as_of(open_container(context, pool, container), until).diff(since if epoch is None else epoch)
    return Reply((_words(one) for one in found), lambda: [_info(one) for one in found])
